"""Pacing as its caller sees it."""

import json
import math

import pytest

from extproc.domain.pacing.adjustments import Direction
from extproc.domain.pacing.config import PacingConfig, PacingMode
from extproc.domain.pacing.learned_limits import ACCOUNT, MOST_MODELS
from extproc.domain.pacing.limits import MCP, UNKNOWN
from extproc.domain.pacing.records import Admitted, Attempt, PacedRequest, Queued, Refused
from extproc.domain.pacing.scheduler import Pacing
from extproc.domain.request.business_codes import ErrorClass
from extproc.domain.request.priority import Lane
from extproc.domain.request.refusals import RefusalReason
from tests.unit.domain.pacing.plan_model import EPOCH


def pacing(**settings: object) -> Pacing:
    config = {"max_workers": 20, "rate_initial": 100.0, "rate_burst": 50.0, **settings}
    return Pacing(PacingConfig(**config))  # type: ignore[arg-type]  # each test passes what its setting takes


def fill(paced: Pacing, count: int, now: float = EPOCH, prefix: str = "r", lane: Lane = Lane.MAIN) -> list[object]:
    return [paced.arrive(PacedRequest(f"{prefix}{number}", "s", lane), now) for number in range(count)]


def refusal(request_id: str, error: ErrorClass, code: str, at: float) -> Attempt:
    return Attempt(request_id, at, at + 0.1, error, code)


def admitted(paced: Pacing, now: float) -> list[str]:
    return [each.id for each in paced.due(now) if isinstance(each.answer, Admitted)]


def test_requests_within_the_limit_go_at_once_and_the_next_one_waits() -> None:
    assert fill(pacing(), 4) == [Admitted(), Admitted(), Admitted(), Queued(1)]


def test_one_that_ends_lets_the_next_one_go_and_says_how_long_it_waited() -> None:
    paced = pacing()
    fill(paced, 4)
    paced.leave("r0", EPOCH + 1.5)
    (decision,) = paced.due(EPOCH + 1.5)
    assert (decision.id, decision.answer) == ("r3", Admitted(1.5))


def turns(paced: Pacing, now: float, running: str, count: int) -> list[str]:
    """The sources of the next ones that go, one place at a time."""
    order = []
    for _ in range(count):
        paced.leave(running, now)
        (running,) = admitted(paced, now)
        order.append(running[0])
    return order


@pytest.mark.parametrize("how", ["left the queue", "timed out", "was never here", "was sent again"])
def test_nobody_is_paid_for_what_was_never_charged(how: str) -> None:
    """A request's end in the log says that it took nothing; its guess was 10."""
    paced = pacing(mode=PacingMode.FIXED, concurrency_initial=1, queue_timeout=50.0)
    paced.arrive(PacedRequest("a-runs", "a", cost=10.0), EPOCH)
    if how == "was sent again":
        paced.retry("a-runs", EPOCH)
        assert admitted(paced, EPOCH + 9.0) == ["a-runs"]
    else:
        for number in range(5):
            if how != "was never here":
                paced.arrive(PacedRequest(f"a{number}", "a", cost=10.0), EPOCH)
            if how == "left the queue":
                paced.leave(f"a{number}", EPOCH)
        if how == "timed out":
            assert len(paced.due(EPOCH + 9.0) + paced.due(EPOCH + 18.0)) == 0
            expired = [each.id for at in (30.0, 42.0, 54.0) for each in paced.due(EPOCH + at)]
            assert expired == [f"a{number}" for number in range(5)]
        for number in range(5):
            paced.took(f"a{number}", 0.0)
    now = EPOCH + 54.0
    for number in range(4):
        for source in "ba":
            paced.arrive(PacedRequest(f"{source}-{number}", source, cost=10.0), now)
    assert turns(paced, now, "a-runs", 6).count("a") == 3


def test_a_client_that_leaves_the_queue_is_gone_at_once() -> None:
    paced = pacing()
    fill(paced, 5)
    paced.leave("r3", EPOCH)
    paced.leave("r0", EPOCH)
    assert admitted(paced, EPOCH) == ["r4"]


def test_beyond_the_workers_a_request_is_refused_at_once() -> None:
    answer = fill(pacing(max_workers=5), 6)[-1]
    assert isinstance(answer, Refused)
    assert answer.reason is RefusalReason.CAPACITY


