"""How soon the limits are right after a start and after a plan has grown, whatever limits the plan: in virtual time.

Three models have work all the time. `PACING_SEEDS=200` asks for so many plans of each kind.
"""

import os
import random
from collections.abc import Callable
from typing import Final, NamedTuple

import pytest

from tests.unit.domain.pacing.oracle import Oracle
from tests.unit.domain.pacing.plan_model import EPOCH, Changes, Gate, Plan, World
from tests.unit.domain.pacing.scenarios import percentile
from tests.unit.domain.pacing.worlds import MODELS, PLENTY, crowd, pacing_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

_SEEDS: Final = int(os.environ.get("PACING_SEEDS", "40"))


class Growth(NamedTuple):
    """A plan that grows at a moment, and the models whose requests have `places` together from then on."""

    plan: Plan
    at: float
    models: tuple[str, ...]
    places: int


def grown(rng: random.Random, least: int, most: int, at: float) -> Changes:
    before = rng.randint(least, most - 1)
    return [(0.0, before), (at, rng.randint(before + 1, most))]


def for_each(rng: random.Random, least: int, most: int, models: tuple[str, ...] = MODELS) -> list[Gate]:
    return [Gate(frozenset([model]), [(0.0, rng.randint(least, most))]) for model in models]


def by_model(rng: random.Random, at: float, mean: float) -> Growth:
    growing = grown(rng, 1, 7, at)
    gates = [Gate(frozenset(MODELS[:1]), growing), *for_each(rng, 1, 7, MODELS[1:])]
    return Growth(Plan([(0.0, PLENTY)], gates, mean=mean), at, MODELS[:1], growing[-1][1])


def of_the_account(rng: random.Random, at: float, mean: float) -> Growth:
    growing = grown(rng, 3, 20, at)
    return Growth(Plan(growing, mean=mean), at, MODELS, growing[-1][1])


def of_both(rng: random.Random, at: float, mean: float) -> Growth:
    gates = for_each(rng, 3, 8)
    growing = grown(rng, 4, sum(gate.capacity[0][1] for gate in gates) - 1, at)
    return Growth(Plan(growing, gates, mean=mean), at, MODELS, growing[-1][1])


def of_models_that_share(rng: random.Random, at: float, mean: float) -> Growth:
    growing = grown(rng, 2, 12, at)
    gates = [Gate(frozenset(MODELS[:2]), growing), *for_each(rng, 1, 7, MODELS[2:])]
    return Growth(Plan([(0.0, PLENTY)], gates, mean=mean), at, MODELS[:2], growing[-1][1])


WORLDS: Final = (by_model, of_the_account, of_both, of_models_that_share)
GrowthOf = Callable[[random.Random, float, float], Growth]


class Watched(World):
    """Notes when so many requests of some models ran for the first time since a moment."""

    def watch(self, growth: Growth) -> None:
        self._growth = growth
        self.found_after: float | None = None

    def _count(self) -> None:
        super()._count()
        growth = self._growth
        running = sum(self._running[model] for model in growth.models)
        if self.found_after is None and self.now >= growth.at and running >= growth.places - int(0.15 * growth.places):
            self.found_after = self.now - growth.at


@pytest.mark.parametrize("world_of", WORLDS, ids=lambda world: world.__name__)
def test_growth_at_any_moment_is_found_within_a_minute_and_nearly_always_within_two(world_of: GrowthOf) -> None:
    found = []
    for seed in range(_SEEDS):
        rng = random.Random(seed * 7919)
        growth = world_of(rng, rng.uniform(420.0, 780.0), rng.uniform(2.0, 60.0))
        world = Watched(growth.plan, pacing_for(len(crowd())), seed, growth.at + 300.0, epoch=EPOCH + 1.0)
        world.watch(growth)
        world.run(crowd())
        found.append(300.0 if world.found_after is None else world.found_after)
    assert percentile(found, 50) <= 60.0
    assert percentile(found, 95) <= 120.0, sorted(found)[-12:]


@pytest.mark.parametrize("world_of", WORLDS, ids=lambda world: world.__name__)
def test_fifteen_seconds_after_a_cold_start_nearly_all_is_in_use(world_of: GrowthOf) -> None:
    got = best = 0.0
    for seed in range(_SEEDS):
        rng = random.Random(seed * 7919)
        plan = world_of(rng, 1000.0, rng.uniform(2.0, 60.0)).plan
        for pacing in (pacing_for(len(crowd())), Oracle(plan, EPOCH + 1.0)):
            world = World(plan, pacing, seed, 45.0, epoch=EPOCH + 1.0)
            world.counts_from = 15.0
            used = sum(world.run(crowd()).place_seconds.values())
            got, best = (got, best + used) if isinstance(pacing, Oracle) else (got + used, best)
    assert got >= 0.95 * best
