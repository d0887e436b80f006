"""What pacing makes of a hidden number of requests a second: in virtual time."""

from functools import cache

import pytest

from extproc.domain.pacing.scheduler import Pacing
from extproc.domain.request.business_codes import ErrorClass
from extproc.domain.request.priority import Lane
from tests.unit.domain.pacing.plan_model import EPOCH, Agent, Plan, World
from tests.unit.domain.pacing.scenarios import COLD_START, SEEDS, mean, pacing_for, percentile, rated

pytestmark = pytest.mark.slow


@cache
def measured() -> tuple[list[float], list[tuple[int, int]], float]:
    """The share of the rate in use, refused and all attempts, and the share of all that a client saw refused."""
    used, refusals, seen, attempts = [], [], 0, 0
    for seed in SEEDS:
        world = rated(seed)
        through = sum(error is None for at, error in world.attempts if at >= COLD_START)
        used.append(through / ((world.plan.rate or 1.0) * (world.horizon - COLD_START)))
        refusals.append(world.refusals(COLD_START, world.horizon))
        seen += world.refused_to_clients
        attempts += len(world.attempts)
    return used, refusals, seen / attempts


def test_95_percent_of_the_rate_are_used() -> None:
    used, _, _ = measured()
    assert mean(used) >= 0.95
    assert percentile(used, 5) >= 0.85


def test_at_most_1_percent_of_attempts_are_refused() -> None:
    _, refusals, _ = measured()
    assert sum(refused for refused, _ in refusals) / sum(attempts for _, attempts in refusals) <= 0.01


def test_clients_see_one_refusal_in_20_000_attempts_at_most_cold_starts_included() -> None:
    _, _, seen_by_clients = measured()
    assert seen_by_clients <= 1 / 20_000


def test_an_overload_makes_it_breathe_out_and_teaches_no_ceiling() -> None:
    for seed in SEEDS[:20]:
        plan = Plan([(0.0, 8)], mean=5.0, overloads=[(200.0, 215.0)])
        world = World(plan, pacing_for(24), seed, 400.0).run([Agent(f"a{number}") for number in range(24)])
        limits = [limit for at, limit in world.limits if at >= 150.0]
        assert all(7 <= limit <= 9 for limit in limits)
        assert world.used(260.0, 400.0) >= 0.95
        during = [error for at, error in world.attempts if 200.0 <= at < 215.0]
        assert set(during) == {ErrorClass.OVERLOAD}
        assert world.refused_to_clients == 0
        assert isinstance(world.pacing, Pacing)
        status = world.pacing.status(EPOCH + 400.0)
        assert status.rate.ceiling is None
        assert sum(status.waiting.values()) == status.waiting[Lane.MAIN]