def test_the_same_id_twice_is_an_error() -> None:
    paced = pacing()
    fill(paced, 1)
    with pytest.raises(ValueError, match="r0 is here already"):
        fill(paced, 1)


def test_exempt_requests_never_wait() -> None:
    paced = pacing()
    fill(paced, 5)
    assert paced.arrive(PacedRequest("count", "s", exempt=True), EPOCH) == Admitted()
    assert paced.in_flight == 4


def test_what_an_exempt_request_is_refused_teaches_nothing() -> None:
    paced = pacing()
    paced.arrive(PacedRequest("tool", "s", exempt=True), EPOCH)
    for second in range(5):
        paced.observe(refusal("tool", ErrorClass.CONCURRENCY, "1302", EPOCH + second), EPOCH + second)

    assert paced.status(EPOCH + 5).concurrency.adjustments[Direction.DECREASE] == 0
    assert fill(paced, 3, now=EPOCH + 5) == [Admitted()] * 3


@pytest.mark.parametrize(("error", "code"), [(ErrorClass.CONCURRENCY, "1302"), (ErrorClass.FREQUENCY, "1303")])
def test_a_retry_after_stops_what_is_new_until_then_and_nothing_that_runs(error: ErrorClass, code: str) -> None:
    paced = pacing()
    fill(paced, 3)
    told = Attempt("r2", EPOCH, EPOCH + 0.5, error, code, retry_after=30.0)
    paced.observe(told, EPOCH + 1.0)
    paced.leave("r1", EPOCH + 2.0)

    assert paced.arrive(PacedRequest("new", "s"), EPOCH + 2.0) == Queued(1)
    assert paced.status(EPOCH + 2.0).in_flight == 2
    assert paced.expected_wait("", EPOCH + 2.5) == pytest.approx(28.0)
    paced.leave("r0", EPOCH + 3.0)
    due = [EPOCH + 3.0]
    while not admitted(paced, due[-1]) and len(due) < 20:
        due.append(paced.next_due(due[-1]) or math.inf)
    assert due[-1] - EPOCH == pytest.approx(30.5, abs=0.01)


def test_a_retry_after_of_one_too_many_leaves_what_has_proven_to_be_there() -> None:
    paced = pacing()
    fill(paced, 3)
    fill(paced, 2, now=EPOCH + 3.0, prefix="w")
    assert admitted(paced, EPOCH + 5.0) == ["w0"]
    paced.observe(
        Attempt("w0", EPOCH + 5.0, EPOCH + 5.5, ErrorClass.CONCURRENCY, "1302", retry_after=30.0), EPOCH + 6.0
    )
    paced.leave("w0", EPOCH + 6.0)
    assert admitted(paced, EPOCH + 6.0) == []

    paced.leave("r0", EPOCH + 7.0)
    assert admitted(paced, EPOCH + 7.0) == ["w1"]
    assert paced.arrive(PacedRequest("new", "s"), EPOCH + 7.0) == Queued(1)
    due = [EPOCH + 8.0]
    while not admitted(paced, due[-1]) and len(due) < 50:
        due.append(paced.next_due(due[-1]) or math.inf)
    assert due[-1] - EPOCH >= 35.5


@pytest.mark.parametrize("told", [None, 0.0, -5.0, 3600.1, 86400.0, math.inf, math.nan])
def test_a_retry_after_that_is_no_pause_is_passed_over(told: float | None) -> None:
    paced = pacing()
    fill(paced, 3)
    paced.observe(Attempt("r2", EPOCH, EPOCH + 0.5, ErrorClass.CONCURRENCY, "1302", told), EPOCH + 1.0)
    for each in ("r0", "r1", "r2"):
        paced.leave(each, EPOCH + 1.0)

    assert fill(paced, 2, now=EPOCH + 20.0, prefix="n") == [Admitted(), Admitted()]


def test_a_retry_after_of_an_overload_is_no_pause_of_the_plan() -> None:
    paced = pacing()
    fill(paced, 2)
    paced.observe(Attempt("r1", EPOCH, EPOCH + 0.5, ErrorClass.OVERLOAD, "1305", 600.0), EPOCH + 1.0)

    assert paced.arrive(PacedRequest("new", "s"), EPOCH + 12.0) == Admitted()


