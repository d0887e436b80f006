"""What pacing makes of plans whose capacity it is not told: in virtual time.

That a capacity has grown shows only in a try above the known ceiling, and a try that fails is a refusal: one a minute
at most, or one attempt in a hundred where that is more.
"""

from collections.abc import Callable
from functools import cache
from typing import Final

import pytest

from extproc.domain.pacing.adjustments import Direction
from extproc.domain.pacing.scheduler import Pacing
from tests.unit.domain.pacing.plan_model import EPOCH, World
from tests.unit.domain.pacing.scenarios import (
    COLD_START,
    SEEDS,
    Runs,
    changing,
    mean,
    on_the_hour,
    percentile,
    run_all,
    settling,
    shared,
    steady,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


_STEADY_MINUTES: Final = (400.0 - COLD_START) / 60
_SAVED: Final = 5


@cache
def steady_runs() -> Runs:
    return run_all(steady)


@cache
def changing_runs() -> Runs:
    return run_all(changing)


@cache
def on_the_hour_runs() -> Runs:
    return run_all(on_the_hour)


@cache
def shared_runs() -> Runs:
    return run_all(shared)


@pytest.mark.parametrize("runs", [steady_runs, changing_runs, on_the_hour_runs, shared_runs])
def test_95_percent_of_the_capacity_are_used_while_work_waits(runs: Callable[[], Runs]) -> None:
    assert mean(runs().used) >= 0.95
    assert percentile(runs().used, 50) >= 0.95


def test_a_plan_that_does_not_change_is_used_to_98_percent_with_every_seed() -> None:
    assert min(steady_runs().used) >= 0.98


def test_while_nothing_changes_one_attempt_a_minute_is_refused_and_what_was_saved_up_or_one_in_a_hundred() -> None:
    for refused, attempts in steady_runs().refusals:
        assert refused <= max(_STEADY_MINUTES + _SAVED, 0.01 * attempts + 1), (refused, attempts)


@pytest.mark.parametrize("runs", [steady_runs, changing_runs, on_the_hour_runs])
def test_no_client_sees_a_refusal_that_waiting_would_have_cured(runs: Callable[[], Runs]) -> None:
    assert sum(runs().seen_by_clients) == 0


def test_where_somebody_else_takes_the_place_of_a_last_try_a_client_hardly_ever_sees_it() -> None:
    runs = shared_runs()
    assert sum(runs.seen_by_clients) <= sum(attempts for _, attempts in runs.refusals) / 10_000


def test_a_cold_start_settles_within_15_seconds_and_does_not_swing_afterwards() -> None:
    assert max(steady_runs().settled) <= 15.0


def test_a_capacity_that_changes_with_the_hour_is_found_within_15_seconds_with_every_seed() -> None:
    """A larger one too: that is when it is worth a try. What ran before is never cut, and its time not counted."""
    assert max(on_the_hour_runs().settled) <= 15.0
    assert percentile(on_the_hour_runs().settled, 75) <= 6.0


def test_a_smaller_capacity_is_found_within_15_seconds_at_any_time() -> None:
    times = [each for seed, each in zip(SEEDS, changing_runs().settled, strict=True) if not grows(seed)]
    assert percentile(times, 50) <= 1.0
    assert percentile(times, 90) <= 7.0
    assert max(times) <= 15.0


def test_a_capacity_that_grows_at_any_moment_is_found_within_a_minute_and_two_in_95_of_100() -> None:
    times = [each for seed, each in zip(SEEDS, changing_runs().settled, strict=True) if grows(seed)]
    assert percentile(times, 50) <= 60.0
    assert percentile(times, 95) <= 120.0
    assert max(times) <= 180.0


def test_the_limit_swings_no_more_than_its_probes() -> None:
    for seed in SEEDS[:40]:
        world = steady(seed)
        later = [limit for at, limit in world.limits if at > COLD_START]
        capacity = world.plan.capacity[0][1]
        assert all(capacity - 1 <= limit <= capacity + 1 for limit in later), (seed, capacity, later)
        assert isinstance(world.pacing, Pacing)
        adjustments = world.pacing.status(EPOCH + world.horizon).concurrency.adjustments
        assert adjustments[Direction.DECREASE] <= adjustments[Direction.PROBE] + 3


def test_the_same_seed_gives_the_same_world() -> None:
    assert steady(7).attempts == steady(7).attempts
    assert settling(steady(7)) == settling(steady(7))


@cache
def _capacities(seed: int) -> tuple[int, int]:
    before, after = changing(seed, horizon=1.0).plan.capacity
    return before[1], after[1]


def grows(seed: int) -> bool:
    before, after = _capacities(seed)
    return after > before


def test_a_capacity_that_falls_to_one_is_survived() -> None:
    worlds: list[World] = [changing(seed) for seed in SEEDS if _capacities(seed)[1] == 1]
    assert worlds
    assert all(world.used(world.plan.capacity[-1][0] + 60.0, world.horizon) >= 0.85 for world in worlds)
