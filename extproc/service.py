"""The processor as a whole: builds every object, runs them together, and ends in order."""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import grpc.aio
import structlog
import uvicorn
import uvloop
from prometheus_client import CollectorRegistry

from extproc import version
from extproc.accounting import Accountant
from extproc.api_key import ApiKey
from extproc.domain.admission import Admission
from extproc.domain.price_file import PriceTableError, packaged_prices, parse_price_table
from extproc.domain.prices import PriceTable
from extproc.metrics import AdmissionCollector, Metrics, VariantRegistry
from extproc.request_log import RequestLog
from extproc.settings import LogLevel, Settings, SettingsError
from extproc.transport.access_log import AccessLog
from extproc.transport.admin_http import create_app
from extproc.transport.ext_proc import ExternalProcessor

log = structlog.get_logger("extproc")

_LARGEST_MESSAGE: Final = 64 * 1024 * 1024
_GRPC_OPTIONS: Final = (
    # Envoy's batch of access-log entries can exceed gRPC's 4 MiB, and a refused batch would be lost.
    ("grpc.max_receive_message_length", _LARGEST_MESSAGE),
    ("grpc.max_concurrent_streams", 100_000),
)
_GRACE_SECONDS: Final = 1.0
_POLL_SECONDS: Final = 0.05


class Service:
    """The objects of one processor. Raises SettingsError for a key or price file that cannot be used."""

    def __init__(self, settings: Settings, socket_path: Path) -> None:
        self._settings = settings
        self._socket_path = socket_path
        self._stop_signals = 0
        self._stopping = asyncio.Event()
        self.key = ApiKey.from_settings(settings)
        self.admission = Admission(settings.max_workers)
        metrics = Metrics()
        metrics.build_info(version.VERSION, version.COMMIT, version.BUILD_TIME)
        metrics.registry.register(AdmissionCollector(self.admission.snapshot))
        self.exported = CollectorRegistry()
        self.exported.register(VariantRegistry(metrics.registry, settings.deployment_variant))
        lines = RequestLog(sys.stdout, settings.log_format)
        write_line = lines.write if settings.log_level in (LogLevel.DEBUG, LogLevel.INFO) else lambda _outcome: None
        self.accountant = Accountant(
            metrics, self.admission, _load_prices(settings), write_line, settings.token_counting_enabled
        )

    async def run(self) -> None:
        """Serves until a signal asks it to stop; then finishes what holds a slot and returns."""
        listening = bind(self._settings.bind_address, self._settings.metrics_port, "METRICS_PORT")
        grpc_server = self._grpc_server()
        await grpc_server.start()
        http = _HttpServer(self._http_config())
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(self.key.watch())
            serving = tasks.create_task(http.serve(sockets=[listening]))
            self._handle_signals()
            log.info("ready", socket=str(self._socket_path), metrics_port=self._settings.metrics_port)
            await self._stopping.wait()
            await self._drain()
            await grpc_server.stop(_GRACE_SECONDS)
            watching.cancel()
            http.should_exit = True
            await serving

    def stop(self) -> None:
        """Asked once, drains; asked again, ends at once."""
        self._stop_signals += 1
        self.admission.drain()
        self._stopping.set()

    def _grpc_server(self) -> grpc.aio.Server:
        server = grpc.aio.server(options=_GRPC_OPTIONS)
        processor = ExternalProcessor(self.admission, lambda: self.key.current)
        server.add_generic_rpc_handlers((processor.handler(), AccessLog(self.accountant.record).handler()))
        server.add_insecure_port(f"unix:{self._socket_path}")
        return server

    def _http_config(self) -> uvicorn.Config:
        app = create_app(self.exported, self.admission, self._about)
        return uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=2)

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)

    async def _drain(self) -> None:
        deadline = asyncio.get_running_loop().time() + self._settings.drain_timeout
        while self.admission.snapshot().in_flight and self._stop_signals < 2:
            if asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(_POLL_SECONDS)
        cut = self.admission.snapshot().in_flight
        if cut:
            log.warning("requests cut off at shutdown", requests=cut)

    def _about(self) -> dict[str, Any]:
        return {
            "version": version.VERSION,
            "commit": version.COMMIT,
            "variant": self._settings.deployment_variant,
            "settings": self._settings.shown(),
        }


class _HttpServer(uvicorn.Server):
    """uvicorn without its own signal handlers: the service decides when everything stops."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def bind(address: str, port: int, setting: str) -> socket.socket:
    """A listening socket. Raises SettingsError, naming the setting, if the port can't be had."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((address, port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise SettingsError([f"{setting}={port}: need a free port on {address} ({error.strerror})"]) from None
    return listening


def _load_prices(settings: Settings) -> PriceTable:
    if settings.prices_file is None:
        return parse_price_table(packaged_prices())
    try:
        return parse_price_table(settings.prices_file.read_text())
    except (OSError, UnicodeDecodeError, PriceTableError) as error:
        raise SettingsError([f"PRICES_FILE={settings.prices_file}: need a valid price table ({error})"]) from None


def run(settings: Settings, socket_path: Path) -> None:
    """Runs the processor in the foreground until it is told to stop."""

    async def serve() -> None:
        await Service(settings, socket_path).run()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