def test_who_has_waited_through_a_pause_is_told_when_it_ends() -> None:
    paced = pacing(queue_timeout=10.0)
    fill(paced, 3)
    paced.observe(Attempt("r2", EPOCH, EPOCH, ErrorClass.CONCURRENCY, "1302", 120.0), EPOCH)
    paced.arrive(PacedRequest("new", "s"), EPOCH)
    for second in range(10):
        assert paced.due(EPOCH + second) == []

    (decision,) = paced.due(EPOCH + 10.0)

    assert isinstance(decision.answer, Refused)
    assert decision.answer.retry_after == 110


def test_who_finds_no_room_in_the_queue_during_a_long_pause_is_told_when_it_ends() -> None:
    paced = pacing(max_workers=3)
    fill(paced, 3)
    paced.observe(Attempt("r2", EPOCH, EPOCH, ErrorClass.CONCURRENCY, "1302", 3000.0), EPOCH)

    answers = fill(paced, 300, now=EPOCH + 200.0, prefix="new")

    assert isinstance(answers[-1], Refused)
    assert answers[-1].retry_after == 2800


def test_a_retry_after_for_the_rate_stops_all_models_and_no_tool() -> None:
    paced = pacing()
    paced.arrive(PacedRequest("r0", "s", asked="glm-a", model="glm-a"), EPOCH)
    paced.observe(Attempt("r0", EPOCH, EPOCH, ErrorClass.FREQUENCY, "1303", 30.0), EPOCH)
    paced.leave("r0", EPOCH)

    assert paced.arrive(PacedRequest("r1", "s", asked="glm-b", model="glm-b"), EPOCH + 29.0) == Queued(1)
    assert paced.arrive(PacedRequest("tool", "s", asked=MCP, model=MCP), EPOCH + 29.0) == Admitted()
    assert admitted(paced, EPOCH + 30.0) == ["r1"]


def test_who_has_waited_too_long_is_refused_and_leaves_the_queue() -> None:
    paced = pacing(mode=PacingMode.FIXED, queue_timeout=10.0)
    fill(paced, 4)
    due = paced.next_due(EPOCH + 8.0) or 0.0
    assert due == pytest.approx(EPOCH + 10.0, abs=0.001)
    (decision,) = paced.due(due)
    assert isinstance(decision.answer, Refused)
    assert decision.answer.reason is RefusalReason.RATE
    assert paced.waiting() == ()


def test_a_retry_after_is_the_wait_that_the_service_rate_foretells() -> None:
    paced = pacing(mode=PacingMode.FIXED, concurrency_initial=1, queue_timeout=10.0)
    now = EPOCH
    for turn in range(60):
        paced.arrive(PacedRequest(f"t{turn}", "s"), now)
        now += 6.0
        paced.leave(f"t{turn}", now)
    fill(paced, 4, now)
    answers = [paced.due(now + each) for each in (4.0, 8.0, 10.0)][-1]
    assert [each.id for each in answers] == ["r1", "r2", "r3"]
    waits = [each.answer.retry_after for each in answers if isinstance(each.answer, Refused)]
    assert waits == pytest.approx([6, 12, 18], abs=1)


def test_the_time_in_which_a_machine_was_suspended_is_no_service_time() -> None:
    paced = pacing(mode=PacingMode.FIXED, concurrency_initial=1)
    fill(paced, 1)
    paced.jumped(8 * 3600.0)
    now = EPOCH + 5.0 + 8 * 3600.0
    paced.leave("r0", now)
    fill(paced, 2, now)
    assert paced.expected_wait("", now) == pytest.approx(15.0, abs=1.0)  # of 5 s, and of the 10 s that it began with


def test_what_is_told_of_a_model_counts_what_others_hold_of_the_account_and_wait_for() -> None:
    paced = pacing(mode=PacingMode.FIXED, concurrency_initial=2)
    assert paced.places_left("b") == 2
    for number in range(5):
        paced.arrive(PacedRequest(f"a{number}", "s", asked="a", model="a"), EPOCH)
    paced.arrive(PacedRequest("b0", "t", asked="b", model="b"), EPOCH)

    assert (paced.limit_of("b"), paced.places_left("b"), paced.places_left("a")) == (2, 0, 0)
    assert paced.expected_wait("b", EPOCH) == paced.expected_wait("a", EPOCH) == pytest.approx(25.0)  # behind four


