"""The small parts of pacing, each on its own."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.domain.pacing.adjustments import Adjustments, Direction
from extproc.domain.pacing.ceiling import Ceiling
from extproc.domain.pacing.clock import SteadyClock
from extproc.domain.pacing.in_flight_history import InFlightHistory
from extproc.domain.pacing.overload_backoff import OverloadBackoff
from extproc.domain.pacing.probing import ProbePolicy
from extproc.domain.pacing.retry_queue import Retries
from extproc.domain.pacing.service_rate import ServiceRate
from extproc.domain.pacing.token_bucket import TokenBucket


def test_a_bucket_lets_its_burst_go_and_then_its_rate() -> None:
    bucket = TokenBucket(rate=2.0, burst=3.0)
    assert [bucket.take(0.0) for _ in range(4)] == [True, True, True, False]
    assert bucket.wait(0.0) == pytest.approx(0.5)
    assert bucket.take(0.5)


def test_an_idle_hour_earns_a_bucket_one_burst_and_no_more() -> None:
    bucket = TokenBucket(rate=2.0, burst=3.0)
    bucket.take(0.0)
    assert bucket.tokens(3600.0) == 3.0


@given(st.lists(st.floats(-100.0, 100.0), max_size=50))
def test_a_bucket_never_holds_more_than_its_burst_or_less_than_nothing(steps: list[float]) -> None:
    bucket, now = TokenBucket(rate=1.0, burst=5.0), 0.0
    for step in steps:
        now += step
        bucket.take(now)
        assert 0.0 <= bucket.tokens(now) <= 5.0


def test_whoever_comes_when_the_bucket_said_need_not_wait_again() -> None:
    bucket, now = TokenBucket(rate=3.0, burst=1.0), 0.0
    for _ in range(100):
        now += bucket.wait(now)
        assert bucket.take(now)


@pytest.mark.parametrize(("rate", "burst"), [(0.0, 1.0), (math.inf, 1.0), (1.0, 0.5), (1.0, math.nan)])
def test_a_bucket_without_a_rate_or_a_burst_is_an_error(rate: float, burst: float) -> None:
    with pytest.raises(ValueError, match="need"):
        TokenBucket(rate, burst)


def test_a_new_rate_holds_from_now_on() -> None:
    bucket = TokenBucket(rate=1.0, burst=1.0)
    bucket.take(0.0)
    bucket.adjust(4.0, 1.0, 0.5)
    assert bucket.wait(0.5) == pytest.approx(0.125)


def test_a_breath_takes_a_third_and_comes_back_within_seconds() -> None:
    backoff = OverloadBackoff()
    assert backoff.overloaded(0.0, 1.0)
    assert backoff.share(1.0) == pytest.approx(0.67)
    assert backoff.share(11.0) == 1.0


def test_a_wave_of_overloads_is_one_breath() -> None:
    backoff = OverloadBackoff()
    backoff.overloaded(0.0, 1.0)
    assert not backoff.overloaded(0.5, 1.1)
    assert backoff.share(1.0) == pytest.approx(0.67)


def test_breath_never_falls_below_a_quarter() -> None:
    backoff = OverloadBackoff()
    for second in range(20):
        backoff.overloaded(float(second), float(second))
    assert backoff.share(19.0) == 0.25


def test_confidence_in_a_ceiling_halves_as_it_ages_and_holds_longer_once_confirmed() -> None:
    ceiling = Ceiling(8.0, seen=0.0, half_life=20.0)
    assert ceiling.confidence(20.0) == pytest.approx(0.5)
    assert ceiling.is_doubtful(20.0)
    ceiling.confirm(20.0, longest=60.0)
    assert not ceiling.is_doubtful(59.0)
    assert ceiling.is_doubtful(60.0)


def test_a_clock_that_jumps_back_stands_still() -> None:
    clock = SteadyClock()
    assert [clock.at(now) for now in (10.0, 5.0, 7.0)] == [10.0, 10.0, 12.0]
    assert clock.outside(12.0) == 7.0


def test_a_jump_forward_counts_as_a_step_at_most() -> None:
    clock = SteadyClock()
    clock.at(10.0)
    assert clock.at(1000.0, longest=15.0) == 25.0


def test_a_jump_that_is_told_of_is_no_step() -> None:
    clock = SteadyClock()
    clock.at(10.0)
    clock.jumped(3600.0)
    assert clock.at(3611.0) == 11.0
    clock.jumped(-3600.0)
    assert clock.at(12.0) == 12.0


@given(st.lists(st.floats(-1e6, 1e6)))
def test_a_steady_clock_never_runs_backwards(times: list[float]) -> None:
    clock = SteadyClock()
    steady = [clock.at(now) for now in times]
    assert all(after >= before - 1e-6 for before, after in pairwise(steady))


def test_a_time_that_has_not_come_yet_counts_as_now() -> None:
    clock = SteadyClock()
    clock.at(10.0)
    assert clock.past(99.0) == 10.0


def test_history_tells_the_highest_level_between_two_times() -> None:
    history = InFlightHistory()
    for at, level in ((0.0, 1), (1.0, 4), (2.0, 2)):
        history.note(level, at)
    assert history.highest(0.5, 0.6) == 1
    assert history.highest(0.5, 1.5) == 4
    assert history.highest(2.5, 9.0) == 2
    assert history.highest(-1.0, 9.0) is None


def test_what_was_refused_was_never_there_for_those_that_are_judged_later() -> None:
    history = InFlightHistory()
    for at, level in ((0.0, 1), (1.0, 2), (2.0, 3), (3.0, 2)):
        history.note(level, at)
    history.take_out(1.01, 2.5)
    assert history.highest(0.5, 0.6) == 1
    assert history.highest(1.0, 2.9) == 2
    assert history.highest(3.0, 3.0) == 2


def test_history_is_bounded() -> None:
    history = InFlightHistory()
    for at in range(20_000):
        history.note(at, float(at))
    assert history.highest(0.0, 1.0) is None
    assert history.highest(19_999.0, 19_999.0) == 19_999


def broken_at(seen: float) -> Ceiling:
    return Ceiling(5.0, seen, 20.0)


def test_a_limit_that_broke_is_tried_each_minute_and_the_longer_it_stands_the_less_often() -> None:
    policy = ProbePolicy()
    policy.refused(0.0, 0.0)
    assert policy.due(broken_at(0.0), 2.0, 1.0) == 60.0
    policy.refused(3200.0, 3200.0)
    assert policy.due(broken_at(3200.0), 2.0, 3200.0) == 3280.0
    policy.refused(86_400.0, 86_400.0)
    assert policy.due(broken_at(86_400.0), 2.0, 86_400.0) == 86_492.0


def test_the_only_places_are_tried_less_often_since_a_refusal_weighs_more_there() -> None:
    policy = ProbePolicy()
    policy.refused(0.0, 0.0)
    assert policy.due(Ceiling(3.0, 0.0, 20.0), 2.0, 1.0) == pytest.approx(84.9, abs=0.1)
    policy.refused(86_400.0, 86_400.0)
    assert policy.due(Ceiling(3.0, 86_400.0, 20.0), 2.0, 86_400.0) == 86_510.0


def test_the_sooner_a_change_follows_upon_another_the_sooner_the_next_try_comes() -> None:
    policy = ProbePolicy()
    for at in (0.0, 200.0):
        policy.changed(at)
    policy.refused(200.0, 200.0)
    assert policy.due(broken_at(200.0), 2.0, 200.0) == 220.0
    policy.refused(400.0, 1000.0)
    assert policy.due(broken_at(1000.0), 2.0, 1000.0) == 1040.0


def test_a_plan_that_shrinks_level_by_level_has_changed_once() -> None:
    policy = ProbePolicy()
    for at in (0.0, 1800.0, 1803.0, 1815.0):
        policy.changed(at)
    policy.refused(1815.0, 1815.0)
    assert policy.due(broken_at(1815.0), 2.0, 1815.0) == 1875.0


def test_tries_are_refused_once_a_minute_at_most_but_for_five_that_quiet_minutes_have_saved_up() -> None:
    policy = ProbePolicy()
    for at in (0.0, 50.0):
        policy.changed(at)
    t, refused_at = 50.0, []
    policy.refused(t, t)
    while t < 650.0:
        t = policy.due(broken_at(t), 2.0, t)
        policy.refused(t, t)
        policy.failed(t)
        refused_at.append(t)
    pauses = [after - before for before, after in pairwise(refused_at)]
    assert pauses[:4] == [10.0] * 4
    assert pauses[-8:] == [60.0] * 8


def test_dense_work_pays_for_tries_of_its_own() -> None:
    policy = ProbePolicy()
    policy.refused(0.0, 0.0)
    for _ in range(149):
        policy.sent()
    assert policy.due(broken_at(0.0), 2.0, 1.0) == 60.0
    for _ in range(2):
        policy.sent()
    assert policy.due(broken_at(0.0), 2.0, 1.0) == 20.0


def test_a_bad_time_is_paid_for_by_600_attempts() -> None:
    policy = ProbePolicy()
    for _ in range(100):
        policy.refused(0.0, 0.0)
    for _ in range(601):
        policy.sent()
    assert policy.due(broken_at(0.0), 2.0, 1.0) == 20.0


def test_when_the_plan_may_have_changed_a_try_is_due_at_once_unless_a_refusal_tells() -> None:
    policy = ProbePolicy()
    policy.refused(90.0, 90.0)
    policy.expect_change(100.0)
    assert policy.due(broken_at(90.0), 2.0, 100.0) == 92.0
    policy.refused(101.0, 101.0)
    assert policy.due(broken_at(101.0), 2.0, 101.0) == 161.0


def test_a_refused_request_counts_as_waiting_to_be_sent_again_until_it_must_have_been() -> None:
    retries = Retries(most=3)
    retries.refused("a", "glm", 0.0)
    assert (retries.count(1.0)["glm"], retries.count(1.4)["glm"]) == (1, 0)
    retries.refused("a", "glm", 2.0)
    assert (retries.count(4.0)["glm"], retries.count(4.4)["glm"]) == (1, 0)
    retries.refused("a", "glm", 5.0)
    retries.left("a")
    assert not retries.count(5.0)


def test_steps_of_one_climb_are_told_as_one_move_and_counted_each() -> None:
    adjustments = Adjustments("in flight")
    for limit in (3, 4, 5):
        adjustments.note(Direction.INCREASE, "work waits", limit, limit + 1, float(limit))
    assert [str(move) for move in adjustments.latest()] == ["work waits: 3 → 6 in flight"]
    assert adjustments.counts[Direction.INCREASE] == 3


def test_moves_are_bounded() -> None:
    adjustments = Adjustments("in flight")
    for at in range(100):
        adjustments.note(Direction.DECREASE, "upstream 1202", at + 1, at, float(at))
    assert len(adjustments.latest()) == 16


def test_a_wait_is_what_is_ahead_over_how_fast_places_come_free() -> None:
    service = ServiceRate()
    for _ in range(200):
        service.note(8.0)
    assert service.wait(ahead=0, places=4, rate=100.0) == pytest.approx(2.0, rel=0.05)
    assert service.wait(ahead=3, places=4, rate=100.0) == pytest.approx(8.0, rel=0.05)
    assert service.wait(ahead=1, places=4, rate=0.1) == pytest.approx(20.0)
