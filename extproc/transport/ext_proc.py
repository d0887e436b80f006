"""Envoy's external processing service: one gRPC stream is one HTTP request, and while it is open it holds its slot."""

import itertools
import secrets
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Final

from extproc.domain.clients.clients import Client
from extproc.domain.request import refusals
from extproc.domain.request.admission import Admission
from extproc.domain.request.exchange import Exchange
from extproc.domain.request.head import RequestHead
from extproc.domain.request.labels import client_bucket
from extproc.domain.request.priority import lane_of
from extproc.domain.request.programs import program_of
from extproc.domain.request.refusals import Refusal
from extproc.domain.request.routes import CredentialForm, Route, classify
from extproc.domain.request.trace_context import Trace
from extproc.domain.request.web_origins import WebOrigins
from extproc.runtime.client_gate import ClientGate
from extproc.runtime.pacer import Pacer, Ticket
from extproc.runtime.quota_watch import QuotaWatch
from extproc.transport import wire
from extproc.transport.grpc_call import Call, Method
from extproc.transport.pb import ext_proc_pb2 as pb
from extproc.transport.stream_guard import StreamGuard

_PATH: Final = "/envoy.service.ext_proc.v3.ExternalProcessor/Process"
_NO_HINTS: Final[Mapping[str, str]] = {}


