"""Who goes next."""

from collections import Counter

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


def test_what_a_source_takes_of_one_model_is_nothing_to_those_that_wait_for_another() -> None:
    queue = FairQueue()
    for number in range(100):
        queue.charge(f"f{number}", "fast", "air", 5.0)
    for number in range(6):
        queue.push(Waiting(f"s{number}", "swarm", Lane.MAIN, 5.0, 0.0, model="full"))
    queue.pop(0.0)
    for number in range(100, 200):
        queue.charge(f"f{number}", "fast", "air", 5.0)
    for number in range(2):
        queue.push(Waiting(f"p{number}", "person", Lane.MAIN, 5.0, 0.0, model="full"))
        queue.push(Waiting(f"q{number}", "fast", Lane.MAIN, 5.0, 0.0, model="full"))
    assert [taken.source for _ in range(6) if (taken := queue.pop(0.0))] == [
        *("swarm", "person", "fast"),
        *("swarm", "person", "fast"),
    ]


def test_of_equal_sources_the_one_goes_first_whose_last_turn_is_the_longest_ago_and_a_new_one_last() -> None:
    queue = FairQueue()
    for source in ("older", "old"):
        queue.charge(source, source, "", 1.0)
    for source in ("old", "newest", "older"):
        queue.push(Waiting(f"{source}2", source, Lane.MAIN, 1.0, 0.0))
    assert [taken.source for _ in range(3) if (taken := queue.pop(0.0))] == ["older", "old", "newest"]


def test_what_a_guess_was_too_high_never_brings_a_source_below_where_it_was_lifted_to_since() -> None:
    queue = FairQueue()
    queue.charge("picture", "idle", "", 480.0)
    for number in range(200):
        queue.push(Waiting(f"b{number}", "busy", Lane.MAIN, 6.0, 0.0))
    for _ in range(100):
        queue.pop(0.0)
    for number in range(20):
        queue.push(Waiting(f"i{number}", "idle", Lane.MAIN, 6.0, 0.0))
    queue.settle("picture", 6.0)
    sources = [taken.source for _ in range(20) if (taken := queue.pop(0.0))]
    assert sources.count("idle") in (9, 10, 11)


def test_what_a_guess_was_too_high_comes_back_to_one_that_waited_all_the_time() -> None:
    queue = FairQueue()
    for number in range(20):
        queue.push(Waiting(f"w{number}", "wrong", Lane.MAIN, 60.0, 0.0))
        queue.push(Waiting(f"r{number}", "right", Lane.MAIN, 6.0, 0.0))
    sources = []
    for _ in range(20):
        taken = queue.pop(0.0)
        assert taken is not None
        sources.append(taken.source)
        queue.settle(taken.id, 6.0)
    assert sources.count("wrong") == 10


def test_who_was_never_charged_gets_nothing_back() -> None:
    queue = queue_of(*((each, "gone", Lane.MAIN) for each in "abc"), *((each, "stays", Lane.MAIN) for each in "xyz"))
    for each in "ab":
        queue.cancel(each)
        queue.settle(each, 0.0)
    queue.settle("unknown", 0.0)
    queue.push(Waiting("d", "gone", Lane.MAIN, 100 * KB, 0.0))
    assert order(queue) == "cxdyz"


def test_a_turn_is_settled_once() -> None:
    queue = queue_of(*((each, "s", Lane.MAIN) for each in "abcd"), *((each, "t", Lane.MAIN) for each in "wxyz"))
    queue.pop(0.0)
    for _ in range(3):
        queue.settle("a", 50 * KB)
    assert order(queue) == "wbxcydz"


def test_where_models_compete_sources_take_turns_whatever_they_ask_for() -> None:
    queue = FairQueue()
    for number in range(12):
        queue.push(Waiting(f"x{number}", "both", Lane.MAIN, 1.0, 0.0, model="a" if number % 2 else "b"))
        queue.push(Waiting(f"y{number}", "one", Lane.MAIN, 1.0, 0.0, model="a"))
    sources = [taken.source for _ in range(12) if (taken := queue.pop(0.0, rivals=lambda free: free))]
    assert sources.count("both") == sources.count("one") == 6


def test_a_turn_among_models_counts_where_one_of_them_has_places_of_its_own_again() -> None:
    queue = FairQueue()
    for number in range(8):
        queue.push(Waiting(f"x{number}", "both", Lane.MAIN, 1.0, 0.0, model="a" if number % 2 else "b"))
        queue.push(Waiting(f"y{number}", "one", Lane.MAIN, 1.0, 0.0, model="a"))
    taken = [queue.pop(0.0, rivals=lambda free: free), queue.pop(0.0, is_free=lambda model: model == "a")]
    assert {each.source for each in taken if each is not None} == {"both", "one"}


