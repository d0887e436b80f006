"""A proxy's own objects in the test's process: no Envoy and no store, but whatever it says, it says itself."""

import json
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.applications import Starlette

from extproc.domain.pacing.limits import UNKNOWN
from extproc.domain.pacing.plan_view import PlanLimits
from extproc.domain.pacing.records import Attempt
from extproc.domain.quota.report import read_report
from extproc.domain.quota.windows import QuotaReport, QuotaSample
from extproc.domain.replicas.messages import Answer
from extproc.domain.replicas.replica import Replica
from extproc.domain.request.business_codes import ErrorClass
from extproc.domain.request.exchange import Exchange
from extproc.domain.request.routes import classify
from extproc.metrics.requests import Metrics
from extproc.runtime.shared_limits import SharedLimits
from extproc.service import Service
from extproc.settings import Settings
from tests.harness.processes import make_key
from tests.harness.shared_places import models_that_share


class ProxyInProcess:
    """Built as `zai-proxy extproc` builds it. What Envoy and Z.AI would tell it, the test does."""

    def __init__(self, **settings: Any) -> None:
        values = {"zai_api_key": make_key(), "log_level": "error", "deployment_variant": "test", **settings}
        self.service = Service(Settings(**values), Path("there-is-none.sock"))
        self._held: dict[str, tuple[Exchange, ExitStack]] = {}

    @property
    def metrics(self) -> Metrics:
        return self.service.metrics

    @property
    def app(self) -> Starlette:
        """What it serves on its metrics port."""
        app = self.service._http_config().app
        assert isinstance(app, Starlette)
        return app

    async def get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://127.0.0.1") as client:
            return await client.get(path)

    def arrive(self, exchange_id: str, **fields: Any) -> Exchange:
        """A request comes, and runs or waits, as pacing decides."""
        at = {"method": "POST", "path": "/v1/messages", "source": "source-01", "started": time.time()}
        exchange = Exchange(exchange_id, **{"request_id": f"request-{exchange_id}", **at, **fields})
        stack = ExitStack()
        assert stack.enter_context(self.service.admission.enter(exchange)) is None
        route = classify(exchange.path, speaks_anthropic=True)
        stack.enter_context(self.service.pacer.enter(exchange, route, 1000))
        self._held[exchange_id] = (exchange, stack)
        self._see_who_waits()
        return exchange

    def leave(self, exchange_id: str) -> bool:
        """A request ends; False if there is none."""
        if exchange_id not in self._held:
            return False
        self._held.pop(exchange_id)[1].close()
        self._see_who_waits()
        return True

    def refuse(self, exchange_id: str, code: str = "1302") -> None:
        """Z.AI refuses this request since there are too many at once."""
        now = time.time()
        self.service.pacer.pacing.observe(Attempt(exchange_id, now, now, ErrorClass.CONCURRENCY, code), now)

    def let_share(self, *models: str, places: int) -> None:
        """It knows that these models share so many places."""
        self.service.pacer.pacing.restore(models_that_share(*models, places=places), time.time())

    def report_quota(self, used: float, resets_at: float, age: float = 0.0) -> None:
        """Z.AI's monitor API has told of the five-hour window; `used` is a share."""
        window = {"type": "TOKENS_LIMIT", "unit": 3, "number": 5, "percentage": used * 100}
        limits = [{**window, "nextResetTime": resets_at * 1000}]
        answer = {"code": 200, "success": True, "data": {"level": "max", "limits": limits}}
        report = read_report(200, json.dumps(answer).encode())
        assert isinstance(report, QuotaReport)
        self.service.quota.quota.take_sample(QuotaSample(report, time.time() - age), time.time())

    def use_up(self, code: str = "1310") -> None:
        """Z.AI refuses a request since a window is used up."""
        self.service.quota.quota.take_refusal(code, "x", time.time(), time.time())

    def share(self, limits: PlanLimits, *, leads: bool = False, granted: int = 0, replicas: int = 3) -> None:
        """Gives the proxy an answer of the store: so many replicas share the limits, and the leader has decided these.
        Needs LIMITS_URL."""
        now = time.time()
        answer = Answer(
            now=now, settled=True, up=True, leads=leads, epoch=1, replicas=replicas, plan_limits_version=1,
            plan_limits=limits, gate_version=0, gate=None, may_probe=False, read_to=0, newest=0, busy=replicas, held={},
            waiting={}, granted={UNKNOWN: granted}, events=(),
        )  # fmt: skip
        self._replica.take(answer, now, now)
        self._shared._round_trip = 0.001
        self.service.pacer.go_on()
        self._see_who_waits()

    def lose_the_store(self) -> None:
        """The limits are no longer shared."""
        self._replica.lose(time.time())

    def begin_at(self, started: float) -> None:
        """Makes the metrics say that the process started at this Unix time."""
        registry = self.metrics.registry
        of_process = registry._names_to_collectors["process_start_time_seconds"]
        registry.unregister(of_process)
        registry.register(_StartedAt(of_process, started))

    @property
    def _replica(self) -> Replica:
        return self._shared._replica

    @property
    def _shared(self) -> SharedLimits:
        assert self.service.shared is not None
        return self.service.shared

    def _see_who_waits(self) -> None:
        waiting = {each.id for each in self.service.pacer.waiting()}
        for exchange, _ in self._held.values():
            exchange.waits = exchange.id in waiting


class _StartedAt(Collector):
    """What is known of the process, but for its start."""

    def __init__(self, of_process: Collector, started: float) -> None:
        self._of_process = of_process
        self._started = started

    def collect(self) -> Any:
        start = GaugeMetricFamily("process_start_time_seconds", "When it started.", value=self._started)
        return [start, *(each for each in self._of_process.collect() if each.name != start.name)]
