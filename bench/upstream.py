"""The upstream of the benchmark, but for streams in bulk (lockstep.py): prebuilt bytes from a raw protocol on uvloop.

It has to be much faster than what is measured. On two cores it gives 150,000 JSON answers a second, ten times as many
as an Envoy with `direct_response`, and it reads large prompts to their end, which `direct_response` does not.
"""

import asyncio
import functools
import re
import sys
import time
from typing import Final, cast

import uvloop

from bench import traffic

_STREAM: Final = re.compile(rb"\r\n%b: (\d+) (\d+)\r\n" % traffic.STREAM_HEADER.encode(), re.IGNORECASE)
_LENGTH: Final = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)
_COLD: Final = b"\r\n%b: " % traffic.COLD_HEADER.encode()
_ANSWER: Final = traffic.json_answer()
_COLD_ANSWER: Final = traffic.json_answer(cached=False)
_STREAM_START: Final = traffic.stream_head() + traffic.MESSAGES.start
_DELTA_BEFORE, _, _DELTA_AFTER = traffic.delta(0).partition(b"0" * traffic.STAMP_DIGITS)

_at_once = functools.cache(traffic.at_once)

# All connections read into one buffer: what it holds is used up before the next read.
_BUFFER: Final = memoryview(bytearray(256 * 1024))


class Connection(asyncio.BufferedProtocol):
    """Reads a request to its end, answers it, and waits for the next; no pipelining."""

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._head = b""
        self._body_left = 0
        self._stream: _Stream | None = None
        self._asked_for: tuple[int, int] | None = None
        self._is_cold = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return _BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        if self._body_left:
            self._body_left -= nbytes
        else:
            self._head += bytes(_BUFFER[:nbytes])
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            self._read_head(self._head[: end + 2], len(self._head) - end - 4)
        if self._body_left == 0:
            self._answer()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._stream is not None:
            self._stream.stop()

    def _read_head(self, head: bytes, body_bytes_read: int) -> None:
        self._head = b""
        length = _LENGTH.search(head)
        stream = _STREAM.search(head)
        self._is_cold = _COLD in head
        self._body_left = (int(length[1]) if length else 0) - body_bytes_read
        self._asked_for = (int(stream[1]), int(stream[2])) if stream else None

    def _answer(self) -> None:
        if self._asked_for is None:
            self._transport.write(_COLD_ANSWER if self._is_cold else _ANSWER)
            return
        events, interval_us = self._asked_for
        if not interval_us:
            self._transport.write(_at_once(events))
            return
        self._stream = _Stream(self._transport, events, interval_us / 1e6)


class _Stream:
    """A streamed answer on its way out: one event an interval, each with the moment of its sending in it."""

    def __init__(self, transport: asyncio.Transport, events: int, interval: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._events = self._events_left = events
        self._interval = interval
        self._next = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        transport.write(_STREAM_START)
        self._send()

    def stop(self) -> None:
        """The other side is gone."""
        if self._timer is not None:
            self._timer.cancel()

    def _send(self) -> None:
        stamp = b"%0*d" % (traffic.STAMP_DIGITS, time.monotonic_ns())
        self._transport.write(_DELTA_BEFORE + stamp + _DELTA_AFTER)
        self._events_left -= 1
        if self._events_left == 0:
            self._transport.write(traffic.MESSAGES.end(self._events))
            return
        self._next += self._interval
        self._timer = self._loop.call_at(self._next, self._send)


async def serve(port: int) -> None:
    """Serves on loopback until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1])))
