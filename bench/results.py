"""The numbers of a run: medians, spreads, comparisons within a round, and the goals. Pure."""

import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from bench.stacks import Way
from bench.traffic import Conversation, Order

ENOUGH_ALONE: Final = 2.0


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


def inverse_ratio(a: float, b: float) -> float:
    return b / a


class Bound(Enum):
    AT_LEAST = "≥"
    AT_MOST = "≤"


@dataclass(frozen=True, slots=True)
class Goal:
    """What the proxy (`way`) should reach. Without `against` the measure itself is bounded."""

    text: str
    case: str
    measure: str
    bound: Bound
    value: float
    unit: str = "×"
    against: Way | None = None
    relation: Callable[[float, float], float] = ratio
    way: Way = Way.PROXY


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


def _rate(connections: int, value: float) -> Goal:
    text = f"JSON requests/s to the floor, {_at(connections)}"
    return Goal(text, f"json_{connections}", "requests_per_second", Bound.AT_LEAST, value, against=Way.FLOOR)


def _cpu_of_events(text: str, case: str, value: float) -> Goal:
    return Goal(
        f"Envoy's CPU an event, {text}, to bare Envoy", case, _ENVOYS_CPU, Bound.AT_MOST, value, against=Way.BARE
    )


def _no_worse(connections: int) -> tuple[Goal, Goal]:
    """Than before, but for what two runs of one thing differ by."""
    case, at = f"json_{connections}", _at(connections)
    return (
        Goal(f"JSON p50, {at}, to before", case, "p50_ms", Bound.AT_MOST, 1.05, against=Way.BEFORE),
        Goal(
            f"JSON requests/s, {at}, to before", case, "requests_per_second", Bound.AT_LEAST, 0.95, against=Way.BEFORE
        ),
    )


def _prompts(size: str, order: Order) -> Goal:
    case = f"prompts_{size.replace(' ', '_').lower()}_{order.name.lower()}"
    text = f"p50 with prompts of {size}, {order.value}, to before"
    return Goal(text, case, "p50_ms", Bound.AT_MOST, 1.15, against=Way.BEFORE)


def _doctor(conversation: Conversation, connections: int) -> Goal:
    text = f"p50 with prompts of 200 KB, {conversation.value}, {_at(connections)}, CACHE_DOCTOR on to off"
    case = conversation.case(connections)
    return Goal(text, case, "p50_ms", Bound.AT_MOST, 1.03, against=Way.DOCTORED, relation=inverse_ratio)


def _at(connections: int) -> str:
    return f"{connections} connection{'s' if connections > 1 else ''}"


_ENVOYS_CPU: Final = "envoy_cpu_us_per_event"

GOALS: Final = (
    _cpu_of_events("an event a write, one at a time", "sse", 1.25),
    _cpu_of_events("64 events a write", "sse_packed", 2.0),
    Goal("SSE paced, p99, to bare Envoy", "paced", "p99_ms", Bound.AT_MOST, 1.25, against=Way.BARE),
    Goal(
        "memory of an open stream, from rest, STREAM_GUARD=off",
        "memory",
        "kib_per_stream_from_rest",
        Bound.AT_MOST,
        110,
        " KiB",
        way=Way.UNGUARDED,
    ),
    _latency("p50 added to bare Envoy, 1 connection", Way.BARE, 0.7),
    _latency("p50 added to the floor, 1 connection", Way.FLOOR, 0.2),
    _latency("p50 that pacing adds, 1 connection", Way.UNPACED, 0.1),
    _rate(1, 0.85),
    _rate(20, 0.7),
    _rate(200, 0.85),
    Goal("JSON p99, 20 connections", "json_20", "p99_ms", Bound.AT_MOST, 20, " ms"),
    Goal(
        "processor's CPU a request, 20 connections",
        "json_20",
        "processor_cpu_ms_per_request",
        Bound.AT_MOST,
        0.5,
        " ms",
    ),
    *_no_worse(1),
    *_no_worse(20),
    *_no_worse(200),
    *(_doctor(conversation, number) for conversation in Conversation for number in (1, 20)),
    *(_prompts(size, order) for size in ("200 KB", "5 MB") for order in Order),
)


def client_and_upstream_alone(results: Results, case: str) -> Spread | None:
    """How many times as many events they bring without a proxy as through a bare Envoy."""
    return results.compare(case, "events_per_second", Way.DIRECT, Way.BARE, ratio)


def events_per_second_count(results: Results, case: str) -> bool:
    """Whether a case's events/s say something of the proxies: client and upstream must not be what holds them up."""
    alone = client_and_upstream_alone(results, case)
    return alone is not None and alone.median >= ENOUGH_ALONE


def verdicts(results: Results) -> list[Verdict]:
    """The goals whose measures are there, each with what was reached."""
    return [Verdict(goal, spread) for goal in GOALS if (spread := _reached(results, goal)) is not None]


def _reached(results: Results, goal: Goal) -> Spread | None:
    if goal.against is None:
        return results.spread(goal.case, goal.way, goal.measure)
    return results.compare(goal.case, goal.measure, goal.way, goal.against, goal.relation)
