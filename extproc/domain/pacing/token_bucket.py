"""A token bucket: so many a second, and a few at once after a pause."""

import math
from typing import Final

from extproc.domain.pacing.clock import Steady

# Rounding must not make somebody wait who comes exactly when told.
_ROUNDING: Final = 1e-9


class TokenBucket:
    """Lets `rate` a second through, and up to `burst` at once. Starts full.

    Times are seconds. A clock that jumps back earns nothing for the jump and goes on earning from there. Raises
    ValueError unless rate > 0 and burst >= 1. Source: token bucket of RFC 2697, in requests instead of bytes.
    """

    __slots__ = ("_burst", "_filled_at", "_rate", "_tokens")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = _checked(rate, burst)
        self._tokens = self._burst
        self._filled_at: float | None = None

    @property
    def rate(self) -> float:
        return self._rate

    @property
    def burst(self) -> float:
        return self._burst

    def adjust(self, rate: float, burst: float, t: Steady) -> None:
        """Changes the rate and the burst from now on; what was earned stays, as far as the new burst holds it."""
        checked = _checked(rate, burst)
        self._fill(t)
        self._rate, self._burst = checked
        self._tokens = min(self._tokens, self._burst)

    def take(self, t: Steady) -> bool:
        """Takes one token if there is one."""
        self._fill(t)
        if self._tokens < 1.0 - _ROUNDING:
            return False
        self._tokens = max(0.0, self._tokens - 1.0)
        return True

    def wait(self, t: Steady) -> float:
        """Seconds until there is a token, if nobody takes one before; 0.0 if there is one."""
        self._fill(t)
        return max(0.0, (1.0 - _ROUNDING / 2 - self._tokens) / self._rate) if self._tokens < 1.0 - _ROUNDING else 0.0

    def ready(self, t: Steady) -> int:
        """How many may be taken now, one after the other."""
        self._fill(t)
        return int(self._tokens + _ROUNDING)

    def tokens(self, t: Steady) -> float:
        """The tokens there are, 0.0 to `burst`."""
        self._fill(t)
        return self._tokens

    def _fill(self, t: Steady) -> None:
        if self._filled_at is not None and t > self._filled_at:
            self._tokens = min(self._burst, self._tokens + (t - self._filled_at) * self._rate)
        self._filled_at = t


def _checked(rate: float, burst: float) -> tuple[float, float]:
    if not (rate > 0 and math.isfinite(rate)):
        raise ValueError(f"rate={rate}: need more than 0")
    if not (burst >= 1 and math.isfinite(burst)):
        raise ValueError(f"burst={burst}: need at least 1")
    return rate, burst