def test_the_limit_doubles_while_work_waits_and_nothing_is_refused() -> None:
    paced = pacing(max_workers=40)
    fill(paced, 30)
    now = EPOCH
    while now < EPOCH + 8.0:
        paced.due(now)
        due = paced.next_due(now)
        assert due is not None
        now = due
    assert 11 <= paced.limits[0] <= 13


def test_the_limit_stays_while_nothing_waits() -> None:
    paced = pacing()
    fill(paced, 2)
    paced.due(EPOCH + 600.0)
    assert paced.limits[0] == 3


def test_a_burst_of_refusals_lowers_the_limit_once() -> None:
    paced = pacing(concurrency_initial=8)
    fill(paced, 8)
    for number in (5, 6, 7):
        paced.observe(refusal(f"r{number}", ErrorClass.CONCURRENCY, "1302", EPOCH), EPOCH + 0.5)
    assert paced.status(EPOCH + 1.0).concurrency.adjustments[Direction.DECREASE] == 1


def test_moves_are_told_in_words() -> None:
    paced = pacing(concurrency_initial=8)
    fill(paced, 8)
    paced.observe(refusal("r7", ErrorClass.CONCURRENCY, "1302", EPOCH), EPOCH + 0.5)
    (move,) = paced.status(EPOCH + 1.0).concurrency.moves
    assert str(move) == "upstream 1302: 8 → 7 in flight"
    assert move.at == pytest.approx(EPOCH + 0.5)


def test_a_refusal_that_a_retry_hides_teaches_too() -> None:
    paced = pacing(concurrency_initial=8)
    fill(paced, 8)
    paced.observe(refusal("r7", ErrorClass.CONCURRENCY, "1302", EPOCH), EPOCH + 0.5)
    paced.leave("r7", EPOCH + 20.0)  # answered in the end
    status = paced.status(EPOCH + 20.0).concurrency
    assert (status.limit, status.ceiling) == (7, 8)


def test_a_refused_request_gives_its_place_back_and_waits_for_the_next_one_before_all_others() -> None:
    paced = pacing(concurrency_initial=2)
    fill(paced, 3)
    paced.observe(refusal("r1", ErrorClass.CONCURRENCY, "1302", EPOCH), EPOCH + 0.5)

    assert isinstance(paced.retry("r1", EPOCH + 0.6), Queued)
    assert admitted(paced, EPOCH + 5.0) == []  # the limit is 1 by now, and r0 runs
    paced.leave("r0", EPOCH + 5.0)
    assert admitted(paced, EPOCH + 5.0) == ["r1"]
    paced.leave("r1", EPOCH + 6.0)
    assert admitted(paced, EPOCH + 6.0) == ["r2"]


def test_nobody_is_sent_again_before_the_limits_have_heard_why() -> None:
    paced = pacing(concurrency_initial=2)
    fill(paced, 1)
    paced.retry("r0", EPOCH + 0.1)
    assert admitted(paced, EPOCH + 0.2) == []
    paced.observe(refusal("r0", ErrorClass.FREQUENCY, "1303", EPOCH), EPOCH + 0.4)
    assert admitted(paced, EPOCH + 0.4) == ["r0"]

    paced.retry("r0", EPOCH + 3.0)  # a connection that failed is no refusal: nobody tells of it
    assert admitted(paced, EPOCH + 3.9) == []
    assert admitted(paced, EPOCH + 4.1) == ["r0"]


def test_who_was_refused_twice_still_goes_before_what_is_new() -> None:
    paced = pacing(concurrency_initial=10)
    fill(paced, 12)
    for _ in range(2):
        paced.observe(refusal("r9", ErrorClass.CONCURRENCY, "1302", EPOCH), EPOCH + 0.5)
    paced.retry("r9", EPOCH + 0.6)
    assert admitted(paced, EPOCH + 0.6) == []
    for number in range(4):
        paced.leave(f"r{number}", EPOCH + 1.0)
    assert admitted(paced, EPOCH + 1.0) == ["r9", "r10", "r11"]


