"""A gRPC server for Envoy alone, on the event loop itself: as much of HTTP/2 (RFC 9113) as that takes.

The library of gRPC hands each event to the loop from a thread of its own, and that was most of what a request cost here
(docs/decisions/0028-a-grpc-server-of-our-own.md). One task carries each call, as long as the call lasts.
"""

import asyncio
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import structlog

from extproc.transport.grpc_call import CALL_WINDOW, Call, Method, Status
from extproc.transport.hpack import HeaderDecoder, HpackError
from extproc.transport.http2_frames import (
    ACK,
    DATA,
    DEFAULT_TABLE,
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    FRAME,
    HEADER_SIZE,
    HEADERS,
    LARGEST_FRAME,
    LARGEST_WINDOW,
    NUMBER,
    PREFACE,
    PRIORITY,
    PRIORITY_SIZE,
    RST_STREAM,
    SIGNIFICANT,
    WINDOW_UPDATE,
    Error,
    Http2Error,
    Kind,
    Setting,
    frame,
    goodbye,
    read_settings,
    settings,
    without_padding,
)

log = structlog.get_logger("extproc.grpc")

_BACKLOG: Final = 1024
_CONNECTION_WINDOW: Final = 4 * 1024 * 1024
_MOST_CALLS: Final = 100_000
_LARGEST_BLOCK: Final = 65_536
# The frames that a block of headers may come in. Four of the largest frames fill a block.
_MOST_PIECES: Final = 32
# Bytes that all calls of a connection together may hold unread: twice the largest message.
_MOST_HELD: Final = 128 * 1024 * 1024
# While a peer has left so many bytes of our answers unread, nothing is read from it either: otherwise the answers to
# what it asks would fill our memory.
_MOST_UNSENT: Final = 1024 * 1024
_HANG_UP_SECONDS: Final = 5.0
_PING_SIZE: Final = 8
_END_THE_TABLE: Final = b"\x20"


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
        for connection in list(self._connections):
            connection.say_goodbye()
        carrying = [task for connection in self._connections for task in connection.tasks()]
        if carrying:
            await asyncio.wait(carrying, timeout=grace)
        for connection in list(self._connections):
            connection.close()
        await asyncio.gather(*carrying, return_exceptions=True)

    def _connect(self) -> "_Connection":
        return _Connection(self._methods, self._connections)


