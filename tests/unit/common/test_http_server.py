"""Connections from other machines are bounded, and those that ask nothing keep out nobody who does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from common import http_server
from common.http_server import Connection, HttpServer
from tests.harness.waiting import eventually

MOST = 3
ASKS = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
WAITS = b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n"


class App:
    """Answers at once, or to /wait when it is told to."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["path"] == "/wait":
            self.asked.set()
            await self.may_answer.wait()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})


class Peer:
    """A connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def says(self, text: bytes) -> None:
        self._writer.write(text)
        await self._writer.drain()

    async def hears(self) -> bytes:
        """The head of an answer, without its date; nothing if the connection was closed instead."""
        async with asyncio.timeout(60):
            try:
                return (await self._reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")[0]
            except (asyncio.IncompleteReadError, ConnectionError):
                return b""


@asynccontextmanager
async def serving(app: App) -> AsyncIterator[HttpServer]:
    config = uvicorn.Config(app, port=0, log_config=None, lifespan="off", http=Connection)
    server = HttpServer(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.wait({task}, timeout=0.01)
    yield server
    server.should_exit = server.force_exit = True
    await task


@pytest.fixture
def few_from_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """All connections of these tests count as those of other machines."""
    monkeypatch.setattr(http_server, "_MOST_FROM_ELSEWHERE", MOST)
    monkeypatch.setattr(http_server, "is_from_here", lambda client, server: False)


async def connected(server: HttpServer) -> Peer:
    return Peer(*await asyncio.open_connection("127.0.0.1", server.servers[0].sockets[0].getsockname()[1]))


@pytest.mark.usefixtures("few_from_elsewhere")
async def test_one_too_many_takes_the_place_of_the_one_that_has_asked_nothing_for_longest() -> None:
    app = App()
    async with serving(app) as server:
        running = await connected(server)
        await running.says(WAITS)
        await app.asked.wait()
        quiet = await connected(server)
        half = await connected(server)
        await eventually(lambda: len(server.server_state.connections), lambda number: number == MOST)
        await quiet.says(ASKS)
        assert await quiet.hears() == b"HTTP/1.1 204 No Content"
        await half.says(ASKS[:10])

        late = await connected(server)
        await late.says(ASKS)

        assert await late.hears() == b"HTTP/1.1 204 No Content"
        assert await half.hears() == b""
        await quiet.says(ASKS)
        assert await quiet.hears() == b"HTTP/1.1 204 No Content"
        app.may_answer.set()
        assert await running.hears() == b"HTTP/1.1 204 No Content"


@pytest.mark.usefixtures("few_from_elsewhere")
async def test_where_all_have_a_request_under_way_one_too_many_is_closed() -> None:
    app = App()
    async with serving(app) as server:
        running = []
        for _ in range(MOST):
            app.asked.clear()
            running.append(await connected(server))
            await running[-1].says(WAITS)
            await app.asked.wait()

        assert await (await connected(server)).hears() == b""
        app.may_answer.set()
        assert [await each.hears() for each in running] == [b"HTTP/1.1 204 No Content"] * MOST


@pytest.mark.parametrize(
    ("client", "server", "is_from_here"),
    [
        (("127.0.0.1", 50_000), ("127.0.0.1", 9090), True),
        (("::1", 50_000), ("::1", 9090), True),
        (("192.0.2.1", 50_000), ("192.0.2.1", 9090), True),
        (("192.0.2.2", 50_000), ("192.0.2.1", 9090), False),
        (None, None, True),
    ],
)
def test_this_machines_own_connections_have_no_bound(
    client: tuple[str, int] | None, server: tuple[str, int] | None, is_from_here: bool
) -> None:
    assert http_server.is_from_here(client, server) is is_from_here
