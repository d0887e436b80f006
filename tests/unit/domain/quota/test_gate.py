"""When new work is refused, what it is told, and who may try whether it still has to be."""

from itertools import pairwise

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from extproc.domain.quota.gate import EventKind, QuotaGate
from extproc.domain.quota.gate_state import Cause, read_gate_state
from extproc.domain.quota.refusal import QuotaRefusal
from extproc.domain.quota.windows import FIVE_HOUR, MONTHLY, WEEKLY, QuotaWindow
from extproc.domain.request.priority import Lane
from extproc.domain.request.refusals import RefusalReason, UsedUp, headers
from extproc.domain.request.routes import Dialect
from tests.unit.domain.quota.windows import CREDIT_LIMIT, DAY, HOUR, NOON, TIME_LIMIT, report, window


def closed(gate: QuotaGate, at: float, lane: Lane = Lane.MAIN) -> QuotaRefusal:
    refusal = gate.decide("asks", lane, NOON + at)
    assert refusal is not None
    return refusal


def is_open(gate: QuotaGate, at: float, lane: Lane = Lane.MAIN, exchange_id: str = "asks") -> bool:
    return gate.decide(exchange_id, lane, NOON + at) is None


def refused(
    gate: QuotaGate,
    code: str,
    at: float,
    exchange_id: str = "early",
    started: float | None = None,
    told: float | None = None,
) -> bool:
    """`told` is when the refusal said to come back, in seconds since noon."""
    began = NOON + (at if started is None else started)
    return gate.take_refusal(code, exchange_id, began, NOON + at, None if told is None else NOON + told)


def reported(gate: QuotaGate, *windows: QuotaWindow, at: float, asked: float | None = None) -> None:
    gate.take_report(report(*windows), NOON + (at if asked is None else asked), NOON + at)


def closed_by_1308(resets_in: float | None = 3 * HOUR) -> QuotaGate:
    """Closed at noon by a refusal; a report half a minute before named the reset, or not."""
    gate = QuotaGate()
    if resets_in is not None:
        reported(gate, window(0.97, resets_in=resets_in), at=-30)
    assert refused(gate, "1308", at=0)
    return gate


def test_an_open_gate_lets_everything_through() -> None:
    gate = QuotaGate()

    assert is_open(gate, 0)
    assert gate.closures(NOON) == []


@pytest.mark.parametrize(
    ("code", "name"), [("1308", FIVE_HOUR), ("1316", FIVE_HOUR), ("1310", WEEKLY), ("1317", WEEKLY), ("1304", "daily")]
)
def test_a_quota_code_closes_the_gate_until_the_reset_that_the_last_report_named(code: str, name: str) -> None:
    gate = QuotaGate()
    reported(gate, window(0.9, resets_in=2 * HOUR, name=name), at=0)

    assert refused(gate, code, at=10)

    [closure] = gate.closures(NOON + 11)
    assert (closure.window, closure.cause, closure.code) == (name, Cause.REFUSED, code)
    assert closure.resets_at == NOON + 2 * HOUR
    assert closed(gate, 11).resets_at == NOON + 2 * HOUR
    assert is_open(gate, 2 * HOUR)


@pytest.mark.parametrize("code", ["1302", "1303", "1305", "1113", "1309", "401", "", "other"])
def test_other_codes_leave_it_open(code: str) -> None:
    gate = QuotaGate()

    assert not refused(gate, code, at=0)
    assert is_open(gate, 1)


def test_a_week_or_a_month_that_is_exhausted_is_the_fuller_of_the_two() -> None:
    gate = QuotaGate()
    month = window(0.99, name=MONTHLY, limit_type=CREDIT_LIMIT)
    reported(gate, window(0.5, name=WEEKLY, limit_type=CREDIT_LIMIT), month, at=0)

    refused(gate, "1310", at=1)

    assert closed(gate, 2).window == MONTHLY


def test_a_report_of_a_used_up_window_closes_it_too() -> None:
    gate = QuotaGate()
    reported(gate, window(0.4), window(1.0, resets_in=2 * DAY, name=WEEKLY), at=0)

    refusal = closed(gate, 1)

    assert (refusal.window, refusal.resets_at) == (WEEKLY, NOON + 2 * DAY)
    assert gate.closures(NOON + 1)[0].cause is Cause.REPORTED


