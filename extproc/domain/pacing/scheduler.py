"""Pacing: which request goes upstream when. Pure: the caller brings the time.

Times that come in (`now`) and go out are Unix times in seconds, all from one clock. Inside, a `SteadyClock` turns them
into steady ones (`t`), so a clock that jumps harms nothing. Whoever calls keeps a timer for `next_due`, asks `due` when
it goes off and after every other call, and asks `next_due` again after that.
"""

import math
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final

from extproc.domain.pacing.clock import HourBoundary, Steady, SteadyClock, until_next
from extproc.domain.pacing.config import PacingConfig, PacingMode
from extproc.domain.pacing.fair_queue import FairQueue, Waiting
from extproc.domain.pacing.granted_places import GrantedPlaces
from extproc.domain.pacing.lane_throttle import LaneThrottle
from extproc.domain.pacing.learned_limits import MOST_MODELS, Learned, PlanPart, read_learned
from extproc.domain.pacing.limit_in_all import limit_in_all
from extproc.domain.pacing.limits import MCP, UNKNOWN, Limits
from extproc.domain.pacing.places import OwnPlaces, Places, Refusal
from extproc.domain.pacing.plan_view import Demand, ModelDemand, PlanView, RefusedAttempt
from extproc.domain.pacing.records import (
    Admitted,
    Attempt,
    Decision,
    PacedRequest,
    PacingStatus,
    Queued,
    Refused,
)
from extproc.domain.pacing.retry_queue import Retries, RetryQueue, WaitingRetry
from extproc.domain.pacing.retry_turns import kept_for, next_to_go, wanting
from extproc.domain.pacing.service_rate import ServiceRate
from extproc.domain.request.business_codes import ErrorClass
from extproc.domain.request.priority import Lane
from extproc.domain.request.refusals import RefusalReason

# Claude Code gives its turn up at once if it is told to wait for longer; who comes back too soon waits here again.
_LONGEST_RETRY_AFTER: Final = 60
# While anything waits, `due` is asked at least every five seconds; so a step of the clock above the second number is no
# time that has passed but a jump.
_HEARTBEAT: Final = 5.0
_LONGEST_STEP: Final = 15.0
_LOOKING_AGAIN: Final = 0.1
_ENDS_KEPT: Final = 64
_ROUNDING: Final = 1e-6
# How many models have places under their own names; MCP tools and requests without a name take the other two.
_MOST_NAMED: Final = MOST_MODELS - 2
_NOTHING: Final[Mapping[str, int]] = {}
# So many requests that have left are kept until it is known how their last attempt ended, which takes up to a second.
_REMEMBERED: Final = 4096


@dataclass(slots=True)
class _Run:
    source: str
    lane: Lane
    asked: str
    model: str
    arrived: float
    started: Steady
    refused: ErrorClass | None = None


