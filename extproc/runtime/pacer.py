"""Pacing at work: joins the pure decisions with the clock, the event loop and the file that keeps what was learned."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from extproc.domain.pacing.config import PacingConfig, PacingMode
from extproc.domain.pacing.credit_guess import CreditGuesses, weighed
from extproc.domain.pacing.fair_queue import Waiting
from extproc.domain.pacing.limits import MCP, places_name
from extproc.domain.pacing.records import Admitted, Attempt, Decision, PacedRequest, PacingStatus, Queued, Refused
from extproc.domain.pacing.scheduler import Pacing
from extproc.domain.request import refusals
from extproc.domain.request.exchange import Exchange
from extproc.domain.request.model_names import ModelNames, model_name
from extproc.domain.request.priority import Lane
from extproc.domain.request.refusals import Refusal
from extproc.domain.request.routes import PaidBy, Route
from extproc.domain.usage.failure import Failure
from extproc.domain.usage.outcome import Outcome
from extproc.domain.usage.prices import PriceTable
from extproc.runtime.state_file import SavedState, StateFile

_SAVE_SECONDS: Final = 30.0
_SHARES_SECONDS: Final = 1.0
# Between two looks a clock that is only slewed (made to run a little faster or slower) gains or loses less than this;
# one that is set jumps by more.
_JUMP_SECONDS: Final = 0.5


class Ticket:
    """A request's place: admitted at once, refused, or in the queue until `decided`."""

    def __init__(self, answer: Admitted | Refusal | None) -> None:
        self._answer = answer
        self._decision: asyncio.Future[Admitted | Refusal] | None = None

    @property
    def is_decided(self) -> bool:
        """Whether there is no need to wait for the answer."""
        return self._answer is not None

    async def decided(self) -> Admitted | Refusal:
        """Waits until the request may go or has to give up."""
        if self._answer is None:
            self._decision = asyncio.get_running_loop().create_future()
            return await self._decision
        return self._answer

    def decide(self, answer: Admitted | Refusal) -> None:
        if self._decision is None:
            self._answer = answer
        elif not self._decision.done():
            self._decision.set_result(answer)


