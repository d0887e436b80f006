"""How many requests a second: found out from what the upstream refuses. Pure: the caller brings the time."""

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable
from typing import Final

from extproc.domain.pacing.adjustments import Adjustments, Direction
from extproc.domain.pacing.ceiling import Ceiling
from extproc.domain.pacing.clock import Steady
from extproc.domain.pacing.learned_limits import LearnedLimit
from extproc.domain.pacing.probing import FIRST_HALF_LIFE, LONGEST_HALF_LIFE, ProbePolicy
from extproc.domain.pacing.token_bucket import TokenBucket

# Without a ceiling the rate doubles in this time; a late call must not skip what is to be seen on the way.
_DOUBLING: Final = 4.0
_LONGEST_STEP: Final = 1.0
# After a refusal: lower than what got through, so that the upstream's bucket fills and retries find room in it.
_BACK_OFF: Final = 0.7
# For this long after a fall, retries of what was refused may be refused too: they say nothing new.
_BURST_OF_ERRORS: Final = 5.0
# The climb back ends below the ceiling, and gets there in ten seconds.
_MARGIN: Final = 0.98
_CLIMB: Final = 0.03
# A probe goes this far above the ceiling until it has sent enough to empty an upstream's bucket of four.
_PROBE: Final = 1.25
_PROBE_SECONDS: Final = 5.0
_PROBE_REQUESTS: Final = 20.0
_QUIET: Final = 10.0
# A probe of a rate is of twenty requests, and what is refused at its end is a burst.
_PROBE_COST: Final = 200.0
_PROBE_EACH: Final = 600.0
# Over how long what got through is counted.
_SHORTEST_COUNT: Final = 4.0
_LONGEST_COUNT: Final = 60.0
_KEPT: Final = 4096
# A refused attempt is sent again about this much later.
_RETRY_AFTER: Final = 1.0
_SLOWEST: Final = 1e-3


