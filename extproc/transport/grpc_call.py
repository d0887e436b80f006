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
# A batch of log entries has some 4 MiB, unless a single entry is larger.
_LARGEST_MESSAGE: Final = 64 * 1024 * 1024
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
    """A header field in HPACK's plainest form: not in a table, and not compressed."""
    return b"\x00" + bytes((len(name),)) + name + bytes((len(value),)) + value


_HEAD: Final = b"\x88" + _field(b"content-type", b"application/grpc")  # `:status 200` is an entry of the static table
_TRAILERS: Final = {status: _field(b"grpc-status", b"%d" % status) for status in Status}


class Link(Protocol):
    """What a call needs of its connection."""

    window: int
    """Bytes that may be sent."""
    blocked: "dict[int, Call]"
    """The calls that have something to send and have to wait for the peer's window, by number."""
    table_update: bytes
    """The bytes that each block of headers has to begin with: empty, or an update of the table's size."""

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
        # Bytes of the whole messages that wait to be read, each with its prefix of five bytes.
        self._unread = 0
        # Bytes that the peer has used of its window and does not get back yet, since too much waits to be read.
        self._owed = 0
        # Bytes of the window that the peer gets back, but has not been told of.
        self._returned = 0
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
        """The next message; None if the peer has said that there are no more. If the peer resets the call, the task
        that carries it is cancelled instead."""
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
        """The whole messages that have not been read. A task that was cancelled can still take them."""
        rest = [*self._messages]
        self._messages.clear()
        return rest

    def begin(self) -> None:
        """Sends the headers of the answer, to tell the peer that the call is accepted before there is any message."""
        if not self._is_begun and not self._is_over:
            self._is_begun = True
            self._link.send(frame(HEADERS, END_HEADERS, self._number, self._link.table_update + _HEAD))

    def write(self, message: bytes) -> None:
        """Sends a message, or keeps it until the peer's window has room. After the end of the call it is dropped."""
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
        """Ends the call with a status, once all that was written before has been sent."""
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
        """Gives the peer its window back for what has come, unless much waits to be read. So a call that nobody reads
        comes to a stop, and a message that is larger than the window still gets through."""
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
