"""How many requests may be in flight: found out from what the upstream refuses. Pure: the caller brings the time."""

import math
from collections import deque
from collections.abc import Callable
from typing import Final

from extproc.domain.pacing.adjustments import Adjustments, Direction
from extproc.domain.pacing.ceiling import Ceiling
from extproc.domain.pacing.learned_limits import LearnedLimit
from extproc.domain.pacing.probing import ProbeBudget

# A refusal comes within a round trip and is reported half a second later at most: a place that was used for so long
# without one is there.
_VERDICT: Final = 2.0
# Without a ceiling the limit doubles in this time, place by place: between a refusal and the news of it (0.7 s) it
# grows by an eighth, so a cold start runs at most two or three places over.
_DOUBLING: Final = 4.0
# A refusal of what was fine before: the plan has shrunk, nobody knows how far. After larger steps the limit would have
# to climb back, and to wait for what runs before it can; with smaller ones each place would cost a refusal.
_BACK_OFF: Final = 0.85
# The part of the way to the ceiling that a step of the climb takes.
_CLIMB: Final = 1 / 4
# While the limit falls nobody knows which levels are there: they are tried one at a time, so far apart that the news
# of a refusal is here before the next.
_TRIAL: Final = 0.8
# For so long after a refusal a retry may be waiting to be sent: in flight here, but not there.
_QUIET: Final = 10.0
# However few the attempts that pay for it, a probe is due after five minutes.
_LONGEST_SILENCE: Final = 300.0
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 16.0


