"""Pacing: which request goes upstream when. Pure: the caller brings the time.

Every time is a Unix time in seconds, all from one clock; one that jumps harms nothing. Whoever calls keeps a timer for
`next_due`, asks `due` when it goes off and after every other call, and asks `next_due` again after that.
"""

import math
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final

from extproc.domain.pacing.clock import HourBoundary, SteadyClock, until_next
from extproc.domain.pacing.config import PacingConfig, PacingMode
from extproc.domain.pacing.fair_queue import FairQueue, Waiting
from extproc.domain.pacing.lane_throttle import LaneThrottle
from extproc.domain.pacing.learned_limits import Learned, read_learned
from extproc.domain.pacing.limits import Limits, limit_status
from extproc.domain.pacing.plan_view import Demand, PlanView, RefusedAttempt
from extproc.domain.pacing.records import Admitted, Attempt, Decision, PacedRequest, PacingStatus, Queued, Refused
from extproc.domain.pacing.retry_queue import Retries, RetryQueue, WaitingRetry
from extproc.domain.pacing.service_rate import ServiceRate
from extproc.domain.request.business_codes import ErrorClass
from extproc.domain.request.priority import Lane
from extproc.domain.request.refusals import RefusalReason

_LONGEST_RETRY_AFTER: Final = 600
# While anything waits, somebody asks at least so often; a longer step of the clock than the second is a jump.
_HEARTBEAT: Final = 5.0
_LONGEST_STEP: Final = 15.0
_ROUNDING: Final = 1e-6
_OF_THE_PLAN: Final = (ErrorClass.CONCURRENCY, ErrorClass.FREQUENCY, ErrorClass.OVERLOAD)
# More than that many refusals in the half second between two reports would teach nothing new.
_MOST_REFUSALS: Final = 256


@dataclass(slots=True)
class _Run:
    source: str
    lane: Lane
    arrived: float
    started: float
    refused: ErrorClass | None = None


