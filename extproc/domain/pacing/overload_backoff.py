"""Backing off from an overload: less of everything for a while, because the upstream says that it is short of capacity.

An overload says nothing about what the plan allows, so it teaches no limit: it scales them for some seconds.
"""

from typing import Final

from extproc.domain.pacing.clock import Steady

# One overload takes a third; waves of them go down to a quarter, so that a plan of four still asks with one.
_DEEPER: Final = 0.67
_DEEPEST: Final = 0.25
# Back to full in 10 s after one, in 23 s from the deepest: overloads last seconds to minutes, and asking costs little.
_RECOVERY: Final = 1 / 30


class OverloadBackoff:
    """The share of the limits to use at a time: 1.0 but after overloads."""

    __slots__ = ("_overloaded_at", "_share")

    def __init__(self) -> None:
        self._share = 1.0
        self._overloaded_at = 0.0

    def share(self, t: Steady) -> float:
        """0.25 to 1.0."""
        if self._share == 1.0:
            return 1.0
        share = self._share + max(0.0, t - self._overloaded_at) * _RECOVERY
        if share >= 1.0:
            self._share = 1.0
            return 1.0
        return share

    def overloaded(self, started_at: Steady, t: Steady) -> bool:
        """Takes note of an overload of an attempt; False for old news: an attempt that started before the last one."""
        if self._share < 1.0 and started_at < self._overloaded_at:
            return False
        self._share = max(_DEEPEST, self.share(t) * _DEEPER)
        self._overloaded_at = t
        return True