class RateLimit:
    """A token bucket whose rate follows what the upstream lets through.

    The rate doubles while work waits for it and nothing is refused. At a burst of refusals it falls once: what got
    through lately is the new ceiling, and the rate falls below that and then climbs to just below it. From time to time
    `probing` allows a probe above the ceiling. If the probe is not refused, the ceiling is gone and the rate doubles
    again.
    """

    def __init__(self, initial: float, minimum: float, maximum: float, burst: float) -> None:
        self.adjustments = Adjustments("requests/s")
        self.ceiling: Ceiling | None = None
        self._minimum, self._maximum, self._burst = minimum, maximum, burst
        self._probes = ProbePolicy(_PROBE_COST, _PROBE_EACH, _PROBE_EACH)
        self._rate = min(max(initial, minimum), maximum)
        self._share = 1.0
        self._bucket = TokenBucket(self._rate, burst)
        self._waiting = False
        self._grown_at = 0.0
        # When attempts that got through were sent, as far as is known: refused ones are taken out.
        self._sent: list[float] = []
        self._decreased_at = -math.inf
        self._refused_at = -math.inf
        self._probe_until: float | None = None

    @property
    def rate(self) -> float:
        return self._rate

    @property
    def pace(self) -> tuple[float, float]:
        """How many a second may start now, after what an overload takes off, and how many at once."""
        return self._bucket.rate, self._bucket.burst

    def wait(self, t: Steady) -> float:
        """Seconds until one may start."""
        return self._bucket.wait(t)

    def room(self, t: Steady) -> int:
        """How many may start at once now."""
        return self._bucket.ready(t)

    def is_proven(self, t: Steady) -> bool:
        """Whether nothing has been refused for a while, at a rate that is not on trial."""
        return self._probe_until is None and t >= self._refused_at + _QUIET

    def use_share(self, share: float, t: Steady) -> None:
        """Uses only a share of the rate, from now on."""
        if share != self._share:
            self._share = share
            self._apply(t)

    def start(self, t: Steady) -> None:
        """One has started."""
        self._bucket.take(t)
        self._probes.sent()
        insort(self._sent, t)
        if len(self._sent) >= 2 * _KEPT:
            del self._sent[:_KEPT]

    def expect_change(self, t: Steady) -> None:
        """The plan may have changed just now: the next probe is due, unless a refusal tells before."""
        self._probes.expect_change(t)

    def set_demand(self, waiting: bool, t: Steady) -> None:
        """Says whether work waits for nothing but the rate; only then it rises."""
        self.advance(t)
        if waiting and not self._waiting:
            self._grown_at = t
        self._waiting = waiting

    def advance(self, t: Steady) -> None:
        """Lets the rate rise as far as it may by now."""
        seconds, self._grown_at = min(t - self._grown_at, _LONGEST_STEP), t
        if not self._waiting or seconds <= 0.0 or self._share < 1.0 or t < self._decreased_at + _BURST_OF_ERRORS:
            return
        before = self._rate
        if self.ceiling is None:
            self._move(Direction.INCREASE, "work waits", before * 2 ** (seconds / _DOUBLING), t)
        elif self._probe_until is not None:
            if t >= self._probe_until:
                self._probe_until = self.ceiling = None
        elif before < _MARGIN * self.ceiling.level:
            target = min(_MARGIN * self.ceiling.level, before + _CLIMB * self.ceiling.level * seconds)
            self._move(Direction.INCREASE, "work waits", target, t)
        elif self._may_probe(self.ceiling, t):
            self._move(Direction.PROBE, "probe", self.ceiling.level * _PROBE, t)
            self._probes.tried()
            self._probe_until = t + max(_PROBE_SECONDS, _PROBE_REQUESTS / self._rate)

    def refused(self, started_at: Steady, cause: str, t: Steady) -> None:
        """An attempt that started then was refused for coming too soon."""
        self.advance(t)
        last, self._refused_at = self._refused_at, t
        self._probes.refused(started_at, t)
        through = self._through(last, started_at)
        self._take_out(started_at, t)
        if started_at < self._decreased_at or t < self._decreased_at + _BURST_OF_ERRORS:
            return
        if self._probe_until is not None and self.ceiling is not None:
            half_life = min(2 * self.ceiling.half_life, LONGEST_HALF_LIFE)
            self.ceiling = Ceiling(max(self.ceiling.level, min(through, self._rate)), t, half_life)
        else:
            self.ceiling = Ceiling(max(self._minimum, min(through, self._rate)), t, FIRST_HALF_LIFE)
        self._probe_until = None
        self._decreased_at = t
        self._move(Direction.DECREASE, cause, _BACK_OFF * self.ceiling.level, t)

    def learned(self, outside: Callable[[float], float]) -> LearnedLimit:
        """What is known of the plan; `outside` turns a time into the one that is to be noted."""
        ceiling = self.ceiling
        if ceiling is None:
            return LearnedLimit(self._rate, None, None, None)
        return LearnedLimit(min(self._rate, ceiling.level), ceiling.level, outside(ceiling.seen), ceiling.half_life)

    def restore(self, learned: LearnedLimit, past: Callable[[float], float], t: Steady) -> None:
        """Goes on from what was known; `past` turns a noted time into one of now."""
        self._rate = min(max(learned.limit, self._minimum), self._maximum)
        if learned.ceiling is not None and learned.seen is not None and learned.half_life is not None:
            self.ceiling = Ceiling(learned.ceiling, past(learned.seen), learned.half_life)
        self._apply(t)

    def _may_probe(self, ceiling: Ceiling, t: Steady) -> bool:
        if not self._probes.is_quiet(t) or self._rate >= self._maximum:
            return False
        # A ceiling that was seen once may be far too low: the first probe of it is free.
        is_unsure = ceiling.half_life <= FIRST_HALF_LIFE and ceiling.is_doubtful(t)
        return is_unsure or t >= self._probes.due(ceiling, _QUIET, t)

    def _through(self, last_refused: float, started_at: Steady) -> float:
        """How many a second got through lately; infinite if that is too short a time to tell.

        The upstream's bucket was empty at the last refusal, if that is not too long ago, and is empty now: what got
        through in between is what flowed into it.
        """
        seconds = started_at - last_refused
        if not _SHORTEST_COUNT <= seconds <= _LONGEST_COUNT:
            first = self._sent[0] if self._sent else started_at
            seconds = min(started_at - first, _LONGEST_COUNT / 6)
            if seconds < _SHORTEST_COUNT:
                return math.inf
        until = bisect_left(self._sent, started_at)
        return (until - bisect_right(self._sent, started_at - seconds)) / seconds

    def _take_out(self, started_at: Steady, t: Steady) -> None:
        """Moves an attempt that did not get through to when it will be sent again."""
        index = bisect_right(self._sent, started_at) - 1
        if index >= 0:
            del self._sent[index]
            insort(self._sent, t + _RETRY_AFTER)

    def _move(self, direction: Direction, cause: str, rate: float, t: Steady) -> None:
        before, self._rate = self._rate, min(max(rate, self._minimum), self._maximum)
        if self._rate != before:
            self.adjustments.note(direction, cause, before, self._rate, t)
            self._apply(t)

    def _apply(self, t: Steady) -> None:
        burst = self._burst if self.ceiling is None else 1.0
        self._bucket.adjust(max(self._rate * self._share, _SLOWEST), burst, t)
