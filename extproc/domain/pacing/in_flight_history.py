"""How many were in flight at a time gone by, so that a refusal is judged by the moment in which its attempt started."""

from bisect import bisect_right
from typing import Final

from extproc.domain.pacing.clock import Steady

# An hour at one change a second; older attempts count as unknown.
_KEPT: Final = 4096


class InFlightHistory:
    """Remembers the latest changes of a number."""

    __slots__ = ("_levels", "_times")

    def __init__(self) -> None:
        self._times: list[float] = []
        self._levels: list[int] = []

    def note(self, level: int, t: Steady) -> None:
        """The level from now on. Times must not go back."""
        if len(self._times) >= 2 * _KEPT:
            del self._times[:_KEPT]
            del self._levels[:_KEPT]
        self._times.append(t)
        self._levels.append(level)

    def highest(self, start: float, end: float) -> int | None:
        """The highest level between two moments; None if the first is not remembered."""
        first = bisect_right(self._times, start) - 1
        if first < 0:
            return None
        return max(self._levels[first : max(first + 1, bisect_right(self._times, end))])

    def take_out(self, start: float, end: float) -> None:
        """One that was counted between two moments was not there: what is asked later is told without it."""
        first = max(0, bisect_right(self._times, start) - 1)
        for index in range(first, bisect_right(self._times, end)):
            self._levels[index] = max(0, self._levels[index] - 1)
