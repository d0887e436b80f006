"""One call of gRPC on a stream of HTTP/2: its messages, and the flow control of both ways."""

import asyncio
import struct
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from enum import IntEnum
from typing import Final, Protocol, TypeAlias

from extproc.transport.http2_frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME,
    HEADERS,
    LARGEST_FRAME,
    LARGEST_WINDOW,
    NUMBER,
    WINDOW_UPDATE,
    Error,
    Http2Error,
    frame,
)

_MESSAGE: Final = struct.Struct(">BL")  # whether compressed, length
_PREFIX_SIZE: Final = _MESSAGE.size
_LARGEST_MESSAGE: Final = 64 * 1024 * 1024  # a batch of log entries has some four, or one entry that is larger
CALL_WINDOW: Final = 262_144
# While more bytes of a call than this wait to be read, its window is not enlarged: a method that reads slowly lets no
# peer fill our memory.
_MOST_UNREAD: Final = 65_536


class Status(IntEnum):
    """How a call has ended."""

    OK = 0
    UNKNOWN = 2
    UNIMPLEMENTED = 12


def _field(name: bytes, value: bytes) -> bytes:
    """A header field: neither indexed nor coded."""
    return b"\x00" + bytes((len(name),)) + name + bytes((len(value),)) + value


_HEAD: Final = b"\x88" + _field(b"content-type", b"application/grpc")  # `:status 200` is an entry of the static table
_TRAILERS: Final = {status: _field(b"grpc-status", b"%d" % status) for status in Status}


class Link(Protocol):
    """What a call needs of its connection."""

    window: int
    """Bytes that may be sent."""
    blocked: "dict[int, Call]"
    """The calls that have more to say than they may."""
    table_update: bytes
    """What each block of headers begins with."""

    def send(self, data: bytes) -> None:
        """Sends frames."""

    def reset(self, number: int, error: Error) -> None:
        """Ends a call on the peer's side."""

    def end(self, number: int) -> None:
        """Ends a call on this side."""

    def allow(self, size: int) -> None:
        """The peer may send so many bytes more."""


