"""What the limits did lately, in words for a person and in numbers for a metric."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from extproc.domain.pacing.clock import Steady

_KEPT: Final = 16


class Direction(StrEnum):
    INCREASE = "increase"
    DECREASE = "decrease"
    PROBE = "probe"


@dataclass(frozen=True, slots=True)
class Move:
    """One change of a limit: `at` is when, in steady seconds; `before` and `after` are its values in `unit`."""

    at: float
    direction: Direction
    cause: str
    before: float
    after: float
    unit: str

    def __str__(self) -> str:
        return f"{self.cause}: {self.before:.3g} → {self.after:.3g} {self.unit}"


class Adjustments:
    """Counts the moves of one limit and remembers the latest."""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._counts = dict.fromkeys(Direction, 0)
        self._latest: deque[Move] = deque(maxlen=_KEPT)

    @property
    def counts(self) -> Mapping[Direction, int]:
        return MappingProxyType(self._counts)

    def latest(self) -> tuple[Move, ...]:
        """The latest moves, oldest first; steps of one climb are one move."""
        return tuple(self._latest)

    def note(self, direction: Direction, cause: str, before: float, after: float, t: Steady) -> None:
        self._counts[direction] += 1
        last = self._latest[-1] if self._latest else None
        if last is not None and direction is Direction.INCREASE and (last.direction, last.cause) == (direction, cause):
            self._latest.pop()
            before = last.before
        self._latest.append(Move(t, direction, cause, before, after, self._unit))