class Pacer:
    """Lets requests go in the order and at the pace that `Pacing` decides.

    `models` says which model serves a name that is asked for, and learns it from answers. `shares` returns what the
    quota leaves the lanes; `state` keeps what was learned over a restart, if there is one. What a request takes is
    guessed by the coefficients that `prices` have of its model, until answers have told.
    """

    def __init__(
        self,
        config: PacingConfig,
        models: ModelNames,
        shares: Callable[[], Mapping[Lane, float]],
        state: StateFile | None,
        prices: PriceTable | None = None,
    ) -> None:
        self.pacing = Pacing(config)
        self._models = models
        self._plans_own = None if prices is None else frozenset(prices.models)
        self._costs = CreditGuesses(
            lambda model, tokens: None if prices is None else prices.credits(model, tokens, time.time())
        )
        self.on_change: Callable[[], None] | None = None
        """Told whenever what this replica has running or waiting changes, if anybody has to know."""
        self._shares = shares
        self._state = SavedState(state, "the learned limits")
        self._tickets: dict[str, Ticket] = {}
        self._retries: dict[str, asyncio.Future[Admitted | Refused]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._ahead = time.time() - time.monotonic()
        self._state.restore(lambda data: self.pacing.restore(data, self.now()))

    def now(self) -> float:
        """Unix time for `pacing`, which is first told of a jump of the clock: its deadlines count seconds that have
        really passed. While a machine is suspended, no time passes for those that wait."""
        now, steady = time.time(), time.monotonic()
        jump = now - steady - self._ahead
        if abs(jump) > _JUMP_SECONDS:
            self.pacing.jumped(jump)
            self._ahead += jump
        return now

    @contextmanager
    def enter(self, exchange: Exchange, route: Route, prompt_bytes: int | None) -> Iterator[Ticket]:
        """Gives the exchange a place, in the queue or beyond it, for as long as the context is open.

        `prompt_bytes` is the length of its body, None if nobody announced it.
        """
        answer = self.pacing.arrive(self._request(exchange, route, prompt_bytes), self.now())
        try:
            yield self._ticket(exchange, answer)
        finally:
            self._tickets.pop(exchange.id, None)
            self.pacing.leave(exchange.id, self.now())
            self._changed()
            self.go_on()

    def _request(self, exchange: Exchange, route: Route, prompt_bytes: int | None) -> PacedRequest:
        # A tool's stream of notifications stays open for as long as its client runs: only calls take places.
        is_call = route.paid_by is PaidBy.TOOLS and exchange.method == "POST"
        model = MCP if is_call else self._serving(exchange.asked)
        return PacedRequest(
            id=exchange.id,
            source=exchange.principal,
            lane=exchange.lane,
            cost=0.0 if is_call else self._costs.guess(model or exchange.asked, prompt_bytes),
            exempt=not route.waits and not is_call,
            asked="" if is_call else exchange.asked,
            model=model if is_call else places_name(model),
        )

    def paces(self, exchange: Exchange) -> bool:
        """Whether an exchange that runs has a place, and waits for another one before it is sent again."""
        return self.pacing.is_running(exchange.id)

    async def wait_again(self, exchange: Exchange) -> int | Refusal | None:
        """Returns when an exchange that the upstream has refused may be sent again: the whole seconds after which its
        client may come back if it is refused once more, None for one that is not paced. Or returns, once it has waited
        too long in all, what to tell its client instead."""
        answer = self.pacing.retry(exchange.id, self.now())
        if isinstance(answer, Queued):
            place = self._retries[exchange.id] = asyncio.get_running_loop().create_future()
            try:
                self._changed()
                self.go_on()
                decided = await place
            finally:
                self._retries.pop(exchange.id, None)
            exchange.waited += decided.waited
            if isinstance(decided, Refused):
                return refusals.waited_too_long(exchange.waited, decided.retry_after)
        return self.pacing.comes_back_in(exchange.id, self.now())

    def give_up(self, exchange_id: str) -> bool:
        """Ends the first wait of a request, for its operator. False if it does not wait."""
        ticket = self._tickets.pop(exchange_id, None)
        if ticket is None:
            return False
        ticket.decide(refusals.cancelled())
        return True

    def take_failure(self, failure: Failure) -> None:
        """An attempt has ended in an error, or a good answer has turned into one. What takes nothing of the plan's
        limits says nothing of them either, whatever its code; the tools of /api/mcp have a gate of their own."""
        is_tool = failure.route.paid_by is PaidBy.TOOLS
        if not failure.route.waits and not is_tool:
            return
        asked = failure.entry.model_asked
        attempt = Attempt(
            failure.exchange_id,
            failure.began_at,
            failure.ended_at,
            failure.code.error_class,
            failure.code.code,
            failure.entry.retry_after,
            MCP if is_tool else places_name(self._serving(asked)),
        )
        self.pacing.observe(attempt, self.now())
        self._changed()
        self.go_on()

    def take_answer(self, asked: str, served: str) -> None:
        """A request for a model is answered by one, of the same name or of another: its places are the ones to take."""
        if not asked or not served:
            return
        is_news = self._models.serves(asked) != served
        self._models.learn(asked, served)
        if is_news:
            self.pacing.serves(asked, places_name(served), self.now())
            self._changed()
            self.go_on()

    def take_outcome(self, outcome: Outcome) -> None:
        """A request has ended: its source is charged what it took, in place of the guess that it was charged at its
        start. A request that never got a place was not charged."""
        if outcome.route.llm_protocol is None:
            return
        entry, usage = outcome.entry, outcome.usage
        taken = 0.0
        if usage is not None:
            taken = weighed(usage.tokens) if usage.credits is None else usage.credits
            self._costs.learn(model_name(entry.answer.model) or entry.model_asked, entry.request_bytes, taken)
        self.pacing.took(entry.exchange_id, taken)

    def status(self) -> PacingStatus:
        return self.pacing.status(self.now())

    def waiting(self) -> tuple[Waiting, ...]:
        return self.pacing.waiting()

    def hints(self, exchange: Exchange, route: Route) -> dict[str, str]:
        """What a request may be told about where its model stands, as metadata for its answer's headers; none
        unpaced."""
        if self.pacing.config.mode is PacingMode.OFF:
            return {}
        model = MCP if route.paid_by is PaidBy.TOOLS else places_name(self._serving(exchange.asked))
        return {
            "limit": str(self.pacing.limit_of(model)),
            "remaining": str(self.pacing.places_left(model)),
            "reset": f"{self.pacing.expected_wait(model, self.now()):.0f}s",
        }

    def go_on(self) -> None:
        """Lets go whoever may, and sets the timer for the next one."""
        if not self._tickets and not self._retries:
            return
        now = self.now()
        for decision in self.pacing.due(now):
            self._tell(decision)
        self._set_timer(self.pacing.next_due(now), now)

    async def run(self) -> None:
        """Follows the quota and saves what was learned, until it is cancelled; then saves for the last time."""
        saved = time.monotonic()
        try:
            while True:
                await asyncio.sleep(_SHARES_SECONDS)
                self.pacing.set_shares(self._shares(), self.now())
                self.go_on()
                if time.monotonic() >= saved + _SAVE_SECONDS:
                    saved = time.monotonic()
                    await asyncio.to_thread(self._state.save, self.pacing.snapshot(self.now()))
        finally:
            self._state.save(self.pacing.snapshot(self.now()))

    def _serving(self, asked: str) -> str:
        """The model whose places a name takes, as far as is known. Empty for a name that has no price and that no model
        has answered for yet: anybody can make up names."""
        is_known = self._plans_own is None or asked in self._plans_own
        return self._models.serves(asked) or (asked if is_known else "")

    def _ticket(self, exchange: Exchange, answer: Admitted | Queued | Refused) -> Ticket:
        if isinstance(answer, Queued):
            ticket = self._tickets[exchange.id] = Ticket(None)
            self._changed()
            self.go_on()
            return ticket
        return Ticket(answer if isinstance(answer, Admitted) else self._refusal(answer))

    def _changed(self) -> None:
        if self.on_change is not None:
            self.on_change()

    def _tell(self, decision: Decision) -> None:
        second, ticket = self._retries.get(decision.id), self._tickets.pop(decision.id, None)
        if second is not None and not second.done():
            second.set_result(decision.answer)
        if ticket is not None:
            answer = decision.answer
            ticket.decide(answer if isinstance(answer, Admitted) else self._refusal(answer))

    def _set_timer(self, due: float | None, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if due is not None:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, due - now), self.go_on)

    def _refusal(self, refused: Refused) -> Refusal:
        if refused.reason is refusals.RefusalReason.CAPACITY:
            return refusals.at_capacity(self.pacing.config.max_workers)
        return refusals.waited_too_long(refused.waited, refused.retry_after)
