"""How long a place stays taken at the upstream after its answer has ended here. Pure: the caller brings the time.

An upstream may count a request as running for a moment after its client has the whole answer. A request that takes the
place at once is then refused, though no more run than before. Where there are only one or two places, such refusals
look as if the plan had shrunk to half, or to nothing.

So if a request is refused just after another one has ended, nothing is learned at first: there is a doubt. While there
is one, each place is left alone for half a second after its answer. If a request is refused even so, the plan has
shrunk, or is in a storm; likewise if fewer were in flight with it than with the first one, all late places counted. If
one gets through at the level that was refused, the place was late: from then on each place is left alone for somewhat
longer than this one had been. What was learned fades, so a lag that has gone does not cost anything for long.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

from extproc.domain.pacing.clock import Steady
from extproc.domain.pacing.levels_on_trial import VERDICT

LONGEST: Final = 0.5
"""The longest time, in seconds, for which a place is left alone; while there is a doubt each is for so long."""
# Before a try above the limit a place is left alone this long, so that a place given back late cannot fail it. It is
# short, so that the try is not held up.
_TRYING: Final = 0.3
_ENDS_KEPT: Final = 16
# If more answers than these end within that time, nearly every request starts just after an answer, so a late place
# can't be told from a smaller plan. But there are many places then, and a lag costs less than one of them.
_FEW: Final = 2
# A doubt that could not be settled is given up, and the next one waits.
_SETTLED_WITHIN: Final = 5.0
_NEXT_DOUBT: Final = 20.0
# An attempt begins a little after it was let go, as far as clocks tell.
_ROUNDING: Final = 0.05
_FACTOR: Final = 1.3
_STEP: Final = 0.05
# What was learned once is half of it after a minute; the more often it was confirmed, the longer it lasts.
_HALF_LIFE: Final = 60.0
_MOST_DOUBLINGS: Final = 4
_NEGLIGIBLE: Final = 0.01


@dataclass(slots=True)
class _Doubt:
    """A refusal at a level, of an attempt that began so many seconds after a place had been given back."""

    level: int
    age: float
    since: float
    clean_at: Steady | None = None


class ReleaseLag:
    """What is known of the lag of one limit's places. Times are steady seconds."""

    __slots__ = ("_confirmed", "_doubt", "_ends", "_lag", "_learned_at", "_no_doubt_before")

    def __init__(self) -> None:
        self._ends: deque[float] = deque(maxlen=_ENDS_KEPT)
        self._doubt: _Doubt | None = None
        self._lag = 0.0
        self._learned_at = 0.0
        self._confirmed = 0
        self._no_doubt_before = 0.0

    def ended(self, t: Steady) -> None:
        """An answer has ended. Its place may still be taken at the upstream; and if a request had just got through, it
        may have done so only because this one ended."""
        self._settle(t)
        self._ends.append(t)
        if self._doubt is not None and self._doubt.clean_at is not None and t <= self._doubt.clean_at + LONGEST:
            self._doubt.clean_at = None

    def started(self, level: int, t: Steady) -> None:
        """One has started as the `level`-th that is upstream."""
        doubt = self._doubt
        if doubt is not None and doubt.clean_at is None and level >= doubt.level and not self._since(t, LONGEST):
            doubt.clean_at = t

    def left_alone(self, t: Steady, *, trying: bool) -> int:
        """How many places that are free here are left alone for now; more of them while the limit is `trying` one that
        it does not know, or a late place would be taken for the end of the plan."""
        if self._is_none and not trying:
            return 0
        lag = self._patience(t, trying)
        return self._since(t, lag) if lag else 0

    def next_release(self, t: Steady, *, trying: bool) -> float | None:
        """When the next of the places that are left alone may be taken; None if there is none."""
        if self._is_none and not trying:
            return None
        lag = self._patience(t, trying)
        return next((end + lag for end in self._ends if end + lag > t), None) if lag else None

    def lag(self, t: Steady) -> float:
        """For how many seconds places are left alone now; 0.0 if none was late."""
        return self._current(t)

    def is_in_doubt(self, t: Steady) -> bool:
        """Whether a refusal is not explained yet."""
        self._settle(t)
        return self._doubt is not None

    def may_be_late(self, t: Steady) -> bool:
        """Whether a place that has become free lately may still be taken, as far as is known of this lag."""
        return self._current(t) > 0.0 and 0 < self._since(t, LONGEST) <= _FEW

    def refused(self, started: Steady, t: Steady) -> None:
        """An attempt that started then was refused, for whatever reason: the doubt is not settled by it."""
        self._settle(t)
        doubt = self._doubt
        if doubt is not None and doubt.clean_at is not None and started >= doubt.clean_at - _ROUNDING:
            doubt.clean_at = None

    def excuses(self, level: int, started: Steady, t: Steady) -> bool:
        """Whether an attempt that started then as the `level`-th in flight was refused because a place was late, as far
        as can be told: then it teaches nothing else."""
        self._settle(t)
        ends = [end for end in self._ends if started - LONGEST < end <= started]
        doubt = self._doubt
        if doubt is not None:
            if (ends or started < doubt.since) and level + len(ends) >= doubt.level:
                return True
            if level <= doubt.level:
                self._doubt = None
            return False
        if not 0 < len(ends) <= _FEW or t < self._no_doubt_before or self._current(t) >= LONGEST:
            return False
        self._doubt = _Doubt(level, started - ends[-1], t)
        return True

    @property
    def _is_none(self) -> bool:
        """Whether places are given back at once, as far as is known, and nothing is in doubt."""
        return self._doubt is None and not self._lag

    def _settle(self, t: Steady) -> None:
        doubt = self._doubt
        if doubt is None:
            return
        if doubt.clean_at is not None and t >= doubt.clean_at + VERDICT:
            self._doubt = None
            before = self._current(doubt.clean_at)
            self._learned_at = doubt.clean_at + VERDICT
            self._lag = min(LONGEST, max(before, doubt.age) * _FACTOR + _STEP)
            self._confirmed = min(self._confirmed + 1, _MOST_DOUBLINGS)
        elif doubt.clean_at is None and t >= doubt.since + _SETTLED_WITHIN:
            self._doubt = None
            self._no_doubt_before = doubt.since + _SETTLED_WITHIN + _NEXT_DOUBT

    def _patience(self, t: Steady, trying: bool) -> float:
        lag = self._current(t)
        return max(lag, _TRYING) if trying and self._since(t, LONGEST) <= _FEW else lag

    def _current(self, t: Steady) -> float:
        self._settle(t)
        if self._doubt is not None:
            return LONGEST
        if not self._lag:
            return 0.0
        lag: float = self._lag * 0.5 ** ((t - self._learned_at) / (_HALF_LIFE * 2.0**self._confirmed))
        if lag < _NEGLIGIBLE:
            self._lag, self._confirmed = 0.0, 0
            return 0.0
        return lag

    def _since(self, t: Steady, seconds: float) -> int:
        return sum(end > t - seconds for end in self._ends)