class ConcurrencyLimit:
    """Counts what is in flight and learns how much may be.

    Doubles while work waits for a place and nothing is refused. A refusal at a level that was never proven ends just
    below it; one at a level that was fine takes a part. From there it climbs, a step for each level that has proven
    to be there, to just below its ceiling, the level that broke; a probe above that is rare, and paid for.
    """

    def __init__(self, initial: int, maximum: int, budget: ProbeBudget) -> None:
        self.adjustments = Adjustments("in flight")
        self.ceiling: Ceiling | None = None
        self._maximum = maximum
        self._budget = budget
        self._limit = float(min(initial, maximum))
        self._in_flight = 0
        self._waiting = False
        self._probing = False
        self._doubted_at: float | None = None
        self._grown_at = 0.0
        self._proven = 0
        # Levels above the proven one, and since when they are in use.
        self._in_trial: deque[tuple[int, float]] = deque()
        self._tried_at = -math.inf
        self._decreased_at = -math.inf
        self._falling = False
        self._refused_at = -math.inf
        self._paused_until = -math.inf
        self._pause = _FIRST_PAUSE
        # When the last pause that the upstream asked for is over.
        self._told_until = -math.inf

    @property
    def limit(self) -> int:
        return int(self._limit)

    @property
    def in_flight(self) -> int:
        return self._in_flight

    def usable(self, share: float, now: float) -> int:
        """How many may be in flight now, if a share (0.0 to 1.0) of the limit is to be used; 0 during a pause."""
        if now < self._paused_until:
            return 0
        if self._falling and now < self._tried_at + _TRIAL:
            return self._proven
        return self.limit if share >= 1.0 else max(1, int(self._limit * share))

    def places(self, share: float, now: float) -> int:
        """How many may start now; less than none while more are in flight than may be."""
        return self.usable(share, now) - self._in_flight

    def start(self, retrying: int, now: float) -> int:
        """Takes a place; returns how many are in flight with this one, of which `retrying` may not be upstream."""
        self._in_flight += 1
        level = self._in_flight - retrying
        if level > self._proven:
            self._tried_at = now
        top = self._in_trial[-1][0] if self._in_trial else self._proven
        if top < level <= self.limit:
            self._in_trial.append((level, now))
        return self._in_flight

    def is_proven(self, level: int) -> bool:
        """Whether so many have been in flight since the plan last shrank; one always is."""
        return level <= max(1, self._proven)

    def end(self) -> None:
        """Gives a place back."""
        self._in_flight -= 1

    def correct(self, in_flight: int) -> None:
        """So many are in flight, whatever was counted."""
        self._in_flight = in_flight

    def pause(self, until: float) -> None:
        """Nothing new starts before that time; what runs goes on."""
        self._paused_until = max(self._paused_until, until)

    def pause_left(self, now: float) -> float:
        """Seconds until something new may start; 0.0 but during a pause."""
        return max(0.0, self._paused_until - now)

    def expect_change(self, now: float) -> None:
        """The plan may have changed just now: the next probe need not be paid for, unless a refusal tells before."""
        self._doubted_at = now

    def set_demand(self, waiting: bool, now: float) -> None:
        """Says whether work waits for nothing but a place; only then the limit rises."""
        self.advance(now)
        if waiting and not self._waiting:
            self._grown_at = now
        self._waiting = waiting

    def advance(self, now: float) -> None:
        """Lets the limit rise as far as it may by now."""
        while self._in_trial and self._in_trial[0][1] <= now - _VERDICT:
            self._proven = self._in_trial.popleft()[0]
            self._pause = _FIRST_PAUSE
            self._falling = self._falling and self._proven < self.limit
        if now < self._paused_until:
            self._grown_at = now  # what waits for the end of a pause does not show that the limit is too low
            return
        if not self._waiting or self._in_flight > self.limit or self.limit >= self._maximum:
            return
        if self.ceiling is None:
            self._double(now)
        elif self._proven >= self.limit and now >= self._decreased_at + _VERDICT:
            self._step(self.ceiling, now)

    def _double(self, now: float) -> None:
        limit = self.limit
        grown = self._limit * 2 ** ((now - self._grown_at) / _DOUBLING)
        self._grown_at = now
        self._limit = min(grown, limit + 1.0)  # a late call must not skip what is to be seen at each level
        if self.limit > limit:
            self.adjustments.note(Direction.INCREASE, "work waits", limit, self.limit, now)

    def _step(self, ceiling: Ceiling, now: float) -> None:
        limit = self.limit
        if self._probing:
            self._probing = False
            self.ceiling = None
            self._grown_at = now
            self.adjustments.note(Direction.INCREASE, "probe held", limit - 1, limit, now)
        elif limit + 1 < ceiling.level:
            step = max(1, int((ceiling.level - 1 - limit) * _CLIMB))
            self._limit = float(min(limit + step, self._maximum))
            self.adjustments.note(Direction.INCREASE, "work waits", limit, self.limit, now)
        elif now >= self._probe_due(ceiling):
            self._probing = True
            self._doubted_at = None
            self._limit = limit + 1.0
            self.adjustments.note(Direction.PROBE, "probe", limit, limit + 1, now)

    def _probe_due(self, ceiling: Ceiling) -> float:
        """When the next probe is due, as things stand."""
        if self._doubted_at is not None:
            return self._refused_at + _VERDICT
        quiet = self._refused_at + _QUIET
        paid = -math.inf if self._budget.allows_probe else ceiling.seen + _LONGEST_SILENCE
        return max(quiet, ceiling.doubtful_at(), paid)

    def refused(self, level: int, started_at: float, cause: str, now: float, until: float | None = None) -> None:
        """An attempt that started as the `level`-th in flight was refused for being one too many.

        `until` is when the upstream wants to be asked again, if it said so: until then nothing starts.
        """
        self.advance(now)
        self._refused_at = now
        if self._doubted_at is not None and started_at >= self._doubted_at:
            self._doubted_at = None
        is_answered = until is not None and self._pause_as_told(until, started_at)
        before = self.limit
        if level > before:
            return  # known by now: what is above the limit is draining
        if self._probing and level == before:
            self._fail_probe(now)
        elif level > self._proven and not self._falling:
            self._fall_back(level, now)
        elif started_at >= self._decreased_at:
            if is_answered:
                self._step_back(now)
            else:
                self._shrink(level, now)
        else:
            return  # of the burst that the last decrease answered
        self.adjustments.note(Direction.DECREASE, cause, before, self.limit, now)

    def overloaded(self, cause: str, now: float) -> None:
        """The upstream was short of capacity: what is on trial was refused for that, and proves nothing."""
        self._in_trial.clear()
        if self._probing:
            before = self.limit
            self._lower(before - 1, now)
            self.adjustments.note(Direction.DECREASE, cause, before, self.limit, now)

    def _pause_as_told(self, until: float, started_at: float) -> bool:
        """Pauses; returns whether that may be answer enough. It was not if a pause that was told has just ended."""
        has_helped = started_at >= self._told_until + _QUIET or started_at < self._told_until
        self._told_until = max(self._told_until, until)
        self.pause(until)
        return has_helped

    def _step_back(self, now: float) -> None:
        """Back to what has proven to be there: a time was named, so that is not gone, but to be left alone."""
        self._falling = False
        self._lower(self._proven, now)

    def _fail_probe(self, now: float) -> None:
        if self.ceiling is not None:
            self.ceiling.confirm(now)
        self._lower(self.limit - 1, now)

    def _fall_back(self, level: int, now: float) -> None:
        self.ceiling = Ceiling(max(2, level), now)
        self._lower(level - 1, now)

    def _shrink(self, level: int, now: float) -> None:
        self.ceiling = Ceiling(max(2, level), now)
        self._falling = True
        self._proven = 0
        if level == 1:
            self.pause(now + self._pause)
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        self._lower(int(level * _BACK_OFF), now)

    def _lower(self, limit: int, now: float) -> None:
        self._probing = False
        self._decreased_at = now
        self._limit = float(max(1, limit))
        self._proven = min(self._proven, self.limit)
        while self._in_trial and self._in_trial[-1][0] > self.limit:
            self._in_trial.pop()

    def next_change(self, now: float) -> float | None:
        """When the limit may rise, or a pause ends, if nothing happens before; None if only an event can do it."""
        if now < self._paused_until:
            return self._paused_until
        if self._falling and self._in_flight < self.limit and now < self._tried_at + _TRIAL:
            return self._tried_at + _TRIAL + 1e-6
        if not self._waiting or self._in_flight > self.limit or self.limit >= self._maximum:
            return None
        if self.ceiling is None:
            return self._grown_at + _DOUBLING * math.log2((self.limit + 1) / self._limit) + 1e-6
        at = self._decreased_at + _VERDICT
        if self._proven < self.limit:
            last = self._in_trial[-1] if self._in_trial else None
            if last is None or last[0] < self.limit:
                return None
            at = max(at, last[1] + _VERDICT)
        if not self._probing and self.limit + 1 >= self.ceiling.level:
            at = max(at, self._probe_due(self.ceiling))
        return max(at, now + 0.01)

    def learned(self, outside: Callable[[float], float]) -> LearnedLimit:
        """What is known of the plan; `outside` turns a time into the one that is to be noted."""
        ceiling = self.ceiling
        limit = self.limit - 1 if self._probing else self.limit
        if ceiling is None:
            return LearnedLimit(limit, None, None, None)
        return LearnedLimit(limit, ceiling.level, outside(ceiling.seen), ceiling.half_life)

    def restore(self, learned: LearnedLimit, past: Callable[[float], float]) -> None:
        """Goes on from what was known; `past` turns a noted time into one of now."""
        self._limit = float(max(1, min(int(learned.limit), self._maximum)))
        if learned.ceiling is not None and learned.seen is not None and learned.half_life is not None:
            self.ceiling = Ceiling(max(2.0, learned.ceiling), past(learned.seen), learned.half_life)