class _Model:
    """What is known of a model's work here; `ended` is when its latest answers did."""

    __slots__ = ("ended", "in_flight", "service")

    def __init__(self) -> None:
        self.in_flight = 0
        self.service = ServiceRate()
        self.ended: deque[float] = deque(maxlen=_ENDS_KEPT)

    def late(self, lag: float, t: Steady) -> int:
        """How many places that were given back may still be taken at the upstream, if it is so late."""
        return sum(end > t - lag for end in self.ended) if lag else 0


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
        self._own = OwnPlaces(Limits(config.share_of(self._replicas)))
        self._part: PlanPart | None = None
        self._shared: GrantedPlaces | None = None
        self._is_late = False
        self._places: Places = self._own
        self._queue = FairQueue()
        self._lane_throttle = LaneThrottle()
        self._models: OrderedDict[str, _Model] = OrderedDict()
        self._retries = Retries(config.max_retries)
        self._retry_queue = RetryQueue(config.queue_timeout)
        self._running: dict[str, _Run] = {}
        self._lanes: dict[Lane, int] = dict.fromkeys(Lane, 0)
        self._exempt: set[str] = set()
        # Whose places the requests take, or took, that are or were here lately.
        self._lately: OrderedDict[str, str] = OrderedDict()

    def jumped(self, seconds: float) -> None:
        """The caller's clock was put forward by so many seconds, or back, since the last call. Who waits has waited
        none of them, and what runs has run none; while nobody waits what is learned ages by what the clock says."""
        if self.is_waiting:
            self._clock.jumped(seconds)
        elif seconds > 0.0:
            for run in self._running.values():
                run.arrived, run.started = run.arrived + seconds, Steady(run.started + seconds)

    def arrive(self, request: PacedRequest, now: float) -> Admitted | Queued | Refused:
        """A request has come. Raises ValueError if one with its id is here already.

        Admitted and queued ones must `leave`, however they end.
        """
        if self._is_here(request.id):
            raise ValueError(f"{request.id} is here already")
        t = self._time(now)
        model = self._name_for(request.model)
        if self.in_flight + len(self._queue) >= self.config.max_workers:
            return Refused(RefusalReason.CAPACITY, self._retry_after(model, t))
        if request.exempt or self.config.mode is PacingMode.OFF:
            self._exempt.add(request.id)
            return Admitted()
        self._remember(request.id, model)
        closed = self._lane_throttle.closed(t)
        is_overtaking = self._is_overtaking(model, closed, t)
        if request.lane not in closed and not is_overtaking and self._places.is_free(model, t):
            self._queue.charge(request.id, request.source, model, request.cost)
            self._start(request.id, _Run(request.source, request.lane, request.asked, model, t, t))
            self._settle(t)
            return Admitted()
        waiting = Waiting(request.id, request.source, request.lane, request.cost, t, request.asked, model)
        self._queue.push(waiting)
        self._settle(t)
        return Queued(len(self._queue))

    def leave(self, request_id: str, now: float) -> None:
        """A request has ended, or its client has gone. Unknown ones are ignored: leaving twice harms nothing."""
        t = self._time(now)
        run = self._running.get(request_id)
        self._retries.left(request_id)
        if run is None:
            self._exempt.discard(request_id)
            self._queue.cancel(request_id)
            self._retry_queue.cancel(request_id)
        else:
            self._models[run.model].service.note(t - run.started)
            self._stop(request_id, t, refused=run.refused is not None)
        self._settle(t)

    def took(self, request_id: str, credits_taken: float) -> None:
        """It is known what a request has taken, also one that has left: its source is charged that, and no guess. One
        that never got a place was charged nothing, and gets nothing back."""
        self._queue.settle(request_id, credits_taken)

    def serves(self, asked: str, model: str, now: float) -> None:
        """A request that asked for a name was answered by a model: whoever asks for that takes places of that."""
        t = self._time(now)
        model = self._name_for(model)
        moved = Counter(run.model for run in self._running.values() if run.asked == asked and run.model != model)
        for before, count in moved.items():
            self._places.move(before, model, count, t)
        for request_id, run in self._running.items():
            if run.asked == asked and run.model != model:
                self._models[run.model].in_flight -= 1
                self._models[model].in_flight += 1
                run.model = model
                if request_id in self._lately:
                    self._lately[request_id] = model
        self._queue.rename(asked, model)
        self._retry_queue.rename(asked, model)
        self._settle(t)

    def retry(self, request_id: str, now: float) -> Admitted | Queued:
        """A running request was refused and is to be sent again: it gives its place back and waits for the next one.

        Who is not known, or not paced, goes at once. Who has waited for the queue's time-out in all is refused by
        `due`: without a place the upstream would refuse it again.
        """
        t = self._time(now)
        run = self._running.get(request_id)
        if run is None:
            return Admitted()
        is_adaptive = self.config.mode is PacingMode.ADAPTIVE
        is_taught = run.refused is not None or not is_adaptive
        asked = self._retries.asks_again(request_id)
        self._retry_queue.push(
            request_id,
            run.source,
            run.lane,
            run.arrived,
            t,
            self._retries.times(request_id) if is_adaptive else asked,
            run.refused,
            limits_know=self._places.teaches_at_once and is_taught,
            asked=run.asked,
            model=run.model,
        )
        self._retries.waits_here(request_id)
        self._stop(request_id, t, refused=True)
        self._settle(t)
        return Queued(len(self._retry_queue))

    def observe(self, attempt: Attempt, now: float) -> None:
        """The upstream has answered an attempt. It may be one that a retry hides from the client, and its request may
        have left already."""
        t = self._time(now)
        if self.config.mode is not PacingMode.ADAPTIVE or attempt.error_class is None or attempt.id in self._exempt:
            return
        started = self._clock.past(attempt.started_at)
        ended = max(started, self._clock.past(attempt.ended_at))
        # Envoy tells of an attempt that ended its request only after the request has left.
        model = self._name_for(self._lately.get(attempt.id, attempt.model))
        if (run := self._running.get(attempt.id)) is not None:
            run.refused, model = attempt.error_class, run.model
            self._retries.refused(attempt.id, model, ended)
        elif (retry := self._retry_queue.get(attempt.id)) is not None:
            model = retry.model
            self._retries.refused(attempt.id, model, ended)
            self._retries.waits_here(attempt.id)
            times = self._retries.times(attempt.id)
            limits_know = self._places.teaches_at_once
            self._retry_queue.tell(attempt.id, times, attempt.error_class, t, limits_know=limits_know)
        began, answered = self._clock.outside(started), self._clock.outside(ended)
        told = RefusedAttempt(
            now, attempt.error_class, attempt.code, began, answered, retry_after=attempt.retry_after, model=model
        )
        self._places.refused(Refusal(model, started, ended, told), t)

    def due(self, now: float) -> list[Decision]:
        """Whose wait is over: those that may go, in their order, then those that have waited too long."""
        t = self._time(now)
        self._places.advance(t)
        decisions = self._sent_again(t)
        shut = kept_for(self._retry_queue, self._places, t)

        def is_free(model: str) -> bool:
            # What starts makes no other model free: one that was not is not looked at again.
            if model not in shut and not self._places.is_free(model, t):
                shut.add(model)
            return model not in shut

        while self._queue:
            waiting = self._queue.pop(
                t,
                self._lane_throttle.closed(t),
                is_free,
                lambda waiting: self._places.rivals(waiting, t),
            )
            if waiting is None:
                break
            run = _Run(waiting.source, waiting.lane, waiting.asked, waiting.model, waiting.since, t)
            self._start(waiting.id, run)
            self._book_lanes(t)
            decisions.append(Decision(waiting.id, Admitted(t - waiting.since)))
        decisions += self._expire(t)
        self._settle(t)
        return decisions

    def _sent_again(self, t: Steady) -> list[Decision]:
        """Lets go who was refused and may go again now."""
        if not self._retry_queue:
            return []
        decisions = []
        while (retry := next_to_go(self._retry_queue, self._places, t)) is not None:
            self._retry_queue.cancel(retry.id)
            self._start(retry.id, _Run(retry.source, retry.lane, retry.asked, retry.model, retry.arrived, t))
            decisions.append(Decision(retry.id, Admitted(t - retry.since)))
        return decisions

    def next_due(self, now: float) -> float | None:
        """When to ask `due` if nothing happens before; None while nothing waits."""
        t = self._time(now)
        if not self.is_waiting:
            return None
        times = [t + _HEARTBEAT, t + until_next(now), *self._openings(t), *self._retry_queue.next_changes(t)]
        if (oldest := self._queue.oldest()) is not None:
            times.append(oldest.since + self.config.queue_timeout)
        times += self._places.next_changes(self._wanting(t), t)
        if kept_for(self._retry_queue, self._places, t):
            times.append(t + _LOOKING_AGAIN)
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
        """How many may be in flight in all, and how many a second may start."""
        return self._places.limit(None), self._places.rate

    def limit_of(self, model: str) -> int:
        """How many of a model may be in flight, of the whole plan if it is shared."""
        return self._places.limit(self._name_for(model))

    def places_left(self, model: str) -> int:
        """How many more of a model may be in flight, of the whole plan if it is shared; 0 at least."""
        name = self._name_for(model)
        return self._places.left(name, self._models[name].in_flight + self._retry_queue.waiting_for(name))

    @property
    def is_shared(self) -> bool:
        """Whether the limits are shared with other replicas now."""
        return self._shared is not None

    def demand(self, now: float) -> Demand:
        """What this replica has in flight and could start. By this it gives back the places that were granted to it
        and that it has not used. A place whose answer has ended is still held while the upstream may give it back
        late."""
        t = self._time(now)
        late = self._late(t)
        self._is_late = any(late.values())
        want = self._wanting(t)
        if self._shared is not None:
            self._shared.give_back()
        weights, retrying = self._weights(), self._retries.count(t)
        return Demand(
            {
                model: ModelDemand(known.in_flight + late[model], want[model], weights.get(model, 0.0), retrying[model])
                for model, known in self._models.items()
            }
        )

    @property
    def is_late(self) -> bool:
        """Whether the latest `demand` held places of which the answers have ended."""
        return self._is_late

    def join(self, plan: PlanView, granted: Mapping[str, int], leading: Limits | None, now: float) -> None:
        """The limits are shared: so many places of each model are granted, until the next `demand`. `leading` are the
        limits of the whole plan if it is this replica that learns them."""
        self._time(now)
        if self._shared is None:
            self._shared = self._places = GrantedPlaces(plan, granted, leading, self._clock.outside)
        else:
            self._shared.take(plan, granted, leading)
        self._replicas = plan.replicas

    def go_alone(self, now: float) -> None:
        """The others can't be asked any more: from now on it keeps to its share of what was known of the plan."""
        t = self._time(now)
        if self._shared is None:
            return
        known, self._shared = self._shared.plan.limits.learned, None
        limits = Limits(self.config.share_of(self._replicas))
        self._places = self._own = OwnPlaces(limits)
        limits.correct({model: each.in_flight for model, each in self._models.items() if each.in_flight}, t)
        self._restore_part(known, now, t)
        self._settle(t)

    def take_refusals(self) -> tuple[RefusedAttempt, ...]:
        """What the upstream has refused since the last call, while the limits are shared; own times."""
        return self._shared.take_refusals() if self._shared is not None else ()

    @property
    def is_waiting(self) -> bool:
        """Whether anybody waits."""
        return bool(self._queue) or bool(self._retry_queue)

    def waiting(self) -> tuple[Waiting, ...]:
        """All that wait, in the order in which they came; `since` is a Unix time."""
        return tuple(replace(each, since=self._clock.outside(each.since)) for each in self._queue.waiting())

    def expected_wait(self, model: str, now: float) -> float:
        """Seconds that a request of the main lane would wait if it came now, by how fast work has gone so far."""
        t = self._time(now)
        return self._expected_wait(self._name_for(model), t)

    def is_running(self, request_id: str) -> bool:
        """Whether a request is paced, and has a place."""
        return request_id in self._running

    def comes_back_in(self, request_id: str, now: float) -> int | None:
        """Whole seconds after which a request may come back that runs and may be refused; None if it does not run here,
        or is not paced."""
        t = self._time(now)
        run = self._running.get(request_id)
        return None if run is None else self._retry_after(run.model, t, run.lane)

    def status(self, now: float) -> PacingStatus:
        t = self._time(now)
        limit, rate = self.limits
        known = self._learned(now)
        waiting = self._queue.by_model() + self._retry_queue.by_model()
        running = {model: each.in_flight for model, each in self._models.items() if each.in_flight}
        shown = self._places.status(running, waiting, self._clock.outside, now, t)
        return PacingStatus(
            mode=self.config.mode,
            in_flight=len(self._running),
            exempt=len(self._exempt),
            waiting={lane: self._queue.in_lane(lane) + self._retry_queue.in_lane(lane) for lane in Lane},
            concurrency=limit_in_all(shown, known, limit, now),
            rate=replace(shown.rate, limit=rate),
            share_in_use=self._places.share_in_use(t),
            expected_wait=max((self._expected_wait(model, t) for model in waiting), default=0.0),
            models=shown.models,
        )

    def snapshot(self, now: float) -> dict[str, object]:
        """What was learned of the whole plan, as plain values for `restore`."""
        self._time(now)
        return self.learned(now).as_dict()

    def learned(self, now: float) -> Learned:
        """What is known of the whole plan."""
        known = self._learned(now)
        if self._shared is not None:
            return known
        return known.scaled(self._replicas) if self._part is None else self._part.whole_of(known)

    def restore(self, data: object, now: float) -> None:
        """Takes over what a `snapshot` said, within the bounds of the settings. Raises ValueError, and changes
        nothing, for what no snapshot says."""
        learned = read_learned(data)
        t = self._time(now)
        self._restore_part(learned, now, t)

    def _restore_part(self, whole: Learned, now: float, t: Steady) -> None:
        """Goes on alone with this replica's part of what is known of the plan."""
        limits = self._own.limits
        limits.restore(whole.scaled(1 / self._replicas), self._clock.past, t)
        part = limits.learned(self._clock.outside, now)
        self._part = PlanPart(self._replicas, whole, part) if self._replicas > 1 else None

    def _late(self, t: Steady) -> Counter[str]:
        """How many places of each model may still be taken at the upstream, as far as is known of the shared plan."""
        places = self._shared.plan.limits.places.models if self._shared is not None else {}
        late = {model: known.late(places[model].lag, t) for model, known in self._models.items() if model in places}
        return Counter(late)

    def _is_here(self, request_id: str) -> bool:
        is_waiting = request_id in self._queue or request_id in self._retry_queue
        return is_waiting or request_id in self._running or request_id in self._exempt

    def _time(self, now: float) -> Steady:
        t = self._clock.at(now, _LONGEST_STEP if self.is_waiting else math.inf)
        if self._hour_boundary.has_passed(now):
            self._own.limits.expect_change(t)
        return t

    def _name_for(self, model: str) -> str:
        """The name whose places a model takes: its own, or the common one while too many others have work."""
        name = model or UNKNOWN
        if name in self._models:
            self._models.move_to_end(name)
            return name
        named = [each for each in self._models if each not in (MCP, UNKNOWN)]
        if name not in (MCP, UNKNOWN) and len(named) >= _MOST_NAMED:
            busy = self._queue.by_model() + self._retry_queue.by_model()
            idle = next((each for each in named if not self._models[each].in_flight and not busy[each]), None)
            if idle is None:
                return self._name_for(UNKNOWN)
            del self._models[idle]
        self._models[name] = _Model()
        return name

    def _remember(self, request_id: str, model: str) -> None:
        self._lately[request_id] = model
        if len(self._lately) > _REMEMBERED:
            self._lately.popitem(last=False)

    def _is_overtaking(self, model: str, closed: Collection[Lane], t: Steady) -> bool:
        """Whether somebody who came now for a model would have somebody before them."""
        if not self.is_waiting:
            return False
        if self._queue.has(model, closed):
            return True
        if not self._retry_queue:
            return False
        is_first = all(retry.model != model for retry in self._retry_queue.ready(t))
        return not is_first or model in kept_for(self._retry_queue, self._places, t)

    def _wanting(self, t: Steady) -> Counter[str]:
        """How many of each model wait for nothing but a place and the rate."""
        waiting = self._queue.by_model(self._lane_throttle.closed(t))
        return waiting + wanting(self._retry_queue, self._places, t) if self._retry_queue else waiting

    def _weights(self) -> Mapping[str, float]:
        """How many sources work for each model; one that works for several counts for a part in each of them."""
        works = {(run.source, run.model) for run in self._running.values()}
        works |= {(waiting.source, waiting.model) for waiting in self._queue.waiting()}
        works |= {(retry.source, retry.model) for retry in self._retry_queue.ready(Steady(math.inf))}
        models = Counter(source for source, model in works if model != MCP)
        weights: defaultdict[str, float] = defaultdict(float)
        for source, model in works:
            weights[model] += 1.0 if model == MCP else 1.0 / models[source]
        return weights

    def _start(self, request_id: str, run: _Run) -> None:
        self._places.start(run.model, self._retries.count(run.started), run.started)
        self._running[request_id] = run
        self._models[run.model].in_flight += 1
        self._lanes[run.lane] += 1

    def _stop(self, request_id: str, t: Steady, *, refused: bool) -> None:
        run = self._running.pop(request_id)
        self._models[run.model].in_flight -= 1
        self._lanes[run.lane] -= 1
        if not refused:
            self._models[run.model].ended.append(t)
        self._places.end(run.model, t, refused=refused)

    def _settle(self, t: Steady) -> None:
        """Tells everybody what is the case now that something has changed."""
        self._book_lanes(t)
        if self.is_waiting:
            waiting = self._queue.by_model(self._lane_throttle.closed(t))
            if self._retry_queue:
                waiting = waiting + Counter(retry.model for retry in self._retry_queue.ready(t))
            self._places.set_demand(waiting, t)
        else:
            self._places.set_demand(_NOTHING, t)

    def _book_lanes(self, t: Steady) -> None:
        if self._lane_throttle.is_active:
            waiting = {lane: self._queue.in_lane(lane) for lane in Lane}
            limit = self.limits[0] if self._shared is None else self._shared.plan.part
            self._lane_throttle.note(self._lanes, waiting, limit, t)

    def _expire(self, t: Steady) -> list[Decision]:
        """Refuses those that have waited too long: the first of them may come back first."""
        expired: list[Waiting | WaitingRetry] = [*self._retry_queue.expire(t)]
        while (oldest := self._queue.oldest()) is not None and t >= oldest.since + self.config.queue_timeout:
            self._queue.cancel(oldest.id)
            expired.append(oldest)
        return [
            Decision(
                each.id,
                Refused(RefusalReason.RATE, self._retry_after(each.model, t, each.lane, ahead), t - each.since),
            )
            for ahead, each in enumerate(expired)
        ]

    def _openings(self, t: Steady) -> list[float]:
        """When lanes open in which somebody waits."""
        lanes = [lane for lane in self._lane_throttle.closed(t) if self._queue.in_lane(lane)]
        return [at for lane in lanes if (at := self._lane_throttle.opens_at(lane, t)) is not None]

    def _expected_wait(self, model: str, t: Steady, ahead: int = 0) -> float:
        waiting = self._queue.by_model() + self._retry_queue.by_model() if self.is_waiting else _NOTHING
        if (
            not waiting.get(model)
            and not ahead
            and (self.config.mode is PacingMode.OFF or self._places.hardly_waits(model, t))
        ):
            return 0.0
        ahead += self._places.ahead(model, waiting, t)
        wait = self._models[model].service.wait(ahead, max(1, self._places.limit(model)), self._places.rate)
        return max(self._places.pause_left(model, t), wait)

    def _retry_after(self, model: str, t: Steady, lane: Lane = Lane.MAIN, ahead: int = 0) -> int:
        wait = self._expected_wait(model, t, ahead)
        if lane in self._lane_throttle.closed(t):
            opens_at = self._lane_throttle.opens_at(lane, t)
            wait = max(wait, math.inf if opens_at is None else opens_at - t)
        # A pause ends when the upstream said so; everything else is a guess.
        return math.ceil(max(1.0, min(wait, _LONGEST_RETRY_AFTER), self._places.pause_left(model, t)))

    def _learned(self, now: float) -> Learned:
        """What is known of the share, or of the plan while it is shared."""
        if self._shared is not None:
            return self._shared.plan.limits.learned
        return self._own.limits.learned(self._clock.outside, now)
