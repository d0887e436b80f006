"""An exact model of a plan, its agents and what lies between, in virtual time.

The upstream takes a request if each gate that it passes has room (ours and another user's running there are fewer than
the gate's capacity) and a token of its rate is there; what runs is never cut. A gate is for one model, for some, or for
the account as a whole. A refusal travels back, asks for another turn as Envoy would (after a random part of a pause of
0.5 s, 1.5 s and so on, of 8 s at most), and is told to pacing in batches, as the access log is flushed. Agents ask
again once they are answered.
"""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from heapq import heappop, heappush
from itertools import pairwise
from typing import Protocol, TypeAlias

from extproc.domain.pacing.records import Admitted, Attempt, Decision, PacedRequest, Queued, Refused
from extproc.domain.pacing.scheduler import Pacing
from extproc.domain.request.business_codes import ErrorClass
from extproc.domain.request.priority import Lane
from tests.unit.domain.pacing.visits import Visit, Visitors

EPOCH = 1_800_000_000.0  # a full hour
CODES = {ErrorClass.CONCURRENCY: "1302", ErrorClass.FREQUENCY: "1303", ErrorClass.OVERLOAD: "1305"}
_RETRY_PAUSES = (0.5, 1.5, 3.5, 7.5, *[8.0] * 32)
_LOG_FLUSH = 0.05


@dataclass(frozen=True, slots=True)
class Agent:
    """Sends one request after the other for a model, `think` seconds apart on average. `awake` are the seconds that it
    works and rests by turns, if it does. It asks for the model by its own name unless `asked` is another; what serves
    that is one of the models `served`, each from a second on."""

    source: str
    lane: Lane = Lane.MAIN
    cost: float = 1.0
    think: float = 0.0
    model: str = "glm"
    asked: str = ""
    served: Sequence[tuple[float, str]] = ()
    awake: tuple[float, float] | None = None


Changes: TypeAlias = Sequence[tuple[float, int]]
"""A number over time: each with the second from which on it holds."""


@dataclass(frozen=True, slots=True)
class Gate:
    """What bounds some models together."""

    models: frozenset[str]
    capacity: Changes


@dataclass(frozen=True, slots=True)
class Plan:
    """What the upstream allows: `capacity` of the account as a whole, and of what passes each of the `gates`.

    `others` are the visits of other users; `overloads` are (from, to); requests take `mean` seconds, spread
    log-normally by `sigma`. A place is given back up to `release_lag` seconds after its answer has ended.
    """

    capacity: Changes
    gates: Sequence[Gate] = ()
    mean: float = 10.0
    sigma: float = 0.8
    rate: float | None = None
    burst: float = 3.0
    others: Sequence[Visit] = ()
    overloads: Sequence[tuple[float, float]] = ()
    release_lag: float = 0.0


@dataclass(frozen=True, slots=True)
class Usage:
    """The state of the plan from a moment on."""

    at: float
    ours: int
    others: int
    capacity: int
    waiting: bool


class Paces(Protocol):
    """Decides when requests go: `Pacing`, or what it is compared with."""

    def arrive(self, request: PacedRequest, now: float) -> Admitted | Queued | Refused: ...
    def serves(self, asked: str, model: str, now: float) -> None: ...
    def leave(self, request_id: str, now: float) -> None: ...
    def retry(self, request_id: str, now: float) -> Admitted | Queued: ...
    def observe(self, attempt: Attempt, now: float) -> None: ...
    def due(self, now: float) -> list[Decision]: ...
    def next_due(self, now: float) -> float | None: ...
    @property
    def limits(self) -> tuple[int, float]: ...


@dataclass(slots=True)
class Sent:
    """A request on its way: who sent it, when this attempt began, and which one it is."""

    id: str
    agent: Agent
    model: str
    started: float
    attempt: int = 0