def test_who_came_too_often_twice_waits_until_nothing_is_refused_for_that_any_more() -> None:
    paced = pacing(concurrency_initial=2)
    fill(paced, 1)
    paced.observe(refusal("r0", ErrorClass.FREQUENCY, "1303", EPOCH), EPOCH + 0.1)
    paced.retry("r0", EPOCH + 0.2)
    assert admitted(paced, EPOCH + 2.0) == ["r0"]

    paced.observe(refusal("r0", ErrorClass.FREQUENCY, "1303", EPOCH + 2.0), EPOCH + 2.1)
    paced.retry("r0", EPOCH + 2.2)
    assert admitted(paced, EPOCH + 12.0) == []
    assert admitted(paced, EPOCH + 12.2) == ["r0"]


def test_who_met_an_overload_twice_waits_until_all_of_the_limits_are_in_use_again() -> None:
    paced = pacing(concurrency_initial=2)
    fill(paced, 1)
    for _ in range(2):
        paced.observe(refusal("r0", ErrorClass.OVERLOAD, "1305", EPOCH), EPOCH + 0.1)
    paced.retry("r0", EPOCH + 0.2)
    waited = next(at for at in range(60) if admitted(paced, EPOCH + at))
    assert 9 <= waited <= 24
    assert paced.status(EPOCH + waited).share_in_use == 1.0


def test_at_a_full_hour_the_plan_is_tried_at_once() -> None:
    """Plans change with the hour."""
    paced = pacing(concurrency_initial=2)
    start = EPOCH + 3600.0 - 15.0
    fill(paced, 12, start)
    paced.observe(refusal("r1", ErrorClass.CONCURRENCY, "1302", start), start + 0.5)
    paced.leave("r1", start + 0.6)

    def probes(now: float) -> int:
        paced.due(now)
        return paced.status(now).concurrency.adjustments[Direction.PROBE]

    assert probes(EPOCH + 3599.9) == 0
    due = paced.next_due(EPOCH + 3599.9)
    assert due is not None
    assert due <= EPOCH + 3600.1
    assert probes(EPOCH + 3600.1) == 1


def refuse_the_second_of_two(timeout: float) -> Pacing:
    """`r0` runs and has the only place that there is; `r1` was refused and waits for it."""
    paced = pacing(concurrency_initial=2, queue_timeout=timeout)
    fill(paced, 2)
    paced.observe(refusal("r1", ErrorClass.CONCURRENCY, "1302", EPOCH), EPOCH + 0.5)
    paced.retry("r1", EPOCH + 0.6)
    return paced


def test_who_is_to_be_sent_again_and_has_waited_for_the_time_out_in_all_is_refused_as_in_the_queue() -> None:
    paced = refuse_the_second_of_two(timeout=10.0)
    fill(paced, 1, EPOCH + 0.7, prefix="later")
    assert paced.due(EPOCH + 9.9) == []
    assert paced.next_due(EPOCH + 9.9) == pytest.approx(EPOCH + 10.0)

    (decision,) = paced.due(EPOCH + 10.0)

    assert decision.id == "r1"
    assert decision.answer == Refused(RefusalReason.RATE, decision.answer.retry_after, pytest.approx(9.4))
    paced.leave("r1", EPOCH + 10.0)
    paced.leave("r0", EPOCH + 10.1)
    assert admitted(paced, EPOCH + 10.1) == ["later0"], "it is in nobody's way"


def test_a_retry_after_counts_those_that_wait_before_and_behind_who_is_refused() -> None:
    paced = refuse_the_second_of_two(timeout=10.0)
    fill(paced, 2, EPOCH + 0.7, prefix="later")

    answers = [each.answer for each in paced.due(EPOCH + 10.7)]

    waits = [each.retry_after for each in answers if isinstance(each, Refused)]
    assert len(waits) == 3
    assert waits[0] < waits[1] < waits[2], "who was to be sent again would have gone first"


def test_a_place_that_comes_just_in_time_is_taken() -> None:
    paced = refuse_the_second_of_two(timeout=10.0)
    paced.leave("r0", EPOCH + 10.0)
    assert admitted(paced, EPOCH + 10.0) == ["r1"]


