"""Somebody else on the same plan: a colleague with the same key and no proxy, who comes for some minutes and goes."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol

# A client without a proxy comes back after so many seconds, then after twice as many; each time up to a quarter more.
_FIRST_PAUSE: Final = 0.5
_JITTER: Final = 0.25
# Claude Code's longest pause.
LADDER: Final = 32.0
# What an agent takes between an answer and its next request, on average: it runs a tool.
_THINK: Final = 3.0


@dataclass(frozen=True, slots=True)
class Visit:
    """From `start` to `end` somebody wants so many requests for a model to run at a time. What runs at the end runs on.
    Who is refused asks again after pauses that double, up to the longest."""

    start: float
    end: float
    requests: int
    model: str = "glm"
    longest_pause: float = LADDER


@dataclass(slots=True)
class Place:
    """One of the requests that a visitor sends at a time, one after the other, and when each of them ran."""

    visit: Visit
    held: list[tuple[float, float]] = field(default_factory=list)
    refused: int = 0


class Upstream(Protocol):
    """What a visitor meets."""

    now: float
    rng: random.Random

    def at(self, moment: float, act: Callable[[], None]) -> None: ...
    def has_room(self, model: str) -> bool: ...
    def service_time(self) -> float: ...


class Visitors:
    """All visits to an upstream: how many of their requests run there, by model, and all that has run."""

    def __init__(self, upstream: Upstream, visits: Sequence[Visit]) -> None:
        self._upstream = upstream
        self.running: Counter[str] = Counter()
        self.places = [Place(visit) for visit in visits for _ in range(visit.requests)]

    def come(self) -> None:
        for place in self.places:
            self._upstream.at(place.visit.start, partial(self._ask, place))

    def _ask(self, place: Place) -> None:
        upstream, model = self._upstream, place.visit.model
        if upstream.now >= place.visit.end:
            return
        if not upstream.has_room(model):
            pause = min(_FIRST_PAUSE * 2.0**place.refused, place.visit.longest_pause)
            place.refused += 1
            upstream.at(upstream.now + pause * upstream.rng.uniform(1.0, 1.0 + _JITTER), partial(self._ask, place))
            return
        place.refused = 0
        end = upstream.now + upstream.service_time()
        place.held.append((upstream.now, end))
        self.running[model] += 1
        upstream.at(end, partial(self._end, place))

    def _end(self, place: Place) -> None:
        self.running[place.visit.model] -= 1
        self._upstream.at(self._upstream.now + self._upstream.rng.expovariate(1 / _THINK), partial(self._ask, place))
