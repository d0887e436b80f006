"""The processor as a whole: builds every object, runs them together, and ends in order."""

import asyncio
import gc
import os
import signal
import ssl
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import structlog
import uvicorn
import uvloop
from prometheus_client import CollectorRegistry

from common import logs
from common.http_server import Connection, HttpServer
from common.ports import bind
from common.settings import LogLevel, SettingsError
from extproc import version
from extproc.accounting import Accountant
from extproc.domain.pacing.config import TRIES_FOR_A_PLACE, PacingConfig, PacingMode
from extproc.domain.quota.quota import as_json
from extproc.domain.request.admission import Admission
from extproc.domain.request.model_names import ModelNames, model_name
from extproc.domain.request.unreachable import no_connection
from extproc.domain.request.web_origins import WebOrigins
from extproc.domain.usage.log_entry import LogEntry
from extproc.domain.usage.prices import PriceTable
from extproc.domain.usage.request_ring import RequestRing
from extproc.lasting_counts import LastingCounts, LineLoser
from extproc.metrics.pacing import PacingCollector, SharedLimitsCollector
from extproc.metrics.requests import AdmissionCollector, Metrics, VariantRegistry
from extproc.metrics.supervision import SupervisionCollector
from extproc.recorder import Listener, Recorder
from extproc.request_log import RequestLog
from extproc.runtime.api_key import ApiKey
from extproc.runtime.background import Background
from extproc.runtime.cache_watch import STATE_NAME as CACHE_STATE_NAME
from extproc.runtime.cache_watch import CacheWatch
from extproc.runtime.client_gate import ClientGate
from extproc.runtime.giving_up import GivingUp
from extproc.runtime.pacer import Pacer
from extproc.runtime.price_table import load_prices
from extproc.runtime.quota_watch import QuotaWatch
from extproc.runtime.state_file import StateFile, using
from extproc.settings import Settings, ca_file, split_origins, traces_url, way_up
from extproc.transport.access_log import AccessLog
from extproc.transport.admin_access import Owner
from extproc.transport.admin_http import create_app
from extproc.transport.envoy_stats import EnvoyStats
from extproc.transport.exposition import Exposition
from extproc.transport.ext_proc import ExternalProcessor
from extproc.transport.grpc_server import GrpcServer
from extproc.transport.request_feed import RequestFeed
from extproc.transport.retry_gate import RetryGate
from extproc.transport.stream_guard import StreamGuard

if TYPE_CHECKING:
    from extproc.runtime.proxy_watch import ProxyWatch
    from extproc.runtime.shared_limits import SharedLimits
    from extproc.transport.tracing import Tracing

log = structlog.get_logger("extproc")

_STATUS_DAYS: Final = 31
_STATE_NAME: Final = "limits.json"
_GRACE_SECONDS: Final = 1.0
_LAST_ENTRIES_SECONDS: Final = 3.0
_LAST_SPANS_SECONDS: Final = 2.0
_POLL_SECONDS: Final = 0.05
# Longer than the pause between two questions of a client that asks every few seconds: otherwise a question could be
# sent on a connection that is just being closed.
_IDLE_SECONDS: Final = 75


