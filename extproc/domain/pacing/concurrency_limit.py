"""How many requests may be in flight: found out from what the upstream refuses. Pure: the caller brings the time.

Nobody tells the number; a request that is one too many is refused. So a limit knows three levels: `proven`, the most
that was in flight without a refusal; `limit`, the most that may be; and its ceiling, the level that broke last.
Between them it is in one of these states:

    searching    there is no ceiling: while work waits, the limit doubles, level by level
    climbing     limit < ceiling - 1: it takes a step towards the ceiling for each level that has proven to be there
    holding      limit = ceiling - 1 is proven: it waits for the next probe
    probing      limit = ceiling, for one request more than is known to fit
    falling      what was proven was refused: the plan has shrunk, and levels are tried one at a time from below
    storm        even a single request was refused: nothing starts during a pause, then one does

    event                                   searching   climbing   holding    probing       falling     storm
    work waits, and time goes by            grows       a step     a probe    -             -           one starts
    a level is proven (2 s, no refusal)     -           -          -          it has held:  falling     recovering
                                                                              searching     is over
    refused above `proven`                  ceiling,    ceiling,   -          it has not:   falls on    -
                                            one less    one less              holding
    refused at or below `proven`            falling     falling    falling    falling       -           -
    refused alone, or with all in flight    storm       storm      storm      storm         storm       longer pause
    refused above `limit`, or started       nothing is learned: what runs already drains, and a burst of refusals
      before the last decrease              has one answer

A storm is no size of a plan: no plan has less than one place. When a request gets through again, or the first probe
after a fall holds, the limit doubles each second, to where it was before; a refusal on the way is one as any other.
That probe allows one more than is in flight, and need not wait for the limit to prove true: what runs since before the
fall may keep all places up to the limit, or more, for as long as its answers take, and says nothing of them. A storm
may also go on when the first requests are sent: where nothing has got through yet, under any limit, a single request
that is refused is a storm though nothing was proven, and the limit goes back to what it was at first.

A refusal may say when to come back. If it met a level above `proven`, no more than that are in flight until then; else
nothing starts, and afterwards the limit goes on from what was proven.

What is in flight here need not be at the upstream: a request that was refused and waits to be sent again holds its
place here. So levels count what is at the upstream, and the limit bounds what is in flight here.
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from extproc.domain.pacing.adjustments import Adjustments, Direction
from extproc.domain.pacing.ceiling import Ceiling
from extproc.domain.pacing.clock import Steady
from extproc.domain.pacing.learned_limits import LearnedLimit
from extproc.domain.pacing.levels_on_trial import VERDICT, LevelsOnTrial
from extproc.domain.pacing.probing import FIRST_HALF_LIFE, LONGEST_IN_FLIGHT, QUIET, ProbePolicy

# Without a ceiling the limit doubles in this time, place by place: between a refusal and the news of it (0.7 s) it
# grows by an eighth, so a cold start runs at most two or three places over.
_DOUBLING: Final = 4.0
# After a storm the limit doubles this fast: the size of the plan is known, and only whether the storm is over is not.
_RECOVERY: Final = 1.0
# What is left of the limit after a refusal of what was fine before: the plan has shrunk, and nobody knows how far.
# After larger steps the limit would have to climb back, and to wait for what runs before it can; with smaller ones each
# place would cost a refusal.
_BACK_OFF: Final = 0.85
# The part of the way to the ceiling that a step of the climb takes.
_CLIMB: Final = 1 / 4
# While the limit falls nobody knows which levels are there: they are tried one at a time, so far apart that the news
# of a refusal is here before the next.
_TRIAL: Final = 0.8
# A refusal within this time after a `retry-after` pause is put down to the pause having been too short.
_SOON_AFTER_PAUSE: Final = 10.0
_FIRST_PAUSE: Final = 1.0
# So long before the end of such a pause the next request may go if there is a reason to.
_EARLY: Final = 3.0
# Larger bursts of refusals are not told from those that leave something running.
_REFUSALS_KEPT: Final = 64


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a limit believed at a moment."""

    limit: float
    ceiling: Ceiling | None
    proven: int
    before_fall: float | None
    """What the limit was before it began to fall; None if it has not."""
    is_falling: bool