class World:
    """Runs agents against a plan through pacing, from 0.0 to `horizon`; afterwards it is there to be measured.

    `epoch` is the Unix time at 0.0.
    """

    def __init__(self, plan: Plan, pacing: Paces, seed: int, horizon: float, epoch: float = EPOCH) -> None:
        self.plan, self.pacing, self.horizon, self.epoch = plan, pacing, horizon, epoch
        self.rng = random.Random(seed)
        self.counts_from = 0.0
        self.now = 0.0
        self.attempts: list[tuple[float, ErrorClass | None]] = []
        self.usage: list[Usage] = []
        self.limits: list[tuple[float, int]] = []
        self.rates: list[tuple[float, float]] = []
        self.waits: list[tuple[float, Agent, float]] = []
        self.served: Counter[str] = Counter()
        self.place_seconds: defaultdict[str, float] = defaultdict(float)
        self.refused: Counter[str] = Counter()
        self._running: Counter[str] = Counter()
        self._late: Counter[str] = Counter()
        self._answered: dict[str, str] = {}
        self._counted_at = 0.0
        self._gates = [(gate.models, [gate.capacity[0][1]]) for gate in plan.gates]
        self.refused_to_clients = 0  # by the upstream, after all tries, or by pacing
        self.out_of_tries = 0
        self._mu = math.log(plan.mean) - plan.sigma**2 / 2
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = 0
        self._ids = 0
        self._ours = 0
        self.visitors = Visitors(self, plan.others)
        self._capacity = plan.capacity[0][1]
        self._tokens, self._filled_at = plan.burst, 0.0
        self._waiting: dict[str, tuple[Agent, float]] = {}
        self._waiting_again: dict[str, Sent] = {}
        self._wake = math.inf
        self._state: tuple[int, int, int, bool] | None = None
        self._unlogged: list[Attempt] = []
        self._flush_phase = self.rng.random() * _LOG_FLUSH

    def run(self, agents: Sequence[Agent]) -> "World":
        for at, capacity in self.plan.capacity[1:]:
            self.at(at, partial(self._set_capacity, capacity))
        for gate, (_, room) in zip(self.plan.gates, self._gates, strict=True):
            for at, capacity in gate.capacity[1:]:
                self.at(at, partial(room.__setitem__, 0, capacity))
        self.visitors.come()
        for agent in agents:
            self.at(self.rng.random() * 0.5, partial(self._ask, agent))
        while self._heap and self._heap[0][0] <= self.horizon:
            self.now, _, act = heappop(self._heap)
            act()
            self._pump()
            self._note()
        self.now = self.horizon
        self._count()
        self.usage.append(replace(self.usage[-1], at=self.horizon))
        return self

    def _count(self) -> None:
        """Books the places in use since the last change."""
        start, self._counted_at = max(self._counted_at, self.counts_from), self.now
        if self.now > start:
            for model, running in self._running.items():
                self.place_seconds[model] += running * (self.now - start)

    def used(self, start: float, end: float) -> float:
        """The share of the capacity that was in use, over the times in which work waited."""
        got = there = 0.0
        for state, after in pairwise(self.usage):
            seconds = min(after.at, end) - max(state.at, start)
            if seconds > 0 and state.waiting:
                got += min(state.ours + state.others, state.capacity) * seconds
                there += state.capacity * seconds
        return got / there if there else math.nan

    def refusals(self, start: float, end: float) -> tuple[int, int]:
        """Attempts that the upstream refused, and all attempts."""
        inside = [error for at, error in self.attempts if start <= at < end]
        return sum(error is not None for error in inside), len(inside)

    def settled_after(self, low: float, high: float, start: float, end: float) -> float:
        """Seconds from `start` until the limit is within these bounds for good.

        What runs already is never cut: while more runs than the plan allows by now, no time is counted.
        """
        settled = start
        for (at, limit), (after, _) in pairwise([*self.limits, (end, 0)]):
            if max(at, start) < min(after, end) and not low <= limit <= high:
                settled = min(after, end)
        draining = 0.0
        for state, following in pairwise(self.usage):
            if state.ours + state.others > state.capacity:
                draining += max(0.0, min(following.at, settled) - max(state.at, start))
        return settled - start - draining

    def at(self, at: float, act: Callable[[], None]) -> None:
        self._serial += 1
        heappush(self._heap, (at, self._serial, act))

    def _note(self) -> None:
        state = (self._ours, self.visitors.running.total(), self._capacity, bool(self._waiting))
        if state != self._state:
            self._state = state
            self.usage.append(Usage(self.now, *state))
        concurrency, rate = self.pacing.limits
        if not self.limits or self.limits[-1][1] != concurrency:
            self.limits.append((self.now, concurrency))
        if not self.rates or self.rates[-1][1] != rate:
            self.rates.append((self.now, rate))

    def _pump(self) -> None:
        if not self._waiting and not self._waiting_again:
            return
        for decision in self.pacing.due(self.epoch + self.now):
            if (sent := self._waiting_again.pop(decision.id, None)) is not None:
                if isinstance(decision.answer, Refused):
                    self.pacing.leave(sent.id, self.epoch + self.now)
                    self._come_back(sent.agent, decision.answer)
                else:
                    self._send(sent)
                continue
            agent, since = self._waiting.pop(decision.id)
            if isinstance(decision.answer, Refused):
                self._come_back(agent, decision.answer)
            else:
                self._go(decision.id, agent, self.now - since)
        due = self.pacing.next_due(self.epoch + self.now)
        if due is not None and (due - self.epoch < self._wake or self._wake <= self.now):
            self._wake = due - self.epoch
            self.at(self._wake, lambda: None)

    def _ask(self, agent: Agent) -> None:
        self._ids += 1
        if (rest := self._rests(agent)) > 0.0:
            self.at(self.now + rest, lambda: self._ask(agent))
            return
        model = self._serving(agent)
        asked = agent.asked or model
        known = self._answered.get(asked, asked) if isinstance(self.pacing, Pacing) else model
        request = PacedRequest(f"r{self._ids}", agent.source, agent.lane, agent.cost, asked=asked, model=known)
        answer = self.pacing.arrive(request, self.epoch + self.now)
        if isinstance(answer, Admitted):
            self._go(request.id, agent, 0.0)
        elif isinstance(answer, Queued):
            self._waiting[request.id] = (agent, self.now)
        else:
            self._come_back(agent, answer)

    def _serving(self, agent: Agent) -> str:
        """What serves an agent's model now."""
        return [model for since, model in agent.served if since <= self.now][-1] if agent.served else agent.model

    def _rests(self, agent: Agent) -> float:
        """Seconds until an agent goes on with its work."""
        if agent.awake is None:
            return 0.0
        works, rests = agent.awake
        phase = self.now % (works + rests)
        return works + rests - phase + 0.001 if phase >= works else 0.0  # beyond what rounding takes

    def _come_back(self, agent: Agent, refused: Refused) -> None:
        self.refused_to_clients += 1
        self.at(self.now + refused.retry_after, lambda: self._ask(agent))

    def _go(self, request_id: str, agent: Agent, wait: float) -> None:
        self.waits.append((self.now, agent, wait))
        self._send(Sent(request_id, agent, self._serving(agent), self.now))

    def _send(self, sent: Sent) -> None:
        sent.started = self.now
        self.at(self.now + self.rng.uniform(0.03, 0.08), lambda: self._reach(sent))

    def _reach(self, sent: Sent) -> None:
        model = sent.model = self._serving(sent.agent)
        error = self._verdict(model)
        self.attempts.append((self.now, error))
        if error is None:
            self._count()
            self._running[model] += 1
            self._ours += 1
            self._learn(sent.agent.asked or model, model)
            self.at(self.now + self.service_time(), lambda: self._end(sent))
        else:
            self.refused[model] += self.now >= self.counts_from
            self.at(self.now + self.rng.uniform(0.05, 0.2), lambda: self._fail(sent, error))

    def _learn(self, asked: str, model: str) -> None:
        """An answer has begun, and names its model."""
        if self._answered.get(asked) != model:
            self._answered[asked] = model
            self.pacing.serves(asked, model, self.epoch + self.now)

    def _verdict(self, model: str) -> ErrorClass | None:
        if any(start <= self.now < end for start, end in self.plan.overloads):
            return ErrorClass.OVERLOAD
        if not self.has_room(model):
            return ErrorClass.CONCURRENCY
        return None if self.plan.rate is None or self._take_token(self.plan.rate) else ErrorClass.FREQUENCY

    def has_room(self, model: str) -> bool:
        """Whether each gate that a request for a model passes has a place left."""
        theirs = self.visitors.running
        if self._ours + self._late.total() + theirs.total() >= self._capacity:
            return False
        return all(
            sum(self._running[each] + self._late[each] + theirs[each] for each in models) < room
            for models, (room,) in self._gates
            if model in models
        )

    def _take_token(self, rate: float) -> bool:
        self._tokens = min(self.plan.burst, self._tokens + (self.now - self._filled_at) * rate)
        self._filled_at = self.now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def service_time(self) -> float:
        return self.rng.lognormvariate(self._mu, self.plan.sigma)

    def _end(self, sent: Sent) -> None:
        self._count()
        self._running[sent.model] -= 1
        self._ours -= 1
        self.served[sent.agent.source] += 1
        if self.plan.release_lag:
            self._late[sent.model] += 1
            late = partial(self._late.subtract, (sent.model,))
            self.at(self.now + self.rng.uniform(0.0, self.plan.release_lag), late)
        self._leave(sent)

    def _leave(self, sent: Sent) -> None:
        self.pacing.leave(sent.id, self.epoch + self.now)
        self._pump()
        agent = sent.agent
        if agent.think:
            self.at(self.now + self.rng.expovariate(1 / agent.think), lambda: self._ask(agent))
        else:
            self._ask(agent)

    def _fail(self, sent: Sent, error: ErrorClass) -> None:
        if not self._unlogged:
            turn = math.floor((self.now - self._flush_phase) / _LOG_FLUSH) + 1
            self.at(self._flush_phase + turn * _LOG_FLUSH, self._flush)
        began, ended = self.epoch + sent.started, self.epoch + self.now
        self._unlogged.append(Attempt(sent.id, began, ended, error, CODES[error]))
        if sent.attempt >= len(_RETRY_PAUSES):
            self.refused_to_clients += 1
            self.out_of_tries += 1
            self._leave(sent)
            return
        pause = self.rng.uniform(0.0, _RETRY_PAUSES[sent.attempt])
        sent.attempt += 1
        self.at(self.now + pause, lambda: self._again(sent))

    def _again(self, sent: Sent) -> None:
        if isinstance(self.pacing.retry(sent.id, self.epoch + self.now), Queued):
            self._waiting_again[sent.id] = sent
        else:
            self._send(sent)

    def _flush(self) -> None:
        unlogged, self._unlogged = self._unlogged, []
        for attempt in unlogged:
            self.pacing.observe(attempt, self.epoch + self.now)

    def _set_capacity(self, capacity: int) -> None:
        self._capacity = capacity