class Service:
    """The objects of one processor. Raises SettingsError for a key, price file or store that cannot be used."""

    def __init__(self, settings: Settings, socket_path: Path, counts: LastingCounts | None = None) -> None:
        self._settings = settings
        self._socket_path = socket_path
        self._stop_signals = 0
        self._stopping = asyncio.Event()
        self.key = ApiKey.from_settings(settings)
        self.admission = Admission(settings.max_workers)
        metrics = self.metrics = Metrics()
        metrics.build_info(version.VERSION, version.commit(), version.BUILD_TIME)
        metrics.registry.register(AdmissionCollector(self.admission.snapshot))
        self._counts = counts or LastingCounts.new()
        if self._counts.is_stopping:  # another processor has died meanwhile, and this one takes its place
            self.admission.drain()
            self._stopping.set()
        metrics.registry.register(SupervisionCollector(self._counts))
        self.exported = CollectorRegistry()
        self.exported.register(VariantRegistry(metrics.registry, settings.deployment_variant))
        self.quota = QuotaWatch(settings, lambda: self.key.current)
        metrics.registry.register(self.quota.collector())
        state = None if settings.state_dir is None else StateFile(settings.state_dir / _STATE_NAME)
        self.models = ModelNames()
        prices = load_prices(settings)
        self.pacer = Pacer(_pacing_config(settings), self.models, self.quota.lane_shares, state, prices)
        metrics.registry.register(PacingCollector(self.pacer.status))
        self.shared = self._shared_limits()
        if self.shared is not None:
            metrics.registry.register(SharedLimitsCollector(self.shared.status))
        self.envoy_stats = EnvoyStats(settings.envoy_admin_port)
        metrics.registry.register(self.envoy_stats)
        self.clients = ClientGate(settings)
        self.guard = StreamGuard(settings.stream_guard, lambda result: metrics.stream_guard.labels(result).inc())
        self.tracing = self._tracing()
        if self.tracing is not None:
            metrics.registry.register(self.tracing.collector())
        cache_state = None if settings.state_dir is None else StateFile(settings.state_dir / CACHE_STATE_NAME)
        self.cache = CacheWatch(prices, doctor=settings.cache_doctor, state=cache_state)
        metrics.registry.register(self.cache.collector())
        self.processor = ExternalProcessor(
            self.admission,
            self.clients,
            self.quota,
            self.pacer,
            lambda: self.key.current,
            self.guard,
            WebOrigins(split_origins(settings.cors_origins or "")),
            None if self.tracing is None else self.tracing.tracer.begin,
            self.cache.wants_parts if settings.cache_doctor else None,
        )
        self.proxy_watch = self._proxy_watch()
        self.background = Background(lambda name: metrics.background_failures.labels(name).inc())
        self.retry_gate = RetryGate(self.admission, self.pacer, self.processor.refuse)
        self.feed = RequestFeed(self.processor.run_id, RequestRing())
        self._request_log = self._log_of_requests()
        self.recorder = self._recorder(prices)
        self.access_log = AccessLog(
            self.recorder.record,
            metrics.access_log_entries.inc,
            metrics.access_log_failures.inc,
            self._request_log.flush if self._request_log is not None else lambda: None,
        )

    async def run(self) -> None:
        """Serves until a signal asks it to stop; then finishes what holds a slot and returns."""
        listening = bind(self._settings.bind_address, self._settings.metrics_port, "METRICS_PORT")
        grpc_server = GrpcServer(
            {
                **self.processor.methods(),
                **self.guard.methods(),
                **self.access_log.methods(),
                **self.retry_gate.methods(),
            }
        )
        await grpc_server.start(self._socket_path)
        http = HttpServer(self._http_config())
        async with asyncio.TaskGroup() as tasks:
            watching = [tasks.create_task(self.background.keep(name, run)) for name, run in self._background_tasks()]
            serving = tasks.create_task(http.serve(sockets=[listening]))
            self._handle_signals()
            gc.collect()
            gc.freeze()  # what is there by now stays, and a full collection took 65 ms to look through it
            if self.tracing is not None:
                log.info("requests are traced", collector=self.tracing.exporter.host)
            log.info(
                "ready", program="extproc", socket=str(self._socket_path), metrics_port=self._settings.metrics_port
            )
            await self._stopping.wait()
            await self._drain()
            await grpc_server.stop(_GRACE_SECONDS)
            if self.tracing is not None and self._stop_signals < 2:
                await self.tracing.exporter.flush(_LAST_SPANS_SECONDS)
            for task in watching:
                task.cancel()
            self.feed.close()
            http.should_exit = True
            await serving

    def _background_tasks(self) -> Iterator[tuple[str, Callable[[], Coroutine[None, None, None]]]]:
        yield "key", self.key.watch
        yield "quota", self.quota.run
        yield "pacing", self.pacer.run
        yield from self.clients.background_tasks()
        yield "cache", self.cache.run
        yield "envoy_stats", self.envoy_stats.run
        if self.shared is not None:
            yield "shared_limits", self.shared.run
        if self.proxy_watch is not None:
            yield "proxy_watch", self.proxy_watch.run
        if self.tracing is not None:
            yield "traces", self.tracing.exporter.run

    def stop(self) -> None:
        """Asked once, drains; asked again, ends at once."""
        self._stop_signals += 1
        self.admission.drain()
        self._stopping.set()

    def _recorder(self, prices: PriceTable) -> Recorder:
        """Tells all who have to hear what the access log says: first who counts and decides, then who shows it."""
        settings, metrics, quota = self._settings, self.metrics, self.quota
        accountant = Accountant(metrics, prices.models, settings.token_counting_enabled)
        listeners = [
            Listener("accounting", accountant.count_request, accountant.count_failure),
            Listener("pacing", self.pacer.take_outcome, self.pacer.take_failure),
            Listener("quota", quota.take_outcome, quota.take_failure, quota.take_progress),
            Listener("clients", self.clients.take_outcome),
            *([Listener("cache", self.cache.take_outcome)] if settings.token_counting_enabled else []),
            Listener("models", lambda outcome: self._learn_model(outcome.entry), progress=self._learn_model),
            Listener("feed", self.feed.add),
        ]
        if settings.pacing is not PacingMode.OFF and settings.max_retries:
            words = partial(no_connection, proxy=way_up(settings))
            giving_up = GivingUp(self.admission, settings.max_retries, words, self.processor.give_up)
            listeners.append(Listener("giving up", failure=giving_up.take_failure))
        if self._request_log is not None:
            listeners.append(Listener("request log", self._request_log.write))
        if self.proxy_watch is not None:
            listeners.append(Listener("proxy watch", self.proxy_watch.take_outcome))
        if self.tracing is not None:
            tracer = self.tracing.tracer
            listeners.append(Listener("traces", tracer.take_outcome, tracer.take_failure))
        failures, durations = metrics.access_log_failures, metrics.token_count_duration
        return Recorder(self.admission, prices, listeners, failures.inc, durations.observe)

    def _tracing(self) -> "Tracing | None":
        url = traces_url(self._settings)
        if url is None:
            return None
        from extproc.transport.tracing import build

        return build(self._settings, url)

    def _proxy_watch(self) -> "ProxyWatch | None":
        proxy, upstream = way_up(self._settings), urlsplit(self._settings.zai_target_url)
        if proxy is None or upstream.hostname is None:
            return None
        from extproc.runtime.proxy_watch import ProxyWatch

        tls = ssl.create_default_context(cafile=ca_file(self._settings))
        return ProxyWatch(proxy, upstream.hostname, upstream.port or 443, tls)

    def _log_of_requests(self) -> RequestLog | None:
        if self._settings.log_level not in (LogLevel.DEBUG, LogLevel.INFO):
            return None
        lines = logs.standard_output(*_line_counts(self._counts))
        return RequestLog(lines.write, self._settings.log_format)

    def _shared_limits(self) -> "SharedLimits | None":
        settings = self._settings
        if settings.limits_url is None:
            return None
        from extproc.runtime import shared_limits

        url, plan = settings.limits_url.get_secret_value(), settings.limits_plan
        try:
            shared_limits.check(url)
        except ValueError as error:
            raise SettingsError([f"LIMITS_URL=***: {error}"]) from None
        name = shared_limits.plan_name
        return shared_limits.SharedLimits(url, lambda: plan or name(self.key.current), self.pacer, self.quota)

    def _http_config(self) -> uvicorn.Config:
        owner = Owner(self._settings.admin_token)
        app = create_app(
            Exposition(self.exported),
            self.clients.refuse_look,
            self.admission,
            self.pacer,
            self._about,
            self.feed,
            self.processor.cancel,
            owner,
            self.models,
            self._readiness,
        )
        return uvicorn.Config(
            app,
            http=Connection,
            log_config=None,
            access_log=False,
            proxy_headers=False,  # whoever tries tokens must not choose the address that is slowed
            lifespan="off",
            timeout_keep_alive=_IDLE_SECONDS,
            timeout_graceful_shutdown=2,
        )

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)

    async def _drain(self) -> None:
        await self._until(lambda: not self.admission.snapshot().in_flight, self._settings.drain_timeout)
        cut = self.admission.snapshot().in_flight
        if cut:
            log.warning("requests cut off at shutdown", requests=cut)
        # Envoy may still have log entries to deliver, and may not have begun to. A supervisor ends Envoy before us, so
        # there is no need to hurry.
        ends_with_us = self._counts.is_inherited
        await self._until_envoy_has_gone(self._settings.drain_timeout if ends_with_us else _LAST_ENTRIES_SECONDS)

    async def _until_envoy_has_gone(self, seconds: float) -> None:
        """Returns when Envoy has neither a log open here nor an admin interface, or after these seconds."""
        try:
            async with asyncio.timeout(seconds):
                while self.access_log.streams or await self.envoy_stats.answers():
                    if self._stop_signals > 1:
                        return
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            return

    async def _until(self, holds: Callable[[], bool], seconds: float) -> None:
        """Waits for a condition, but not beyond these seconds or a second signal to stop."""
        deadline = asyncio.get_running_loop().time() + seconds
        while not holds() and self._stop_signals < 2:
            if asyncio.get_running_loop().time() >= deadline:
                break
            await asyncio.sleep(_POLL_SECONDS)

    def _learn_model(self, entry: LogEntry) -> None:
        """A request is being answered, or has been. The model that answers is the one that serves the name it asked
        for."""
        if entry.is_answered:
            self.pacer.take_answer(entry.model_asked, model_name(entry.answer.model))

    def _about(self) -> dict[str, Any]:
        return {
            "version": version.VERSION,
            "commit": version.commit(),
            "variant": self._settings.deployment_variant,
            "usage": self.clients.describe(_STATUS_DAYS),
            "quota": as_json(self.quota.snapshot()),
            "cache": self.cache.describe(),
            "refused_identities": self.recorder.identities.describe(time.time()),
            "shared_limits": None if self.shared is None else asdict(self.shared.status()),
            "settings": self._settings.shown(),
        }

    def _readiness(self) -> dict[str, object]:
        """What /readyz says beside yes or no: which background tasks fail, though the proxy still serves, and during a
        shutdown how many log entries have come in."""
        told: dict[str, object] = {}
        if self.background.failing:
            told["failing"] = self.background.failing
        if self.admission.snapshot().draining:
            told["log_entries"] = self.access_log.entries
        return told