def test_the_refusal_of_one_that_waited_too_long_teaches_nothing() -> None:
    paced = refuse_the_second_of_two(timeout=10.0)
    before = paced.status(EPOCH + 9.9).concurrency

    paced.due(EPOCH + 10.0)
    paced.leave("r1", EPOCH + 10.0)

    after = paced.status(EPOCH + 10.0).concurrency
    assert (after.limit, after.ceiling, after.moves) == (before.limit, before.ceiling, before.moves)


def test_one_whose_time_is_over_when_it_is_refused_still_waits_until_its_refusal_is_known() -> None:
    paced = pacing(concurrency_initial=1, concurrency_max=1, queue_timeout=10.0)
    fill(paced, 2)
    paced.leave("r0", EPOCH + 9.9)
    assert admitted(paced, EPOCH + 9.9) == ["r1"]

    paced.retry("r1", EPOCH + 10.5)
    fill(paced, 1, EPOCH + 10.5, prefix="later")
    assert paced.due(EPOCH + 11.4) == []
    paced.observe(refusal("r1", ErrorClass.CONCURRENCY, "1302", EPOCH + 10.0), EPOCH + 11.4)
    (decision,) = paced.due(EPOCH + 12.5)
    assert decision.answer == Refused(RefusalReason.RATE, decision.answer.retry_after, pytest.approx(2.0))


def test_who_is_not_paced_is_sent_again_at_once() -> None:
    paced = pacing(mode=PacingMode.OFF)
    fill(paced, 1)
    assert paced.retry("r0", EPOCH) == paced.retry("unknown", EPOCH) == Admitted()


def test_frequency_errors_teach_the_rate_alone_and_concurrency_errors_the_places_alone() -> None:
    paced = pacing(rate_initial=5.0)
    fill(paced, 3)
    paced.observe(refusal("r2", ErrorClass.FREQUENCY, "1303", EPOCH), EPOCH + 0.5)
    status = paced.status(EPOCH + 1.0)
    assert status.concurrency.ceiling is None
    assert status.rate.ceiling is not None
    assert status.rate.limit < 5.0


@pytest.mark.parametrize("error", [ErrorClass.QUOTA, ErrorClass.AUTH, ErrorClass.ACCOUNT, ErrorClass.CLIENT, None])
def test_other_errors_teach_nothing(error: ErrorClass | None) -> None:
    paced = pacing()
    fill(paced, 3)
    before = paced.limits
    paced.observe(Attempt("r0", EPOCH, EPOCH + 1.0, error, "1308"), EPOCH + 1.0)
    assert paced.limits == before
    assert paced.status(EPOCH + 1.0).share_in_use == 1.0


def test_an_overload_scales_both_limits_for_seconds_and_teaches_no_ceiling() -> None:
    paced = pacing(concurrency_initial=6)
    fill(paced, 8)
    paced.observe(refusal("r0", ErrorClass.OVERLOAD, "1305", EPOCH), EPOCH + 0.5)
    status = paced.status(EPOCH + 0.5)
    assert status.share_in_use == pytest.approx(0.67)
    assert (status.concurrency.limit, status.concurrency.ceiling, status.rate.ceiling) == (6, None, None)
    paced.leave("r1", EPOCH + 0.5)
    assert admitted(paced, EPOCH + 0.5) == []
    assert admitted(paced, EPOCH + 12.0) != []


def test_fixed_limits_stay_whatever_is_refused() -> None:
    paced = pacing(mode=PacingMode.FIXED, concurrency_initial=4)
    fill(paced, 6)
    for error, code in (
        (ErrorClass.CONCURRENCY, "1302"),
        (ErrorClass.FREQUENCY, "1303"),
        (ErrorClass.OVERLOAD, "1305"),
    ):
        paced.observe(refusal("r0", error, code, EPOCH), EPOCH + 0.5)
    paced.due(EPOCH + 30.0)
    assert paced.limits == (4, 100.0)
    assert paced.status(EPOCH + 30.0).share_in_use == 1.0


def test_limits_that_are_fixed_are_shown_as_they_hold() -> None:
    paced = pacing(mode=PacingMode.FIXED, concurrency_initial=4)
    paced.arrive(PacedRequest("a", "s", model="glm-5.3"), EPOCH)

    assert [(each.model, each.limit.limit) for each in paced.status(EPOCH).models] == [("glm-5.3", 4)]


