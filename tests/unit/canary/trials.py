"""Canaries whose truth is known, and how often the verdict about them is false: `python -m tests.unit.canary.trials`.

A trial is one rollout: windows of 15 blocks of a minute, one after the other, until the verdict is not to wait or the
planned looks are used up. Requests come in a Poisson stream; seconds and tokens/s are lognormal, so is the cost.
Weather is what both variants feel at once (Z.AI slows down, or fails), and lasts for some minutes; a pod's own mood is
what one variant feels alone. Prints the table of docs/canary.md.
"""

import math
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from canary.domain.counts import Histogram, VariantCounts
from canary.domain.verdict import Rules, Verdict, decide
from extproc.metrics.requests import SECONDS, TOKENS_PER_SECOND

BLOCKS: Final = 15
TRIALS: Final = 500
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """What both variants live in. Rates are requests a minute; `weather` and `mood` are deviations of the logarithm of
    seconds between minutes, the first common to both; an outage of a minute fails `outage_errors` of all requests."""

    canary_rate: float = 60.0
    production_rate: float = 240.0
    errors: float = 0.01
    weather: float = 0.0
    mood: float = 0.0
    outages: float = 0.0
    outage_errors: float = 0.3


@dataclass(frozen=True)
class Canary:
    """How the canary differs: added errors, factors of seconds, tokens/s and cost, and the share that hangs."""

    more_errors: float = 0.0
    first_byte: float = 1.0
    duration: float = 1.0
    token_rate: float = 1.0
    cost: float = 1.0
    hanging: float = 0.0


SAME: Final = Canary()


@dataclass(frozen=True)
class Scenario:
    """`wrong` is the verdict that would be false."""

    name: str
    canary: Canary
    world: World
    wrong: Verdict


_CALM = World()
_ROUGH = World(weather=0.3, mood=0.1, outages=0.1)
_THIN = World(canary_rate=12.0, production_rate=108.0)

SCENARIOS: Final = (
    Scenario("the same", SAME, _CALM, Verdict.ROLL_BACK),
    Scenario("the same, rough weather", SAME, _ROUGH, Verdict.ROLL_BACK),
    Scenario("the same, 12 requests a minute", SAME, _THIN, Verdict.ROLL_BACK),
    Scenario("better in all", Canary(-0.005, 0.8, 0.8, 1.2, 0.9), _CALM, Verdict.ROLL_BACK),
    Scenario("2 points more errors", Canary(more_errors=0.02), _CALM, Verdict.PROMOTE),
    Scenario("2 points more errors, rough weather", Canary(more_errors=0.02), _ROUGH, Verdict.PROMOTE),
    Scenario("first byte 25 % later", Canary(first_byte=1.25), _CALM, Verdict.PROMOTE),
    Scenario("25 % longer", Canary(duration=1.25), _CALM, Verdict.PROMOTE),
    Scenario("25 % longer, rough weather", Canary(duration=1.25), _ROUGH, Verdict.PROMOTE),
    Scenario("tokens/s a fifth fewer", Canary(token_rate=0.8), _CALM, Verdict.PROMOTE),
    Scenario("25 % dearer", Canary(cost=1.25), _CALM, Verdict.PROMOTE),
    Scenario("25 % longer, 12 requests a minute", Canary(duration=1.25), _THIN, Verdict.PROMOTE),
    Scenario("6 points more errors", Canary(more_errors=0.06), _CALM, Verdict.PROMOTE),
    Scenario("60 % longer", Canary(duration=1.6), _CALM, Verdict.PROMOTE),
    Scenario("one answer in ten hangs", Canary(hanging=0.1), _CALM, Verdict.PROMOTE),
    Scenario("twice as dear", Canary(cost=2.0), _CALM, Verdict.PROMOTE),
)


@dataclass(frozen=True)
class Outcome:
    """Rollouts by their last verdict, and the looks that a rollout took on average."""

    verdicts: Counter[Verdict]
    looks: float


