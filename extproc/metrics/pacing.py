"""The series about pacing: read from what it knows when Prometheus asks, so nothing can drift."""

from collections.abc import Callable, Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from extproc.domain.pacing.config import PacingMode
from extproc.domain.pacing.learned_limits import ACCOUNT
from extproc.domain.pacing.records import LimitStatus, ModelStatus, PacingStatus
from extproc.domain.replicas.messages import SharedStatus


class PacingCollector(Collector):
    """Exports the limits, what was learned of them, and the queue. Without pacing there are no limits to export."""

    def __init__(self, status: Callable[[], PacingStatus]) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        now = self._status()
        queued = GaugeMetricFamily("zai_proxy_rate_limit_queued_requests", "Requests that wait for their turn.")
        by_lane = GaugeMetricFamily(
            "zai_proxy_queued_requests_by_lane", "Requests that wait for their turn, by lane.", labels=("lane",)
        )
        queued.add_metric((), sum(now.waiting.values()))
        for lane, waiting in now.waiting.items():
            by_lane.add_metric((lane.value,), waiting)
        yield from (queued, by_lane)
        if now.mode is not PacingMode.OFF:
            yield from _limits("rate_limit", "requests_per_second", "Requests a second that may start", now.rate)
            yield from _limits("concurrency_limit", "requests", "Requests that may be in flight", now.concurrency)
            in_use = GaugeMetricFamily(
                "zai_proxy_limits_in_use_ratio", "Share of the limits in use; below 1 after Z.AI was overloaded."
            )
            in_use.add_metric((), now.share_in_use)
            yield in_use
            yield from _models(now.models)


class SharedLimitsCollector(Collector):
    """Exports how sharing the limits with other replicas goes."""

    def __init__(self, status: Callable[[], SharedStatus]) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        now = self._status()
        yield _gauge("up", "1 while the limits are shared with the other replicas.", float(now.up))
        yield _gauge("leader", "1 while this replica learns the limits for all of them.", float(now.leads))
        yield _gauge("replicas", "Replicas that share the plan, as far as this one knows.", now.replicas)
        if now.round_trip is not None:
            yield _gauge("round_trip_seconds", "How long the latest report to the store took.", now.round_trip)
        losses = CounterMetricFamily("zai_proxy_shared_limits_losses", "Times that sharing the limits came to an end.")
        losses.add_metric((), now.losses)
        yield losses


def _models(models: Sequence[ModelStatus]) -> Iterator[Metric]:
    labels = ("model", "account")
    limits = GaugeMetricFamily(
        "zai_proxy_model_concurrency_limit_requests", "Requests of a model that may be in flight.", labels=labels
    )
    ceilings = GaugeMetricFamily(
        "zai_proxy_model_concurrency_limit_ceiling_requests",
        "Requests of a model that may be in flight: the level that broke last; absent while none is known.",
        labels=labels,
    )
    running = GaugeMetricFamily(
        "zai_proxy_model_in_flight_requests", "Requests of a model that are in flight.", labels=labels
    )
    queued = GaugeMetricFamily(
        "zai_proxy_model_queued_requests", "Requests that wait for a place of their model.", labels=labels
    )
    moves = CounterMetricFamily(
        "zai_proxy_model_limit_adjustments", "Changes of a model's limit.", labels=(*labels, "direction")
    )
    for each in models:
        of = (each.model, ACCOUNT)
        limits.add_metric(of, each.limit.limit)
        running.add_metric(of, each.in_flight)
        queued.add_metric(of, each.waiting)
        if each.limit.ceiling is not None:
            ceilings.add_metric(of, each.limit.ceiling)
        for direction, count in each.limit.adjustments.items():
            moves.add_metric((*of, direction.value), count)
    yield from (limits, ceilings, running, queued, moves)


def _gauge(name: str, meaning: str, value: float) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(f"zai_proxy_shared_limits_{name}", meaning)
    gauge.add_metric((), value)
    return gauge


def _limits(name: str, unit: str, meaning: str, limit: LimitStatus) -> Iterator[Metric]:
    value = GaugeMetricFamily(f"zai_proxy_{name}_{unit}", f"{meaning}.")
    value.add_metric((), limit.limit)
    ceiling = GaugeMetricFamily(
        f"zai_proxy_{name}_ceiling_{unit}", f"{meaning}: the level that broke last; absent while none is known."
    )
    if limit.ceiling is not None:
        ceiling.add_metric((), limit.ceiling)
    moves = CounterMetricFamily(f"zai_proxy_{name}_adjustments", f"{meaning}: changes.", labels=("direction",))
    for direction, count in limit.adjustments.items():
        moves.add_metric((direction.value,), count)
    yield from (value, ceiling, moves)