def _pacing_config(settings: Settings) -> PacingConfig:
    return PacingConfig(
        mode=settings.pacing,
        max_workers=settings.max_workers,
        concurrency_initial=settings.concurrency_limit_initial,
        concurrency_max=settings.concurrency_limit_max,
        rate_initial=settings.rate_limit_initial,
        rate_min=settings.rate_limit_min,
        rate_max=settings.rate_limit_max,
        rate_burst=settings.rate_limit_burst,
        queue_timeout=settings.queue_timeout,
        max_retries=settings.max_retries * TRIES_FOR_A_PLACE,
        replicas=settings.replicas,
    )


def _line_counts(counts: LastingCounts) -> tuple[Callable[[int], None], Callable[[int], None]]:
    """What counts our log lines that could not be written, and those of them that the log has told."""
    of_processor = LineLoser.PROCESSOR
    return partial(counts.count_lost_lines, of_processor), partial(counts.count_told_lines, of_processor)


def run(settings: Settings, socket_path: Path) -> None:
    """Runs the processor in the foreground until it is told to stop."""

    counts = LastingCounts.handed_on(os.environ)
    logs.count_losses(*_line_counts(counts))

    async def serve() -> None:
        await Service(settings, socket_path, counts).run()

    with using(settings.state_dir), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
