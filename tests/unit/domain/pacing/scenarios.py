"""Worlds drawn from a seed, and what is measured in them."""

import math
import os
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from extproc.domain.pacing.config import PacingConfig
from extproc.domain.pacing.scheduler import Pacing
from tests.unit.domain.pacing.plan_model import EPOCH, Agent, Plan, World
from tests.unit.domain.pacing.visits import Visit

# 200 of each are asked for with PACING_SEEDS=200; what a run of all tests has time for shows the same.
SEEDS = range(int(os.environ.get("PACING_SEEDS", "48")))
# What a cold start may take before its results count.
COLD_START = 60.0
_FLOOD = [Agent(f"agent-{number}") for number in range(24)]


@dataclass(frozen=True, slots=True)
class Runs:
    """The results of many worlds: the share of capacity in use, refused and all attempts, seconds to settle, and how
    often a client was refused."""

    used: list[float]
    refusals: list[tuple[int, int]]
    settled: list[float]
    seen_by_clients: list[int]

    @property
    def refused_ratio(self) -> float:
        return sum(refused for refused, _ in self.refusals) / sum(attempts for _, attempts in self.refusals)


def percentile(values: Sequence[float], percent: int) -> float:
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]


def mean(values: Sequence[float]) -> float:
    return statistics.fmean(values)


def dice(seed: int) -> random.Random:
    return random.Random(seed * 7919)


def pacing_for(agents: int, **settings: float) -> Pacing:
    """Room for all agents, a time-out that never comes, and a rate that is not in the way."""
    config = {"max_workers": agents + 40, "queue_timeout": 1e6, "rate_initial": 50.0, **settings}
    return Pacing(PacingConfig(**config))  # type: ignore[arg-type]  # the whole numbers among them are whole


def steady(seed: int, horizon: float = 400.0) -> World:
    """A hidden capacity of 1 to 16 that never changes."""
    rng = dice(seed)
    plan = Plan([(0.0, rng.randint(1, 16))], mean=rng.uniform(4.0, 20.0))
    return World(plan, pacing_for(24), seed, horizon).run(_FLOOD)


def changing(seed: int, horizon: float = 1500.0) -> World:
    """A hidden capacity that becomes any other one at some moment between seven and thirteen minutes."""
    rng = dice(seed)
    before = rng.randint(1, 16)
    after = rng.choice([capacity for capacity in range(1, 17) if capacity != before])
    mean = rng.uniform(4.0, 20.0)
    plan = Plan([(0.0, before), (rng.uniform(420.0, 780.0), after)], mean=mean)
    return World(plan, pacing_for(24), seed, horizon).run(_FLOOD)


def on_the_hour(seed: int, horizon: float = 2400.0) -> World:
    """A hidden capacity that becomes any other one at a full hour."""
    rng = dice(seed)
    before = rng.randint(1, 16)
    after = rng.choice([capacity for capacity in range(1, 17) if capacity != before])
    at = rng.uniform(420.0, 780.0)
    plan = Plan([(0.0, before), (at, after)], mean=rng.uniform(4.0, 20.0))
    return World(plan, pacing_for(24), seed, horizon, epoch=EPOCH - at).run(_FLOOD)


def by_the_hour(seed: int, horizon: float = 7200.0) -> World:
    """A hidden capacity of 1 to 16 that becomes another one each 20 to 40 minutes."""
    rng = dice(seed)
    capacity, at = [(0.0, rng.randint(1, 16))], rng.uniform(1200.0, 2400.0)
    while at < horizon:
        capacity.append((at, rng.choice([other for other in range(1, 17) if other != capacity[-1][1]])))
        at += rng.uniform(1200.0, 2400.0)
    plan = Plan(capacity, mean=rng.uniform(4.0, 20.0))
    return World(plan, pacing_for(24), seed, horizon).run(_FLOOD)


def shared(seed: int, horizon: float = 1500.0) -> World:
    """A hidden capacity of 3 to 16, up to a third of which somebody else uses for some minutes."""
    rng = dice(seed)
    capacity = rng.randint(3, 16)
    comes = rng.uniform(200.0, 400.0)
    requests = rng.randint(1, capacity // 3)
    visit = Visit(comes, comes + rng.uniform(300.0, 600.0), requests, longest_pause=3.0)
    plan = Plan([(0.0, capacity)], mean=rng.uniform(4.0, 20.0), others=[visit])
    return World(plan, pacing_for(24), seed, horizon).run(_FLOOD)


def rated(seed: int, horizon: float = 450.0) -> World:
    """A hidden rate of 0.3 to 4 requests a second, and places enough."""
    rng = dice(seed)
    rate = math.exp(rng.uniform(math.log(0.3), math.log(4.0)))
    pacing = pacing_for(40, rate_initial=5.0, concurrency_initial=60)
    agents = [Agent(f"agent-{number}") for number in range(40)]
    return World(Plan([(0.0, 1000)], mean=2.0, rate=rate), pacing, seed, horizon).run(agents)


def settling(world: World) -> float:
    """Seconds from the last change of the plan until the limit is right for good: at most 15 % too low, or one too
    high."""
    start, capacity = world.plan.capacity[-1]
    return world.settled_after(capacity - int(0.15 * capacity), capacity + 1, start, world.horizon)


def run_all(world_of: Callable[[int], World]) -> Runs:
    """Runs every seed; settling is measured from the last change, all else after the cold start."""
    runs = Runs([], [], [], [])
    for seed in SEEDS:
        world = world_of(seed)
        runs.used.append(world.used(COLD_START, world.horizon))
        runs.refusals.append(world.refusals(COLD_START, world.horizon))
        runs.settled.append(settling(world))
        runs.seen_by_clients.append(world.refused_to_clients)
    return runs


def jain(shares: Sequence[float]) -> float:
    """Jain's fairness index: 1.0 if all are equal, 1/n if one has everything."""
    return sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))