def test_the_month_of_tool_calls_does_not_stop_the_models() -> None:
    gate = QuotaGate()
    reported(gate, window(1.0, name=MONTHLY, limit_type=TIME_LIMIT), at=0)

    assert is_open(gate, 1)


def test_a_used_up_window_whose_reset_has_passed_closes_nothing() -> None:
    gate = QuotaGate()
    reported(gate, window(1.0, resets_in=-5), at=0)

    assert is_open(gate, 1)


def test_the_refusal_is_honest() -> None:
    refusal = closed(closed_by_1308(), 10)

    assert refusal.retry_after is None
    assert refusal.text == (
        "The five-hour quota of the Z.AI plan is used up; it resets at 2026-09-01 15:00:00 UTC, in 3 h."
    )
    answer = refusal.as_refusal()
    assert (answer.reason, answer.status) == (RefusalReason.QUOTA, 429)
    assert ("x-should-retry", "false") in headers(answer, Dialect.OPENAI)


def test_a_reset_within_a_minute_is_worth_a_retry() -> None:
    gate = closed_by_1308(resets_in=200)
    assert is_open(gate, 30, exchange_id="probe")

    assert closed(gate, 139).retry_after is None
    near = closed(gate, 140.5)
    assert near.retry_after == 60
    assert ("retry-after", "60") in headers(near.as_refusal(), Dialect.ANTHROPIC)
    assert closed(gate, 199.9).retry_after == 1


def test_of_two_closed_windows_the_later_reset_is_told() -> None:
    gate = QuotaGate()
    reported(gate, window(1.0, resets_in=50), window(1.0, resets_in=2 * DAY, name=WEEKLY), at=0)

    assert closed(gate, 1).window == WEEKLY
    assert closed(gate, 1).retry_after is None
    assert [c.window for c in gate.closures(NOON + 60)] == [WEEKLY]


def test_no_retry_is_offered_while_the_reset_of_another_window_is_unknown() -> None:
    gate = QuotaGate()
    reported(gate, window(1.0, resets_in=50), at=0)
    refused(gate, "1310", at=1)

    refusal = closed(gate, 2)

    assert (refusal.window, refusal.retry_after) == (FIVE_HOUR, None)


def test_a_reset_that_nobody_has_named_yet_comes_with_the_next_report() -> None:
    gate = closed_by_1308(resets_in=None)
    assert closed(gate, 1).resets_at is None
    assert "not known yet" in closed(gate, 1).text

    reported(gate, window(1.0, resets_in=HOUR, at=0), at=5)

    assert closed(gate, 6).resets_at == NOON + HOUR
    assert is_open(gate, HOUR)


def test_a_report_that_lags_names_the_reset_and_opens_nothing() -> None:
    gate = closed_by_1308(resets_in=None)

    reported(gate, window(0.99, resets_in=HOUR, at=0), at=5)

    assert closed(gate, 6).resets_at == NOON + HOUR


def test_a_report_that_sees_much_room_has_one_request_try_at_once() -> None:
    gate = closed_by_1308()

    reported(gate, window(0.6, resets_in=3 * HOUR, at=0), at=5)

    assert is_open(gate, 6, exchange_id="probe")
    assert not is_open(gate, 6)


def test_a_report_of_the_next_period_opens_it() -> None:
    gate = closed_by_1308(resets_in=HOUR)

    reported(gate, window(0.0, resets_in=5 * HOUR, at=10), at=10)

    assert is_open(gate, 11)


def test_a_report_without_an_open_window_opens_it() -> None:
    gate = closed_by_1308()

    reported(gate, window(0.0, resets_in=None), at=10)

    assert is_open(gate, 11)


def test_a_report_that_was_asked_for_before_the_refusal_opens_nothing() -> None:
    gate = closed_by_1308()

    reported(gate, window(0.0, resets_in=None), at=5, asked=-1)

    assert not is_open(gate, 6)


def test_what_a_report_closed_a_report_opens() -> None:
    gate = QuotaGate()
    reported(gate, window(1.0), at=0)
    assert not is_open(gate, 1)

    reported(gate, window(0.98), at=60)

    assert is_open(gate, 61)


def test_a_window_whose_reset_is_never_named_closes_no_longer_than_it_lasts() -> None:
    gate = closed_by_1308(resets_in=None)

    assert gate.closures(NOON + 5 * HOUR - 1)
    assert gate.closures(NOON + 5 * HOUR) == []


