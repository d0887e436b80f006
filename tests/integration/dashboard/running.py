"""A dashboard in the test's own process, and how to ask it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx

from dashboard.domain.event_stream import Event, EventReader
from dashboard.scraper import Clocks
from dashboard.service import Service
from dashboard.settings import Settings
from tests.harness.ports import free_port

T = TypeVar("T")

INTERVAL = 0.2


class Dashboard:
    """Can be stopped and started again; keeps its file."""

    def __init__(self, path: Path, *targets: str, clocks: Clocks | None = None, **settings: Any) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        defaults: dict[str, Any] = {
            "scrape_targets": ",".join(targets), "scrape_interval": INTERVAL, "scrape_timeout": INTERVAL,
            "db_path": path, "dashboard_port": self.port,
        }  # fmt: skip
        self._settings = Settings(**{**defaults, **settings})
        self._clocks = clocks
        self._running: asyncio.Task[None] | None = None
        self.service: Service | None = None
        self.client = httpx.AsyncClient(base_url=self.url, timeout=20)

    async def start(self) -> "Dashboard":
        self.service = Service(self._settings, self._clocks)
        self._running = asyncio.create_task(self.service.run())
        await eventually(self._answers, lambda answers: answers)
        return self

    async def stop(self) -> None:
        if self.service is not None and self._running is not None:
            self.service.stop()
            await asyncio.wait_for(self._running, 15)
            self.service = self._running = None

    async def get(self, path: str, /, **parameters: Any) -> Any:
        """The JSON of a 200."""
        response = await self.client.get(path, params=parameters)
        assert response.status_code == 200, response.text
        return response.json()

    async def now(self) -> Any:
        return await self.get("/api/now")

    async def target(self, number: int = 0) -> Any:
        targets = (await self.get("/api/targets"))["targets"]
        return targets[number] if number < len(targets) else {"state": "unknown"}

    async def counted(self, **parameters: Any) -> float:
        """Requests of the last hour."""
        charts = (await self.get("/api/series", name="requests", **parameters))["charts"]
        return float(sum(line["total"] for line in charts[0]["lines"]))

    async def until_up(self) -> None:
        await eventually(self.target, lambda target: target["state"] == "up")

    @asynccontextmanager
    async def events(self, last_id: str = "", **parameters: Any) -> AsyncIterator["Listener"]:
        headers = {"last-event-id": last_id} if last_id else {}
        async with self.client.stream("GET", "/api/events", params=parameters, headers=headers) as response:
            assert response.status_code == 200
            yield Listener(response)

    async def _answers(self) -> bool:
        if self._running is not None and self._running.done():
            await self._running
        try:
            return (await self.client.get("/healthz")).is_success
        except httpx.TransportError:
            return False


class Listener:
    """Reads events one by one."""

    def __init__(self, response: httpx.Response) -> None:
        self._events = _events(response)

    async def next(self, *names: str, within: float = 60.0) -> tuple[Event, Any]:
        """The next event with one of these names, and its data."""
        async with asyncio.timeout(within):
            async for event in self._events:
                if not names or event.name in names:
                    return event, json.loads(event.data)
        raise AssertionError("the stream ended")


async def _events(response: httpx.Response) -> AsyncIterator[Event]:
    reader = EventReader()
    async for chunk in response.aiter_bytes():
        for event in reader.feed(chunk):
            yield event


async def eventually(look: Callable[[], Awaitable[T]], holds: Callable[[T], object], within: float = 60.0) -> T:
    """Returns what `look` saw once `holds` is true of it. Raises AssertionError with the last sight at the deadline."""
    deadline = asyncio.get_running_loop().time() + within
    while not holds(seen := await look()):
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"still {seen!r} after {within} s")
        await asyncio.sleep(0.02)
    return seen