def test_off_lets_everything_go_up_to_the_workers() -> None:
    answers = fill(pacing(mode=PacingMode.OFF, max_workers=9), 10)
    assert answers[:9] == [Admitted()] * 9
    assert isinstance(answers[9], Refused)


def test_a_lane_that_is_stopped_blocks_no_other() -> None:
    paced = pacing()
    paced.set_shares({Lane.BACKGROUND: 0.0}, EPOCH)
    assert isinstance(fill(paced, 1, lane=Lane.BACKGROUND, prefix="b")[0], Queued)
    assert fill(paced, 3) == [Admitted()] * 3
    assert paced.due(EPOCH + 5.0) == []
    paced.set_shares({}, EPOCH + 6.0)
    paced.leave("r0", EPOCH + 6.0)
    assert admitted(paced, EPOCH + 6.0) == ["b0"]


def test_a_lane_with_a_share_of_a_third_rests_twice_as_long_as_it_works() -> None:
    paced = pacing(queue_timeout=600.0)
    paced.set_shares({Lane.BACKGROUND: 1 / 3}, EPOCH)
    now, worked = EPOCH, 0
    while now < EPOCH + 900.0:
        if isinstance(paced.arrive(PacedRequest(f"b{worked}", "s", Lane.BACKGROUND), now), Queued):
            while not admitted(paced, now):
                now = paced.next_due(now) or math.inf
        now += 10.0
        paced.leave(f"b{worked}", now)
        worked += 1
    assert worked == pytest.approx(30, abs=2)


@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan])
def test_a_share_is_from_0_to_1(share: float) -> None:
    with pytest.raises(ValueError, match=r"need 0\.0 to 1\.0"):
        pacing().set_shares({Lane.BACKGROUND: share}, EPOCH)


def test_a_jump_of_the_clock_makes_nobody_time_out() -> None:
    paced = pacing(mode=PacingMode.FIXED)
    fill(paced, 4)
    assert paced.due(EPOCH + 3600.0) == []
    assert paced.due(EPOCH - 3600.0) == []
    paced.leave("r0", EPOCH - 3600.0)
    assert admitted(paced, EPOCH - 3600.0) == ["r3"]


def test_what_was_learned_survives_a_restart() -> None:
    paced = pacing(concurrency_initial=8)
    fill(paced, 8)
    paced.observe(refusal("r5", ErrorClass.CONCURRENCY, "1302", EPOCH), EPOCH + 0.5)
    saved = json.loads(json.dumps(paced.snapshot(EPOCH + 1.0)))
    fresh = pacing()
    fresh.restore(saved, EPOCH + 11.0)
    assert fresh.limits == paced.limits
    before, after = paced.status(EPOCH + 11.0).concurrency, fresh.status(EPOCH + 11.0).concurrency
    assert after.ceiling == before.ceiling
    assert after.confidence == pytest.approx(before.confidence)


def sharing(models: list[object], **limit: object) -> dict[str, object]:
    """What is saved of a plan whose models have four places each, some of them three together."""
    four = {"limit": 4, "ceiling": None, "seen": None, "half_life": None}
    saved = pacing(concurrency_initial=12).snapshot(EPOCH)
    group = {"models": models, **four, "limit": 3, **limit}
    return {**saved, "models": {ACCOUNT: dict.fromkeys("abc", four)}, "groups": {ACCOUNT: [group]}}


def test_models_that_share_places_do_so_after_a_restart() -> None:
    fresh = pacing()
    fresh.restore(sharing(["a", "b"]), EPOCH)
    again = pacing()
    again.restore(json.loads(json.dumps(fresh.snapshot(EPOCH))), EPOCH)

    for name in ("a1", "b1", "a2", "b2", "c1", "c2", "c3"):
        again.arrive(PacedRequest(name, "s", model=name[0]), EPOCH)
    assert {each.model: (each.in_flight, each.waiting) for each in again.status(EPOCH).models} == {
        "a": (2, 0),
        "b": (1, 1),
        "c": (3, 0),
    }