def test_whoever_waited_for_a_model_that_was_full_has_saved_no_turns_up_among_the_others() -> None:
    queue = FairQueue()
    for number in range(40):
        queue.push(Waiting(f"x{number}", "both", Lane.MAIN, 1.0, 0.0, model="abc"[number % 3]))
        queue.push(Waiting(f"y{number}", "full", Lane.MAIN, 1.0, 0.0, model="a"))
    for _ in range(20):
        queue.pop(0.0, is_free=lambda model: model != "a", rivals=lambda free: free)
    sources = [taken.source for _ in range(10) if (taken := queue.pop(0.0, rivals=lambda free: free))]
    assert sources.count("full") == 5


def test_who_stood_before_a_closed_lane_alone_has_saved_no_turns_up() -> None:
    queue = FairQueue()
    for number in range(40):
        queue.push(Waiting(f"b{number}", "held", Lane.BACKGROUND, 1.0, 0.0))
        queue.push(Waiting(f"m{number}", "free", Lane.MAIN, 1.0, 0.0))
    for _ in range(20):
        queue.pop(0.0, {Lane.BACKGROUND})
    queue.push(Waiting("n", "new", Lane.MAIN, 1.0, 0.0))
    sources = [taken.source for _ in range(11) if (taken := queue.pop(0.0))]
    assert (sources.count("held"), sources.count("new")) == (5, 1)
    assert "new" in sources[:3]


def test_who_waits_for_another_model_after_all_keeps_its_turn_and_its_order() -> None:
    queue = FairQueue()
    for number, (source, asked) in enumerate([("s", "x"), ("s", "m"), ("t", "m"), ("s", "x")]):
        queue.push(Waiting(f"{source}{number}", source, Lane.MAIN, 1.0, float(number), asked, asked))
    queue.rename("x", "m")
    assert [taken.id for _ in range(4) if (taken := queue.pop(9.0))] == ["s0", "t2", "s1", "s3"]


def test_of_two_that_came_at_once_the_first_goes_first_though_its_model_turns_out_to_be_another() -> None:
    queue = FairQueue()
    queue.push(Waiting("1", "a", Lane.MAIN, 1.0, 0.0, "air", "air"))
    queue.push(Waiting("2", "a", Lane.MAIN, 1.0, 0.0, "glm", "glm"))

    queue.rename("air", "glm")

    assert order(queue) == "12"


def test_the_same_id_twice_is_an_error_and_changes_nothing() -> None:
    queue = queue_of(("a", "s", Lane.MAIN))
    with pytest.raises(ValueError, match="a is in the queue already"):
        queue.push(Waiting("a", "t", Lane.MAIN, 1.0, 0.0))
    assert order(queue) == "a"


def test_sources_that_have_gone_are_forgotten() -> None:
    queue = FairQueue()
    for number in range(5000):
        queue.push(Waiting("r", f"s{number}", Lane.MAIN, 1.0, 0.0, model=f"m{number % 7}"))
        queue.push(Waiting("q", f"s{number}", Lane.MAIN, 1.0, 0.0, model=f"m{number}"))
        for _ in range(2):
            queue.pop(0.0, rivals=lambda free: free)
    assert queue.sources() <= 900


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


_names = st.sampled_from("abc")
_moves = st.lists(
    st.one_of(
        st.tuples(st.just("push"), _names, _names),
        st.tuples(st.just("pop"), _names, _names),
        st.tuples(st.just("cancel"), _names, _names),
        st.tuples(st.just("rename"), _names, _names),
    ),
    max_size=150,
)


@given(_moves)
def test_nobody_goes_three_times_for_a_model_before_another_who_waits_for_it(moves: list[tuple[str, str, str]]) -> None:
    """Requests that take the same, whatever was guessed; those that never went are settled too, as the log tells."""
    queue = FairQueue()
    passed: dict[tuple[str, str], Counter[str]] = {}
    for number, (act, one, other) in enumerate(moves):
        if act == "push":
            serving = next((each.model for each in queue.waiting() if each.asked == other), other)
            queue.push(Waiting(f"r{number}", one, Lane.MAIN, 1.0 + number % 9, 0.0, other, serving))
        elif act == "cancel" and (gone := next((each for each in queue.waiting() if each.source == one), None)):
            queue.cancel(gone.id)
            queue.settle(gone.id, 0.0)
        elif act == "rename":
            queue.rename(one, other)
        elif act == "pop" and (taken := queue.pop(0.0, is_free=lambda model, free=(one, other): model in free)):
            queue.settle(taken.id, 1.0)
            passed.pop((taken.source, taken.model), None)
            for (source, model), others in passed.items():
                others[taken.source] += model == taken.model
                assert others[taken.source] <= 2, (source, model)
        waits = {(each.source, each.model) for each in queue.waiting()}
        passed = {each: passed.get(each, Counter()) for each in waits}