class _Connection(asyncio.Protocol):
    """One connection of Envoy's: it has one for each of its threads, and one more for each of its logs."""

    def __init__(self, methods: Mapping[str, Method], connections: "set[_Connection]") -> None:
        self.window = DEFAULT_WINDOW
        self.blocked: dict[int, Call] = {}
        self.table_update = b""
        self._methods = methods
        self._connections = connections
        self._calls: dict[int, Call] = {}
        self._decoder = HeaderDecoder()
        self._call_window = DEFAULT_WINDOW  # bytes that the peer lets each call send at first
        self._returned = 0  # bytes of the connection's window that the peer gets back, but has not been told of
        self._came = 0  # bytes that have come since `_count_held` last ran
        self._rest = b""
        self._is_greeted = False
        self._is_leaving = False
        self._latest = 0
        self._block = b""  # the beginning of a block of headers that goes on in the next frame
        self._block_of = 0
        self._block_flags = 0
        self._block_pieces = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        transport.set_write_buffer_limits(_MOST_UNSENT)  # type: ignore[attr-defined]
        self._connections.add(self)
        self.send(_GREETING)

    def connection_lost(self, _error: Exception | None) -> None:
        self._connections.discard(self)
        self._transport = None
        self._hang_up()

    def eof_received(self) -> None:
        """The peer says no more, so it wants no more: its calls end, even if it never reads what it was told."""
        self._hang_up()

    def pause_writing(self) -> None:
        """The peer does not read what it is told."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The peer has read on."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        at = 0
        try:
            if not self._is_greeted:
                at = self._take_preface(data)
            at = self._take_frames(data, at)
            self._rest = data[at:]
        except Http2Error as error:
            self._fail(error.error, str(error))
        except HpackError as error:
            self._fail(Error.COMPRESSION_ERROR, str(error))
        except struct.error as error:
            self._fail(Error.FRAME_SIZE_ERROR, str(error))

    def send(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def reset(self, number: int, error: Error) -> None:
        self.send(frame(RST_STREAM, 0, number, NUMBER.pack(error)))

    def end(self, number: int) -> None:
        """The call with this number is over."""
        self.blocked.pop(number, None)
        if (call := self._calls.pop(number, None)) is not None:
            call.end()

    def allow(self, size: int) -> None:
        """The peer may send so many bytes more; it is told when they are many."""
        self._returned += size
        if self._returned > _CONNECTION_WINDOW // 2:
            self.send(frame(WINDOW_UPDATE, 0, 0, NUMBER.pack(self._returned)))
            self._returned = 0

    def tasks(self) -> list[asyncio.Task[None]]:
        """Who carries the calls that are open."""
        return [call.task for call in self._calls.values() if call.task is not None]

    def say_goodbye(self) -> None:
        """Has the peer make no new calls here."""
        self._is_leaving = True
        self.send(goodbye(self._latest, Error.NO_ERROR))

    def close(self) -> None:
        """Cuts what goes on."""
        for number in self._calls:
            self.reset(number, Error.CANCEL)
        self._hang_up()

    def _hang_up(self) -> None:
        """Ends all calls, and the connection as soon as the peer has heard of it; it has some seconds for that."""
        for number in list(self._calls):
            self.end(number)
        if self._transport is not None and not self._transport.is_closing():
            self._transport.close()
            asyncio.get_running_loop().call_later(_HANG_UP_SECONDS, self._transport.abort)

    def _fail(self, error: Error, why: str) -> None:
        log.error("a connection of Envoy's is closed: it is no HTTP/2", why=why)
        self._is_leaving = True
        self.send(goodbye(self._latest, error))
        self.close()

    def _take_preface(self, data: bytes) -> int:
        if not data.startswith(PREFACE[: len(data)]):
            raise Http2Error(Error.PROTOCOL_ERROR, "no preface")
        if len(data) < len(PREFACE):
            return 0
        self._is_greeted = True
        return len(PREFACE)

    def _take_frames(self, data: bytes, at: int) -> int:
        """Takes the frames that are whole; returns where the next one begins."""
        end = len(data) if self._is_greeted else 0
        while end - at >= HEADER_SIZE:
            high, low, kind, flags, number = FRAME.unpack_from(data, at)
            size = high << 8 | low
            if size > LARGEST_FRAME:
                raise Http2Error(Error.FRAME_SIZE_ERROR, f"a frame of {size} bytes")
            after = at + HEADER_SIZE + size
            if after > end:
                break
            self._take(kind, flags, number & SIGNIFICANT, data[at + HEADER_SIZE : after])
            at = after
        return at

    def _take(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if self._block_of and kind != Kind.CONTINUATION:
            raise Http2Error(Error.PROTOCOL_ERROR, "a frame within a block of headers")
        if kind == DATA:
            self._take_data(flags, number, payload)
        elif kind == HEADERS:
            block = without_padding(flags, payload)
            if flags & PRIORITY:
                if len(block) < PRIORITY_SIZE:
                    raise Http2Error(Error.FRAME_SIZE_ERROR, "half a priority")
                block = block[PRIORITY_SIZE:]
            self._take_block(flags, number, block)
        elif kind == WINDOW_UPDATE:
            self._widen(number, NUMBER.unpack(payload)[0] & SIGNIFICANT)
        elif kind == RST_STREAM:
            NUMBER.unpack(payload)
            self._must_have_begun(number)
            self.end(number)
        elif kind == Kind.CONTINUATION:
            self._go_on_with_block(flags, number, payload)
        elif kind == Kind.PUSH_PROMISE:
            raise Http2Error(Error.PROTOCOL_ERROR, "a client that pushes")
        elif kind in (Kind.SETTINGS, Kind.PING, Kind.GOAWAY):
            if number:
                raise Http2Error(Error.PROTOCOL_ERROR, "a call's frame that is the connection's")
            self._take_of_connection(kind, flags, payload)

    def _take_of_connection(self, kind: int, flags: int, payload: bytes) -> None:
        if kind == Kind.SETTINGS:
            if not flags & ACK:
                self._take_settings(payload)
            elif payload:
                raise Http2Error(Error.FRAME_SIZE_ERROR, "settings that are none")
        elif kind == Kind.PING:
            if len(payload) != _PING_SIZE:
                raise Http2Error(Error.FRAME_SIZE_ERROR, f"a ping of {len(payload)} bytes")
            if not flags & ACK:
                self.send(frame(Kind.PING, ACK, 0, payload))
        elif error := NUMBER.unpack_from(payload, NUMBER.size)[0]:
            log.error("Envoy leaves a connection: what it was told is no HTTP/2 to it", error=error)

    def _take_data(self, flags: int, number: int, payload: bytes) -> None:
        data = without_padding(flags, payload)
        self._came += len(payload)
        if self._came > _CONNECTION_WINDOW:
            self._count_held()
        call = self._calls.get(number)
        if call is None:
            self._must_have_begun(number)
            self.allow(len(payload))  # the call is over: nobody reads this, and the window is given back
        else:
            call.take(data, len(payload), is_last=bool(flags & END_STREAM))

    def _count_held(self) -> None:
        """Closes the connection of a peer whose calls hold too much. This takes a while, so it is done only now and
        then."""
        self._came = 0
        if sum(call.held for call in self._calls.values()) > _MOST_HELD:
            raise Http2Error(Error.ENHANCE_YOUR_CALM, "too much that nobody reads")

    def _must_have_begun(self, number: int) -> None:
        if not number % 2 or number > self._latest:
            raise Http2Error(Error.PROTOCOL_ERROR, "a frame of a call that has not begun")

    def _go_on_with_block(self, flags: int, number: int, payload: bytes) -> None:
        if not number or number != self._block_of:
            raise Http2Error(Error.PROTOCOL_ERROR, "headers that go on without having begun")
        self._block_pieces += 1
        if self._block_pieces > _MOST_PIECES:
            raise Http2Error(Error.ENHANCE_YOUR_CALM, "headers in too many pieces")
        self._take_block(flags & END_HEADERS | self._block_flags, number, self._block + payload)

    def _take_block(self, flags: int, number: int, block: bytes) -> None:
        if len(block) > _LARGEST_BLOCK:
            raise Http2Error(Error.PROTOCOL_ERROR, "headers that are too large")
        if not flags & END_HEADERS:
            if not number:
                raise Http2Error(Error.PROTOCOL_ERROR, "headers of the connection")
            self._block, self._block_of, self._block_flags = block, number, flags
            return
        if self._block_of:
            self._block, self._block_of, self._block_flags, self._block_pieces = b"", 0, 0, 0
        headers = self._decoder.decode(block)  # even if nobody wants them: each block may change the decoder's table
        if number > self._latest and number % 2:
            self._latest = number
            self._begin(number, headers, is_last=bool(flags & END_STREAM))
            return
        if not number % 2 or ":path" in headers:
            raise Http2Error(Error.PROTOCOL_ERROR, "a call with the number of another")
        if not flags & END_STREAM:
            raise Http2Error(Error.PROTOCOL_ERROR, "trailers that do not end a call")
        if (call := self._calls.get(number)) is not None:
            call.take(b"", 0, is_last=True)

    def _begin(self, number: int, headers: Mapping[str, str], *, is_last: bool) -> None:
        if self._is_leaving or len(self._calls) >= _MOST_CALLS:
            self.reset(number, Error.REFUSED_STREAM)
            return
        call = self._calls[number] = Call(self, number, headers, self._call_window)
        if is_last:
            call.take(b"", 0, is_last=True)
        method = self._methods.get(headers.get(":path", ""))
        if method is None:
            call.finish(Status.UNIMPLEMENTED)
        else:
            call.task = asyncio.get_running_loop().create_task(_carry(method, call))

    def _widen(self, number: int, size: int) -> None:
        if not size:
            raise Http2Error(Error.PROTOCOL_ERROR, "a window that grows by nothing")
        if number:
            if (call := self._calls.get(number)) is not None:
                call.widen(size)
                call.go_on()
            else:
                self._must_have_begun(number)
            return
        self.window += size
        if self.window > LARGEST_WINDOW:
            raise Http2Error(Error.FLOW_CONTROL_ERROR, "a window that is too large")
        for call in list(self.blocked.values()):
            call.go_on()

    def _take_settings(self, payload: bytes) -> None:
        told = read_settings(payload)
        change = told.get(Setting.INITIAL_WINDOW_SIZE, self._call_window) - self._call_window
        self._call_window += change
        calls = list(self._calls.values()) if change else []
        for call in calls:
            call.widen(change)
        if told.get(Setting.HEADER_TABLE_SIZE, DEFAULT_TABLE) < DEFAULT_TABLE:
            self.table_update = _END_THE_TABLE
        # Until the peer reads this it counts by the settings of before.
        self.send(frame(Kind.SETTINGS, ACK, 0, b""))
        for call in calls:
            call.go_on()


async def _carry(method: Method, call: Call) -> None:
    status = Status.UNKNOWN
    try:
        await method(call)
        status = Status.OK
    except Exception:  # whatever it is, it concerns this call alone
        log.exception("a call has failed", path=call.headers.get(":path", ""))
    finally:
        call.task = None
        call.finish(status)


# A table of size 0 keeps the peer from abbreviating what it sent before. So the headers of nearly all calls are the
# same bytes, which the decoder remembers.
_GREETING: Final = settings(
    {
        Setting.HEADER_TABLE_SIZE: 0,
        Setting.MAX_CONCURRENT_STREAMS: _MOST_CALLS,
        Setting.INITIAL_WINDOW_SIZE: CALL_WINDOW,
    }
) + frame(WINDOW_UPDATE, 0, 0, NUMBER.pack(_CONNECTION_WINDOW - DEFAULT_WINDOW))