def test_models_of_which_nothing_else_is_known_share_no_places_after_a_restart() -> None:
    fresh = pacing()
    fresh.restore(sharing(["a", "gone"]), EPOCH)
    assert fresh.learned(EPOCH).groups == ()


@pytest.mark.parametrize(
    ("models", "limit"), [(["a"], 3), (["a", "a"], 3), ("ab", 3), (None, 3), (["a", "b"], 0), (["a", "b"], None)]
)
def test_a_damaged_snapshot_of_models_that_share_is_refused(models: list[object], limit: object) -> None:
    with pytest.raises(ValueError, match="need"):
        pacing().restore(sharing(models, limit=limit), EPOCH)


@pytest.mark.parametrize("groups", [3, {ACCOUNT: {}}, {ACCOUNT: [3]}, {ACCOUNT: None}])
def test_what_are_no_groups_are_refused(groups: object) -> None:
    with pytest.raises(ValueError, match="need"):
        pacing().restore({**sharing(["a", "b"]), "groups": groups}, EPOCH)


def test_a_restored_limit_keeps_to_the_settings() -> None:
    saved = pacing(concurrency_initial=18).snapshot(EPOCH)
    fresh = pacing(max_workers=5)
    fresh.restore(saved, EPOCH)
    assert fresh.limits[0] == 5


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("version",), 2),
        (("version",), True),
        (("saved_at",), math.nan),
        (("saved_at",), -1),
        (
            (
                "accounts",
                ACCOUNT,
                "concurrency",
            ),
            None,
        ),
        (("accounts", ACCOUNT, "concurrency", "limit"), 0),
        (("accounts", ACCOUNT, "concurrency", "limit"), 1e9),
        (("accounts", ACCOUNT, "concurrency", "limit"), "8"),
        (("accounts", ACCOUNT, "rate", "limit"), -1.0),
        (("accounts", ACCOUNT, "rate", "limit"), math.inf),
        (("accounts", ACCOUNT, "concurrency", "ceiling"), 5),
    ],
)
def test_a_damaged_snapshot_is_refused_and_changes_nothing(path: tuple[str, ...], value: object) -> None:
    saved = json.loads(json.dumps(pacing(concurrency_initial=9).snapshot(EPOCH)))
    place = saved
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    fresh = pacing()
    with pytest.raises(ValueError, match="need"):
        fresh.restore(saved, EPOCH)
    assert fresh.limits == (3, 100.0)


@pytest.mark.parametrize("data", [None, [], "x", {}, {"version": 1}])
def test_what_is_no_snapshot_is_refused(data: object) -> None:
    with pytest.raises(ValueError):
        pacing().restore(data, EPOCH)


@pytest.mark.parametrize(
    "settings",
    [
        {"max_workers": 0},
        {"concurrency_initial": 0},
        {"concurrency_max": 0},
        {"rate_initial": 0.01},
        {"rate_max": 0.01},
        {"rate_burst": 0.5},
        {"queue_timeout": -1.0},
        {"queue_timeout": math.nan},
        {"max_retries": -1},
    ],
)
def test_a_setting_out_of_bounds_is_named(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        pacing(**settings)


def test_a_refusal_that_ends_its_request_teaches_its_models_limit() -> None:
    paced = pacing(concurrency_initial=8)
    for number in range(8):
        paced.arrive(PacedRequest(f"r{number}", "s", asked="glm", model="glm"), EPOCH)
    paced.leave("r7", EPOCH + 0.2)
    paced.observe(refusal("r7", ErrorClass.CONCURRENCY, "1302", EPOCH), EPOCH + 0.5)
    assert paced.limit_of("glm") == 7
    assert [each.model for each in paced.status(EPOCH + 1.0).models] == ["glm"]


def test_however_many_models_have_work_tools_and_what_has_no_name_keep_their_places() -> None:
    paced = pacing(max_workers=100, concurrency_initial=60, rate_burst=100.0)
    for number in range(60):
        paced.arrive(PacedRequest(f"r{number}", "s", model=f"model-{number}"), EPOCH)
    paced.arrive(PacedRequest("call", "s", model=MCP), EPOCH)

    shown = {each.model: each.in_flight for each in paced.status(EPOCH).models}
    assert len(shown) == MOST_MODELS
    assert (shown[MCP], shown[UNKNOWN]) == (1, 12)
