"""A time that never runs backwards, made of a clock that may, and the full hours of that clock: plans change with
the hour, in every whole time zone at the same moment.
"""

import math
from typing import Final, NewType

Steady = NewType("Steady", float)
"""Seconds of a `SteadyClock`. A Unix time is a plain float, which a type checker does not take for a steady one; that a
steady time is given for a Unix time it does not see."""


class SteadyClock:
    """Turns the caller's times into steady ones. A jump back counts as no time passed."""

    __slots__ = ("_latest", "_offset")

    def __init__(self) -> None:
        self._latest: float | None = None
        self._offset = 0.0

    def at(self, now: float, longest: float = math.inf) -> Steady:
        """The steady time of the caller's present. A step forward counts as `longest` seconds at most."""
        if self._latest is not None:
            step = now - self._latest
            self._offset += min(max(step, 0.0), longest) - step
        self._latest = now
        return Steady(now + self._offset)

    def jumped(self, seconds: float) -> None:
        """The caller's clock was put forward by so many seconds, or back: none of them has passed."""
        if self._latest is not None:
            self._latest += seconds
            self._offset -= seconds

    def past(self, stamp: float) -> Steady:
        """The steady time of something that happened before now; what claims a later time happened just now."""
        latest = stamp if self._latest is None else min(stamp, self._latest)
        return Steady(latest + self._offset)

    def outside(self, steady: float) -> float:
        """A steady time, as the caller's clock will show it unless it jumps again."""
        return steady - self._offset


_HOUR: Final = 3600.0


class HourBoundary:
    """Notices each full hour once."""

    __slots__ = ("_hour",)

    def __init__(self) -> None:
        self._hour: float | None = None

    def has_passed(self, now: float) -> bool:
        """Whether a full hour has passed since the last call. A clock that is put back passes none."""
        before, self._hour = self._hour, now // _HOUR
        return before is not None and self._hour > before


def until_next(now: float) -> float:
    """Seconds to the next full hour."""
    return _HOUR - now % _HOUR
