"""Plays the steps of an answer on a connection, byte for byte: chunks, trailers, early ends and resets."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import struct
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from aiohttp import web

from simulator.api.sse import Reports
from simulator.connection.faults import NO_HTTP
from simulator.connection.steps import Send, Step, Stop, Wait
from simulator.scenario.model import Fault, Framing

_LINGER_ZERO = struct.pack("ii", 1, 0)
_LET_BYTES_LEAVE = 0.02
_LONGEST_HANG = 3600.0


@dataclass(frozen=True, slots=True)
class Head:
    """The head of an answer; how the body's end is told is `framing`, trailers need chunks."""

    status: int
    headers: list[tuple[str, str]]
    framing: Framing
    trailers: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Sent:
    """What went out."""

    bytes: int = 0
    events: int = 0
    usage: Reports = Reports.NOTHING
    final: bool = False
    first_byte_at: float | None = None


class Wire(web.StreamResponse):
    """A response that writes itself; aiohttp only keeps the connection."""

    def __init__(self, request: web.Request) -> None:
        super().__init__()
        self.sent = Sent()
        self._digest = hashlib.sha256()
        self._to = request
        self._unsent_head = b""
        self._chunked = False
        self._ends_connection = False

    @property
    def keep_alive(self) -> bool:
        return not self._ends_connection and self._to.keep_alive

    @property
    def sha256(self) -> str:
        """Of the body bytes sent so far."""
        return self._digest.hexdigest()

    async def prepare(self, request: web.BaseRequest) -> None:
        """Nothing: `play` has written everything."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing: `play` has ended the answer."""

    async def play(self, head: Head, steps: Iterator[Step], length: int | None) -> None:
        """Sends the whole answer; `length` is what content-length says, right or wrong.

        Raises ConnectionResetError when the client has left.
        """
        self._begin(head, length)
        only_head = self._to.method == "HEAD"
        for step in steps:
            if isinstance(step, Wait):
                await self._flush_head()
                await asyncio.sleep(step.seconds)
            elif isinstance(step, Stop):
                await self.stop(step.how)
                return
            elif not only_head:
                await self._send(step)
        if self._chunked and not only_head:
            self._write(self._take_head() + _last_chunk(head.trailers))
        else:
            await self._flush_head()

    async def stop(self, how: Fault) -> None:
        """Ends the connection in a bad way, after what was written so far has left."""
        self._ends_connection = True
        await self._flush_head()
        if how is Fault.HANG:
            await asyncio.sleep(_LONGEST_HANG)
        if how is Fault.NOT_HTTP:
            self._write(NO_HTTP)
        if how is not Fault.RESET:
            return
        if self.sent.bytes or self.sent.first_byte_at is not None:
            await asyncio.sleep(_LET_BYTES_LEAVE)
        transport = self._transport()
        connection: socket.socket = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        transport.abort()

    def give_up(self) -> None:
        """Breaks off an answer that has begun: aiohttp must not write its own error page into it."""
        transport = self._to.transport
        if self.sent.first_byte_at is not None and transport is not None:
            transport.abort()

    def _begin(self, head: Head, length: int | None) -> None:
        framing = head.framing
        if framing is Framing.CHUNKED and self._to.version < (1, 1):
            framing = Framing.CLOSE
        self._chunked = framing is Framing.CHUNKED
        self._ends_connection = framing is Framing.CLOSE
        lines = [f"HTTP/1.1 {head.status} {_reason(head.status)}"]
        lines += [f"{name}: {value}" for name, value in head.headers]
        if framing is Framing.LENGTH and all(name != "content-length" for name, _ in head.headers):
            lines.append(f"content-length: {length or 0}")
        elif self._chunked:
            lines.append("transfer-encoding: chunked")
        if head.trailers:
            lines.append(f"trailer: {', '.join(head.trailers)}")
        lines.append("connection: keep-alive" if self.keep_alive else "connection: close")
        self._unsent_head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _take_head(self) -> bytes:
        head, self._unsent_head = self._unsent_head, b""
        return head

    async def _flush_head(self) -> None:
        if self._unsent_head:
            self._write(self._take_head())
            await asyncio.sleep(0)

    async def _send(self, step: Send) -> None:
        data = step.data
        if data:
            framed = b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data
            self._write(self._take_head() + framed if self._unsent_head else framed)
            self._digest.update(data)
            self.sent.bytes += len(data)
        self.sent.events += step.events
        self.sent.usage = max(self.sent.usage, step.usage)
        self.sent.final = self.sent.final or step.final
        # One turn of the loop a packet: other requests get theirs, and no two packets are merged before the kernel.
        await asyncio.sleep(0)
        await self._to.writer.drain()

    def _write(self, data: bytes) -> None:
        transport = self._transport()
        if self.sent.first_byte_at is None:
            self.sent.first_byte_at = time.monotonic()
        transport.write(data)

    def _transport(self) -> asyncio.Transport:
        transport = self._to.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has left")
        return transport


def _last_chunk(trailers: Mapping[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in trailers.items())
    return f"0\r\n{lines}\r\n".encode("latin-1")


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
