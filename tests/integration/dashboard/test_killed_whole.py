"""kill -9 of the whole dashboard while requests come in: what a reader was told of is there, and once."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import httpx
import pytest

from dashboard import service
from dashboard.domain.event_stream import EventReader
from dashboard.settings import Settings
from tests.harness.ports import free_port
from tests.integration.dashboard.fake_proxy import FakeProxy
from tests.integration.dashboard.forked import FORKED
from tests.integration.dashboard.running import eventually

pytestmark = pytest.mark.slow

KILLS = 50
PACE = 0.005


def run(settings: dict[str, Any]) -> None:
    service.run(Settings(**settings))


class Killable:
    """Dashboards in processes of their own, one after the other, on the same file."""

    def __init__(self, path: Path, target: str) -> None:
        port = free_port()
        self.client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20)
        self._settings = {"scrape_targets": target, "scrape_interval": 0.2, "db_path": path, "dashboard_port": port}
        self._process: BaseProcess | None = None

    async def start(self) -> None:
        self._process = FORKED.Process(target=run, args=(self._settings,), daemon=True)
        self._process.start()
        await eventually(self._answers, bool)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()

    async def get(self, path: str, **parameters: Any) -> Any:
        return (await self.client.get(path, params=parameters)).raise_for_status().json()

    async def _answers(self) -> bool:
        try:
            return (await self.client.get("/healthz")).is_success
        except httpx.TransportError:
            return False


@pytest.fixture
def killable(tmp_path: Path, proxy: FakeProxy) -> Iterator[Killable]:
    proxy.restart(held=2000)
    dashboards = Killable(tmp_path / "x.db", proxy.url)
    yield dashboards
    dashboards.kill()


async def test_killed_fifty_times_it_loses_nothing_that_a_reader_was_told_of(
    killable: Killable, proxy: FakeProxy
) -> None:
    told: dict[str, int] = {}
    chance = random.Random(4712)
    async with busy(proxy) as finished:
        for _ in range(KILLS):
            await killable.start()
            await read_some(killable, told, chance.randrange(1, 25))
            killable.kill()

    await killable.start()

    await eventually(lambda: killable.get("/api/requests"), lambda table: table["total"] == len(finished), 30)
    kept = await every_request(killable)
    assert sorted(kept) == sorted(finished)
    assert {name: kept[name] for name in told} == told
    assert len(set(kept.values())) == len(kept)
    assert (await killable.get("/api/requests"))["lost"] == {"requests": 0, "unknown_gaps": 0}
    counted = await eventually(lambda: counted_requests(killable), lambda count: count == len(finished))
    assert counted == len(finished)
    store = (await killable.get("/api/targets"))["store"]
    assert (store["set_aside"], store["error"]) == (None, None)


@asynccontextmanager
async def busy(proxy: FakeProxy) -> AsyncIterator[list[str]]:
    """A request ends at each PACE; yields the list of all of them."""
    finished: list[str] = []

    async def work() -> None:
        while True:
            name = f"request-{len(finished)}"
            finished.append(name)
            proxy.count()
            proxy.finish(request_id=name)
            await asyncio.sleep(PACE)

    working = asyncio.create_task(work())
    try:
        yield finished
    finally:
        working.cancel()


async def read_some(killable: Killable, told: dict[str, int], count: int) -> None:
    """Adds the next so many finished requests that a reader is told of, with their ids."""
    reader, seen = EventReader(), 0
    async with killable.client.stream("GET", "/api/events", params={"only": "request"}) as response:
        async for chunk in response.aiter_bytes():
            for event in reader.feed(chunk):
                request = json.loads(event.data)
                told[request["request_id"]] = request["id"]
                seen += 1
            if seen >= count:
                return


async def every_request(killable: Killable) -> dict[str, int]:
    """All that the table has, by name, with their ids; fails if one is there twice."""
    found: dict[str, int] = {}
    after: str | None = ""
    while after is not None:
        page = await killable.get("/api/requests", limit=500, after=after)
        for request in page["requests"]:
            assert request["request_id"] not in found
            found[request["request_id"]] = request["id"]
        after = page["next"]
    return found


async def counted_requests(killable: Killable) -> float:
    """Requests of the last hour as the metrics told of them."""
    answer = await killable.get("/api/series", name="requests", step=3600)
    return float(sum(line["total"] for line in answer["charts"][0]["lines"]))
