"""A server for tests that answers each request with prescribed bytes and keeps what it got."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

Answer = bytes | None
"""A whole HTTP response, or None to leave the caller waiting."""


@dataclass
class Listener:
    """`answers` are given in turn, the last one for ever; `requests` are heads and bodies as they came."""

    answers: list[Answer]
    url: str = ""
    requests: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next((line for line in head.lower().splitlines() if line.startswith("content-length:")), ":0")
        body = (await reader.readexactly(int(length.partition(":")[2]))).decode()
        self.requests.append(head + body)
        answer = self.answers[min(len(self.requests), len(self.answers)) - 1]
        if answer is None:
            await reader.read()
        else:
            writer.write(answer)
        writer.close()


@asynccontextmanager
async def listening(*answers: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[Listener]:
    """Listens on a free port of this machine while the context is open."""
    listener = Listener(list(answers))
    server = await asyncio.start_server(listener.serve, "127.0.0.1", 0, ssl=tls)
    listener.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield listener
    finally:
        server.close()


def http(body: bytes | str = b"", status: int = 200, *headers: str) -> bytes:
    """An HTTP response that ends with its connection."""
    content = body.encode() if isinstance(body, str) else body
    head = [f"HTTP/1.1 {status} Status", f"content-length: {len(content)}", "connection: close", *headers]
    return ("\r\n".join(head) + "\r\n\r\n").encode() + content


@asynccontextmanager
async def running(work: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Runs a coroutine function in the background while the context is open; fails if it ended by itself."""
    task = asyncio.create_task(work())
    try:
        yield
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
