"""A company's proxy, as small as it goes: it opens tunnels by CONNECT, for whoever brings the right credentials."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final

_LARGEST_HEAD: Final = 65536


class ForwardProxy:
    """Listens on a port of its own. `resolves` maps a host and port to where its tunnels really lead."""

    def __init__(self, authorization: str = "", resolves: Mapping[str, tuple[str, int]] | None = None) -> None:
        self.authorization = authorization
        self.resolves = dict(resolves or {})
        self.asked: list[str] = []
        self.refused = 0
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def start(self) -> None:
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    async def _listen(self) -> int:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_LARGEST_HEAD)
        port: int = server.sockets[0].getsockname()[1]
        return port

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, target, _ = head[0].split(" ")
            headers = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
            if method != "CONNECT" or headers.get("proxy-authorization", "") != self.authorization.lower():
                self.refused += 1
                writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
                writer.close()
                return
            self.asked.append(target)
            host, _, port = target.rpartition(":")
            there = await asyncio.open_connection(*self.resolves.get(target, (host, int(port))))
            writer.write(b"HTTP/1.1 200 Connection Established\r\n\r\n")
            await asyncio.gather(_pump(reader, there[1]), _pump(there[0], writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
    writer.close()


@contextmanager
def forward_proxy(
    authorization: str = "", resolves: Mapping[str, tuple[str, int]] | None = None
) -> Iterator[ForwardProxy]:
    """A proxy, ended with the block."""
    proxy = ForwardProxy(authorization, resolves)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()
