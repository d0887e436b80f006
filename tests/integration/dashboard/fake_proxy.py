"""A proxy as the dashboard sees one: the real metrics, status, feed and cancel of one without Envoy; with bad habits on
demand."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Any

import uvicorn
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from common.http_server import HttpServer
from extproc.domain.request.exchange import Exchange
from extproc.domain.request.routes import classify
from extproc.domain.usage.log_entry import EntryKind, LogEntry
from extproc.domain.usage.outcome import Outcome, Usage, UsageRecord
from extproc.domain.usage.prices import Cost, PricingTier
from extproc.domain.usage.request_ring import RequestRing
from extproc.domain.usage.tokens import NO_TOKENS, TokenCounts
from extproc.metrics.requests import Metrics
from extproc.transport.admin_access import Owner
from extproc.transport.admin_http import create_app
from extproc.transport.exposition import Exposition
from extproc.transport.request_feed import RequestFeed
from tests.harness.proxy_in_process import ProxyInProcess


class Habit(StrEnum):
    """How it answers /metrics."""

    GOOD = "good"
    SLOW = "slow"  # accepts, and says nothing
    ENDLESS = "endless"  # never stops
    DRIPPING = "dripping"  # a byte now and then
    BROKEN = "broken"  # something that is no page of metrics
    FAILING = "failing"  # 500


class FakeProxy:
    """Its counters begin at zero and its process a moment ago. Holds the last 5 finished requests."""

    def __init__(self) -> None:
        self.habit = Habit.GOOD
        self.has_status = True
        self.status_pause = 0.0
        self.cancelled: list[str] = []
        self.cancel_status: int | None = None
        """What it answers to whoever wants a request to end, in place of the truth."""
        self.token: str | None = None
        self.has_feed = True
        self.scrapes = 0
        self.hosts: list[str] = []
        self.connections: set[tuple[str, int]] = set()
        self._server: HttpServer | None = None
        self._serving: asyncio.Task[None] | None = None
        self.port = 0
        self.restart()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/metrics"

    @property
    def metrics(self) -> Metrics:
        return self.inside.metrics

    def restart(self, held: int = 5, **settings: Any) -> None:
        """As if the process had been started anew: counters from zero, an empty ring, another run."""
        self.inside = ProxyInProcess(**settings)
        self.begin_at(time.time())
        self._feed = RequestFeed(self.inside.service.processor.run_id, RequestRing(held))
        self._finished = 0
        self._app = self._real_app()

    def begin_at(self, started: float) -> None:
        """Lets its process have started at this Unix time."""
        self.started = started
        self.inside.begin_at(started)

    def arrive(self, exchange_id: str, **fields: Any) -> Exchange:
        """A request comes, and runs or waits."""
        return self.inside.arrive(exchange_id, **fields)

    def count(self, requests: int = 1, status: str = "200", seconds: float = 1.0) -> None:
        """So many requests have ended."""
        for _ in range(requests):
            self.metrics.requests.labels("POST", "/v1/messages", status).inc()
            self.metrics.request_duration.labels("POST", "/v1/messages", status).observe(seconds)
            self.metrics.time_to_first_byte.labels("POST", "/v1/messages").observe(seconds / 2)

    def finish(self, path: str = "/v1/messages", error: str | None = None, **fields: Any) -> None:
        """A request has ended, and the feed tells of it. `fields` are those of a log entry and of its usage."""
        self._finished += 1
        usage = _usage(**{name: fields.pop(name) for name in _OF_USAGE if name in fields})
        entry = {"request_id": f"request-{self._finished}", "started": time.time() - 1, "duration": 1.0, "status": 200}
        told = LogEntry(EntryKind.REQUEST, "POST", path, **{**entry, **fields})
        self._feed.add(Outcome(told, classify(path, speaks_anthropic=True), told.status, error, usage))

    def hang_up(self) -> None:
        """Ends every reader's feed."""
        for reader in list(self._feed._readers):
            reader.put_nowait(None)

    async def start(self) -> None:
        """On the port that it had before, if it had one."""
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", self.port))
        self.port = listening.getsockname()[1]
        self._server = HttpServer(
            uvicorn.Config(
                self._answer,
                interface="asgi3",
                log_config=None,
                access_log=False,
                lifespan="off",
                timeout_graceful_shutdown=0,
            )
        )
        self._serving = asyncio.create_task(self._server.serve(sockets=[listening]))
        while not self._server.started:
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """Ends at once; whoever asks finds nobody."""
        if self._server is not None and self._serving is not None:
            self._server.should_exit = self._server.force_exit = True
            self.hang_up()
            await self._serving
            self._server = None

    def _real_app(self) -> Starlette:
        service = self.inside.service
        return create_app(
            Exposition(service.exported),
            service.clients.refuse_look,
            service.admission,
            service.pacer,
            service._about,
            self._feed,
            self._cancel,
            _Owner(self),
            service.models,
            service._readiness,
        )

    async def _cancel(self, exchange_id: str) -> bool:
        self.cancelled.append(exchange_id)
        return self.inside.leave(exchange_id)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self._habitual(Request(scope, receive))
        await (self._app if answer is None else answer)(scope, receive, send)

    async def _habitual(self, request: Request) -> Response | None:
        """What it answers in place of the truth, if so."""
        path = request.url.path
        if path == "/metrics":
            self.scrapes += 1
            self.hosts.append(request.headers["host"])
            assert request.client is not None
            self.connections.add((request.client.host, request.client.port))
            return await self._bad_page()
        if path == "/status":
            await asyncio.sleep(self.status_pause)
            return None if self.has_status else Response(status_code=404)
        if path == "/requests":
            return None if self.has_feed else Response(status_code=404)
        return None if self.cancel_status is None else JSONResponse({}, self.cancel_status)

    async def _bad_page(self) -> Response | None:
        if self.habit is Habit.SLOW:
            await asyncio.sleep(60)
        if self.habit is Habit.ENDLESS:
            return StreamingResponse(_endless(b"zai_proxy_a 1\n" * 10_000, 0.0))
        if self.habit is Habit.DRIPPING:
            return StreamingResponse(_endless(b"#", 0.05))
        if self.habit is Habit.BROKEN:
            return Response("<html>Welcome</html>")
        return Response("no", 500) if self.habit is Habit.FAILING else None


class _Owner(Owner):
    """Wants the token that the proxy wants at the moment."""

    def __init__(self, proxy: FakeProxy) -> None:
        super().__init__(None)
        self._proxy = proxy

    async def refuse(self, request: Request) -> Response | None:
        token = self._proxy.token
        return await Owner(None if token is None else SecretStr(token)).refuse(request)


_OF_USAGE = ("model", "tokens", "tokens_are", "cost_usd", "credits")


def _usage(
    model: str = "",
    tokens: dict[str, Any] | None = None,
    tokens_are: str = "complete",
    cost_usd: float | None = None,
    credits: float | None = None,
) -> Usage | None:
    if tokens is None:
        return None
    cost = None if cost_usd is None else Cost(cost_usd, 0.0, 0.0, 0.0)
    counted, record = TokenCounts(**tokens), UsageRecord(tokens_are)
    estimated = counted if record is UsageRecord.ESTIMATED else NO_TOKENS
    return Usage(record, model, counted, estimated, PricingTier.PEAK, cost, credits, None)


async def _endless(chunk: bytes, pause: float) -> AsyncIterator[bytes]:
    while True:
        yield chunk
        await asyncio.sleep(pause)


@asynccontextmanager
async def running_proxy() -> AsyncIterator[FakeProxy]:
    proxy = FakeProxy()
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
