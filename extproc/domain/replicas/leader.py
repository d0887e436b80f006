"""What one replica learns for all of them: the limits of the whole plan. Pure: the events bring the time."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final, Literal

from extproc.domain.pacing.clock import HourBoundary, Steady, SteadyClock
from extproc.domain.pacing.config import PacingConfig
from extproc.domain.pacing.learned_limits import MOST_MODELS, Learned
from extproc.domain.pacing.limits import MCP, UNKNOWN, Limits
from extproc.domain.pacing.plan_view import PlanLimits
from extproc.domain.replicas.messages import Count, Counted, Event

_MOST_NAMED: Final = MOST_MODELS - 2  # MCP and UNKNOWN beside
# MAX_WORKERS bounds each replica; nothing but CONCURRENCY_LIMIT_MAX bounds them together.
_MOST_IN_FLIGHT: Final = 10_000
# After this time every replica that has work has heard how late places are.
_HEARD: Final = 0.5


@dataclass(frozen=True, slots=True)
class _Lag:
    """For how many seconds replicas hold a model's place after its answer. Since the steady time `since` they are told
    `now`; a replica that has not heard of that yet still goes by `before`."""

    now: float = 0.0
    before: float = 0.0
    since: float = 0.0

    def told(self, lag: float, t: Steady) -> "_Lag":
        """The same after replicas are told of a lag, from `t` on."""
        return self if lag == self.now else _Lag(lag, self.for_sure(t), t)

    def for_sure(self, t: Steady) -> float:
        """For how many seconds every replica surely holds a place, whether it has heard of the change or not."""
        return self.now if t >= self.since + _HEARD else min(self.now, self.before)


class PlanLearner:
    """The limits that the leader keeps: those of a single replica, told of what all replicas did.

    Raises ValueError for settings that can't be right.
    """

    def __init__(self, config: PacingConfig, learned: Learned, now: float) -> None:
        self.limits = Limits(replace(config, max_workers=_MOST_IN_FLIGHT))
        self._clock = SteadyClock()
        self._hour_boundary = HourBoundary()
        self._counts: dict[str, Count] = {}
        self._lags: dict[str, _Lag] = {}
        t = self._time(now)
        self.limits.restore(learned, self._clock.past, t)

    def take(self, event: Event) -> None:
        """Something has happened. Events come in their order."""
        t = self._time(event.at)
        self.limits.advance(t)
        if isinstance(event, Counted):
            self._take_counts(event.counts, t)
        else:
            model = self._name(event.model)
            started = self._clock.past(event.started)
            ended = max(started, self._clock.past(event.ended))
            self.limits.refused(model, event.error_class, event.code, started, ended, t, event.retry_after)

    def correct(self, held: Mapping[str, int], now: float) -> None:
        """Replaces what was counted by the true numbers in flight of each model: events may have been lost."""
        for model in dict.fromkeys((*self._counts, *held)):
            known = self._counts.get(model, Count(model, 0, 0, False, 0))
            self._note(replace(known, held=held.get(model, 0)))
        self.limits.correct(self._in_all("held"), self._time(now))

    def plan_limits(self, read_to: int, now: float) -> PlanLimits:
        """The limits that hold for all replicas, now that the events up to `read_to` are known."""
        t = self._time(now)
        self.limits.advance(t)
        self.limits.set_demand(self._waiting(), t)
        pace, burst = self.limits.rate.pace
        places = self.limits.plan_places(self._clock.outside, t)
        self._lags = {model: self._lags.get(model, _Lag()).told(each.lag, t) for model, each in places.models.items()}
        return PlanLimits(
            usable=self.limits.account_usable(t),
            pace=pace,
            burst=burst,
            limit=self.limits.limit,
            rate=self.limits.rate.rate,
            share_in_use=self.limits.share_in_use(t),
            learned=self.limits.learned(self._clock.outside, now),
            read_to=read_to,
            places=places,
        )

    def _take_counts(self, counts: tuple[Count, ...], t: Steady) -> None:
        """Takes the ends in before the starts: a place that was given back may be the one that was taken next."""
        for each in counts:
            self._note_ends(each, t)
            self._note(each)
        started: Counter[str] = Counter()
        for each in counts:
            started[self._name(each.model)] += min(each.started, each.held)
        held = self._in_all("held")
        held.subtract(started)
        self.limits.correct(+held, t)
        retrying = self._in_all("retrying")
        for model, count in started.items():
            for _ in range(count):
                self.limits.start(model, retrying, t)
        self.limits.set_demand(self._waiting(), t)

    def _note_ends(self, count: Count, t: Steady) -> None:
        """Tells the limits when answers ended. A replica gives a place back only some time after that, and it also
        gives one back for each refused request, which had no answer: those are not counted."""
        before = self._counts.get(count.model)
        if before is None:
            return
        fewer = before.held - (count.held - min(count.started, count.held))
        ended = fewer - max(0, before.retrying - count.retrying)
        if ended > 0:
            model = self._name(count.model)
            at = Steady(t - self._lags.get(model, _Lag()).for_sure(t))
            self.limits.gave_back(model, ended, at)

    def _note(self, count: Count) -> None:
        """Keeps models that have work in the order in which they came: the first of them have a limit of their own."""
        if count.held or count.waiting:
            self._counts[count.model] = count
        else:
            self._counts.pop(count.model, None)

    def _waiting(self) -> dict[str, int]:
        return {self._name(model): 1 for model, count in self._counts.items() if count.waiting}

    def _in_all(self, what: Literal["held", "retrying"]) -> Counter[str]:
        counts: Counter[str] = Counter()
        for model, count in self._counts.items():
            counts[self._name(model)] += count.held if what == "held" else count.retrying
        return counts

    def _name(self, model: str) -> str:
        """The name whose limit holds for a model: its own, or the common one where too many have work at once."""
        if model in (MCP, UNKNOWN) or len(self._counts) <= _MOST_NAMED or model in islice(self._counts, _MOST_NAMED):
            return model
        return UNKNOWN

    def _time(self, now: float) -> Steady:
        t = self._clock.at(now)
        if self._hour_boundary.has_passed(now):
            self.limits.expect_change(t)
        return t