def test_the_refusal_says_what_a_client_of_anthropics_can_be_told() -> None:
    known, unknown = closed(closed_by_1308(), 10), closed(closed_by_1308(resets_in=None), 10)

    assert known.used_up == UsedUp(int(NOON + 3 * HOUR), int(3 * HOUR - 10))
    assert unknown.used_up == UsedUp()


def test_while_the_reset_of_one_window_is_unknown_no_time_is_told() -> None:
    gate = closed_by_1308(resets_in=HOUR)
    refused(gate, "1310", at=1)

    assert closed(gate, 2).used_up == UsedUp()


@pytest.mark.parametrize(
    ("code", "name"), [("1308", FIVE_HOUR), ("1316", FIVE_HOUR), ("1310", WEEKLY), ("1317", WEEKLY)]
)
def test_a_retry_after_names_the_reset_where_no_report_does(code: str, name: str) -> None:
    gate = QuotaGate()

    assert refused(gate, code, at=0, told=2 * HOUR)

    [closure] = gate.closures(NOON + 1)
    assert (closure.window, closure.resets_at) == (name, NOON + 2 * HOUR)
    assert closed(gate, 1).used_up == UsedUp(int(NOON + 2 * HOUR), int(2 * HOUR - 1))
    assert is_open(gate, 2 * HOUR)


def test_a_report_knows_the_reset_better_than_a_retry_after_before_it_and_after() -> None:
    before = QuotaGate()
    reported(before, window(0.97, resets_in=3 * HOUR), at=-30)
    refused(before, "1308", at=0, told=HOUR)
    after = QuotaGate()
    refused(after, "1308", at=0, told=HOUR)
    reported(after, window(0.99, resets_in=3 * HOUR, at=0), at=5)

    assert before.closures(NOON + 6)[0].resets_at == NOON + 3 * HOUR
    assert after.closures(NOON + 6)[0].resets_at == NOON + 3 * HOUR


def test_a_later_refusal_names_the_reset_that_the_first_did_not() -> None:
    gate = closed_by_1308(resets_in=None)

    refused(gate, "1308", at=1, told=HOUR)
    refused(gate, "1308", at=2, told=2 * HOUR)

    assert closed(gate, 3).resets_at == NOON + HOUR


@pytest.mark.parametrize("told", [-10.0, 0.0, 5 * HOUR + 1, 40 * DAY])
def test_a_retry_after_that_no_such_window_can_have_is_not_believed(told: float) -> None:
    gate = QuotaGate()

    refused(gate, "1308", at=0, told=told)

    assert closed(gate, 1).resets_at is None


def test_a_retry_after_that_has_proven_wrong_is_not_believed_again() -> None:
    gate = QuotaGate()
    refused(gate, "1308", at=0, told=5)
    assert is_open(gate, 5)

    refused(gate, "1308", at=6, started=5, told=11)
    assert closed(gate, 12).resets_at is None
    for at in range(100, 3000, 100):
        refused(gate, "1308", at=at, told=at + 5)
        assert [closure.resets_at for closure in gate.closures(NOON + at + 6)] == [None]

    gate = QuotaGate()
    refused(gate, "1308", at=0, told=5)
    refused(gate, "1308", at=4 * HOUR, told=5 * HOUR)
    assert closed(gate, 4 * HOUR).resets_at == NOON + 5 * HOUR


def test_what_a_retry_after_named_travels_to_other_replicas_and_back_from_older_ones() -> None:
    gate = QuotaGate()
    refused(gate, "1308", at=0, told=HOUR)
    told = gate.state(NOON + 1).as_dict()

    assert read_gate_state(told) == gate.state(NOON + 1)
    for closure in told["closures"]:  # type: ignore[attr-defined]
        del closure["reset_is_guess"]
    [closure] = read_gate_state(told).closures
    assert (closure.resets_at, closure.reset_is_guess) == (NOON + HOUR, False)


def test_one_request_at_a_time_tries_a_closed_gate_at_growing_intervals() -> None:
    gate = closed_by_1308()
    tried = []
    for second in range(2 * 3600):
        if is_open(gate, second, exchange_id=f"probe-{second}"):
            tried.append(second)
            assert not is_open(gate, second)
            refused(gate, "1308", at=second + 1, exchange_id=f"probe-{second}", started=second)
            gate.release(f"probe-{second}")

    waits = [later - earlier for earlier, later in pairwise(tried)]
    assert tried[0] == 30
    assert waits[:4] == [61, 121, 241, 481]
    assert set(waits[4:]) == {601}


