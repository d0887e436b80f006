"""What one replica learns for all of them: the limits of the whole plan. Pure: the events bring the time."""

from dataclasses import replace
from typing import Final

from extproc.domain.pacing.clock import HourBoundary, SteadyClock
from extproc.domain.pacing.config import PacingConfig
from extproc.domain.pacing.learned_limits import Learned
from extproc.domain.pacing.limits import UNKNOWN, Limits
from extproc.domain.pacing.plan_view import PlanLimits
from extproc.domain.replicas.messages import Counted, Event

# MAX_WORKERS bounds each replica; nothing but CONCURRENCY_LIMIT_MAX bounds them together.
_MOST_IN_FLIGHT: Final = 10_000


class PlanLearner:
    """The leader's limits: the same that a replica has for itself alone, fed with what all of them did.

    Raises ValueError for settings that are none.
    """

    def __init__(self, config: PacingConfig, learned: Learned, read_to: int, now: float) -> None:
        self.limits = Limits(replace(config, max_workers=_MOST_IN_FLIGHT))
        self._clock = SteadyClock()
        self._hour_boundary = HourBoundary()
        self._read_to = read_to
        self._waiting: dict[str, int] = {}
        self.limits.restore(learned, self._clock.past, self._time(now))

    def take(self, event: Event) -> None:
        """Something has happened. Events come in their order."""
        t = self._time(event.at)
        if isinstance(event, Counted):
            self.limits.correct({UNKNOWN: event.held - event.started}, t)
            for _ in range(event.started):
                self.limits.start(UNKNOWN, {UNKNOWN: event.retrying}, t)
            self._waiting = {UNKNOWN: int(event.waiting)}
            self.limits.set_demand(self._waiting, t)
        else:
            started = self._clock.past(event.started)
            ended = max(started, self._clock.past(event.ended))
            self.limits.refused(UNKNOWN, event.error_class, event.code, started, ended, t, event.retry_after)

    def ruling(self, read_to: int, now: float) -> PlanLimits:
        """What holds for all, now that the events up to `read_to` are known."""
        t = self._time(now)
        self.limits.set_demand(self._waiting, t)
        usable = self.limits.usable(UNKNOWN, t)
        pace, burst = self.limits.rate.pace
        return PlanLimits(
            usable=usable,
            pace=pace,
            burst=burst,
            limit=self.limits.limit,
            rate=self.limits.rate.rate,
            breath=self.limits.breath(t),
            learned=self.limits.learned(self._clock.outside, now),
            read_to=read_to,
        )

    def _time(self, now: float) -> float:
        t = self._clock.at(now)
        if self._hour_boundary.has_passed(now):
            self.limits.expect_change(t)
        return t
