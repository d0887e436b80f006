"""A client of many paced event streams: raw protocols that count marks and read stamps, and parse nothing else."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar, cast

import uvloop

from bench import traffic
from bench.failure import BenchError

T = TypeVar("T")

_STAMP: Final = re.compile(rb"%b(\d{%d})" % (traffic.MARK, traffic.STAMP_DIGITS))
_REQUEST_BODY: Final = traffic.prompt(2000, stream=True)


@dataclass(frozen=True, slots=True)
class Streams:
    """What to ask for: so many streams of so many events, `interval` seconds apart."""

    count: int
    events: int
    interval: float


@dataclass(slots=True)
class Received:
    """What arrived, and in how many reads. `latencies_ms` is from an event's sending to its reading."""

    events: int = 0
    reads: int = 0
    seconds: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)


def receive(port: int, wanted: Streams, within: float) -> Received:
    """Reads all streams to their ends. Raises BenchError if one breaks off, loses an event or is not done in time."""

    async def read_to_end() -> Received:
        received = Received()
        began = time.perf_counter()
        async with asyncio.timeout(within), _opened(port, wanted, received) as clients:
            await asyncio.gather(*(client.ended for client in clients))
        received.seconds = time.perf_counter() - began
        return received

    received = _in_a_loop(read_to_end())
    if received.events != wanted.count * wanted.events:
        raise BenchError(f"{received.events} of {wanted.count * wanted.events} events arrived")
    return received


def look_while_open(port: int, wanted: Streams, seconds: float, look: Callable[[], T], within: float) -> T:
    """Returns what `look` saw when all streams had been running for so many seconds; then leaves them."""

    async def wait_and_look() -> T:
        async with asyncio.timeout(within), _opened(port, wanted, Received()) as clients:
            await asyncio.gather(*(client.begun for client in clients))
            await asyncio.sleep(seconds)
            return look()

    return _in_a_loop(wait_and_look())


class _Client(asyncio.Protocol):
    def __init__(self, request: bytes, received: Received) -> None:
        loop = asyncio.get_running_loop()
        self.begun: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        self._request = request
        self._received = received
        self._last = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        marks = data.count(traffic.MARK)
        self._received.events += marks
        self._received.reads += 1 if marks else 0
        now = time.monotonic_ns()
        self._received.latencies_ms.extend((now - int(stamp)) / 1e6 for stamp in _STAMP.findall(data))
        if marks and not self.begun.done():
            self.begun.set_result(None)
        self._last = (self._last + data[-len(traffic.END) :])[-len(traffic.END) :]
        if self._last == traffic.END:
            self.ended.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        for future in (self.begun, self.ended):
            if not future.done():
                future.set_exception(BenchError("a stream broke off before its end"))

    def leave(self) -> None:
        self.begun.cancel()
        self.ended.cancel()
        self._transport.abort()


@asynccontextmanager
async def _opened(port: int, wanted: Streams, received: Received) -> AsyncIterator[list[_Client]]:
    """Opens the streams, spread over one interval so that their events do not come in one burst."""
    loop = asyncio.get_running_loop()
    request = _request(wanted)
    clients: list[_Client] = []
    try:
        for _ in range(wanted.count):
            _, client = await loop.create_connection(lambda: _Client(request, received), "127.0.0.1", port)
            clients.append(client)
            await asyncio.sleep(wanted.interval / wanted.count)
        yield clients
    finally:
        for client in clients:
            client.leave()


def _request(wanted: Streams) -> bytes:
    headers = {
        "host": "127.0.0.1",
        **traffic.REQUEST_HEADERS,
        traffic.STREAM_HEADER: f"{wanted.events} {round(wanted.interval * 1e6)}",
        "content-length": str(len(_REQUEST_BODY)),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {traffic.MESSAGES.path} HTTP/1.1\r\n{lines}\r\n".encode() + _REQUEST_BODY


def _in_a_loop(work: Coroutine[object, object, T]) -> T:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            return runner.run(work)
        except TimeoutError:
            raise BenchError("the streams were not done in time") from None
        except OSError as error:
            raise BenchError(f"no connection: {error}") from None
