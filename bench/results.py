"""The numbers of a run: medians, spreads, comparisons within a round, and the goals. Pure."""

import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from bench.stacks import Way


@dataclass(frozen=True, slots=True)
class Spread:
    """One measure over the rounds."""

    median: float
    least: float
    most: float
    rounds: tuple[float, ...]

    @classmethod
    def of(cls, rounds: list[float]) -> "Spread":
        """Raises StatisticsError where there is no round."""
        return cls(statistics.median(rounds), min(rounds), max(rounds), tuple(rounds))


class Results:
    """Measures by case and way, a value a round."""

    def __init__(self) -> None:
        self._values: dict[str, dict[Way, dict[str, list[float]]]] = {}

    def add(self, case: str, way: Way, values: Mapping[str, float]) -> None:
        """Takes in what one round of a case measured on one way."""
        measures = self._values.setdefault(case, {}).setdefault(way, defaultdict(list))
        for name, value in values.items():
            measures[name].append(value)

    @property
    def cases(self) -> list[str]:
        return list(self._values)

    def ways(self, case: str) -> list[Way]:
        return list(self._values.get(case, {}))

    def measures(self, case: str) -> list[str]:
        """Every measure that some way has, in the order in which they came."""
        return list(dict.fromkeys(name for measures in self._values[case].values() for name in measures))

    def spread(self, case: str, way: Way, measure: str) -> Spread | None:
        """None where this was not measured."""
        rounds = self._values.get(case, {}).get(way, {}).get(measure)
        return Spread.of(rounds) if rounds else None

    def compare(
        self, case: str, measure: str, way: Way, other: Way, relation: Callable[[float, float], float]
    ) -> Spread | None:
        """`relation(way, other)` round by round: what the machine did to both in one round cancels out."""
        mine, theirs = self.spread(case, way, measure), self.spread(case, other, measure)
        if mine is None or theirs is None:
            return None
        return Spread.of([relation(a, b) for a, b in zip(mine.rounds, theirs.rounds, strict=True)])


def ratio(a: float, b: float) -> float:
    return a / b


def difference(a: float, b: float) -> float:
    return a - b


class Bound(Enum):
    AT_LEAST = "≥"
    AT_MOST = "≤"


@dataclass(frozen=True, slots=True)
class Goal:
    """What the proxy should reach. Without `against` the measure itself is bounded."""

    text: str
    case: str
    measure: str
    bound: Bound
    value: float
    unit: str = "×"
    against: Way | None = None
    relation: Callable[[float, float], float] = ratio


@dataclass(frozen=True, slots=True)
class Verdict:
    goal: Goal
    spread: Spread

    @property
    def is_reached(self) -> bool:
        if self.goal.bound is Bound.AT_LEAST:
            return self.spread.median >= self.goal.value
        return self.spread.median <= self.goal.value


def _latency(text: str, against: Way, value: float) -> Goal:
    return Goal(text, "json_1", "p50_ms", Bound.AT_MOST, value, " ms", against, difference)


def _rate(text: str, connections: int) -> Goal:
    return Goal(text, f"json_{connections}", "requests_per_second", Bound.AT_LEAST, 0.85, against=Way.FLOOR)


GOALS: Final = (
    Goal("SSE flat out, to bare Envoy", "sse", "events_per_second", Bound.AT_LEAST, 0.85, against=Way.BARE),
    Goal("SSE paced, p99, to bare Envoy", "paced", "p99_ms", Bound.AT_MOST, 1.25, against=Way.BARE),
    Goal("memory of an open stream", "memory", "kib_per_stream", Bound.AT_MOST, 100, " KiB"),
    _latency("p50 added to bare Envoy, 1 connection", Way.BARE, 0.7),
    _latency("p50 added to the floor, 1 connection", Way.FLOOR, 0.2),
    _latency("p50 that pacing adds, 1 connection", Way.UNPACED, 0.1),
    _rate("JSON requests/s to the floor, 1 connection", 1),
    _rate("JSON requests/s to the floor, 20 connections", 20),
    _rate("JSON requests/s to the floor, 200 connections", 200),
)


def verdicts(results: Results) -> list[Verdict]:
    """The goals whose measures are there, each with what was reached."""
    return [Verdict(goal, spread) for goal in GOALS if (spread := _reached(results, goal)) is not None]


def _reached(results: Results, goal: Goal) -> Spread | None:
    if goal.against is None:
        return results.spread(goal.case, Way.PROXY, goal.measure)
    return results.compare(goal.case, goal.measure, Way.PROXY, goal.against, goal.relation)
