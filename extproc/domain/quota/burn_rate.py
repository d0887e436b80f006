"""How fast an allowance is used up, learned from reports that come about once a minute. Pure: the caller has the time.

Agents work in bursts, reports have whole percents, polls fail for a while, windows reset, clocks jump. So the rate is
an average over a long time in which recent use weighs more; how long, the caller says: a forecast over three hours
wants the average of about as many.
"""

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

from extproc.domain.quota.windows import USUAL_SECONDS, QuotaWindow

_MOST_SPANS: Final = 128
_SHORTEST_SHARE: Final = 60
_FEWEST_STEPS: Final = 2


@dataclass(slots=True)
class _Span:
    """A stretch of time and the share of the allowance that was used in it."""

    seconds: float
    used: float


class BurnMeter:
    """Follows one window through its resets. It remembers as much time as the window lasts.

    Only lengths of time are kept: a clock that is put back costs the one stretch in which it happened.
    """

    def __init__(self) -> None:
        self._window: QuotaWindow | None = None
        self._at = 0.0
        self._length = USUAL_SECONDS
        self._spans: deque[_Span] = deque()

    def observe(self, window: QuotaWindow, at: float) -> None:
        """Takes in what a report, asked for at Unix time `at`, says of the window."""
        previous, previous_at = self._window, self._at
        self._window, self._at = window, at
        self._length = window.seconds or USUAL_SECONDS
        if window.used_ratio is None or window.is_over(at):
            return
        if previous is None or previous.used_ratio is None:
            self._add(self._since_start(window, at), window.used_ratio)
        elif previous.is_over(at) or previous.is_followed_by(window):
            since = self._since_start(window, at)
            self._add(since if since <= at - previous_at else 0.0, window.used_ratio)
        else:
            self._add(at - previous_at, window.used_ratio - previous.used_ratio)

    def rate(self, horizon: float) -> float | None:
        """Share of the allowance per second, for a forecast over so many seconds; None when it is too early to tell.

        What lies `horizon` seconds back weighs 1/e of what is now. The average reaches further back while it holds no
        more than two of the smallest steps that a report can show, for then it is mostly rounding.
        """
        known = sum(span.seconds for span in self._spans)
        if self._window is None or known < self._length / _SHORTEST_SHARE:
            return None
        reach = max(horizon, 1.0)
        rate = self._average(reach)
        while rate * min(reach, known) < _FEWEST_STEPS * self._window.step and reach < known:
            reach *= 2
            rate = self._average(reach)
        return rate

    def _average(self, reach: float) -> float:
        age, weighted, weights = 0.0, 0.0, 0.0
        for span in reversed(self._spans):
            older = age + span.seconds
            weight = math.exp(-age / reach) - math.exp(-older / reach)
            weighted += span.used / span.seconds * weight
            weights += weight
            age = older
        return max(0.0, weighted / weights) if weights else 0.0

    def _add(self, seconds: float, used: float) -> None:
        if not 0.0 < seconds <= self._length:
            return
        last = self._spans[-1] if self._spans else None
        if last is not None and last.seconds < self._length / _MOST_SPANS:
            last.seconds += seconds
            last.used += used
        else:
            self._spans.append(_Span(seconds, used))
        known = sum(span.seconds for span in self._spans)
        while known > self._length and len(self._spans) > 1:
            known -= self._spans.popleft().seconds

    @staticmethod
    def _since_start(window: QuotaWindow, at: float) -> float:
        """Seconds since the window opened, as far as that is known; what was used in them is all that was used."""
        if window.resets_at is None or window.seconds is None:
            return 0.0
        return max(0.0, at - (window.resets_at - window.seconds))