def outcome(scenario: Scenario, trials: int, rules: Rules) -> Outcome:
    """Runs the trials, each with its own seed."""
    verdicts: Counter[Verdict] = Counter()
    looks = 0
    for seed in range(trials):
        rollout = windows(scenario, np.random.default_rng([seed, 7]))
        for _ in range(rules.looks):
            looks += 1
            verdict = decide(*next(rollout), rules).verdict
            if verdict is not Verdict.WAIT:
                break
        verdicts[verdict] += 1
    return Outcome(verdicts, looks / trials)


def windows(scenario: Scenario, random: np.random.Generator) -> Iterator[tuple[VariantCounts, VariantCounts]]:
    """The windows of a rollout: the canary's counts and production's."""
    world = scenario.world
    while True:
        weather = _lasting(random, world.weather)
        outage = random.random(BLOCKS) < world.outages
        worse = scenario.canary
        yield (
            _counts(random, world.canary_rate, worse, world, weather, outage),
            _counts(random, world.production_rate, SAME, world, weather, outage),
        )


def _lasting(random: np.random.Generator, deviation: float) -> Floats:
    """A walk that returns to 0 and keeps 60 % from a minute to the next."""
    steps = random.normal(0.0, deviation * math.sqrt(1 - 0.6**2), BLOCKS)
    level, levels = random.normal(0.0, deviation), []
    for step in steps:
        level = 0.6 * level + step
        levels.append(level)
    return np.array(levels)


def _counts(
    random: np.random.Generator, rate: float, canary: Canary, world: World, weather: Floats, outage: NDArray[np.bool_]
) -> VariantCounts:
    requests = random.poisson(rate, BLOCKS)
    mood = weather + _lasting(random, world.mood)
    errors = np.clip(world.errors + canary.more_errors + outage * world.outage_errors, 0.0, 1.0)
    failures = random.binomial(requests, errors)
    of = np.repeat(np.arange(BLOCKS), requests - failures)
    slowness = np.exp(mood)[of]
    duration = random.lognormal(math.log(8.0), 1.1, of.size) * slowness * canary.duration
    duration = np.where(random.random(of.size) < canary.hanging, 250.0, duration)
    first_byte = random.lognormal(math.log(1.2), 0.7, of.size) * slowness * canary.first_byte
    token_rate = random.lognormal(math.log(45.0), 0.4, of.size) / slowness * canary.token_rate
    tokens = random.lognormal(math.log(9000.0), 1.0, of.size)
    cost = tokens * random.lognormal(math.log(8e-7), 0.5, of.size) * canary.cost
    return VariantCounts(
        1,
        tuple(requests.astype(float).tolist()),
        tuple(failures.astype(float).tolist()),
        _histogram(first_byte, of, SECONDS),
        _histogram(duration, of, SECONDS),
        _histogram(token_rate, of, TOKENS_PER_SECOND),
        tuple(np.bincount(of, cost, BLOCKS).tolist()),
        tuple(np.bincount(of, tokens, BLOCKS).tolist()),
    )


def _histogram(values: Floats, of: NDArray[np.int_], bounds: tuple[float, ...]) -> Histogram:
    width = len(bounds) + 1
    cells = of * width + np.searchsorted(np.array(bounds), values)
    counts = np.bincount(cells, minlength=BLOCKS * width).reshape(BLOCKS, width)
    return Histogram(tuple(map(float, bounds)), tuple(map(tuple, counts.astype(float).tolist())))


def table(trials: int, rules: Rules) -> str:
    """One row a scenario."""
    rows = ["| the canary in truth | promote | wait | roll back | false | looks |", "|---|---|---|---|---|---|"]
    for scenario in SCENARIOS:
        found = outcome(scenario, trials, rules)
        counts = " | ".join(str(found.verdicts[verdict]) for verdict in Verdict)
        false = found.verdicts[scenario.wrong]
        rows.append(f"| {scenario.name} | {counts} | {100 * false / trials:.1f} % | {found.looks:.1f} |")
    return "\n".join(rows)


if __name__ == "__main__":
    sys.stdout.write(table(TRIALS, Rules()) + "\n")
