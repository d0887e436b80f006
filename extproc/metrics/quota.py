"""The series about the plan's quota: read from what is known when Prometheus asks, so nothing can drift."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from extproc.domain.quota.forecast import Forecast
from extproc.domain.quota.quota import QuotaSnapshot
from extproc.domain.quota.windows import WINDOWS, label_of
from extproc.domain.request.priority import Lane

_USUAL: Final = tuple(window.name for window in WINDOWS.values() if window.is_usual)


class QuotaCollector(Collector):
    """Exports the quota. `polls` are counts by result, `webhook` those of its events, None without a webhook."""

    def __init__(
        self,
        snapshot: Callable[[], QuotaSnapshot],
        polls: Callable[[], Mapping[str, int]],
        webhook: Callable[[], Mapping[str, int]] | None = None,
    ) -> None:
        self._snapshot = snapshot
        self._polls = polls
        self._webhook = webhook

    def collect(self) -> Iterator[Metric]:
        now = self._snapshot()
        yield from _window_metrics(_by_labels(now.forecasts))
        yield _share_metric(now)
        yield from _comparison_metrics(now)
        yield _gate_metric(now)
        age = GaugeMetricFamily(
            "zai_proxy_quota_sample_age_seconds", "Time since the last good report of the quota was asked for."
        )
        if now.sample is not None:
            age.add_metric((), now.sample.age(now.at))
        yield age
        yield _counts("zai_proxy_quota_poll", "Polls of the monitor API by how they ended.", self._polls())
        if self._webhook is not None:
            yield _counts(
                "zai_proxy_quota_webhook", "Events for the quota webhook by what became of them.", self._webhook()
            )


def _by_labels(forecasts: Iterable[Forecast]) -> dict[tuple[str, str], Forecast]:
    """The forecasts by their labels; of those that share them, the one of the window that is used most."""
    found: dict[tuple[str, str], Forecast] = {}
    for forecast in forecasts:
        window = forecast.window
        labels = (window.label, window.type_label)
        if labels not in found or (window.used_ratio or 0.0) > (found[labels].window.used_ratio or 0.0):
            found[labels] = forecast
    return found


def _window_metrics(forecasts: dict[tuple[str, str], Forecast]) -> Iterator[Metric]:
    yield _gauge(
        "usage_ratio",
        "Used share of a window's allowance, as last reported.",
        {labels: forecast.window.used_ratio for labels, forecast in forecasts.items()},
    )
    yield _gauge(
        "remaining_ratio",
        "Share of a window's allowance that is left, as last reported.",
        {labels: forecast.window.remaining_ratio for labels, forecast in forecasts.items()},
    )
    yield _gauge(
        "reset_time_seconds",
        "When a window resets, as Unix time; absent while none is open.",
        {labels: forecast.window.resets_at for labels, forecast in forecasts.items()},
    )
    yield _gauge(
        "exhaustion_time_seconds",
        "When a window is used up at the present rate, as Unix time; absent if it lasts until its reset.",
        {labels: forecast.exhausted_at if forecast.runs_out_early else None for labels, forecast in forecasts.items()},
    )
    yield _gauge(
        "unused_at_reset_ratio",
        "Share of a window's allowance that is left at its reset at the present rate.",
        {labels: forecast.unused_at_reset for labels, forecast in forecasts.items()},
    )


def _gauge(name: str, documentation: str, values: Mapping[tuple[str, str], float | None]) -> Metric:
    """A gauge for each window; what is not known is left out."""
    family = GaugeMetricFamily(f"zai_proxy_quota_{name}", documentation, labels=("window", "limit_type"))
    for labels, value in values.items():
        if value is not None:
            family.add_metric(labels, value)
    return family


def _share_metric(now: QuotaSnapshot) -> Metric:
    family = GaugeMetricFamily(
        "zai_proxy_quota_lane_share_ratio",
        "What the quota pilot leaves a lane of what it could use; 1 holds nothing back.",
        labels=("lane",),
    )
    for lane in Lane:
        family.add_metric((lane.value,), now.shares.of(lane))
    return family


def _comparison_metrics(now: QuotaSnapshot) -> Iterator[Metric]:
    charged = GaugeMetricFamily(
        "zai_proxy_quota_charged_credits",
        "Credits that the plan has charged in this window since the proxy began to compare.",
        labels=("window",),
    )
    uncounted = GaugeMetricFamily(
        "zai_proxy_quota_uncounted_credits",
        "The part of the charged credits that the proxy did not count; negative if it counted more.",
        labels=("window",),
    )
    for comparison in now.comparisons:
        if comparison.window in WINDOWS:
            charged.add_metric((comparison.window,), comparison.charged)
            uncounted.add_metric((comparison.window,), comparison.uncounted)
    yield from (charged, uncounted)


def _gate_metric(now: QuotaSnapshot) -> Metric:
    closed = {label_of(closure.window) for closure in now.closures}
    gate = GaugeMetricFamily(
        "zai_proxy_quota_gate_open", "1 while new work is refused until this window resets, else 0.", labels=("window",)
    )
    for window in (*_USUAL, *sorted(closed - set(_USUAL))):
        gate.add_metric((window,), float(window in closed))
    return gate


def _counts(name: str, documentation: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, documentation, labels=("result",))
    for result, count in counts.items():
        family.add_metric((result,), count)
    return family