def test_while_no_reset_is_known_it_is_tried_more_often() -> None:
    gate = closed_by_1308(resets_in=None)
    tried = []
    for second in range(3600):
        if is_open(gate, second, exchange_id=f"probe-{second}"):
            tried.append(second)
            refused(gate, "1308", at=second, exchange_id=f"probe-{second}", started=second)
            gate.release(f"probe-{second}")

    assert max(later - earlier for earlier, later in pairwise(tried)) == 120


def test_nobody_else_tries_while_a_probe_is_on_its_way() -> None:
    gate = closed_by_1308()

    assert is_open(gate, 30, exchange_id="slow")
    assert not any(is_open(gate, at) for at in range(31, 10_000, 100))

    gate.release("slow")
    assert is_open(gate, 10_000)


def test_a_probe_that_z_ai_answers_opens_the_gate() -> None:
    gate = closed_by_1308()
    assert is_open(gate, 30, exchange_id="probe")

    gate.take_answer("probe", NOON + 31)

    assert is_open(gate, 31)


def test_its_answer_counts_also_when_it_is_told_after_the_end() -> None:
    gate = closed_by_1308()
    assert is_open(gate, 30, exchange_id="probe")
    gate.release("probe")

    gate.take_answer("probe", NOON + 32)

    assert is_open(gate, 32)


def test_a_probe_that_ends_without_a_verdict_leaves_it_closed_and_the_next_one_waits_its_interval() -> None:
    gate = closed_by_1308()
    assert is_open(gate, 30, exchange_id="left")
    gate.release("left")

    assert not is_open(gate, 59)
    assert is_open(gate, 60)


def test_answers_to_requests_that_left_before_it_closed_do_not_open_it() -> None:
    gate = closed_by_1308()

    gate.take_answer("early", NOON + 5)

    assert not is_open(gate, 6)


def test_a_probe_from_an_earlier_closure_says_nothing_of_this_one_and_is_still_the_only_one() -> None:
    gate = closed_by_1308(resets_in=100)
    assert is_open(gate, 30, exchange_id="slow")
    assert refused(gate, "1310", at=150, started=120)

    assert not is_open(gate, 250)
    gate.take_answer("slow", NOON + 260)

    assert is_open(gate, 261, exchange_id="next")
    assert not is_open(gate, 262)


def test_refusals_of_requests_that_left_before_it_opened_do_not_close_it_again() -> None:
    gate = closed_by_1308(resets_in=100)
    assert is_open(gate, 101)

    assert not refused(gate, "1308", at=102, started=-5)
    assert is_open(gate, 103)
    assert refused(gate, "1308", at=104, started=101)


def test_a_swarm_of_refusals_closes_once_and_does_not_put_off_the_probe() -> None:
    gate = closed_by_1308()

    assert not any(refused(gate, "1308", at=second, started=-5) for second in range(1, 29))
    assert is_open(gate, 30)


def test_after_a_probes_answer_only_a_refusal_closes_it_again() -> None:
    gate = QuotaGate()
    reported(gate, window(1.0), at=0)
    assert is_open(gate, 30, exchange_id="probe")
    gate.take_answer("probe", NOON + 31)

    reported(gate, window(1.0, at=-60), at=60)
    assert is_open(gate, 61)

    assert refused(gate, "1308", at=70)
    assert not is_open(gate, 71)


def test_the_next_period_is_judged_afresh() -> None:
    gate = QuotaGate()
    reported(gate, window(1.0, resets_in=HOUR), at=0)
    assert is_open(gate, 30, exchange_id="probe")
    gate.take_answer("probe", NOON + 31)

    reported(gate, window(1.0, resets_in=5 * HOUR, at=2 * HOUR), at=2 * HOUR)

    assert not is_open(gate, 2 * HOUR + 1)


def test_a_clock_that_is_put_back_does_not_keep_it_closed_or_deaf() -> None:
    gate = closed_by_1308(resets_in=None)
    is_open(gate, 5 * HOUR)

    assert refused(gate, "1308", at=-2 * HOUR, started=-2 * HOUR)
    assert is_open(gate, -2 * HOUR + 600)


