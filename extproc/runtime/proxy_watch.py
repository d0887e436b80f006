"""The way to the upstream through HTTPS_PROXY: which leg of it is broken, and who is told.

Envoy can only say that no connection came about: what it speaks to is a listener of its own, which opens the tunnels.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final

import structlog

from extproc.domain.request.way_up import BrokenWay, ForwardProxy, Leg
from extproc.domain.usage.outcome import ErrorType, Outcome

log = structlog.get_logger("extproc.proxy_watch")

_LEG_SECONDS: Final = 10.0
_PAUSE_SECONDS: Final = 15.0
_LARGEST_HEAD: Final = 65536


class _BrokenError(Exception):
    def __init__(self, leg: Leg, why: str) -> None:
        super().__init__(why)
        self.leg = leg
        self.why = why


async def look_through(proxy: ForwardProxy, host: str, port: int, tls: ssl.SSLContext) -> BrokenWay | float:
    """Goes the way to an https upstream through a proxy, TLS included, and asks nothing. Returns where it is broken, or
    the Unix time until which the certificate at its end is good."""
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    writer: asyncio.StreamWriter | None = None
    try:
        with _leg(Leg.NAME):
            async with asyncio.timeout(_LEG_SECONDS):
                await asyncio.get_running_loop().getaddrinfo(proxy.host, proxy.port, type=socket.SOCK_STREAM)
        with _leg(Leg.CONNECTION):
            async with asyncio.timeout(_LEG_SECONDS):
                reader, writer = await asyncio.open_connection(proxy.host, proxy.port, limit=_LARGEST_HEAD)
        if proxy.scheme == "https":
            with _leg(Leg.PROXY_TLS):
                async with asyncio.timeout(_LEG_SECONDS):
                    await writer.start_tls(tls, server_hostname=proxy.host)
        with _leg(Leg.TUNNEL):
            async with asyncio.timeout(_LEG_SECONDS):
                await _open_tunnel(reader, writer, target, proxy.authorization)
        with _leg(Leg.TLS):
            async with asyncio.timeout(_LEG_SECONDS):
                await writer.start_tls(tls, server_hostname=host)
            certificate = writer.get_extra_info("peercert") or {}
            return float(ssl.cert_time_to_seconds(str(certificate["notAfter"])))
    except _BrokenError as broken:
        return BrokenWay(broken.leg, proxy.address, target, broken.why)
    finally:
        if writer is not None:
            writer.transport.abort()


@contextmanager
def _leg(leg: Leg) -> Iterator[None]:
    """Whatever goes wrong within is a fault of this leg."""
    try:
        yield
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:  # TimeoutError is an OSError
        raise _BrokenError(leg, _reason(error)) from None


async def _open_tunnel(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: str, authorization: str
) -> None:
    credentials = f"proxy-authorization: {authorization}\r\n" if authorization else ""
    writer.write(f"CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n{credentials}\r\n".encode())
    await writer.drain()
    version, _, rest = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0].partition(b" ")
    status = rest[:3].decode("latin-1")
    if not version.startswith(b"HTTP/1.") or not (status.isascii() and status.isdecimal() and len(status) == 3):
        raise _BrokenError(Leg.TUNNEL, "its answer is no HTTP")
    if not status.startswith("2"):
        raise _BrokenError(Leg.TUNNEL, _status(int(status)))


def _status(number: int) -> str:
    """A status with its name; not in the proxy's words, which can repeat what it was sent."""
    try:
        return f"{number} {HTTPStatus(number).phrase}"
    except ValueError:
        return str(number)


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (
            getattr(error, "verify_message", "") or (error.reason or "the handshake failed").replace("_", " ").lower()
        )
    if isinstance(error, TimeoutError):
        return f"no answer within {_LEG_SECONDS:.0f} s"
    if isinstance(error, asyncio.IncompleteReadError):
        return "it closes the connection without an answer"
    if isinstance(error, OSError):
        return os.strerror(error.errno) if error.errno else "none of its addresses answers"
    return "its answer is no HTTP"


class ProxyWatch:
    """Says in the log which leg of the way is broken: at the start, when requests find no connection, and when it is
    whole again."""

    def __init__(self, proxy: ForwardProxy, host: str, port: int, tls: ssl.SSLContext) -> None:
        self._proxy = proxy
        self._upstream = (host, port)
        self._tls = tls
        self._wanted = asyncio.Event()
        self._said = ""

    def take_outcome(self, outcome: Outcome) -> None:
        """A request has ended."""
        if outcome.error == ErrorType.UPSTREAM_CONNECTION and outcome.route.leaves:
            self._wanted.set()

    async def run(self) -> None:
        """Looks for ever; when requests fail, and every quarter of a minute while it is broken."""
        while True:
            self._wanted.clear()
            self._tell(await look_through(self._proxy, *self._upstream, self._tls))
            await asyncio.sleep(_PAUSE_SECONDS)
            if not self._said:
                await self._wanted.wait()

    def _tell(self, found: BrokenWay | float) -> None:
        if isinstance(found, BrokenWay):
            if str(found) != self._said:
                log.warning(f"HTTPS_PROXY: {found}. {found.advice}")
            self._said = str(found)
            return
        if self._said:
            log.info(f"HTTPS_PROXY: {self._proxy.address} opens tunnels to Z.AI again")
        self._said = ""
