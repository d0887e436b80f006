"""When a limit is worth a try above what it is known to allow. Pure: the caller brings the time.

Nobody tells a limiter that a plan has grown; it has to try, and a try that fails is a refused request. A refusal costs
about two seconds of a place (its round trip, and the wait until it is sent again), growth that nobody sees costs its
places for as long. For a plan that changes by D places each T seconds, trying each

    tau = sqrt(2 * 2 s * T / D)

loses least, and what it loses grows with the square root of the number of changes: no policy that does not know when a
plan changes does better in its order (piecewise-stationary bandits, arXiv 2501.19401). Nobody knows T and D. So T is
taken for the time between the last two changes that were found, or for that since the last one where it is longer, and
D for two places, or one where there are only one or two:

    soon after a fall       one after 12 s and one more after 12 s: a storm of refusals looks like a smaller plan, and
                            passes. Until something gets through, each 12 s for three minutes: a storm may last that
                            long, and what runs since before it may keep all places
    else                    one each tau seconds, from 10 s for a plan that changes each minute to 92 s for one that
                            changes every other hour or less (110 s where there are only one or two places)
    at a full hour          one at once: that is when plans change
    where work is dense     as often as one attempt in 150 pays for, each 20 seconds at most

Of those of the second row and the last one a minute may be refused, on average: minutes without one save up for five,
which is what may find a change that follows soon upon another.

Only a try that holds is followed by the next one at once, and nothing is tried unless work waits. MCP tools have a
gate that one call too many shuts: it is tried once in four hours.
"""

import math
from typing import Final

from extproc.domain.pacing.ceiling import Ceiling
from extproc.domain.pacing.clock import Steady

# For so long a level that was refused is believed to be refused still; each time that proves right, for twice as long.
# A number in flight is tried again sooner than a rate, since its probe is one request and costs one refusal.
FIRST_HALF_LIFE: Final = 20.0
LONGEST_IN_FLIGHT: Final = 60.0
LONGEST_HALF_LIFE: Final = 240.0

# Of a place, for a refused try.
_COST: Final = 2.0
# Until two changes have been found.
_PERIOD: Final = 1800.0
# What is found within this time is one change: a plan that shrinks is refused level by level.
_SAME_CHANGE: Final = 20.0
# Places that a change may be of.
_SWING: Final = 2
_FEW: Final = 2
_LATEST: Final = 92.0
_LATEST_OF_FEW: Final = 110.0
_REFUSED_EACH: Final = 60.0
_MOST_SAVED: Final = 5.0
# What was lost is to be in use again within 20 s of the last refusal, if it was but a storm.
_RETURN: Final = 12.0
_RETURNS: Final = 2
_MOST_RETURNS: Final = 15
# sqrt(2 * 1200 s * 86,400 s)
_RARELY: Final = 14_400.0
# This long after a refusal a retry may still be waiting to be sent: in flight here, but not there.
QUIET: Final = 10.0

# One in 150 attempts: with the refusals that changes of the plan cost anyway, under one in 100.
_SHARE: Final = 1 / 150
# Attempts without a refusal save up for two tries at most. A debt from refusals grows no larger than this, so a bad
# time is paid for after as many attempts as four tries cost.
_MOST: Final = 2.0
_LEAST: Final = -3.0