def test_the_last_part_is_kept_for_the_main_lane() -> None:
    gate = QuotaGate(reserve=0.1)
    reported(gate, window(0.89), at=0)
    assert is_open(gate, 1, Lane.BACKGROUND)

    reported(gate, window(0.9, resets_in=HOUR, at=60), at=60)

    assert is_open(gate, 61, Lane.MAIN)
    assert is_open(gate, 61 + HOUR, Lane.BACKGROUND)
    for lane in (Lane.SUBAGENT, Lane.BACKGROUND):
        refusal = closed(gate, 61, lane)
        assert (refusal.window, refusal.retry_after) == (FIVE_HOUR, None)
        assert refusal.text.startswith("The last 10 % of the five-hour quota of the Z.AI plan are kept for main")


def test_nothing_is_kept_without_a_reserve() -> None:
    gate = QuotaGate()
    reported(gate, window(0.999), at=0)

    assert is_open(gate, 1, Lane.BACKGROUND)


def test_it_tells_when_it_closes_and_when_it_is_open_again() -> None:
    gate = QuotaGate()
    reported(gate, window(1.0, resets_in=100), window(1.0, resets_in=200, name=WEEKLY), at=0)

    assert [(e.kind, e.window, e.resets_at) for e in gate.take_events(NOON + 1)] == [
        (EventKind.CLOSED, FIVE_HOUR, NOON + 100),
        (EventKind.CLOSED, WEEKLY, NOON + 200),
    ]
    assert gate.take_events(NOON + 150) == []
    [event] = gate.take_events(NOON + 201)
    assert (event.kind, event.window) == (EventKind.OPEN_AGAIN, WEEKLY)


WINDOW = st.builds(
    window,
    used=st.none() | st.sampled_from([0.0, 0.5, 0.97, 0.99, 1.0]),
    resets_in=st.none() | st.floats(-100, 20_000),
    name=st.sampled_from([FIVE_HOUR, WEEKLY, MONTHLY, "minute-5"]),
    limit_type=st.sampled_from([CREDIT_LIMIT, TIME_LIMIT, "SOME_FUTURE_LIMIT"]),
)
CODES = st.sampled_from(["1308", "1310", "1316", "1317", "1304", "1302", ""])


class GateMachine(RuleBasedStateMachine):
    """Any order of requests, refusals, answers, reports and hours."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = QuotaGate()
        self.now = NOON
        self.asked = 0
        self.let_through: dict[str, float] = {}
        self.probes: set[str] = set()

    @rule(seconds=st.floats(0, 3000))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(lane=st.sampled_from(Lane))
    def a_request_asks(self, lane: Lane) -> None:
        self.asked += 1
        exchange_id = f"x-{self.asked}"
        was_closed = bool(self.gate.closures(self.now))
        refusal = self.gate.decide(exchange_id, lane, self.now)
        if refusal is not None:
            assert was_closed
            assert refusal.resets_at is None or refusal.resets_at > self.now
            assert refusal.retry_after is None or 1 <= refusal.retry_after <= 60
            return
        self.let_through[exchange_id] = self.now
        if was_closed:
            self.probes.add(exchange_id)

    @rule(code=CODES, data=st.data())
    def z_ai_refuses(self, code: str, data: st.DataObject) -> None:
        if self.let_through:
            exchange_id = data.draw(st.sampled_from(sorted(self.let_through)))
            self.gate.take_refusal(code, exchange_id, self.let_through[exchange_id], self.now)

    @rule(data=st.data())
    def z_ai_answers(self, data: st.DataObject) -> None:
        if self.let_through:
            exchange_id = data.draw(st.sampled_from(sorted(self.let_through)))
            self.gate.take_answer(exchange_id, self.now)
            self.probes.discard(exchange_id)

    @rule(data=st.data())
    def a_request_ends(self, data: st.DataObject) -> None:
        if self.let_through:
            exchange_id = data.draw(st.sampled_from(sorted(self.let_through)))
            self.gate.release(exchange_id)
            del self.let_through[exchange_id]
            self.probes.discard(exchange_id)

    @rule(windows=st.lists(WINDOW, max_size=3), late=st.floats(0, 30))
    def a_report_comes(self, windows: list[QuotaWindow], late: float) -> None:
        self.gate.take_report(report(*windows), self.now - late, self.now)

    @invariant()
    def at_most_one_request_tries_a_closed_gate(self) -> None:
        assert len(self.probes) <= 1

    @invariant()
    def it_is_never_closed_past_a_known_reset(self) -> None:
        for closure in self.gate.closures(self.now):
            assert closure.resets_at is None or closure.resets_at > self.now
            assert closure.latest_end > self.now


GateMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
test_in_any_order_of_events_it_keeps_its_promises = GateMachine.TestCase
