"""The limits of a plan, on a clock of the test's own."""

import pytest

from simulator.plan.limits import LimitRefusal, PlanLimits, TokenBucket, WindowName
from simulator.server.settings import plan

START = 1_000_000.0


def test_one_request_more_than_the_concurrency_is_refused_until_one_leaves() -> None:
    limits = PlanLimits(plan(concurrency=2))

    assert limits.enter(START, on_plan=True) is None
    assert limits.enter(START, on_plan=True) is None
    assert limits.enter(START, on_plan=True) == LimitRefusal("1302")
    limits.leave(START, 0)
    assert limits.enter(START, on_plan=True) is None
    assert limits.in_flight == 2


def test_requests_that_come_too_fast_are_refused() -> None:
    limits = PlanLimits(plan(requests_per_second=2))

    codes = [limits.enter(START + n * 0.1, on_plan=True) for n in range(4)]

    assert codes == [None, None, LimitRefusal("1303"), LimitRefusal("1303")]
    assert limits.enter(START + 1, on_plan=True) is None


def test_a_bucket_fills_with_time_and_no_further_than_a_second_of_it() -> None:
    bucket = TokenBucket(3)

    assert [bucket.take(START) for _ in range(4)] == [True, True, True, False]
    assert bucket.take(START + 0.34)
    assert [bucket.take(START + 3600) for _ in range(4)] == [True, True, True, False]


def test_a_clock_that_jumps_back_takes_nothing_from_a_bucket() -> None:
    bucket = TokenBucket(2)
    bucket.take(START)

    assert bucket.take(START - 100)


def test_a_rate_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="need more than 0"):
        TokenBucket(0)


def test_the_five_hour_window_is_used_up_until_it_resets() -> None:
    limits = PlanLimits(plan(five_hour_credits=10, five_hour_seconds=100))

    assert limits.enter(START, on_plan=True) is None
    limits.leave(START + 1, 10)
    assert limits.enter(START + 2, on_plan=True) == LimitRefusal("1308", START + 100)
    assert limits.enter(START + 100, on_plan=True) is None


def test_the_weekly_window_is_told_before_the_five_hour_window() -> None:
    limits = PlanLimits(plan(five_hour_credits=10, weekly_credits=10))
    limits.enter(START, on_plan=True)
    limits.leave(START, 10)

    refusal = limits.enter(START, on_plan=True)

    assert refusal is not None
    assert refusal.code == "1310"


def test_a_window_opens_with_its_first_use() -> None:
    limits = PlanLimits(plan())
    assert all(window.resets_at is None for window in limits.windows(START))

    limits.enter(START, on_plan=True)

    resets = {window.name: window.resets_at for window in limits.windows(START)}
    assert resets == {
        WindowName.FIVE_HOUR: START + 5 * 3600,
        WindowName.WEEKLY: START + 7 * 86400,
        WindowName.MONTHLY: None,
    }


def test_what_is_paid_from_the_balance_leaves_the_windows_alone() -> None:
    limits = PlanLimits(plan(five_hour_credits=10))
    limits.set_used(WindowName.FIVE_HOUR, 10, START)

    assert limits.enter(START, on_plan=False) is None
    assert limits.enter(START, on_plan=True) is not None


def test_the_months_tool_calls_are_counted() -> None:
    limits = PlanLimits(plan(monthly_calls=2))

    assert limits.call_tool(START) is None
    assert limits.call_tool(START) is None
    refusal = limits.call_tool(START)
    assert refusal is not None
    assert refusal.code == "1310"


def test_an_overload_refuses_everything() -> None:
    limits = PlanLimits(plan())
    limits.overloaded = True

    assert limits.enter(START, on_plan=True) == LimitRefusal("1305")


def test_changed_limits_keep_what_was_used() -> None:
    limits = PlanLimits(plan(five_hour_credits=100))
    limits.enter(START, on_plan=True)
    limits.leave(START, 40)

    limits.change(plan(five_hour_credits=40))

    assert limits.enter(START, on_plan=True) is not None


def test_a_reset_closes_the_windows_and_keeps_what_is_in_flight() -> None:
    limits = PlanLimits(plan(five_hour_credits=10))
    limits.enter(START, on_plan=True)
    limits.set_used(WindowName.FIVE_HOUR, 10, START)
    limits.overloaded = True

    limits.reset()

    assert limits.enter(START, on_plan=True) is None
    assert limits.in_flight == 2