class ProbePolicy:
    """The next try of one limit. Is told of its attempts, its refusals and of when it was found to have changed.

    Times are steady seconds. `cost` is how long a place stands empty for a refused try, `latest` the longest pause
    between two tries, and `latest_of_few` that where one of the smallest levels is all that there is: a refusal weighs
    most there.
    """

    __slots__ = (
        "_balance",
        "_changed_at",
        "_cost",
        "_expected_at",
        "_latest",
        "_latest_of_few",
        "_period",
        "_refused_at",
        "_returns",
        "_saved",
        "_saved_at",
    )

    longest_pause = 8.0
    """The longest pause between two attempts while even single ones are refused, in seconds. Nobody tells when a storm
    is over, and what was proven is to be in use again within 20 s of the last refusal."""
    shuts_all = False
    """Whether one attempt too many shuts all places for a while. Then what was refused before counts also after it."""

    def __init__(self, cost: float = _COST, latest: float = _LATEST, latest_of_few: float = _LATEST_OF_FEW) -> None:
        self._cost, self._latest, self._latest_of_few = cost, latest, latest_of_few
        self._balance = 1.0
        self._changed_at: Steady | None = None
        self._period = _PERIOD
        self._saved, self._saved_at = _MOST_SAVED, Steady(-math.inf)
        self._refused_at = -math.inf
        self._expected_at: float | None = None
        self._returns = 0

    def sent(self) -> None:
        """An attempt was sent under the limit."""
        self._balance = min(_MOST, self._balance + _SHARE)

    def refused(self, started_at: Steady, t: Steady) -> None:
        """An attempt that started then was refused by the limit."""
        self._balance = max(_LEAST, self._balance - 1.0)
        self._refused_at = t
        if self._changed_at is None:
            self._changed_at = t
        if self._expected_at is not None and started_at >= self._expected_at:
            self._expected_at = None

    def failed(self, t: Steady) -> None:
        """A try was refused."""
        self._saved, self._saved_at = max(0.0, self._left(t) - 1.0), t

    def changed(self, t: Steady) -> None:
        """The limit is not what it was."""
        if self._changed_at is not None and t > self._changed_at + _SAME_CHANGE:
            self._period = t - self._changed_at
        self._changed_at = t

    def fell(self, t: Steady) -> None:
        """What was proven is gone, for good or for a while."""
        self.changed(t)
        self._returns = _MOST_RETURNS

    def settled(self) -> None:
        """It is known how far the limit fell: what has begun since gets through, so it is no storm."""
        self._returns = min(self._returns, _RETURNS)

    @property
    def may_return(self) -> bool:
        """Whether what was proven before a fall may still come back soon."""
        return self._returns > 0

    @property
    def return_at(self) -> float:
        """When the next of the tries after a fall is due, if one is left."""
        return self._refused_at + _RETURN

    def expect_change(self, t: Steady) -> None:
        """The plan may have changed just now: the next try is due, unless a refusal tells before."""
        self._expected_at = t

    def tried(self) -> None:
        """A try has begun."""
        self._expected_at = None
        self._returns = max(0, self._returns - 1)

    @property
    def quiet_at(self) -> float:
        """When the last refusal is so old that its request is surely not waiting to be sent again any more."""
        return self._refused_at + QUIET

    def is_quiet(self, t: Steady) -> bool:
        """Whether no refusal is so young that its retry may still be on its way."""
        return t >= self.quiet_at

    def due(self, ceiling: Ceiling, verdict: float, t: Steady) -> float:
        """When the next try above a ceiling is due; `verdict` is how long the news of a refusal takes."""
        if self._expected_at is not None:
            return self._refused_at + verdict
        if self._returns:
            return self.return_at
        due = ceiling.seen + self._pause(ceiling)
        if self._balance >= 1.0:
            due = min(due, ceiling.doubtful_at())
        return max(due, self.quiet_at, self._affordable_at())

    def _pause(self, ceiling: Ceiling) -> float:
        is_few = ceiling.level <= _FEW + 1
        period = self._period
        if self._changed_at is not None:
            period = max(period, ceiling.seen - self._changed_at)
        best = math.sqrt(2 * self._cost * period / (1 if is_few else _SWING))
        return min(best, self._latest_of_few if is_few else self._latest)

    def _left(self, t: Steady) -> float:
        """How many refused tries are saved up."""
        return min(_MOST_SAVED, self._saved + (t - self._saved_at) / _REFUSED_EACH)

    def _affordable_at(self) -> float:
        """When one is."""
        return self._saved_at + (1.0 - self._saved) * _REFUSED_EACH


class RareProbes(ProbePolicy):
    """The next try where one attempt too many shuts all places for twenty minutes and more, as the gate of MCP tools
    does. If its size changes once a day, tau is some four hours there; and while it is shut there is little to gain by
    asking often."""

    __slots__ = ()

    longest_pause = 60.0
    shuts_all = True

    def expect_change(self, t: Steady) -> None:
        """A full hour is no reason for a try."""

    def fell(self, t: Steady) -> None:
        """What was there comes back by itself, once single attempts get through."""
        self.changed(t)

    def due(self, ceiling: Ceiling, verdict: float, t: Steady) -> float:
        """When the next try above a ceiling is due."""
        return ceiling.seen + _RARELY