class ExternalProcessor:
    """Admits requests and gives them the key. `api_key` returns the key in force at the moment of the call, `trace` the
    trace of a request where requests are traced; `wants_parts` says whether Envoy is to tell of the parts of a prompt,
    where it can.

    When a request has to wait Envoy is told so at once, or it would take the silence for a processor that hangs.
    """

    def __init__(
        self,
        admission: Admission,
        clients: ClientGate,
        quota: QuotaWatch,
        pacer: Pacer,
        api_key: Callable[[], str],
        guard: StreamGuard,
        origins: WebOrigins,
        trace: Callable[[RequestHead, Route], Trace] | None = None,
        wants_parts: Callable[[Exchange, Route], bool] | None = None,
    ) -> None:
        self._admission = admission
        self._guard = guard
        self._origins = origins
        self._trace = trace
        self._wants_parts = wants_parts
        self._clients = clients
        self._quota = quota
        self._pacer = pacer
        self._api_key = api_key
        self._mutations_key = ""
        self._mutations: dict[CredentialForm, bytes] = {}
        self._open: dict[str, tuple[Call, Route]] = {}
        # A restarted processor must not give out the ids of exchanges that its predecessor left running.
        self.run_id = secrets.token_hex(4)
        self._serial = itertools.count(1)

    def methods(self) -> Mapping[str, Method]:
        """What to serve, by path."""
        return {_PATH: self._process}

    async def _process(self, call: Call) -> None:
        first = await call.read()
        if first is None:
            return
        message = pb.ProcessingRequest.FromString(first)
        if message.HasField("response_headers"):
            await self._guard.answer(message, call)
        elif message.HasField("request_headers"):
            head = wire.read_head(message)
            del first, message  # this frame lives as long as the HTTP stream
            await self._answer(head, call)

    async def _answer(self, head: RequestHead, call: Call) -> None:
        """Admits a request and stays with it until it ends, or refuses it."""
        route = classify(head.path, head.speaks_anthropic)
        if not route.leaves:
            call.write(wire.CONTINUE)
            return
        client = await self._clients.identify(head, lambda: call.write(wire.PATIENCE))
        if isinstance(client, Refusal):
            call.write(self._refused(client, self._exchange(head, route, None), route))
            return
        exchange = self._exchange(head, route, client)
        if client is not None:
            with self._clients.enter(client) as refusal:
                refusal = refusal or await self._spend(head, exchange, route, call)
        elif self._origins.may_come(head):
            refusal = await self._spend(head, exchange, route, call)
        else:  # a token would be one that no page sends unasked
            refusal = refusals.foreign_page(head.origin)
        if refusal is not None:
            call.write(self._refused(refusal, exchange, route))

    async def _spend(self, head: RequestHead, exchange: Exchange, route: Route, call: Call) -> Refusal | None:
        """Lets the request use the plan, or returns why it may not."""
        with self._quota.enter(exchange, route) as refusal:
            return refusal or await self._carry(head, exchange, route, call)

    async def _carry(self, head: RequestHead, exchange: Exchange, route: Route, call: Call) -> Refusal | None:
        """Takes a worker slot for the request and holds it until the HTTP stream ends, or returns why it gets none."""
        with self._admission.enter(exchange) as refusal:
            if refusal is not None:
                return refusal
            with self._pacer.enter(exchange, route, head.body_bytes) as ticket:
                if not ticket.is_decided:
                    call.write(wire.PATIENCE)
                refusal = await self._wait(ticket, exchange, route)
                if refusal is not None:
                    return refusal
                call.write(self._admitted(head, exchange, route))
                await self._hold(exchange, route, call)
        return None

    async def _wait(self, ticket: Ticket, exchange: Exchange, route: Route) -> Refusal | None:
        """Waits for the request's turn. What it is then refused for may have come up while it waited."""
        exchange.waits = True
        began = time.monotonic()
        answer = await ticket.decided()
        exchange.waits = False
        if isinstance(answer, Refusal):
            exchange.waited = time.monotonic() - began
            return answer
        exchange.waited = answer.waited
        return self._quota.look_again(exchange, route) if answer.waited > 0.0 else None

    async def _hold(self, exchange: Exchange, route: Route, call: Call) -> None:
        """Returns when the HTTP stream ends, whatever ended it; Envoy's cancel arrives as CancelledError."""
        self._open[exchange.id] = call, route
        try:
            while (message := await call.read()) is not None:
                if pb.ProcessingRequest.FromString(message).HasField("response_trailers"):
                    # Unanswered, Envoy would hold the end of the response back until message_timeout.
                    call.write(wire.CONTINUE_TRAILERS)
        finally:
            del self._open[exchange.id]

    async def cancel(self, exchange_id: str) -> bool:
        """Ends a request: the client gets an error, the upstream a reset. False if none with this id runs or waits."""
        if self._pacer.give_up(exchange_id):
            return True
        running = self._running(exchange_id)
        if running is None:
            return False
        call, route, exchange = running
        answer = wire.answer(refusals.cancelled(), route.dialect, exchange.request_id)
        call.write(wire.metadata({"answered": "cancelled"}) + answer)
        return True

    def give_up(self, exchange_id: str, refusal: Refusal, why: str) -> None:
        """Answers the client of a request that finds no connection to the upstream, if it still runs; `why` is what
        Envoy says of the last attempt, for the log."""
        running = self._running(exchange_id)
        if running is not None:
            call, route, exchange = running
            noted = wire.metadata({"answered": refusal.reason.value, "why": why})
            call.write(noted + wire.answer(refusal, route.dialect, exchange.request_id))

    def refuse(self, exchange_id: str, refusal: Refusal) -> bool:
        """Answers the client of a request that was admitted and has no answer yet; Envoy ends what it does with it.
        False if none with this id runs."""
        running = self._running(exchange_id)
        if running is None:
            return False
        call, route, exchange = running
        call.write(self._refused(refusal, exchange, route, self._pacer.hints(exchange, route)))
        return True

    def _running(self, exchange_id: str) -> tuple[Call, Route, Exchange] | None:
        held, exchange = self._open.get(exchange_id), self._admission.find(exchange_id)
        return None if held is None or exchange is None else (*held, exchange)

    def _exchange(self, head: RequestHead, route: Route, client: Client | None) -> Exchange:
        principal = head.session or head.peer if client is None else client.name
        return Exchange(
            id=f"{self.run_id}-{next(self._serial)}",
            request_id=head.request_id if head.request_id_is_safe else str(uuid.uuid4()),
            method=head.method,
            path=route.label,
            source=self._label(principal, client),
            principal=principal,
            client="" if client is None else client.name,
            started=time.time(),
            session=head.session,
            agent=head.agent,
            thread=head.thread,
            program=program_of(head.user_agent),
            lane=lane_of(head.agent, head.priority),
            asked=head.model,
            stream=head.stream,
            max_tokens=head.max_tokens,
            trace=None if self._trace is None else self._trace(head, route),
        )

    def _label(self, principal: str, client: Client | None) -> str:
        return principal if client is not None and self._clients.names_are_labels else client_bucket(principal)

    def _admitted(self, head: RequestHead, exchange: Exchange, route: Route) -> bytes:
        own = wire.own_mutation(head, exchange.request_id)
        if exchange.trace is not None:
            own += wire.trace_mutation(exchange.trace)
        noted = _remembered(exchange) | self._pacer.hints(exchange, route)
        if self._guard.watches(exchange.method, route):
            noted["guard"] = "1"
        if self._pacer.paces(exchange):
            noted["paced"] = "1"
        if route.hands_out_what_is_stored(exchange.method):
            noted["stored"] = "1"
        if self._wants_parts is not None and self._wants_parts(exchange, route):
            noted["parts"] = "1"
        return self._mutation(route.credential) + own + wire.metadata(noted)

    def _refused(
        self, refusal: Refusal, exchange: Exchange, route: Route, hints: Mapping[str, str] = _NO_HINTS
    ) -> bytes:
        reason = refusal.reason.value
        remembered = {**_remembered(exchange), **hints, "answered": reason, "refused": reason}
        return wire.metadata(remembered) + wire.answer(refusal, route.dialect, exchange.request_id)

    def _mutation(self, form: CredentialForm) -> bytes:
        key = self._api_key()
        if key != self._mutations_key:
            self._mutations = {each: wire.admission_mutation(each, key) for each in CredentialForm}
            self._mutations_key = key
        return self._mutations[form]


def _remembered(exchange: Exchange) -> dict[str, str]:
    """What the log entry has to bring back, also to a processor that never saw the request."""
    remembered = {
        "id": exchange.id,
        "path": exchange.path,
        "source": exchange.source,
        "lane": exchange.lane.value,
        "waited": f"{exchange.waited:.4f}",
        "queue_ms": f"{exchange.waited * 1000:.0f}",
    }
    if exchange.asked:
        remembered["asked"] = exchange.asked
    if exchange.client:
        remembered["client"] = exchange.client
    if exchange.session:
        remembered["session"] = exchange.session
    if exchange.thread:
        remembered["thread"] = exchange.thread
    if exchange.agent:
        remembered["agent"] = exchange.agent
    if exchange.trace is not None:
        remembered["trace"] = exchange.trace.note()
    return remembered