class ConcurrencyLimit:
    """Counts what is in flight and learns how much may be."""

    def __init__(self, initial: int, maximum: int, probes: ProbePolicy | None = None) -> None:
        self.adjustments = Adjustments("in flight")
        self.ceiling: Ceiling | None = None
        self._maximum = maximum
        self._probes = probes or ProbePolicy()
        self._limit = float(min(initial, maximum))
        self._in_flight = 0
        self._waiting = False
        # What the limit was before the probe that is on its way; None while there is none.
        self._tried_from: float | None = None
        self._grown_at = 0.0
        self._proven = 0
        self._is_untried = True
        # What the limit was at the start, or what it was when it was learned before.
        self._at_first = self._limit
        self._on_trial = LevelsOnTrial()
        # The highest level that was tried since the fall and is not known to be refused, and when.
        self._tried_to = 0
        self._tried_at = -math.inf
        self._decreased_at = -math.inf
        # When attempts under this limit were refused lately, whichever limit that was put down to.
        self._refused_at = -math.inf
        self._refusals: deque[float] = deque(maxlen=_REFUSALS_KEPT)
        self._falling = False
        # What the limit was before it began to fall, and whether it goes back there now.
        self._before_fall: float | None = None
        self._recovering = False
        self._paused_until = -math.inf
        self._pause = _FIRST_PAUSE
        # When the first of those pauses began.
        self._alone_since = Steady(-math.inf)
        # When an answer last ended.
        self._answered_at = -math.inf
        # When the last pause that the upstream asked for is over.
        self._told_until = -math.inf
        # Until when it wants no more than has proven to be there.
        self._proven_until = -math.inf

    @property
    def limit(self) -> int:
        return int(self._limit)

    @property
    def in_flight(self) -> int:
        return self._in_flight

    @property
    def has_room(self) -> bool:
        """Whether fewer are in flight than may be if nothing but the limit holds them back."""
        return self._in_flight + 1 <= self._limit

    @property
    def is_wanted(self) -> bool:
        """Whether work waits for nothing but a place, as was last said."""
        return self._waiting

    @property
    def proven(self) -> int:
        """The most that was in flight without a refusal since the plan last shrank; one always is."""
        return max(1, self._proven)

    @property
    def is_proven(self) -> bool:
        """Whether as many as may be in flight were without a refusal."""
        return self._proven >= self.limit

    def usable(self, share: float, t: Steady) -> int:
        """How many may be in flight now, if a share (0.0 to 1.0) of the limit is to be used; 0 during a pause."""
        if t < self._paused_until:
            return 0
        if self._falling and t < self._tried_at + _TRIAL:
            return self._proven
        usable = self.limit if share >= 1.0 else max(1, int(self._limit * share))
        return min(usable, self.proven) if t < self._proven_until else usable

    def places(self, share: float, t: Steady) -> int:
        """How many may start now; less than none while more are in flight than may be."""
        return self.usable(share, t) - self._in_flight

    def start(self, retrying: int, t: Steady) -> int:
        """Takes a place; returns how many are in flight with this one, of which `retrying` may not be upstream."""
        self._in_flight += 1
        self._probes.sent()
        level = self._in_flight - retrying
        if level > max(self._proven, self._tried_to):
            self._tried_at, self._tried_to = t, level
        if self._on_trial.highest(self._proven) < level <= self.limit:
            self._on_trial.started(level, t)
        return self._in_flight

    def end(self) -> None:
        """Gives a place back."""
        self._in_flight -= 1

    def answered(self, t: Steady) -> None:
        """What has ended just now was an answer."""
        self._answered_at = t
        self._on_trial.answered(t)

    def correct(self, in_flight: int) -> None:
        """Sets how many are in flight, whatever was counted."""
        self._in_flight = in_flight

    def pause(self, until: float) -> None:
        """Nothing new starts before that time; what runs goes on."""
        self._paused_until = max(self._paused_until, until)

    def pause_left(self, t: Steady) -> float:
        """Seconds until something new may start; 0.0 but during a pause."""
        return max(0.0, self._paused_until - t)

    def may_try_early(self, t: Steady) -> bool:
        """Whether the pause of a storm is nearly over, so that a single request may go if there is a reason to. That is
        so once the pauses have become as long as they may: the first ones are short enough."""
        is_long = self._pause >= self._probes.longest_pause
        return is_long and self._told_until <= t < self._paused_until <= t + _EARLY

    def try_early(self, t: Steady) -> None:
        """Ends the pause of a storm."""
        self._paused_until = t

    def expect_change(self, t: Steady) -> None:
        """The plan may have changed just now: the next probe is due, unless a refusal tells before."""
        self._probes.expect_change(t)

    def set_demand(self, waiting: bool, t: Steady) -> None:
        """Says whether work waits for nothing but a place; only then the limit rises."""
        self.advance(t)
        if waiting and not self._waiting:
            self._grown_at = t
        self._waiting = waiting

    def advance(self, t: Steady) -> None:
        """Lets the limit rise as far as it may by now."""
        for level in self._on_trial.proven(self._proven, t):
            self._prove(level, t)
        if self._is_down_to_one and t >= self._outlived_at:
            # More is not proven: what has run since before the fall would not have been cut off by it.
            self._prove(1, t, has_got_through=False)
        if t < max(self._paused_until, self._proven_until):
            self._grown_at = t  # what waits for the end of a pause does not show that the limit is too low
            return
        if not self._waiting or self.limit >= self._maximum:
            return
        if self._may_return and t >= self._probes.return_at:
            self._try(self._in_flight + 1, t)
        elif self._in_flight > self.limit:
            return
        elif self._recovering:
            self._recover(t)
        elif self.ceiling is None:
            self._grow(_DOUBLING, "work waits", t)
        elif self._proven >= self.limit and t >= self._decreased_at + VERDICT:
            self._step(self.ceiling, t)

    def _prove(self, level: int, t: Steady, *, has_got_through: bool = True) -> None:
        self._proven = level
        self._is_untried = False
        if has_got_through:
            was_storm = self._pause > _FIRST_PAUSE or self._probes.shuts_all
            if was_storm and self._before_fall is not None:
                self._recovering = True
                self._tried_from = None
                self._grown_at = t
                self._paused_until = self._told_until
            self._pause = _FIRST_PAUSE
        if self._falling and (self._proven >= self.limit or self._recovering):
            self._falling = False
            if has_got_through:
                self._probes.settled()

    def _recover(self, t: Steady) -> None:
        if self._before_fall is not None and self.limit < int(self._before_fall):
            self._limit = min(self._limit, self._before_fall)
            self._grow(_RECOVERY, "the storm is over", t, most=self._before_fall)
        else:
            self.ceiling = Ceiling(self.limit + 1.0, t, FIRST_HALF_LIFE) if self._probes.shuts_all else None
            self._recovering = False
            self._before_fall = None

    def _grow(self, doubling: float, cause: str, t: Steady, most: float = math.inf) -> None:
        limit = self.limit
        grown = self._limit * 2 ** ((t - self._grown_at) / doubling)
        self._grown_at = t
        self._limit = min(grown, limit + 1.0, most)  # a late call must not skip what is to be seen at each level
        if self.limit > limit:
            self.adjustments.note(Direction.INCREASE, cause, limit, self.limit, t)

    def _step(self, ceiling: Ceiling, t: Steady) -> None:
        limit = self.limit
        if self._tried_from is not None:
            before, self._tried_from = int(self._tried_from), None
            self._grown_at = t
            if self._before_fall is None:
                self._probes.changed(t)
                self.ceiling = None
            else:
                self._recovering, self._falling = True, False
            self.adjustments.note(Direction.INCREASE, "probe held", before, limit, t)
        elif limit + 1 < ceiling.level:
            step = max(1, int((ceiling.level - 1 - limit) * _CLIMB))
            self._limit = float(min(limit + step, self._maximum))
            self.adjustments.note(Direction.INCREASE, "work waits", limit, self.limit, t)
        elif t >= self._probes.due(ceiling, VERDICT, t):
            self._try(limit + 1, t)

    def _try(self, level: int, t: Steady) -> None:
        before, self._tried_from = self.limit, self._limit
        self._limit = float(level)
        self._probes.tried()
        self.adjustments.note(Direction.PROBE, "probe", before, level, t)

    @property
    def _may_return(self) -> bool:
        """Whether one more than is in flight may be tried after a fall, though the limit has not proven to be there and
        is not about to."""
        if self._recovering or self.is_probing or self._before_fall is None or not self._probes.may_return:
            return False
        is_kept_full = not self._on_trial and self._proven < self.limit <= self._in_flight
        return is_kept_full and self._in_flight < min(int(self._before_fall), self._maximum)

    @property
    def is_stormy(self) -> bool:
        """Whether even a single request was refused, and the next one as well."""
        return self._pause > 2 * _FIRST_PAUSE

    @property
    def alone_since(self) -> Steady:
        """Since when even single requests are refused, or were when they were last; -inf if they never were."""
        return self._alone_since

    @property
    def _is_down_to_one(self) -> bool:
        """Whether the fall has ended at one place, and one is in flight that may have started before it."""
        return self._falling and self._proven == 0 and self.limit == self._in_flight == 1

    @property
    def _outlived_at(self) -> float:
        """When one that is in flight has surely got through, whether it began before the fall or after it."""
        return max(self._refused_at + QUIET, self._tried_at + VERDICT)

    @property
    def is_probing(self) -> bool:
        """Whether it allows one more than is known to fit."""
        return self._tried_from is not None

    @property
    def _untried(self) -> float:
        """The limit, without the probe that is on its way."""
        return self._limit if self._tried_from is None else self._tried_from

    @property
    def is_falling(self) -> bool:
        """Whether nobody knows yet how far the plan has shrunk."""
        return self._falling

    @property
    def has_fallen(self) -> bool:
        """Whether what was proven was refused, and may be back soon."""
        return self._before_fall is not None

    def assume(self, level: int, t: Steady) -> None:
        """Takes this level for all that the plan has, until a probe shows that there is more."""
        self._limit = float(max(1, min(level, self._maximum)))
        self._proven = self.limit
        self._is_untried = False
        self._on_trial.clear()
        self._tried_from = None
        self.ceiling = Ceiling(self.limit + 1.0, t, FIRST_HALF_LIFE)

    def is_known(self, level: int, started_at: Steady) -> bool:
        """Whether a refusal of an attempt that started then as the `level`-th in flight teaches nothing new."""
        is_old = level > self.limit or started_at < self._decreased_at
        return is_old and not self._is_refused_alone(level, started_at)

    def is_probe(self, level: int) -> bool:
        """Whether the `level`-th in flight was the one that a probe let go."""
        return self.is_probing and level == self.limit

    def is_new(self, level: int) -> bool:
        """Whether so many have not been in flight since the plan last shrank. What a storm interrupted counts."""
        known = self._before_fall if self._recovering and self._before_fall is not None else 0.0
        return level > max(self.proven, known)

    def distrust(self, level: int, started_at: Steady) -> None:
        """An attempt that started then, and while which up to `level` were in flight, was refused for whatever reason:
        neither it nor what is on trial from that level on proves anything, also if that seemed to be proven already."""
        before = self._on_trial.distrust(level, started_at)
        if before is not None:
            self._proven = min(self._proven, before)

    def was_refused(self, level: int, t: Steady) -> None:
        """An attempt while which up to `level` were in flight had no place at the upstream."""
        self._refused_at = t
        self._tried_to = min(self._tried_to, level - 1)
        self._refusals.append(t)

    @property
    def is_untried(self) -> bool:
        """Whether nothing has got through yet, as far as is known."""
        return self._is_untried

    def refused(
        self,
        level: int,
        started_at: Steady,
        cause: str,
        t: Steady,
        until: float | None = None,
        *,
        nothing_gets_through: bool = False,
        refused_at: Steady | None = None,
    ) -> None:
        """An attempt that started as the `level`-th in flight was refused for being one too many, just now or at
        `refused_at`.

        `until` is when the upstream wants to be asked again, if it said so: until then nothing starts.
        `nothing_gets_through` says that nothing has got through since the start, under this limit or a larger one: then
        the refusal of a single request is a storm, though nothing was proven.
        """
        at = t if refused_at is None else refused_at
        self._refused_at = max(self._refused_at, at)
        self.advance(t)
        self._probes.refused(started_at, at)
        before = self.limit
        if is_alone := self._is_refused_alone(level, started_at):
            level = 1
        is_answered = until is not None and self.wait_as_told(until, level, started_at)
        if level > before:
            return  # nothing new: what runs above the limit is draining already
        if self.is_probing and level == before:
            self._fail_probe(t)
        elif level > self._proven and not self._falling and not (level == 1 and nothing_gets_through):
            self._fall_back(level, t)
        elif is_alone or started_at >= self._decreased_at:
            if is_answered:
                self._step_back(t)
            else:
                self._shrink(level, at, t, self._at_first if nothing_gets_through else 0.0)
        else:
            return  # one of the burst that caused the last decrease
        self.adjustments.note(Direction.DECREASE, cause, before, self.limit, t)

    def _is_refused_alone(self, level: int, started_at: Steady) -> bool:
        """Whether all that were in flight with an attempt, up to `level`, have been refused, so that none of them was
        at the upstream when it came."""
        if not self._falling or self._answered_at >= started_at:
            return False
        return sum(at >= started_at for at in self._refusals) >= level

    def lesson(self) -> Lesson:
        """What is believed now, for `take_back`."""
        ceiling = None if self.ceiling is None else replace(self.ceiling)
        return Lesson(self._untried, ceiling, self._proven, self._before_fall, self._falling)

    def take_back(self, before: Lesson, t: Steady) -> None:
        """Goes back to what was believed before: what was refused since was not about this limit after all."""
        limit = self.limit
        if before.limit > self._limit:
            self._limit, self._tried_from = before.limit, None
        self.ceiling = before.ceiling
        self._proven = max(self._proven, min(before.proven, self.limit))
        self._is_untried = self._is_untried and self._proven == 0
        self._falling, self._recovering = before.is_falling, False
        self._before_fall = before.before_fall
        self._paused_until = self._told_until
        self._pause = _FIRST_PAUSE
        self._grown_at = t
        self.adjustments.note(Direction.INCREASE, "it was the limit of several models", limit, self.limit, t)

    def overloaded(self, cause: str, t: Steady) -> None:
        """The upstream was short of capacity: what is on trial was refused for that, and proves nothing."""
        self._on_trial.clear()
        if self.is_probing:
            before = self.limit
            self._lower(int(self._untried), t)
            self.adjustments.note(Direction.DECREASE, cause, before, self.limit, t)

    def wait_as_told(self, until: float, level: int, started_at: Steady) -> bool:
        """The upstream wants to be asked again at that time, as an attempt heard that started then as the `level`-th in
        flight. Until then nothing new starts; or, if that was above what has proven to be there, nothing above that.

        Returns False if an earlier such pause has just ended: then waiting alone did not help.
        """
        if 0 < self._proven < level and not self._falling and not self._probes.shuts_all:
            self._proven_until = max(self._proven_until, until)
            return True
        has_helped = started_at >= self._told_until + _SOON_AFTER_PAUSE or started_at < self._told_until
        self._told_until = max(self._told_until, until)
        self.pause(until)
        return has_helped

    def _step_back(self, t: Steady) -> None:
        """Goes back to the proven level. The upstream has said when to come back, so it still has that much and only
        wants to be left alone for a while."""
        self._falling = False
        self._lower(self._proven, t)

    def _fail_probe(self, t: Steady) -> None:
        self._probes.failed(t)
        if not self._probes.may_return:
            self._before_fall = None
        if self.ceiling is not None:
            self.ceiling.confirm(t, LONGEST_IN_FLIGHT)
        self._lower(int(self._untried), t)

    def _fall_back(self, level: int, t: Steady) -> None:
        self.ceiling = Ceiling(max(2, level), t, FIRST_HALF_LIFE)
        self._recovering = False
        self._before_fall = None
        self._lower(level - 1, t)

    def _shrink(self, level: int, refused_at: float, t: Steady, at_least: float) -> None:
        if self._before_fall is None:
            self._before_fall = max(float(self._proven), self._untried, at_least)
        self._probes.fell(t)
        self.ceiling = Ceiling(max(2, level), t, FIRST_HALF_LIFE)
        self._falling = True
        self._recovering = False
        self._proven = self._tried_to = 0
        if level == 1:
            if self._pause == _FIRST_PAUSE:
                self._alone_since = t
            self.pause(refused_at + self._pause)
            self._pause = min(2 * self._pause, self._probes.longest_pause)
        self._lower(int(level * _BACK_OFF), t)

    def _lower(self, limit: int, t: Steady) -> None:
        self._tried_from = None
        self._decreased_at = t
        self._limit = float(max(1, limit))
        self._proven = min(self._proven, self.limit)
        self._on_trial.fell(self.limit)

    def next_change(self, t: Steady) -> float | None:
        """When the limit may rise, or a pause ends, if nothing happens before; None if only an event can do it."""
        if t < self._paused_until:
            return self._paused_until
        if self._falling and self._in_flight < self.limit and t < self._tried_at + _TRIAL:
            return self._tried_at + _TRIAL + 1e-6
        if self._is_down_to_one and t < self._outlived_at:
            return self._outlived_at
        if t < self._proven_until:
            return self._proven_until
        if not self._waiting or self.limit >= self._maximum:
            return None
        if self._may_return:
            return max(self._probes.return_at, t + 0.01)
        if self._in_flight > self.limit:
            return None
        if self._recovering:
            return self._next_level(_RECOVERY)
        if self.ceiling is None:
            return self._next_level(_DOUBLING)
        at = self._decreased_at + VERDICT
        if self._proven < self.limit:
            if (proven_at := self._on_trial.proven_at(self.limit)) is None:
                return None
            at = max(at, proven_at)
        if not self.is_probing and self.limit + 1 >= self.ceiling.level:
            at = max(at, self._probes.due(self.ceiling, VERDICT, t))
        return max(at, t + 0.01)

    def _next_level(self, doubling: float) -> float:
        return self._grown_at + doubling * math.log2((self.limit + 1) / self._limit) + 1e-6

    def learned(self, outside: Callable[[float], float]) -> LearnedLimit:
        """What is known of the plan; `outside` turns a time into the one that is to be noted."""
        ceiling = self.ceiling
        limit = int(self._untried)
        if ceiling is None:
            return LearnedLimit(limit, None, None, None)
        return LearnedLimit(limit, ceiling.level, outside(ceiling.seen), ceiling.half_life)

    def restore(self, learned: LearnedLimit, past: Callable[[float], float]) -> None:
        """Goes on from what was known; `past` turns a noted time into one of now."""
        self._limit = self._at_first = float(max(1, min(int(learned.limit), self._maximum)))
        if learned.ceiling is not None and learned.seen is not None and learned.half_life is not None:
            self.ceiling = Ceiling(max(2.0, learned.ceiling), past(learned.seen), learned.half_life)