class Pacing:
    """Decides for each request: go, wait, or come back later. Learns from what the upstream refuses.

    While it `joins` other replicas, requests go when places of the shared plan are granted, and what the upstream
    refuses is for `take_refusals`. Alone it keeps to its share of the plan.
    """

    def __init__(self, config: PacingConfig) -> None:
        self.config = config
        self._clock = SteadyClock()
        self._hour_boundary = HourBoundary()
        self._replicas = config.replicas
        self._limits = self._shown = Limits(config.share_of(self._replicas))
        self._plan: PlanView | None = None
        self._granted = 0
        self._refusals: deque[RefusedAttempt] = deque(maxlen=_MOST_REFUSALS)
        self._queue = FairQueue()
        self._lane_throttle = LaneThrottle()
        self._service = ServiceRate()
        self._retries = Retries(config.max_retries)
        self._retry_queue = RetryQueue(config.queue_timeout)
        self._running: dict[str, _Run] = {}
        self._lanes: dict[Lane, int] = dict.fromkeys(Lane, 0)
        self._exempt: set[str] = set()

    def arrive(self, request: PacedRequest, now: float) -> Admitted | Queued | Refused:
        """A request has come. Raises ValueError if one with its id is here already.

        Admitted and queued ones must `leave`, however they end.
        """
        if self._is_here(request.id):
            raise ValueError(f"{request.id} is here already")
        t = self._time(now)
        if self.in_flight + len(self._queue) >= self.config.max_workers:
            return Refused(RefusalReason.CAPACITY, self._retry_after(t))
        if request.exempt or self.config.mode is PacingMode.OFF:
            self._exempt.add(request.id)
            return Admitted()
        closed = self._lane_throttle.closed(t)
        if request.lane not in closed and not self._is_overtaking(closed, t) and self._is_free(t):
            self._queue.charge(request.source, request.cost)
            self._start(request.id, _Run(request.source, request.lane, t, t))
            self._settle(t)
            return Admitted()
        self._queue.push(Waiting(request.id, request.source, request.lane, request.cost, t))
        self._settle(t)
        return Queued(len(self._queue))

    def leave(self, request_id: str, now: float) -> None:
        """A request has ended, or its client has gone. Unknown ones are ignored: leaving twice harms nothing."""
        t = self._time(now)
        run = self._running.pop(request_id, None)
        self._retries.left(request_id)
        if run is None:
            self._exempt.discard(request_id)
            self._queue.cancel(request_id)
            self._retry_queue.cancel(request_id)
        else:
            self._lanes[run.lane] -= 1
            self._service.note(t - run.started)
            if self._plan is None:
                self._limits.end(t)
        self._settle(t)

    def retry(self, request_id: str, now: float) -> Admitted | Queued:
        """A running request was refused and is to be sent again: it gives its place back and waits for the next one.

        Who is not known, or not paced, goes at once. Nobody is refused here: who has waited for the queue's time-out in
        all goes without a place, and the upstream decides.
        """
        t = self._time(now)
        run = self._running.pop(request_id, None)
        if run is None:
            return Admitted()
        limits_know = self._plan is None and (run.refused is not None or self.config.mode is not PacingMode.ADAPTIVE)
        refusals = self._retries.times(request_id)
        self._retry_queue.push(
            request_id, run.source, run.lane, run.arrived, t, refusals, run.refused, limits_know=limits_know
        )
        self._lanes[run.lane] -= 1
        self._retries.waits_here(request_id)
        if self._plan is None:
            self._limits.end(t)
        self._settle(t)
        return Queued(len(self._retry_queue))

    def observe(self, attempt: Attempt, now: float) -> None:
        """The upstream has answered an attempt; also one that a retry hides, also one of a request that has left."""
        t = self._time(now)
        if self.config.mode is not PacingMode.ADAPTIVE or attempt.error_class is None or attempt.id in self._exempt:
            return
        started = self._clock.past(attempt.started_at)
        ended = max(started, self._clock.past(attempt.ended_at))
        if (run := self._running.get(attempt.id)) is not None:
            run.refused = attempt.error_class
            self._retries.refused(attempt.id, ended)
        elif attempt.id in self._retry_queue:
            self._retries.refused(attempt.id, ended)
            self._retries.waits_here(attempt.id)
            times = self._retries.times(attempt.id)
            self._retry_queue.tell(attempt.id, times, attempt.error_class, t, limits_know=self._plan is None)
        if self._plan is None:
            self._limits.refused(attempt.error_class, attempt.code, started, ended, t, attempt.retry_after)
        elif attempt.error_class in _OF_THE_PLAN:
            began, answered = self._clock.outside(started), self._clock.outside(ended)
            refused = RefusedAttempt(
                now, attempt.error_class, attempt.code, began, answered, retry_after=attempt.retry_after
            )
            self._refusals.append(refused)

    def due(self, now: float) -> list[Decision]:
        """Whose wait is over: those that may go, in their order, then those that have waited too long."""
        t = self._time(now)
        decisions: list[Decision] = []
        if self._plan is None:
            self._limits.advance(t)
        while (
            retry := next((each for each in self._retry_queue.ready(t) if self._may_go_again(each, t)), None)
        ) is not None:
            self._retry_queue.cancel(retry.id)
            self._start(retry.id, _Run(retry.source, retry.lane, retry.arrived, t))
            decisions.append(Decision(retry.id, Admitted(t - retry.since)))
        while self._queue and self._is_free(t):
            waiting = self._queue.pop(t, self._lane_throttle.closed(t))
            if waiting is None:
                break
            self._start(waiting.id, _Run(waiting.source, waiting.lane, waiting.since, t))
            self._book_lanes(t)
            decisions.append(Decision(waiting.id, Admitted(t - waiting.since)))
        decisions += self._expire(t)
        self._settle(t)
        return decisions

    def next_due(self, now: float) -> float | None:
        """When to ask `due` if nothing happens before; None while nothing waits."""
        t = self._time(now)
        if not self.is_waiting:
            return None
        times = [t + _HEARTBEAT, t + until_next(now), *self._openings(t), *self._retry_queue.next_changes(t)]
        if (oldest := self._queue.oldest()) is not None:
            times.append(oldest.since + self.config.queue_timeout)
        if self._plan is None:
            times += self._limits.next_changes(self._wants_a_token(t), t)
        return max(now, self._clock.outside(min(times)) + _ROUNDING)

    def set_shares(self, shares: Mapping[Lane, float], now: float) -> None:
        """How much each lane may use of what it would use: 1.0 is all, 0.0 stops it; those not named are free.

        Raises ValueError for any other share.
        """
        t = self._time(now)
        self._lane_throttle.set(shares, t)
        self._settle(t)

    @property
    def in_flight(self) -> int:
        """How many have been admitted and have not left, exempt ones and those to be sent again included."""
        return len(self._running) + len(self._retry_queue) + len(self._exempt)

    @property
    def limits(self) -> tuple[int, float]:
        """How many may be in flight, and how many a second may start."""
        if self._plan is not None:
            return self._plan.ruling.limit, self._plan.ruling.rate
        return self._limits.concurrency.limit, self._limits.rate.rate

    @property
    def places_left(self) -> int:
        """How many more may be in flight, of the whole plan if it is shared; 0 at least."""
        limit, _ = self.limits
        held = self.in_flight if self._plan is None else self._plan.held
        return max(0, limit - held)

    @property
    def is_shared(self) -> bool:
        """Whether the limits are shared with other replicas now."""
        return self._plan is not None

    def demand(self, now: float) -> Demand:
        """What it has in flight and could start. Places that were granted and not used are given back with it."""
        t = self._time(now)
        self._granted = 0
        closed = self._lane_throttle.closed(t)
        again = sum(1 for _ in self._retry_queue.ready(t))
        want = again + sum(self._queue.in_lane(lane) for lane in Lane if lane not in closed)
        active = {run.source for run in self._running.values()} | self._retry_queue.sources()
        sources = self._queue.waiting_sources() | active
        return Demand(len(self._running), want, max(1, len(sources)), self._retries.count(t))

    def join(self, plan: PlanView, granted: int, leading: Limits | None, now: float) -> None:
        """The limits are shared: so many places are granted, until the next `demand`. `leading` are the limits of the
        whole plan if it is this replica that learns them."""
        self._time(now)
        self._plan, self._granted, self._replicas = plan, granted, plan.replicas
        self._shown = leading or self._limits

    def go_alone(self, now: float) -> None:
        """The others can't be asked any more: from now on it keeps to its share of what was known of the plan."""
        t = self._time(now)
        if self._plan is None:
            return
        known, self._plan, self._granted = self._plan.ruling.learned, None, 0
        self._limits = self._shown = Limits(self.config.share_of(self._replicas))
        self._limits.correct(len(self._running), t)
        self._limits.restore(known.scaled(1 / self._replicas), self._clock.past, t)
        self._refusals.clear()
        self._settle(t)

    def take_refusals(self) -> tuple[RefusedAttempt, ...]:
        """What the upstream has refused since the last call, while the limits are shared; own times."""
        refusals = tuple(self._refusals)
        self._refusals.clear()
        return refusals

    @property
    def is_waiting(self) -> bool:
        """Whether anybody waits."""
        return bool(self._queue) or bool(self._retry_queue)

    def waiting(self) -> tuple[Waiting, ...]:
        """All that wait, in the order in which they came; `since` is a Unix time."""
        return tuple(replace(each, since=self._clock.outside(each.since)) for each in self._queue.waiting())

    def expected_wait(self, now: float) -> float:
        """Seconds that a request of the main lane would wait if it came now, by how fast work has gone so far."""
        return self._expected_wait(self._time(now))

    def status(self, now: float) -> PacingStatus:
        t = self._time(now)
        concurrency, rate = self.limits
        known = self._learned(now)
        return PacingStatus(
            mode=self.config.mode,
            in_flight=len(self._running),
            exempt=len(self._exempt),
            waiting={lane: self._queue.in_lane(lane) + self._retry_queue.in_lane(lane) for lane in Lane},
            concurrency=limit_status(self._shown.concurrency, concurrency, known.concurrency, self._clock.outside, now),
            rate=limit_status(self._shown.rate, rate, known.rate, self._clock.outside, now),
            breath=self._limits.breath(t) if self._plan is None else self._plan.ruling.breath,
            expected_wait=self._expected_wait(t),
        )

    def snapshot(self, now: float) -> dict[str, object]:
        """What was learned of the whole plan, as plain values for `restore`."""
        self._time(now)
        return self.learned(now).as_dict()

    def learned(self, now: float) -> Learned:
        """What is known of the whole plan."""
        known = self._learned(now)
        return known if self._plan is not None else known.scaled(self._replicas)

    def restore(self, data: object, now: float) -> None:
        """Takes over what a `snapshot` said, within the bounds of the settings. Raises ValueError, and changes
        nothing, for what no snapshot says."""
        learned = read_learned(data)
        t = self._time(now)
        self._limits.restore(learned.scaled(1 / self._replicas), self._clock.past, t)

    def _is_here(self, request_id: str) -> bool:
        is_waiting = request_id in self._queue or request_id in self._retry_queue
        return is_waiting or request_id in self._running or request_id in self._exempt

    def _time(self, now: float) -> float:
        t = self._clock.at(now, _LONGEST_STEP if self.is_waiting else math.inf)
        if self._hour_boundary.has_passed(now):
            self._limits.expect_change(t)
        return t

    def _is_free(self, t: float) -> bool:
        return self._limits.is_free(t) if self._plan is None else self._granted > 0

    def _may_be_free(self, t: float) -> bool:
        """Whether a request would hardly wait if it came now."""
        if self._plan is None:
            return self._is_free(t)
        return self.places_left > 0 and not self._plan.waiting

    def _is_overtaking(self, closed: Collection[Lane], t: float) -> bool:
        """Whether somebody who came now would have somebody before them."""
        return self._queue.has(closed) or (bool(self._retry_queue) and any(self._retry_queue.ready(t)))

    def _may_go_again(self, retry: WaitingRetry, t: float) -> bool:
        return t >= retry.deadline or (self._is_free(t) and self._has_room(retry, t))

    def _has_room(self, retry: WaitingRetry, t: float) -> bool:
        return self._plan is not None or not retry.is_patient or self._limits.is_proven(t)

    def _wants_a_token(self, t: float) -> bool:
        """Whether whoever goes next waits for nothing but the rate once a place is free."""
        again = any(self._has_room(retry, t) for retry in self._retry_queue.ready(t))
        return again or self._queue.has(self._lane_throttle.closed(t))

    def _start(self, request_id: str, run: _Run) -> None:
        if self._plan is None:
            self._limits.start(self._retries.count(run.started), run.started)
        else:
            self._granted = max(0, self._granted - 1)
        self._running[request_id] = run
        self._lanes[run.lane] += 1

    def _settle(self, t: float) -> None:
        """Tells everybody what is the case now that something has changed."""
        self._book_lanes(t)
        if self._plan is None:
            self._limits.set_demand(self._is_overtaking(self._lane_throttle.closed(t), t), t)

    def _book_lanes(self, t: float) -> None:
        if self._lane_throttle.is_active:
            waiting = {lane: self._queue.in_lane(lane) for lane in Lane}
            limit = self.limits[0] if self._plan is None else self._plan.part
            self._lane_throttle.note(self._lanes, waiting, limit, t)

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
        lanes = [lane for lane in self._lane_throttle.closed(t) if self._queue.in_lane(lane)]
        return [at for lane in lanes if (at := self._lane_throttle.opens_at(lane, t)) is not None]

    def _expected_wait(self, t: float, ahead: int = 0) -> float:
        here = len(self._queue) + len(self._retry_queue)
        if not here and not ahead and (self.config.mode is PacingMode.OFF or self._may_be_free(t)):
            return 0.0
        if self._plan is not None:
            return self._service.wait(max(here, self._plan.waiting) + ahead, *self.limits)
        return max(self._limits.concurrency.pause_left(t), self._service.wait(here + ahead, *self.limits))

    def _retry_after(self, t: float, lane: Lane = Lane.MAIN, ahead: int = 0) -> int:
        wait = self._expected_wait(t, ahead)
        if lane in self._lane_throttle.closed(t):
            opens_at = self._lane_throttle.opens_at(lane, t)
            wait = max(wait, math.inf if opens_at is None else opens_at - t)
        return math.ceil(max(1.0, min(wait, _LONGEST_RETRY_AFTER)))

    def _learned(self, now: float) -> Learned:
        """What is known of the share, or of the plan while it is shared."""
        return self._limits.learned(self._clock.outside, now) if self._plan is None else self._plan.ruling.learned
