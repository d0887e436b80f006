"""The window and the step of a chart."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from dashboard.domain.durations import parse_duration
from dashboard.domain.rollup import Tier

MOST_POINTS: Final = 720
_USUAL_POINTS: Final = 360
_DAY: Final = 86400
_STEPS: Final = (
    5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 43200, _DAY, 2 * _DAY, 7 * _DAY, 14 * _DAY, 28 * _DAY,
    84 * _DAY, 364 * _DAY,
)  # fmt: skip
_LATEST: Final = 1e11
_UNIX: Final = re.compile(r"[0-9]{1,11}(\.[0-9]{1,15})?")


@dataclass(frozen=True, slots=True)
class Grid:
    """The points of a chart: `points` steps of `step` seconds from `begin` (Unix time), read from rows of `tier`."""

    begin: int
    step: int
    points: int
    tier: Tier

    @property
    def end(self) -> int:
        return self.begin + self.points * self.step


def parse_moment(text: str, now: float) -> float:
    """Unix seconds from Unix seconds, or from `-15m`, which is relative to now. Raises ValueError."""
    if text.startswith("-"):
        return now - parse_duration(text[1:])
    if _UNIX.fullmatch(text) is None:
        raise ValueError(f"{text[:50]!r} is no time")
    return float(text)


def make_grid(begin: float, end: float, step: float | None, oldest: Callable[[Tier], float], interval: float) -> Grid:
    """A grid with at most 720 points whose step is not finer than what is still kept, nor than the targets are asked.

    `oldest` tells since when rows of a tier are kept. Raises ValueError for a window that is empty or out of all time.
    """
    if not 0 <= begin < end <= _LATEST:
        raise ValueError("need a window that begins before it ends")
    wanted = step if step is not None else 0.99 * (end - begin) / _USUAL_POINTS
    wanted = max(wanted, interval, (end - begin) / (MOST_POINTS - 2))
    chosen = next((each for each in _STEPS if each >= wanted), _STEPS[-1])
    for candidate in (each for each in _STEPS if each >= chosen):
        chosen = candidate
        if oldest(_tier(candidate)) <= begin:
            break
        if _tier(candidate) is Tier.HOUR:
            break
    first = int(begin // chosen) * chosen
    points = max(1, -int(-(end - first) // chosen))
    if points > MOST_POINTS:
        raise ValueError("need a window of at most 700 years")
    return Grid(first, chosen, points, _tier(chosen))


def _tier(step: int) -> Tier:
    """The coarsest rows that still fit into the step."""
    return max((tier for tier in Tier if step % tier.value == 0), key=lambda tier: tier.value)
