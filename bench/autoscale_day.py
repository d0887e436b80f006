"""The demand of a working day: when a request comes, and how long it runs. Pure and seeded."""

import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

DAY: Final = 86_400.0
MEAN_SECONDS: Final = 20.0
"""What a request takes on average: an agent's turn, with a heavy tail."""

_SIGMA: Final = 1.0
_HOURS: Final = (
    (0.0, 2.0),
    (6.5, 2.0),
    (9.0, 34.0),
    (10.5, 52.0),
    (12.0, 46.0),
    (12.7, 22.0),
    (14.0, 56.0),
    (16.0, 60.0),
    (18.0, 24.0),
    (20.0, 8.0),
    (24.0, 2.0),
)
"""Requests that would run at once (hour, mean): morning, lunch, afternoon, evening."""

_BATCHES: Final = ((7.5, 0.3, 22.0), (21.0, 0.5, 30.0))
"""Agents that somebody starts all at once: from which hour, for how many hours, how many requests at once."""


@dataclass(frozen=True)
class Arrival:
    """A request: when it first comes and how long it will run, both in seconds."""

    at: float
    seconds: float


def demand(at: float) -> float:
    """Requests that would run at once at that second of the day, were nobody refused."""
    hour = at / 3600.0
    return _between(hour) + sum(size for start, hours, size in _BATCHES if start <= hour < start + hours)


def arrivals(seed: int) -> Iterator[Arrival]:
    """The day's requests in order. A Poisson stream by thinning (Lewis and Shedler 1979)."""
    chance = random.Random(seed)
    most = max(level for _, level in _HOURS) + max(size for _, _, size in _BATCHES)
    mu = math.log(MEAN_SECONDS) - _SIGMA**2 / 2
    at = 0.0
    while (at := at + chance.expovariate(most / MEAN_SECONDS)) < DAY:
        if chance.random() * most < demand(at):
            yield Arrival(at, chance.lognormvariate(mu, _SIGMA))


def _between(hour: float) -> float:
    for (start, low), (end, high) in itertools.pairwise(_HOURS):
        if hour < end:
            return low + (high - low) * (hour - start) / (end - start)
    return _HOURS[-1][1]
