"""Every series that zai-proxy exports: names, labels, buckets and units in one place. Nothing here counts.

`accounting` moves the counters and histograms; the gauges of admission are read when Prometheus asks.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from extproc.domain.request.admission import AdmissionSnapshot
from extproc.metrics.process import process_collector

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
BYTES: Final = tuple(100 * 10**exponent for exponent in range(8))
WAIT_SECONDS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30)
ACCOUNTING_SECONDS: Final = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1)
# A GLM model writes 20 to 80 tokens/s, so most of the resolution is below 100.
TOKENS_PER_SECOND: Final = (
    5, 10, 20, 30, 40, 50, 60, 80, 100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000,
)  # fmt: skip


class Metrics:
    """The instruments, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        request = ("method", "path", "status_code")
        self.requests = self._counter(
            "requests", "Requests that the client port answered, refused ones included.", request
        )
        self.request_duration = self._histogram(
            "request_duration_seconds", "From the first byte of a request to the last of its answer.", request, SECONDS
        )
        self.request_size = self._histogram("request_size_bytes", "Bytes of request bodies.", request[:2], BYTES)
        self.response_size = self._histogram("response_size_bytes", "Bytes of response bodies.", request, BYTES)
        self.time_to_first_byte = self._histogram(
            "time_to_first_byte_seconds",
            "From the first byte of a request to the first of the upstream's answer.",
            request[:2],
            SECONDS,
        )
        self.upstream_errors = self._counter(
            "upstream_errors",
            "Requests that ended in an error on the way to Z.AI and back, by what went wrong.",
            ("error_type",),
        )
        self.zai_errors = self._counter(
            "zai_errors", "Errors that Z.AI answered, one per upstream attempt.", ("class", "code")
        )
        self.retries = self._counter(
            "retry_attempts", "Upstream attempts that were tried again, by why they failed.", ("reason",)
        )
        self.tokens = self._counter(
            "tokens",
            "Tokens; the directions are disjoint: input is uncached.",
            ("direction", "model", "pricing_tier"),
        )
        self.estimated_tokens = self._counter(
            "estimated_tokens", "The part of zai_proxy_tokens_total that was estimated.", ("direction", "model")
        )
        self.reasoning_tokens = self._counter(
            "reasoning_tokens", "The part of the output tokens that was reasoning.", ("model",)
        )
        self.usage_records = self._counter(
            "usage_records", "Answers that should report token usage, by whether they did.", ("status",)
        )
        self.token_rate = self._histogram(
            "token_rate", "Tokens per second while the answer was generated.", ("direction", "model"), TOKENS_PER_SECOND
        )
        self.token_count_duration = self._histogram(
            "token_count_duration_seconds", "Time to account for one request.", (), ACCOUNTING_SECONDS
        )
        self.estimated_cost = self._counter(
            "estimated_cost_usd", "List price of the tokens in USD.", ("direction", "model", "pricing_tier")
        )
        self.plan_credits = self._counter(
            "plan_credits", "Coding Plan credits of the tokens by the published formula.", ("model", "pricing_tier")
        )
        self.model_queue_wait = self._histogram(
            "model_queue_wait_seconds", "Time that requests of a model waited for their turn.", ("model",), WAIT_SECONDS
        )
        self.rate_limit_wait = self._histogram(
            "rate_limit_wait_seconds", "Time that admitted requests waited for their turn.", ("client",), WAIT_SECONDS
        )
        self.rejections = self._counter(
            "rate_limit_rejections", "Requests that the proxy refused itself.", ("client", "reason")
        )
        self.stream_guard = self._counter(
            "stream_guard", "Answers whose head waited for their first event, by what it was.", ("result",)
        )
        self.access_log_entries = self._counter(
            "access_log_entries",
            "Access-log entries that arrived: of requests, of failed attempts and of progress.",
            (),
        )
        self.access_log_failures = self._counter(
            "access_log_failures", "Access-log entries that could not be recorded: a defect of the proxy.", ()
        )
        self.background_failures = self._counter(
            "background_failures", "Times that work beside the requests failed and was begun anew.", ("task",)
        )
        self.registry.register(process_collector())
        PlatformCollector(registry=self.registry)

    def build_info(self, version: str, commit: str, build_time: str) -> None:
        """Exports what is running."""
        gauge = Gauge(
            "zai_proxy_build_info",
            "What is running; always 1.",
            ("version", "commit", "build_time"),
            registry=self.registry,
        )
        gauge.labels(version, commit, build_time).set(1)

    def _counter(self, name: str, documentation: str, labels: tuple[str, ...]) -> Counter:
        return Counter(f"zai_proxy_{name}_total", documentation, labels, registry=self.registry)

    def _histogram(
        self, name: str, documentation: str, labels: tuple[str, ...], buckets: tuple[float, ...]
    ) -> Histogram:
        return Histogram(f"zai_proxy_{name}", documentation, labels, buckets=buckets, registry=self.registry)


class AdmissionCollector(Collector):
    """Reads the gauges of admission when Prometheus asks: no second tally that could drift."""

    def __init__(self, snapshot: Callable[[], AdmissionSnapshot]) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        now = self._snapshot()
        yield GaugeMetricFamily("zai_proxy_concurrent_requests", "Requests holding a worker slot.", value=now.in_flight)
        yield GaugeMetricFamily("zai_proxy_max_workers", "Worker slots there are.", value=now.max_workers)
        yield GaugeMetricFamily(
            "zai_proxy_worker_utilization_ratio", "Slots in use over slots there are.", value=now.utilization
        )


class VariantRegistry(Collector):
    """A registry as it is exported: every series also says which deployment variant it comes from.

    The `_created` series, which Prometheus has no use for, are left out.
    """

    def __init__(self, registry: CollectorRegistry, variant: str) -> None:
        self._registry = registry
        self._variant = variant

    def collect(self) -> Iterator[Metric]:
        for family in self._registry.collect():
            family.samples = list(self._labelled(family.samples))
            yield family

    def _labelled(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        for sample in samples:
            if not sample.name.endswith("_created"):
                yield sample._replace(labels={**sample.labels, "variant": self._variant})
