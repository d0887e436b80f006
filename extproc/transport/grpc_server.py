"""A gRPC server for Envoy alone, on the event loop itself: as much of HTTP/2 (RFC 9113) as that takes.

The library of gRPC hands each event to the loop from a thread of its own, and that was most of what a request cost here
(docs/decisions/0028-a-grpc-server-of-our-own.md). One task carries each call, as long as the call lasts.
"""

import asyncio
import struct
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from enum import IntEnum
from pathlib import Path
from typing import Final, TypeAlias

import structlog

from extproc.transport.hpack import HeaderDecoder, HpackError

log = structlog.get_logger("extproc.grpc")

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_FRAME: Final = struct.Struct(">HBBBL")  # length in 24 bits, type, flags, stream
_MESSAGE: Final = struct.Struct(">BL")  # whether compressed, length
_SETTING: Final = struct.Struct(">HL")
_NUMBER: Final = struct.Struct(">L")
_HEADER_SIZE: Final = _FRAME.size
_PREFIX_SIZE: Final = _MESSAGE.size

_LARGEST_FRAME: Final = 16_384  # that anybody may send who was told nothing else
_LARGEST_BLOCK: Final = 65_536
_LARGEST_MESSAGE: Final = 64 * 1024 * 1024  # a batch of log entries
_DEFAULT_WINDOW: Final = 65_535
_CALL_WINDOW: Final = 262_144
_CONNECTION_WINDOW: Final = 4 * 1024 * 1024
_LARGEST_WINDOW: Final = 2**31 - 1
# While more bytes of a call than this wait to be read, its window is not enlarged: a method that reads slowly lets no
# peer fill our memory.
_MOST_UNREAD: Final = 65_536
_BACKLOG: Final = 1024


class _Kind(IntEnum):
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    CONTINUATION = 9


# Plain numbers: what is looked at for each frame is not to be looked up in a class.
_DATA, _HEADERS, _WINDOW_UPDATE, _RST_STREAM = 0, 1, 8, 3
_END_STREAM, _ACK, _END_HEADERS, _PADDED, _PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20


class _Setting(IntEnum):
    HEADER_TABLE_SIZE = 1
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4


class _Error(IntEnum):
    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    FLOW_CONTROL_ERROR = 3
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9


class _Status(IntEnum):
    OK = 0
    UNKNOWN = 2
    UNIMPLEMENTED = 12


class _ConnectionError(Exception):
    """The peer does not speak HTTP/2 as it should: the connection can't go on."""

    def __init__(self, error: _Error, what: str) -> None:
        super().__init__(what)
        self.error = error


def _field(name: bytes, value: bytes) -> bytes:
    """A header field: neither indexed nor coded."""
    return b"\x00" + bytes((len(name),)) + name + bytes((len(value),)) + value


_HEAD: Final = b"\x88" + _field(b"content-type", b"application/grpc")  # `:status 200` is an entry of the static table
_TRAILERS: Final = {status: _field(b"grpc-status", b"%d" % status) for status in _Status}


