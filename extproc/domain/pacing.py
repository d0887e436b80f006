"""Pacing: which request goes upstream when. Pure: the caller brings the time.

Every time is a Unix time in seconds, all from one clock; one that jumps harms nothing. Whoever calls keeps a timer for
`next_due`, asks `due` when it goes off and after every other call, and asks `next_due` again after that.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from extproc.domain.breath import Breath
from extproc.domain.business_codes import ErrorClass
from extproc.domain.concurrency_limit import ConcurrencyLimit
from extproc.domain.fair_queue import FairQueue, Waiting
from extproc.domain.hold_back import HoldBack
from extproc.domain.lanes import Lane
from extproc.domain.learned import Learned, read_learned
from extproc.domain.level_history import LevelHistory
from extproc.domain.pacing_config import PacingConfig, PacingMode
from extproc.domain.pacing_records import (
    Admitted,
    Attempt,
    Decision,
    LimitStatus,
    PacedRequest,
    PacingStatus,
    Queued,
    Refused,
)
from extproc.domain.rate_limit import RateLimit
from extproc.domain.refusal_budget import RefusalBudget
from extproc.domain.refusals import RefusalReason
from extproc.domain.retries import Retries
from extproc.domain.service_rate import ServiceRate
from extproc.domain.steady_clock import SteadyClock

_LONGEST_RETRY_AFTER: Final = 600
# While anything waits, somebody asks at least so often; a longer step of the clock than the second is a jump.
_HEARTBEAT: Final = 5.0
_LONGEST_STEP: Final = 15.0
_BREATHING: Final = 0.5
_ROUNDING: Final = 1e-6


@dataclass(slots=True)
class _Run:
    lane: Lane
    started: float


class Pacing:
    """Decides for each request: go, wait, or come back later. Learns from what the upstream refuses."""

    def __init__(self, config: PacingConfig) -> None:
        self.config = config
        self._clock = SteadyClock()
        self._budget = RefusalBudget()
        self._concurrency = ConcurrencyLimit(config.concurrency_initial, config.most_in_flight, self._budget)
        self._rate = RateLimit(config.rate_initial, config.rate_min, config.rate_max, config.rate_burst, self._budget)
        self._breath = Breath()
        self._history = LevelHistory()
        self._queue = FairQueue()
        self._hold_back = HoldBack()
        self._service = ServiceRate()
        self._retries = Retries(config.max_retries)
        self._running: dict[str, _Run] = {}
        self._lanes: dict[Lane, int] = dict.fromkeys(Lane, 0)
        self._exempt: set[str] = set()

    def arrive(self, request: PacedRequest, now: float) -> Admitted | Queued | Refused:
        """A request has come. Raises ValueError if one with its id is here already.

        Admitted and queued ones must `leave`, however they end.
        """
        if request.id in self._running or request.id in self._exempt or request.id in self._queue:
            raise ValueError(f"{request.id} is here already")
        t = self._time(now)
        if self.in_flight + len(self._queue) >= self.config.max_workers:
            return Refused(RefusalReason.CAPACITY, self._retry_after(t))
        if request.exempt or self.config.mode is PacingMode.OFF:
            self._exempt.add(request.id)
            return Admitted()
        closed = self._hold_back.closed(t)
        if request.lane not in closed and not self._queue.has(closed) and self._is_free(t):
            self._queue.charge(request.source, request.cost)
            self._start(request.id, request.lane, t)
            self._settle(t)
            return Admitted()
        self._queue.push(Waiting(request.id, request.source, request.lane, request.cost, t))
        self._settle(t)
        return Queued(len(self._queue))

    def leave(self, request_id: str, now: float) -> None:
        """A request has ended, or its client has gone. Unknown ones are ignored: leaving twice harms nothing."""
        t = self._time(now)
        run = self._running.pop(request_id, None)
        if run is None:
            self._exempt.discard(request_id)
            self._queue.cancel(request_id)
        else:
            self._lanes[run.lane] -= 1
            self._service.note(t - run.started)
            self._retries.left(request_id)
            self._concurrency.end()
            self._history.note(self._concurrency.in_flight, t)
        self._settle(t)

    def observe(self, attempt: Attempt, now: float) -> None:
        """The upstream has answered an attempt; also one that a retry hides, also one of a request that has left."""
        t = self._time(now)
        if self.config.mode is not PacingMode.ADAPTIVE or attempt.error_class is None:
            return
        started = self._clock.past(attempt.started_at)
        ended = max(started, self._clock.past(attempt.ended_at))
        if attempt.id in self._running:
            self._retries.refused(attempt.id, ended)
        if attempt.error_class is ErrorClass.CONCURRENCY:
            self._budget.pay()
            level = self._history.highest(started, ended)
            if level is not None:
                self._concurrency.refused(level, started, f"upstream {attempt.code}", t)
        elif attempt.error_class is ErrorClass.FREQUENCY:
            self._budget.pay()
            self._rate.refused(started, f"upstream {attempt.code}", t)
        elif attempt.error_class is ErrorClass.OVERLOAD:
            self._breath.exhale(started, t)

    def due(self, now: float) -> list[Decision]:
        """Whose wait is over: those that may go, in their order, then those that have waited too long."""
        t = self._time(now)
        decisions: list[Decision] = []
        self._concurrency.advance(t)
        while self._queue and self._is_free(t):
            waiting = self._queue.pop(t, self._hold_back.closed(t))
            if waiting is None:
                break
            self._start(waiting.id, waiting.lane, t)
            self._book_lanes(t)
            decisions.append(Decision(waiting.id, Admitted(t - waiting.since)))
        decisions += self._expire(t)
        self._settle(t)
        return decisions

    def next_due(self, now: float) -> float | None:
        """When to ask `due` if nothing happens before; None while nothing waits."""
        t = self._time(now)
        oldest = self._queue.oldest()
        if oldest is None:
            return None
        times = [t + _HEARTBEAT, oldest.since + self.config.queue_timeout, *self._openings(t)]
        if (change := self._concurrency.next_change(t)) is not None:
            times.append(change)
        if self._places(t) > 0:
            if self._queue.has(self._hold_back.closed(t)):
                times.append(t + self._rate.wait(t))
        elif self._breath.share(t) < 1.0:
            times.append(t + _BREATHING)
        return max(now, self._clock.outside(min(times)) + _ROUNDING)

    def set_shares(self, shares: Mapping[Lane, float], now: float) -> None:
        """How much each lane may use of what it would use: 1.0 is all, 0.0 stops it; those not named are free.

        Raises ValueError for any other share.
        """
        t = self._time(now)
        self._hold_back.set(shares, t)
        self._settle(t)

    @property
    def in_flight(self) -> int:
        """How many have been admitted and have not left, exempt ones included."""
        return len(self._running) + len(self._exempt)

    @property
    def limits(self) -> tuple[int, float]:
        """How many may be in flight, and how many a second may start."""
        return self._concurrency.limit, self._rate.rate

    def waiting(self) -> tuple[Waiting, ...]:
        """All that wait, in the order in which they came; `since` is a Unix time."""
        return tuple(replace(each, since=self._clock.outside(each.since)) for each in self._queue.waiting())

    def expected_wait(self, now: float) -> float:
        """Seconds that a request of the main lane would wait if it came now, by how fast work has gone so far."""
        return self._expected_wait(self._time(now))

    def status(self, now: float) -> PacingStatus:
        t = self._time(now)
        return PacingStatus(
            mode=self.config.mode,
            in_flight=len(self._running),
            exempt=len(self._exempt),
            waiting={lane: self._queue.in_lane(lane) for lane in Lane},
            concurrency=self._limit_status(self._concurrency, self._concurrency.limit, t),
            rate=self._limit_status(self._rate, self._rate.rate, t),
            breath=self._breath.share(t),
            expected_wait=self._expected_wait(t),
        )

    def snapshot(self, now: float) -> dict[str, object]:
        """What was learned, as plain values for `restore`."""
        self._time(now)
        outside = self._clock.outside
        return Learned(now, self._concurrency.learned(outside), self._rate.learned(outside)).as_dict()

    def restore(self, data: object, now: float) -> None:
        """Takes over what a `snapshot` said, within the bounds of the settings. Raises ValueError, and changes
        nothing, for what no snapshot says."""
        learned = read_learned(data)
        t = self._time(now)
        if self.config.mode is PacingMode.ADAPTIVE:
            self._concurrency.restore(learned.concurrency, self._clock.past)
            self._rate.restore(learned.rate, self._clock.past, t)

    def _time(self, now: float) -> float:
        return self._clock.at(now, _LONGEST_STEP if self._queue else math.inf)

    def _places(self, t: float) -> int:
        share = self._breath.share(t)
        self._rate.breathe(share, t)
        return self._concurrency.places(share, t)

    def _is_free(self, t: float) -> bool:
        return self._places(t) > 0 and self._rate.wait(t) <= 0.0

    def _start(self, request_id: str, lane: Lane, t: float) -> None:
        level = self._concurrency.start(self._retries.count(t), t)
        self._rate.start(t)
        self._budget.earn()
        self._history.note(level, t)
        self._running[request_id] = _Run(lane, t)
        self._lanes[lane] += 1

    def _settle(self, t: float) -> None:
        """Tells everybody what is the case now that something has changed."""
        self._book_lanes(t)
        if self.config.mode is not PacingMode.ADAPTIVE:
            return
        wanted = self._queue.has(self._hold_back.closed(t))
        full = self._places(t) <= 0
        self._concurrency.bind(wanted and full and self._breath.share(t) >= 1.0, t)
        self._rate.bind(wanted and not full, t)

    def _book_lanes(self, t: float) -> None:
        if self._hold_back.is_active:
            waiting = {lane: self._queue.in_lane(lane) for lane in Lane}
            self._hold_back.note(self._lanes, waiting, self._concurrency.limit, t)

    def _expire(self, t: float) -> list[Decision]:
        """Refuses those that have waited too long: the first of them may come back first."""
        expired: list[Waiting] = []
        while (oldest := self._queue.oldest()) is not None and t >= oldest.since + self.config.queue_timeout:
            self._queue.cancel(oldest.id)
            expired.append(oldest)
        return [
            Decision(each.id, Refused(RefusalReason.RATE, self._retry_after(t, each.lane, ahead), t - each.since))
            for ahead, each in enumerate(expired)
        ]

    def _openings(self, t: float) -> list[float]:
        """When lanes open in which somebody waits."""
        lanes = [lane for lane in self._hold_back.closed(t) if self._queue.in_lane(lane)]
        return [at for lane in lanes if (at := self._hold_back.opens_at(lane, t)) is not None]

    def _expected_wait(self, t: float, ahead: int = 0) -> float:
        if not self._queue and not ahead and (self.config.mode is PacingMode.OFF or self._is_free(t)):
            return 0.0
        return self._service.wait(len(self._queue) + ahead, self._concurrency.limit, self._rate.rate)

    def _retry_after(self, t: float, lane: Lane = Lane.MAIN, ahead: int = 0) -> int:
        wait = self._expected_wait(t, ahead)
        if lane in self._hold_back.closed(t):
            opens_at = self._hold_back.opens_at(lane, t)
            wait = max(wait, math.inf if opens_at is None else opens_at - t)
        return math.ceil(max(1.0, min(wait, _LONGEST_RETRY_AFTER)))

    def _limit_status(self, source: ConcurrencyLimit | RateLimit, limit: float, t: float) -> LimitStatus:
        ceiling = source.ceiling
        return LimitStatus(
            limit=limit,
            ceiling=None if ceiling is None else ceiling.level,
            confidence=0.0 if ceiling is None else ceiling.confidence(t),
            adjustments=source.adjustments.counts,
            moves=tuple(replace(move, at=self._clock.outside(move.at)) for move in source.adjustments.latest()),
        )
