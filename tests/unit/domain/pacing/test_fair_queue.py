"""Who goes next."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.domain.pacing.fair_queue import FairQueue, Waiting
from extproc.domain.request.priority import Lane

KB = 1024


def queue_of(*requests: tuple[str, str, Lane]) -> FairQueue:
    queue = FairQueue()
    for request_id, source, lane in requests:
        queue.push(Waiting(request_id, source, lane, 100 * KB, 0.0))
    return queue


def order(queue: FairQueue, now: float = 0.0) -> str:
    return "".join(taken.id for _ in range(len(queue)) if (taken := queue.pop(now)) is not None)


def test_one_source_goes_in_its_order() -> None:
    assert order(queue_of(*((each, "s", Lane.MAIN) for each in "abc"))) == "abc"


def test_sources_take_turns() -> None:
    many = [(each, "greedy", Lane.MAIN) for each in "abcd"]
    assert order(queue_of(*many, ("x", "modest", Lane.MAIN), ("y", "modest", Lane.MAIN))) == "axbycd"


def test_a_source_whose_requests_cost_twice_as_much_goes_half_as_often() -> None:
    queue = FairQueue()
    for number in range(6):
        queue.push(Waiting(f"b{number}", "big", Lane.MAIN, 200 * KB, 0.0))
        queue.push(Waiting(f"s{number}", "small", Lane.MAIN, 100 * KB, 0.0))
    first = [taken.source for _ in range(6) if (taken := queue.pop(0.0)) is not None]
    assert first.count("small") == 4


def test_within_a_source_main_goes_before_sub_agents_and_those_before_background() -> None:
    lanes = [("b", "s", Lane.BACKGROUND), ("a", "s", Lane.SUBAGENT), ("m", "s", Lane.MAIN)]
    assert order(queue_of(*lanes)) == "mab"


def test_age_lifts_every_fourth_turn() -> None:
    queue = queue_of(("s", "s", Lane.SUBAGENT), *((each, "s", Lane.MAIN) for each in "abcdef"))
    assert order(queue, now=20.0) == "abcsdef"


def test_one_that_is_young_is_not_lifted() -> None:
    queue = queue_of(("s", "s", Lane.SUBAGENT), *((each, "s", Lane.MAIN) for each in "abcdef"))
    assert order(queue, now=10.0) == "abcdefs"


def test_a_closed_lane_is_passed_over() -> None:
    queue = queue_of(("b", "s", Lane.BACKGROUND), ("m", "t", Lane.MAIN))
    closed = {Lane.BACKGROUND}
    first, second = queue.pop(0.0, closed), queue.pop(0.0, closed)
    assert first is not None
    assert (first.id, second) == ("m", None)
    assert not queue.has("", closed)
    assert order(queue) == "b"


def test_a_pause_saves_no_turns_up() -> None:
    queue = queue_of(*((each, "busy", Lane.MAIN) for each in "abcdef"))
    for _ in range(3):
        queue.pop(0.0)
    for each in "xyz":
        queue.push(Waiting(each, "rested", Lane.MAIN, 100 * KB, 0.0))
    assert order(queue) in ("xdyezf", "dxeyfz")


def test_the_same_id_twice_is_an_error_and_changes_nothing() -> None:
    queue = queue_of(("a", "s", Lane.MAIN))
    with pytest.raises(ValueError, match="a is in the queue already"):
        queue.push(Waiting("a", "t", Lane.MAIN, 1.0, 0.0))
    assert order(queue) == "a"


def test_sources_that_have_gone_are_forgotten() -> None:
    queue = FairQueue()
    for number in range(5000):
        queue.push(Waiting("r", f"s{number}", Lane.MAIN, 1.0, 0.0))
        queue.pop(0.0)
    assert queue.sources() <= 600


_steps = st.lists(
    st.one_of(
        st.tuples(st.just("push"), st.sampled_from("abc"), st.sampled_from(list(Lane))),
        st.tuples(st.just("pop"), st.sampled_from(["", "background"]), st.just(Lane.MAIN)),
        st.tuples(st.just("cancel"), st.sampled_from(["first", "last"]), st.just(Lane.MAIN)),
    ),
    max_size=120,
)


@given(_steps)
def test_nobody_is_lost_doubled_or_overtaken_within_a_lane(steps: list[tuple[str, str, Lane]]) -> None:
    queue, model, now = FairQueue(), [], 0.0
    for number, (act, argument, lane) in enumerate(steps):
        now += 3.0
        if act == "push":
            model.append(Waiting(f"r{number}", argument, lane, 1000.0 * number, now))
            queue.push(model[-1])
        elif act == "pop":
            closed = {Lane(argument)} if argument else set()
            taken = queue.pop(now, closed)
            if taken is None:
                assert all(each.lane in closed for each in model)
            else:
                assert taken.lane not in closed
                assert taken == next(e for e in model if (e.source, e.lane) == (taken.source, taken.lane))
                model.remove(taken)
        elif model:
            gone = model.pop(0 if argument == "first" else -1)
            assert queue.cancel(gone.id) == gone
            assert queue.cancel(gone.id) is None
        assert list(queue.waiting()) == model
        assert [queue.in_lane(each) for each in Lane] == [sum(e.lane is each for e in model) for each in Lane]