class Call:
    """One call: what its peer sends is read, message by message, and what it is told is written."""

    __slots__ = (
        "_connection",
        "_is_begun",
        "_is_over",
        "_messages",
        "_number",
        "_owed",
        "_partial",
        "_peer_is_done",
        "_reader",
        "_returned",
        "_trailers",
        "_unread",
        "_unsent",
        "_window",
        "headers",
        "task",
    )

    def __init__(self, connection: "_Connection", number: int, headers: Mapping[str, str], window: int) -> None:
        self.headers = headers
        self.task: asyncio.Task[None] | None = None
        self._connection = connection
        self._number = number
        self._window = window  # bytes that may be sent; below 0 if the peer made it smaller
        self._unsent = bytearray()
        self._trailers = b""
        self._messages: deque[bytes] = deque()
        self._unread = 0  # bytes of messages
        self._owed = 0  # bytes that came and were not allowed anew
        self._returned = 0  # bytes of this call's window that were, but it was not told yet
        self._partial = bytearray()
        self._reader: asyncio.Future[None] | None = None
        self._is_begun = False
        self._peer_is_done = False
        self._is_over = False

    async def read(self) -> bytes | None:
        """The next message; None when there will be none any more. Whoever resets the call cancels who carries it."""
        while not self._messages:
            if self._peer_is_done:
                return None
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        message = self._messages.popleft()
        self._unread -= len(message)
        self._give_window_back()
        return message

    def begin(self) -> None:
        """Tells the peer that the call stands, before there is anything else to say."""
        if not self._is_begun and not self._is_over:
            self._is_begun = True
            self._connection.send(_frame(_HEADERS, _END_HEADERS, self._number, _HEAD))

    def write(self, message: bytes) -> None:
        """Sends a message, or has it sent as soon as the peer takes it. Nobody hears it if the call is over."""
        if self._is_over:
            return
        size = len(message) + _PREFIX_SIZE
        if self._unsent or size > min(_LARGEST_FRAME, self._window, self._connection.window):
            self.begin()
            self._unsent += _MESSAGE.pack(0, len(message)) + message
            self.go_on()
            return
        self._window -= size
        self._connection.window -= size
        data = _FRAME.pack(size >> 8, size & 0xFF, _DATA, 0, self._number) + _MESSAGE.pack(0, len(message)) + message
        if not self._is_begun:
            self._is_begun = True
            data = _frame(_HEADERS, _END_HEADERS, self._number, _HEAD) + data
        self._connection.send(data)

    def finish(self, status: _Status) -> None:
        """Has said all: the call is over, but for what the peer has no window for yet."""
        if self._is_over or self._trailers:
            return
        block = _TRAILERS[status] if self._is_begun else _HEAD + _TRAILERS[status]
        self._trailers = _frame(_HEADERS, _END_HEADERS | _END_STREAM, self._number, block)
        self.go_on()

    def go_on(self) -> None:
        """Sends what is unsent, as far as the peer allows."""
        connection = self._connection
        while self._unsent and (size := min(len(self._unsent), _LARGEST_FRAME, self._window, connection.window)) > 0:
            self._window -= size
            connection.window -= size
            connection.send(_frame(_DATA, 0, self._number, bytes(self._unsent[:size])))
            del self._unsent[:size]
        if self._unsent:
            connection.blocked[self._number] = self
            return
        connection.blocked.pop(self._number, None)
        if self._trailers:
            connection.send(self._trailers)
            if not self._peer_is_done:
                connection.reset(self._number, _Error.NO_ERROR)  # nobody reads what it would still send
            connection.end(self._number)

    def take(self, data: bytes, is_last: bool) -> None:
        """A piece of the peer's messages has come. Raises _ConnectionError for what is none."""
        self._owed += len(data)
        size = len(data) - _PREFIX_SIZE
        if size >= 0 and not self._partial and _MESSAGE.unpack_from(data) == (0, size):
            self._push(data[_PREFIX_SIZE:])
        elif data:
            self._partial += data
            self._cut()
        self._peer_is_done = is_last
        self._give_window_back()
        if self._reader is not None and not self._reader.done() and (self._messages or is_last):
            self._reader.set_result(None)

    def widen(self, size: int) -> None:
        """The peer takes so many more bytes of this call; less if that is negative. Raises _ConnectionError."""
        self._window += size
        if self._window > _LARGEST_WINDOW:
            raise _ConnectionError(_Error.FLOW_CONTROL_ERROR, "a window that is too large")

    def end(self) -> None:
        """The call is over, and whoever still carries it is told."""
        self._is_over = True
        self._unsent.clear()
        self._connection.allow(self._owed)
        self._owed = 0
        if self.task is not None:
            self.task.cancel()

    def _cut(self) -> None:
        partial = self._partial
        while len(partial) >= _PREFIX_SIZE:
            compressed, size = _MESSAGE.unpack_from(partial)
            if compressed or size > _LARGEST_MESSAGE:
                raise _ConnectionError(_Error.PROTOCOL_ERROR, "a message that is compressed or too large")
            if len(partial) < _PREFIX_SIZE + size:
                return
            self._push(bytes(partial[_PREFIX_SIZE : _PREFIX_SIZE + size]))
            del partial[: _PREFIX_SIZE + size]

    def _push(self, message: bytes) -> None:
        self._messages.append(message)
        self._unread += len(message)

    def _give_window_back(self) -> None:
        """Lets the peer send as much again as has come, but not while much waits unread: a call that nobody reads is
        stopped, and a message of any size gets through."""
        if not self._owed or self._unread > _MOST_UNREAD:
            return
        self._connection.allow(self._owed)
        self._returned += self._owed
        self._owed = 0
        if self._returned > _CALL_WINDOW // 2 and not self._peer_is_done:
            self._connection.send(_frame(_WINDOW_UPDATE, 0, self._number, _NUMBER.pack(self._returned)))
            self._returned = 0


Method: TypeAlias = Callable[[Call], Coroutine[None, None, None]]
"""Carries a call; the call ends when it returns. It is cancelled when the peer has gone."""


