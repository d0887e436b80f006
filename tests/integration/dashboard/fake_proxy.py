"""A proxy as the dashboard sees one: metrics, status, feed and cancel; with bad habits on demand."""

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Any

import uvicorn
from prometheus_client import CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from extproc.metrics import Metrics, VariantRegistry


class Habit(StrEnum):
    """How it answers /metrics."""

    GOOD = "good"
    SLOW = "slow"  # accepts, and says nothing
    ENDLESS = "endless"  # never stops
    DRIPPING = "dripping"  # a byte now and then
    BROKEN = "broken"  # something that is no page of metrics
    FAILING = "failing"  # 500


class FakeProxy:
    """Its counters begin at zero and its process a moment ago. Holds the last `held` finished requests."""

    def __init__(self) -> None:
        self.habit = Habit.GOOD
        self.status: dict[str, Any] | None = {"workers": {"in_flight": 0, "max": 20, "draining": False}, "requests": []}
        self.status_pause = 0.0
        self.held = 5
        self.cancelled: list[str] = []
        self.cancel_status = 202
        self.token: str | None = None
        self.has_feed = True
        self.scrapes = 0
        self.hosts: list[str] = []
        self.connections: set[tuple[str, int]] = set()
        self._server: uvicorn.Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self.port = 0
        self.restart()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/metrics"

    @property
    def readers(self) -> int:
        return len(self._readers)

    def restart(self) -> None:
        """As if the process had been started anew: counters from zero, an empty ring, another run."""
        self.started = time.time()
        self.metrics = Metrics()
        self.metrics.build_info("1.0.0", "abc", "today")
        self._exported = CollectorRegistry()
        self._exported.register(VariantRegistry(self.metrics.registry, "test"))
        self.run = f"run{time.time_ns():x}"
        self._serial = 0
        self._ring: list[str] = []
        self._readers: set[asyncio.Queue[str | None]] = set()

    def count(self, requests: int = 1, status: str = "200", seconds: float = 1.0) -> None:
        """So many requests have ended."""
        for _ in range(requests):
            self.metrics.requests.labels("POST", "/v1/messages", status).inc()
            self.metrics.request_duration.labels("POST", "/v1/messages", status).observe(seconds)
            self.metrics.time_to_first_byte.labels("POST", "/v1/messages").observe(seconds / 2)

    def finish(self, **fields: Any) -> None:
        """A request has ended, and the feed tells of it."""
        self._serial += 1
        record = {"request_id": f"request-{self._serial}", "started": time.time() - 1, "duration": 1.0, "status": 200}
        event = f"id: {self.run}-{self._serial}\nevent: request\ndata: {json.dumps({**record, **fields})}\n\n"
        self._ring = [*self._ring, event][-self.held :]
        for reader in self._readers:
            reader.put_nowait(event)

    def hang_up(self) -> None:
        """Ends every reader's feed."""
        for reader in self._readers:
            reader.put_nowait(None)

    async def start(self) -> None:
        """On the port that it had before, if it had one."""
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", self.port))
        self.port = listening.getsockname()[1]
        self._server = _Server(
            uvicorn.Config(self._app(), log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=0)
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

    def _app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/metrics", self._metrics),
                Route("/status", self._status),
                Route("/requests", self._feed),
                Route("/requests/{id}/cancel", self._cancel, methods=["POST"]),
            ]
        )

    async def _metrics(self, request: Request) -> Response:
        self.scrapes += 1
        self.hosts.append(request.headers["host"])
        assert request.client is not None
        self.connections.add((request.client.host, request.client.port))
        if self.habit is Habit.SLOW:
            await asyncio.sleep(60)
        if self.habit is Habit.ENDLESS:
            return StreamingResponse(_endless(b"zai_proxy_a 1\n" * 10_000, 0.0))
        if self.habit is Habit.DRIPPING:
            return StreamingResponse(_endless(b"#", 0.05))
        if self.habit is Habit.BROKEN:
            return Response("<html>Welcome</html>")
        if self.habit is Habit.FAILING:
            return Response("no", 500)
        page = generate_latest(self._exported).decode()
        lines = [line for line in page.splitlines() if not line.startswith("process_start_time_seconds")]
        return Response("\n".join([*lines, f"process_start_time_seconds {self.started}"]) + "\n")

    async def _status(self, _request: Request) -> Response:
        await asyncio.sleep(self.status_pause)
        return Response(status_code=404) if self.status is None else JSONResponse(self.status)

    async def _feed(self, request: Request) -> Response:
        if not self.has_feed:
            return Response(status_code=404)
        if self.token is not None and request.headers.get("authorization") != f"Bearer {self.token}":
            return JSONResponse({"error": "who are you?"}, 401)
        replay = self._replay(request.headers.get("last-event-id", ""))
        queue: asyncio.Queue[str | None] = asyncio.Queue()
        self._readers.add(queue)
        return StreamingResponse(self._events(replay, queue), media_type="text/event-stream")

    def _replay(self, last_id: str) -> list[str]:
        run, _, serial = last_id.rpartition("-")
        if run != self.run:
            return ['event: gap\ndata: {"lost": null}\n\n', *self._ring] if last_id else list(self._ring)
        missed = self._serial - int(serial)
        lost = max(0, missed - len(self._ring))
        gap = [f'event: gap\ndata: {{"lost": {lost}}}\n\n'] if lost else []
        return gap + (self._ring[-missed:] if missed else [])

    async def _events(self, replay: list[str], queue: asyncio.Queue[str | None]) -> AsyncIterator[str]:
        try:
            yield ": hello\n\n"
            for each in replay:
                yield each
            while (event := await queue.get()) is not None:
                yield event
        finally:
            self._readers.discard(queue)

    async def _cancel(self, request: Request) -> Response:
        if self.token is not None and request.headers.get("authorization") != f"Bearer {self.token}":
            return JSONResponse({"error": "who are you?"}, 401)
        self.cancelled.append(request.path_params["id"])
        return JSONResponse({}, self.cancel_status)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


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