class Call:
    """One call: what its peer sends is read, message by message, and what it is told is written."""

    __slots__ = (
        "_is_begun",
        "_is_over",
        "_link",
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

    def __init__(self, link: Link, number: int, headers: Mapping[str, str], window: int) -> None:
        self.headers = headers
        self.task: asyncio.Task[None] | None = None
        self._link = link
        self._number = number
        self._window = window  # bytes that may be sent; below 0 if the peer made it smaller
        self._unsent = bytearray()
        self._trailers = b""  # the block of headers that ends the call
        self._messages: deque[bytes] = deque()
        self._unread = 0  # bytes of messages, as they came: those of empty ones are five
        self._owed = 0  # bytes that came and were not allowed anew
        self._returned = 0  # bytes of this call's window that were, but it was not told yet
        self._partial = bytearray()
        self._reader: asyncio.Future[None] | None = None
        self._is_begun = False
        self._peer_is_done = False
        self._is_over = False

    @property
    def held(self) -> int:
        """Bytes that have come and were not read."""
        return self._unread + len(self._partial)

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
        self._unread -= len(message) + _PREFIX_SIZE
        self._give_window_back()
        return message

    def rest(self) -> list[bytes]:
        """The messages that have come whole and were not read, for who was cancelled."""
        rest = [*self._messages]
        self._messages.clear()
        return rest

    def begin(self) -> None:
        """Tells the peer that the call stands, before there is anything else to say."""
        if not self._is_begun and not self._is_over:
            self._is_begun = True
            self._link.send(frame(HEADERS, END_HEADERS, self._number, self._link.table_update + _HEAD))

    def write(self, message: bytes) -> None:
        """Sends a message, or has it sent as soon as the peer takes it. Nobody hears it if the call is over."""
        if self._is_over:
            return
        link, size = self._link, len(message) + _PREFIX_SIZE
        if self._unsent or size > min(LARGEST_FRAME, self._window, link.window):
            self.begin()
            self._unsent += _MESSAGE.pack(0, len(message)) + message
            self.go_on()
            return
        self._window -= size
        link.window -= size
        data = FRAME.pack(size >> 8, size & 0xFF, DATA, 0, self._number) + _MESSAGE.pack(0, len(message)) + message
        if not self._is_begun:
            self._is_begun = True
            data = frame(HEADERS, END_HEADERS, self._number, link.table_update + _HEAD) + data
        link.send(data)

    def finish(self, status: Status) -> None:
        """Has said all: the call is over, but for what the peer has no window for yet."""
        if self._is_over or self._trailers:
            return
        self._trailers = _TRAILERS[status] if self._is_begun else _HEAD + _TRAILERS[status]
        self.go_on()

    def go_on(self) -> None:
        """Sends what is unsent, as far as the peer allows."""
        link = self._link
        while self._unsent and (size := min(len(self._unsent), LARGEST_FRAME, self._window, link.window)) > 0:
            self._window -= size
            link.window -= size
            link.send(frame(DATA, 0, self._number, bytes(self._unsent[:size])))
            del self._unsent[:size]
        if self._unsent:
            link.blocked[self._number] = self
            return
        link.blocked.pop(self._number, None)
        if self._trailers:
            link.send(frame(HEADERS, END_HEADERS | END_STREAM, self._number, link.table_update + self._trailers))
            if not self._peer_is_done:
                link.reset(self._number, Error.NO_ERROR)  # nobody reads what it would still send
            link.end(self._number)

    def take(self, data: bytes, size: int, *, is_last: bool) -> None:
        """A piece of the peer's messages has come, which used `size` bytes of its window. Raises Http2Error for a piece
        after the last, for a message that ends too soon, and for more than the window allows."""
        if self._peer_is_done:
            raise Http2Error(Error.STREAM_CLOSED, "more of a call that has ended")
        self._owed += size
        length = len(data) - _PREFIX_SIZE
        if length >= 0 and not self._partial and _MESSAGE.unpack_from(data) == (0, length):
            self._push(data[_PREFIX_SIZE:])
        elif data:
            self._partial += data
            self._cut()
        if is_last:
            if self._partial:
                raise Http2Error(Error.PROTOCOL_ERROR, "a message that ends too soon")
            self._peer_is_done = True
        self._give_window_back()
        if self._owed + self._returned > CALL_WINDOW:
            raise Http2Error(Error.FLOW_CONTROL_ERROR, "more than there was a window for")
        if self._reader is not None and not self._reader.done() and (self._messages or is_last):
            self._reader.set_result(None)

    def widen(self, size: int) -> None:
        """The peer takes so many more bytes of this call; less if that is negative. Raises Http2Error."""
        self._window += size
        if self._window > LARGEST_WINDOW:
            raise Http2Error(Error.FLOW_CONTROL_ERROR, "a window that is too large")

    def end(self) -> None:
        """The call is over, and whoever still carries it is told."""
        self._is_over = True
        self._unsent.clear()
        self._link.allow(self._owed)
        self._owed = 0
        if self.task is not None:
            self.task.cancel()

    def _cut(self) -> None:
        partial = self._partial
        while len(partial) >= _PREFIX_SIZE:
            compressed, size = _MESSAGE.unpack_from(partial)
            if compressed or size > _LARGEST_MESSAGE:
                raise Http2Error(Error.PROTOCOL_ERROR, "a message that is compressed or too large")
            if len(partial) < _PREFIX_SIZE + size:
                return
            self._push(bytes(partial[_PREFIX_SIZE : _PREFIX_SIZE + size]))
            del partial[: _PREFIX_SIZE + size]

    def _push(self, message: bytes) -> None:
        self._messages.append(message)
        self._unread += len(message) + _PREFIX_SIZE

    def _give_window_back(self) -> None:
        """Lets the peer send as much again as has come, but not while much waits unread: a call that nobody reads is
        stopped, and a message of any size gets through."""
        if not self._owed or self._unread > _MOST_UNREAD:
            return
        self._link.allow(self._owed)
        self._returned += self._owed
        self._owed = 0
        if self._returned > CALL_WINDOW // 2 and not self._peer_is_done:
            self._link.send(frame(WINDOW_UPDATE, 0, self._number, NUMBER.pack(self._returned)))
            self._returned = 0


Method: TypeAlias = Callable[[Call], Coroutine[None, None, None]]
"""Carries a call; the call ends when it returns. It is cancelled when the peer has gone."""
