"""What a plan may be that nobody has published: limits by model, one of the account, both, or models that share one.

Each world is drawn from a seed, runs with work for all models, and is compared with an oracle that knows the plan.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from extproc.domain.pacing.config import PacingConfig
from extproc.domain.pacing.scheduler import Pacing
from tests.unit.domain.pacing.oracle import Oracle
from tests.unit.domain.pacing.plan_model import EPOCH, Agent, Changes, Gate, Plan, World

MODELS = ("glm-a", "glm-b", "glm-c")
# What a refusal costs: its round trip and a retry's wait, in seconds of a place.
REFUSAL = 2.0
COLD_START = 60.0
_AT_ONCE = 24
# What bounds nothing.
PLENTY = 10_000


@dataclass(frozen=True, slots=True)
class Score:
    """The share of what an oracle gets out of a plan that is lost, and what was refused."""

    got: float
    best: float
    refused: int
    attempts: int
    hours: float
    seen_by_clients: int

    @property
    def loss(self) -> float:
        return 1.0 - self.got / self.best


def draw(rng: random.Random, least: int, most: int, every: float, horizon: float) -> Changes:
    """A number that becomes another one each `every` seconds, more or less, and has done so since before the start."""
    changes, at = [(0.0, rng.randint(least, most))], every * rng.random()
    while at < horizon:
        others = [number for number in range(least, most + 1) if number != changes[-1][1]]
        changes.append((at, rng.choice(others)))
        at += every * rng.uniform(0.7, 1.3)
    return changes


def by_model(rng: random.Random, every: float, horizon: float) -> Plan:
    gates = [Gate(frozenset([model]), draw(rng, 1, 7, every * 3, horizon)) for model in MODELS]
    return Plan([(0.0, PLENTY)], gates, mean=rng.uniform(2.0, 60.0))


def of_the_account(rng: random.Random, every: float, horizon: float) -> Plan:
    return Plan(draw(rng, 3, 20, every, horizon), mean=rng.uniform(2.0, 60.0))


def of_both(rng: random.Random, every: float, horizon: float) -> Plan:
    gates = [Gate(frozenset([model]), draw(rng, 2, 8, every * 4, horizon)) for model in MODELS]
    return Plan(draw(rng, 4, 14, every * 4, horizon), gates, mean=rng.uniform(2.0, 60.0))


def of_models_that_share(rng: random.Random, every: float, horizon: float) -> Plan:
    gates = [
        Gate(frozenset(MODELS[:2]), draw(rng, 2, 12, every * 2, horizon)),
        Gate(frozenset(MODELS[2:]), draw(rng, 1, 7, every * 2, horizon)),
    ]
    return Plan([(0.0, PLENTY)], gates, mean=rng.uniform(2.0, 60.0))


def that_changes_its_kind(rng: random.Random, every: float, horizon: float) -> Plan:
    """Limits by model, then one of the account, and so on in turns."""
    first, total = rng.randint(0, 1), rng.randint(3, 20)
    moments = [at for at, _ in draw(rng, 0, 1, every, horizon)]

    def in_turns(size: int, turn: int) -> Changes:
        return [(at, size if number % 2 == turn else PLENTY) for number, at in enumerate(moments)]

    gates = [Gate(frozenset([model]), in_turns(rng.randint(1, 7), 1 - first)) for model in MODELS]
    return Plan(in_turns(total, first), gates, mean=rng.uniform(2.0, 60.0))


WORLDS: Sequence[Callable[[random.Random, float, float], Plan]] = (
    by_model,
    of_the_account,
    of_both,
    of_models_that_share,
    that_changes_its_kind,
)


def crowd() -> list[Agent]:
    """Work for all models."""
    return [Agent(f"agent-{number}", model=model) for model in MODELS for number in range(_AT_ONCE)]


def pacing_for(agents: int) -> Pacing:
    """Room for all agents, a time-out that never comes, and a rate that is not in the way."""
    return Pacing(
        PacingConfig(max_workers=agents + 40, queue_timeout=1e6, rate_initial=80.0, rate_burst=40.0, rate_max=1000.0)
    )


def worth(world: World) -> float:
    return sum(world.place_seconds.values()) - REFUSAL * sum(world.refused.values())


def run_both(plan: Plan, agents: Sequence[Agent], seed: int, horizon: float) -> tuple[World, World]:
    """Runs a plan through pacing and through the oracle; what they use counts after the cold start."""
    worlds = []
    # The full hour is far away: what is found at once then is measured elsewhere.
    for pacing in (pacing_for(len(agents)), Oracle(plan, EPOCH + 1.0)):
        world = World(plan, pacing, seed, horizon, epoch=EPOCH + 1.0)
        world.counts_from = COLD_START
        worlds.append(world.run(agents))
    ours, best = worlds
    return ours, best


def score(plan: Plan, agents: Sequence[Agent], seed: int, horizon: float) -> Score:
    """What pacing gets out of a plan, beside the oracle."""
    ours, best = run_both(plan, agents, seed, horizon)
    return Score(
        got=worth(ours),
        best=worth(best),
        refused=sum(ours.refused.values()),
        attempts=len(ours.attempts),
        hours=(horizon - COLD_START) / 3600,
        seen_by_clients=ours.refused_to_clients,
    )


@cache
def scores(
    kind: Callable[[random.Random, float, float], Plan], every: float, horizon: float, seeds: int
) -> Sequence[Score]:
    """The scores of so many plans of a kind that change each `every` seconds."""
    agents = crowd()
    return [score(kind(random.Random(seed * 7919), every, horizon), agents, seed, horizon) for seed in range(seeds)]
