"""The simulator as an aiohttp application, and the way to have it listen."""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from simulator.server import control
from simulator.server.exchange import MAX_UPLOAD_BYTES, Exchange
from simulator.server.settings import SimulatorSettings
from simulator.server.state import State


class OneLine(logging.Filter):
    """What is no HTTP is the client's affair: a line instead of a traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError):
            record.msg, record.args, record.exc_info = "not HTTP: %s", (" ".join(str(error).split()),), None
        return True


_ONE_LINE = OneLine()


def _logger() -> logging.Logger:
    logger = logging.getLogger(__name__)
    logger.addFilter(_ONE_LINE)
    return logger


def create_app(settings: SimulatorSettings) -> web.Application:
    """The application; its state is the simulator's own, so that two of them share nothing."""
    state = State(settings)
    app = web.Application(client_max_size=MAX_UPLOAD_BYTES)
    app[control.STATE] = state
    control.add_routes(app)

    async def handle(request: web.Request) -> web.StreamResponse:
        return await Exchange(state, request).run()

    app.router.add_route("*", "/{path:.*}", handle)
    return app


@dataclass(frozen=True, slots=True)
class Running:
    """A simulator that listens. `url` has no trailing slash."""

    url: str
    port: int
    state: State


@asynccontextmanager
async def serve(settings: SimulatorSettings) -> AsyncIterator[Running]:
    """Listens while the context is open. Raises OSError when the port is taken."""
    app = create_app(settings)
    runner = web.AppRunner(
        app,
        access_log=None,
        logger=_logger(),
        handler_cancellation=True,
        auto_decompress=False,
        max_line_size=64 * 1024,
        max_field_size=128 * 1024,
        max_headers=1000,
        shutdown_timeout=0.2,
        keepalive_timeout=settings.keep_alive_seconds,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.host, settings.port, ssl_context=tls_context(settings), backlog=1024)
        await site.start()
        port: int = runner.addresses[0][1]
        scheme = "http" if settings.tls_cert is None else "https"
        yield Running(f"{scheme}://{_url_host(settings.host)}:{port}", port, app[control.STATE])
    finally:
        await runner.cleanup()


def _url_host(host: str) -> str:
    """How this machine reaches what listens on `host`."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        return "127.0.0.1"
    return f"[{host}]" if address.version == 6 else host


def tls_context(settings: SimulatorSettings) -> ssl.SSLContext | None:
    """The context of the certificate, or None without one. Raises OSError for files that do not fit."""
    if settings.tls_cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(settings.tls_cert, settings.tls_key)
    return context
