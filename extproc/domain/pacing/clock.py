"""A time that never runs backwards, made of a clock that may."""

import math


class SteadyClock:
    """Turns the caller's times into steady ones. A jump back counts as no time passed."""

    __slots__ = ("_latest", "_offset")

    def __init__(self) -> None:
        self._latest: float | None = None
        self._offset = 0.0

    def at(self, now: float, longest: float = math.inf) -> float:
        """The steady time of the caller's present. A step forward counts as `longest` seconds at most."""
        if self._latest is not None:
            step = now - self._latest
            self._offset += min(max(step, 0.0), longest) - step
        self._latest = now
        return now + self._offset

    def past(self, stamp: float) -> float:
        """The steady time of something that happened before now; what claims a later time happened just now."""
        latest = stamp if self._latest is None else min(stamp, self._latest)
        return latest + self._offset

    def outside(self, steady: float) -> float:
        """A steady time, as the caller's clock will show it unless it jumps again."""
        return steady - self._offset