class GrpcServer:
    """Serves methods, by their paths, on a Unix socket."""

    def __init__(self, methods: Mapping[str, Method]) -> None:
        self._methods = methods
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()

    async def start(self, path: Path) -> None:
        """Raises OSError if there can be no socket."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(self._connect, str(path), backlog=_BACKLOG)

    async def stop(self, grace: float) -> None:
        """Takes no new calls, and cuts those that last longer than so many seconds."""
        if self._server is not None:
            self._server.close()
        connections = list(self._connections)
        for connection in connections:
            connection.say_goodbye()
        carrying = [task for connection in connections for task in connection.tasks()]
        if carrying:
            await asyncio.wait(carrying, timeout=grace)
        for connection in connections:
            connection.close()
        await asyncio.gather(*carrying, return_exceptions=True)

    def _connect(self) -> "_Connection":
        return _Connection(self._methods, self._connections)


class _Connection(asyncio.Protocol):
    """One connection of Envoy's: it has one for each of its threads, and one more for each of its logs."""

    def __init__(self, methods: Mapping[str, Method], connections: "set[_Connection]") -> None:
        self.window = _DEFAULT_WINDOW  # bytes that may be sent
        self.blocked: dict[int, Call] = {}
        self._methods = methods
        self._connections = connections
        self._calls: dict[int, Call] = {}
        self._decoder = HeaderDecoder()
        self._call_window = _DEFAULT_WINDOW  # that the peer gives a call
        self._returned = 0
        self._rest = b""
        self._is_greeted = False
        self._is_leaving = False
        self._latest = 0
        self._block = b""  # of headers that go on in the next frame
        self._block_of = 0
        self._block_flags = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._connections.add(self)
        self.send(_GREETING)

    def connection_lost(self, _error: Exception | None) -> None:
        self._connections.discard(self)
        self._transport = None
        for number in list(self._calls):
            self.end(number)

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        at = 0
        try:
            if not self._is_greeted:
                at = self._take_preface(data)
            at = self._take_frames(data, at)
        except (_ConnectionError, HpackError, struct.error) as error:
            self._fail(error)
            return
        self._rest = data[at:]

    def send(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def reset(self, number: int, error: _Error) -> None:
        self.send(_frame(_RST_STREAM, 0, number, _NUMBER.pack(error)))

    def end(self, number: int) -> None:
        """The call with this number is over."""
        self.blocked.pop(number, None)
        if (call := self._calls.pop(number, None)) is not None:
            call.end()

    def allow(self, size: int) -> None:
        """The peer may send so many bytes more; it is told when they are many."""
        self._returned += size
        if self._returned > _CONNECTION_WINDOW // 2:
            self.send(_frame(_WINDOW_UPDATE, 0, 0, _NUMBER.pack(self._returned)))
            self._returned = 0

    def tasks(self) -> list[asyncio.Task[None]]:
        """Who carries the calls that are open."""
        return [call.task for call in self._calls.values() if call.task is not None]

    def say_goodbye(self) -> None:
        """Has the peer make no new calls here."""
        self._is_leaving = True
        self.send(_goodbye(self._latest, _Error.NO_ERROR))

    def close(self) -> None:
        """Cuts what goes on."""
        for number in list(self._calls):
            self.reset(number, _Error.CANCEL)
            self.end(number)
        if self._transport is not None:
            self._transport.close()

    def _fail(self, error: Exception) -> None:
        log.error("a connection of Envoy's is closed: it is no HTTP/2", why=str(error))
        code = error.error if isinstance(error, _ConnectionError) else _Error.PROTOCOL_ERROR
        self._is_leaving = True
        self.send(_goodbye(self._latest, _Error.COMPRESSION_ERROR if isinstance(error, HpackError) else code))
        self.close()

    def _take_preface(self, data: bytes) -> int:
        if not data.startswith(_PREFACE[: len(data)]):
            raise _ConnectionError(_Error.PROTOCOL_ERROR, "no preface")
        if len(data) < len(_PREFACE):
            return 0
        self._is_greeted = True
        return len(_PREFACE)

    def _take_frames(self, data: bytes, at: int) -> int:
        """Takes the frames that are whole; returns where the next one begins."""
        end = len(data) if self._is_greeted else 0
        while end - at >= _HEADER_SIZE:
            high, low, kind, flags, number = _FRAME.unpack_from(data, at)
            size = high << 8 | low
            if size > _LARGEST_FRAME:
                raise _ConnectionError(_Error.FRAME_SIZE_ERROR, f"a frame of {size} bytes")
            after = at + _HEADER_SIZE + size
            if after > end:
                break
            self._take(kind, flags, number, data[at + _HEADER_SIZE : after])
            at = after
        return at

    def _take(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if self._block_of and kind != _Kind.CONTINUATION:
            raise _ConnectionError(_Error.PROTOCOL_ERROR, "a frame within a block of headers")
        if kind == _DATA:
            self._take_data(flags, number, payload)
        elif kind == _HEADERS:
            block = _without_padding(flags, payload)
            self._take_block(flags, number, block[5:] if flags & _PRIORITY else block)
        elif kind == _WINDOW_UPDATE:
            self._widen(number, *_NUMBER.unpack(payload))
        elif kind == _RST_STREAM:
            self.end(number)
        elif kind == _Kind.SETTINGS:
            if not flags & _ACK:
                self._take_settings(payload)
        elif kind == _Kind.PING:
            if not flags & _ACK:
                self.send(_frame(_Kind.PING, _ACK, 0, payload))
        elif kind == _Kind.CONTINUATION:
            if number != self._block_of:
                raise _ConnectionError(_Error.PROTOCOL_ERROR, "headers that go on without having begun")
            self._take_block(flags | self._block_flags, number, self._block + payload)
        elif kind == _Kind.PUSH_PROMISE:
            raise _ConnectionError(_Error.PROTOCOL_ERROR, "a client that pushes")

    def _take_data(self, flags: int, number: int, payload: bytes) -> None:
        data = _without_padding(flags, payload)
        call = self._calls.get(number)
        if call is None:
            self.allow(len(payload))  # of a call that is over
            return
        self.allow(len(payload) - len(data))
        call.take(data, bool(flags & _END_STREAM))

    def _take_block(self, flags: int, number: int, block: bytes) -> None:
        if len(block) > _LARGEST_BLOCK:
            raise _ConnectionError(_Error.PROTOCOL_ERROR, "headers that are too large")
        if not flags & _END_HEADERS:
            self._block, self._block_of, self._block_flags = block, number, flags
            return
        self._block, self._block_of, self._block_flags = b"", 0, 0
        headers = self._decoder.decode(block)  # always: the table goes on with each block
        if (call := self._calls.get(number)) is not None:
            call.take(b"", is_last=True)  # trailers
        elif number > self._latest and number % 2:
            self._latest = number
            self._begin(number, headers, is_last=bool(flags & _END_STREAM))

    def _begin(self, number: int, headers: Mapping[str, str], *, is_last: bool) -> None:
        if self._is_leaving:
            self.reset(number, _Error.REFUSED_STREAM)
            return
        call = self._calls[number] = Call(self, number, headers, self._call_window)
        if is_last:
            call.take(b"", is_last=True)
        method = self._methods.get(headers.get(":path", ""))
        if method is None:
            call.finish(_Status.UNIMPLEMENTED)
        else:
            call.task = asyncio.get_running_loop().create_task(_carry(method, call))

    def _widen(self, number: int, size: int) -> None:
        if number:
            if (call := self._calls.get(number)) is not None:
                call.widen(size)
                call.go_on()
            return
        self.window += size
        if self.window > _LARGEST_WINDOW:
            raise _ConnectionError(_Error.FLOW_CONTROL_ERROR, "a window that is too large")
        for call in list(self.blocked.values()):
            call.go_on()

    def _take_settings(self, payload: bytes) -> None:
        for name, value in _SETTING.iter_unpack(payload):
            if name == _Setting.INITIAL_WINDOW_SIZE:
                change, self._call_window = value - self._call_window, value
                for call in list(self._calls.values()):
                    call.widen(change)
                    call.go_on()
        self.send(_frame(_Kind.SETTINGS, _ACK, 0, b""))


async def _carry(method: Method, call: Call) -> None:
    status = _Status.UNKNOWN
    try:
        await method(call)
        status = _Status.OK
    except Exception:  # of whatever kind: it is this call's alone
        log.exception("a call has failed", path=call.headers.get(":path", ""))
    finally:
        call.task = None
        call.finish(status)


def _frame(kind: int, flags: int, number: int, payload: bytes) -> bytes:
    size = len(payload)
    return _FRAME.pack(size >> 8, size & 0xFF, kind, flags, number) + payload


def _goodbye(latest: int, error: _Error) -> bytes:
    return _frame(_Kind.GOAWAY, 0, 0, _NUMBER.pack(latest) + _NUMBER.pack(error))


def _without_padding(flags: int, payload: bytes) -> bytes:
    if not flags & _PADDED:
        return payload
    padding = payload[0] if payload else 0
    if not payload or padding >= len(payload):
        raise _ConnectionError(_Error.PROTOCOL_ERROR, "padding alone")
    return payload[1 : len(payload) - padding]


def _settings(values: Mapping[_Setting, int]) -> bytes:
    return _frame(_Kind.SETTINGS, 0, 0, b"".join(_SETTING.pack(name, value) for name, value in values.items()))


# Without a table of what it sent before, the headers of nearly all calls are the same bytes, and decoded once.
_GREETING: Final = _settings(
    {
        _Setting.HEADER_TABLE_SIZE: 0,
        _Setting.MAX_CONCURRENT_STREAMS: 100_000,
        _Setting.INITIAL_WINDOW_SIZE: _CALL_WINDOW,
    }
) + _frame(_WINDOW_UPDATE, 0, 0, _NUMBER.pack(_CONNECTION_WINDOW - _DEFAULT_WINDOW))
