"""A peer that speaks HTTP/2 frame by frame, and methods that it can call."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import hpack

from extproc.transport.grpc_call import Call

SOON = 60.0
MIB = 1024 * 1024
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 5, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITY = 1, 1, 4, 8, 32


class Methods:
    """What the server is to serve, and what became of it."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.running = self.cancelled = 0
        self.headers: dict[str, str] = {}
        self.go_on = asyncio.Event()
        self.by_path = {
            "/t.T/Echo": self.echo,
            "/t.T/Count": self.count,
            "/t.T/Hold": self.hold,
            "/t.T/Fail": self.fail,
            "/t.T/Quit": self.quit,
        }

    async def echo(self, call: Call) -> None:
        self.headers = dict(call.headers)
        while (message := await call.read()) is not None:
            self.got.append(message)
            call.write(message)

    async def count(self, call: Call) -> None:
        call.begin()
        await self.go_on.wait()
        while (message := await call.read()) is not None:
            self.got.append(message)
        call.write(b"%d" % len(self.got))

    async def hold(self, call: Call) -> None:
        self.running += 1
        try:
            call.begin()
            while await call.read() is not None:
                pass
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1

    async def fail(self, call: Call) -> None:
        await call.read()
        raise KeyError("a secret of the message's")

    async def quit(self, call: Call) -> None:
        call.write(b"enough")


def frame(kind: int, flags: int = 0, number: int = 0, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", number) + payload


def message(text: bytes) -> bytes:
    return struct.pack(">BI", 0, len(text)) + text


def window(number: int, size: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, number, struct.pack(">I", size))


def settings(**values: int) -> bytes:
    names = {"table": 1, "push": 2, "window": 4, "frame": 5}
    return frame(SETTINGS, payload=b"".join(struct.pack(">HI", names[name], value) for name, value in values.items()))


class Peer:
    """Speaks HTTP/2 by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()

    @staticmethod
    def head_block(path: str) -> bytes:
        """A head that leaves nothing in a table."""
        encoder = hpack.Encoder()
        encoder.header_table_size = 0
        block: bytes = encoder.encode([(b":path", path.encode())])
        return block

    def head(self, path: str = "/t.T/Echo", **headers: str) -> bytes:
        named = {":method": "POST", ":path": path, **headers}
        block: bytes = self.encoder.encode([(name.encode(), value.encode()) for name, value in named.items()])
        return block

    def send(self, *parts: bytes) -> None:
        self.writer.write(b"".join(parts))

    async def next(self) -> tuple[int, int, int, bytes]:
        """The next frame: kind, flags, number, payload."""
        head = await asyncio.wait_for(self.reader.readexactly(9), SOON)
        payload = await asyncio.wait_for(self.reader.readexactly(int.from_bytes(head[:3], "big")), SOON)
        return head[3], head[4], int.from_bytes(head[5:], "big"), payload

    async def until(self, wanted: Callable[[int, int, int, bytes], bool]) -> tuple[int, int, int, bytes]:
        while not wanted(*(found := await self.next())):
            pass
        return found

    async def answer(self, number: int) -> tuple[bytes, str]:
        """The data of a call up to its end, and its status."""
        data = b""
        while True:
            kind, flags, of, payload = await self.next()
            if of == number and kind == DATA:
                data += payload
            if of == number and kind == HEADERS:
                headers = dict(self.decoder.decode(payload))
                if flags & END_STREAM:
                    return data, headers["grpc-status"]

    async def error(self) -> int:
        """The error with which the connection is closed."""
        _, _, _, payload = await self.until(lambda kind, *_: kind == GOAWAY)
        await asyncio.wait_for(self.reader.read(), SOON)  # to its end
        return int.from_bytes(payload[4:8], "big")


@asynccontextmanager
async def connected(path: Path, *greeting: bytes) -> AsyncIterator[Peer]:
    reader, writer = await asyncio.open_unix_connection(str(path))
    try:
        peer = Peer(reader, writer)
        peer.send(*(greeting or (PREFACE, settings())))
        yield peer
    finally:
        writer.close()
