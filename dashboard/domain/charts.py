"""The charts by name: which series each is made of, and what its lines are called."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from dashboard.domain.samples import Kind, SeriesKey
from dashboard.records.series import ChartKind

Values: TypeAlias = list[float | None]
Lines: TypeAlias = dict[str, Values]


@dataclass(frozen=True, slots=True)
class Source:
    """Series that a chart is made of. `line` says which line one belongs to (for a histogram: which bucket), None for
    none of them."""

    kind: Kind
    name: str
    line: Callable[[SeriesKey], str | None]


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart. `split` is the label that tells its lines apart. `derive` makes the lines from those that were read and
    from the step in seconds."""

    name: str
    title: str
    kind: ChartKind
    unit: str
    split: str
    sources: tuple[Source, ...]
    quantiles: tuple[float, ...] = ()
    derive: Callable[[Lines, int], Lines] = field(default=lambda lines, _step: lines)


class UnknownChartError(ValueError):
    """There is no chart of this name, or it has no such lines. The message is a sentence."""


def find_chart(name: str, by: str | None = None) -> Chart:
    """Raises UnknownChartError."""
    splits = _CHARTS.get(name)
    if splits is None:
        if name.startswith("zai_proxy_"):
            return _plain(name)
        raise UnknownChartError(f"there is no chart {name[:50]!r}; there are {', '.join(_CHARTS)}")
    if by is None:
        return next(iter(splits.values()))
    if by not in splits:
        raise UnknownChartError(f"{name} has lines by {', '.join(splits)}, not by {by[:50]!r}")
    return splits[by]


def chart_names() -> Mapping[str, tuple[str, ...]]:
    """Every chart and what its lines can be told apart by, the default first."""
    return {name: tuple(splits) for name, splits in _CHARTS.items()}


def _label(name: str) -> Callable[[SeriesKey], str | None]:
    return lambda key: key.label(name) or "unknown"


def _named(line: str) -> Callable[[SeriesKey], str | None]:
    return lambda _key: line


def _status_class(key: SeriesKey) -> str | None:
    status = key.label("status_code")
    return f"{status[:1]}xx" if status.isdecimal() else "unknown"


def _successful(key: SeriesKey) -> str | None:
    return key.label("le") if key.label("class") in ("1xx", "2xx", "3xx") else None


def _bucket(key: SeriesKey) -> str | None:
    return key.label("le") or None


def _quota_window(key: SeriesKey) -> str | None:
    window, limit_type = key.label("window"), key.label("limit_type")
    return window if not limit_type or limit_type.startswith("TOKENS") else f"{window} {limit_type}"


def _all_labels(key: SeriesKey) -> str | None:
    return " ".join(value for _, value in key.labels) or "value"


def _cache_hit(lines: Lines, _step: int) -> Lines:
    read, written, fresh = (lines.get(name) for name in ("cache_read", "cache_write", "input"))
    some = read or written or fresh
    if some is None:
        return {}
    shares: Values = []
    for number in range(len(some)):
        parts = [0.0 if line is None else line[number] for line in (read, written, fresh)]
        amounts = [part or 0.0 for part in parts]
        shares.append(None if None in parts or sum(amounts) <= 0 else amounts[0] / sum(amounts))
    return {"cache_hit": shares}


def _per_second(line: str) -> Callable[[Lines, int], Lines]:
    def derive(lines: Lines, step: int) -> Lines:
        sums = lines.get(line)
        if sums is None:
            return lines
        return {**lines, line: [None if value is None else value / step for value in sums]}

    return derive


def _sums(name: str, title: str, unit: str, metric: str, splits: Mapping[str, str]) -> dict[str, Chart]:
    return {
        split: Chart(name, title, ChartKind.SUM, unit, split, (Source(Kind.COUNTER, metric, _label(label)),))
        for split, label in splits.items()
    }


def _quantiles(
    name: str,
    title: str,
    unit: str,
    metric: str,
    line: Callable[[SeriesKey], str | None] = _bucket,
    quantiles: tuple[float, ...] = (0.5, 0.9, 0.95, 0.99),
) -> dict[str, Chart]:
    source = Source(Kind.COUNTER, f"{metric}_bucket", line)
    return {"quantile": Chart(name, title, ChartKind.QUANTILE, unit, "quantile", (source,), quantiles)}


def _means(
    name: str,
    title: str,
    unit: str,
    split: str,
    sources: tuple[Source, ...],
    derive: Callable[[Lines, int], Lines] | None = None,
) -> dict[str, Chart]:
    chart = Chart(name, title, ChartKind.MEAN, unit, split, sources)
    if derive is not None:
        chart = Chart(name, title, ChartKind.MEAN, unit, split, sources, derive=derive)
    return {split: chart}


def _plain(name: str) -> Chart:
    """Any other series, as it is: a name that ends in `_total` is a counter's."""
    kind, chart_kind = (Kind.COUNTER, ChartKind.SUM) if name.endswith("_total") else (Kind.GAUGE, ChartKind.MEAN)
    return Chart(name, name, chart_kind, "", "labels", (Source(kind, name, _all_labels),))


def _gauge(name: str, line: str) -> Source:
    return Source(Kind.GAUGE, name, _named(line))


_REQUESTS: Final = "zai_proxy_requests_total"
_BY_STATUS_CLASS: Final = Chart(
    "requests",
    "Requests by status",
    ChartKind.SUM,
    "requests",
    "class",
    (Source(Kind.COUNTER, _REQUESTS, _status_class),),
)
_CHARTS: Final[Mapping[str, Mapping[str, Chart]]] = {
    "requests": {
        **_sums("requests", "Requests by status", "requests", _REQUESTS, {"status": "status_code"}),
        "class": _BY_STATUS_CLASS,
        **_sums("requests", "Requests by path", "requests", _REQUESTS, {"path": "path"}),
    },
    "duration": _quantiles(
        "duration", "Duration of successful requests", "s", "zai_proxy_request_duration_seconds", _successful
    ),
    "first_byte": _quantiles("first_byte", "Time to the first byte", "s", "zai_proxy_time_to_first_byte_seconds"),
    "wait": _quantiles("wait", "Time queued", "s", "zai_proxy_rate_limit_wait_seconds"),
    "output_speed": _quantiles(
        "output_speed", "Speed of answers", "tokens/s", "zai_proxy_token_rate", quantiles=(0.05, 0.5, 0.95)
    ),
    "tokens": _sums(
        "tokens", "Tokens", "tokens", "zai_proxy_tokens_total", {"direction": "direction", "model": "model"}
    ),
    "estimated_tokens": _sums(
        "estimated_tokens",
        "Tokens that were estimated",
        "tokens",
        "zai_proxy_estimated_tokens_total",
        {"direction": "direction"},
    ),
    "reasoning_tokens": _sums(
        "reasoning_tokens", "Tokens of reasoning", "tokens", "zai_proxy_reasoning_tokens_total", {"model": "model"}
    ),
    "cache_hit": _means(
        "cache_hit",
        "Input that came from the cache",
        "share",
        "share",
        (Source(Kind.COUNTER, "zai_proxy_tokens_total", _label("direction")),),
        _cache_hit,
    ),
    "cost": _sums(
        "cost",
        "Cost at list price",
        "USD",
        "zai_proxy_estimated_cost_usd_total",
        {"model": "model", "direction": "direction"},
    ),
    "credits": _sums("credits", "Plan credits", "credits", "zai_proxy_plan_credits_total", {"model": "model"}),
    "errors": _sums(
        "errors",
        "Errors that Z.AI answered",
        "errors",
        "zai_proxy_zai_errors_total",
        {"class": "class", "code": "code"},
    ),
    "broken": _sums(
        "broken", "What went wrong on the way", "requests", "zai_proxy_upstream_errors_total", {"type": "error_type"}
    ),
    "refused": _sums(
        "refused",
        "Requests that the proxy refused",
        "requests",
        "zai_proxy_rate_limit_rejections_total",
        {"reason": "reason"},
    ),
    "retries": _sums("retries", "Retries", "retries", "zai_proxy_retry_attempts_total", {"reason": "reason"}),
    "workers": _means(
        "workers",
        "Workers",
        "requests",
        "line",
        (
            _gauge("zai_proxy_concurrent_requests", "busy"),
            _gauge("zai_proxy_concurrency_limit_requests", "limit"),
            _gauge("zai_proxy_max_workers", "wall"),
            _gauge("zai_proxy_rate_limit_queued_requests", "waiting"),
        ),
    ),
    "rate": _means(
        "rate",
        "Learned rate over demand",
        "requests/s",
        "line",
        (
            _gauge("zai_proxy_rate_limit_requests_per_second", "limit"),
            _gauge("zai_proxy_rate_limit_ceiling_requests_per_second", "ceiling"),
            Source(Kind.COUNTER, _REQUESTS, _named("demand")),
        ),
        _per_second("demand"),
    ),
    "quota": _means(
        "quota",
        "Quota used",
        "share",
        "window",
        (Source(Kind.GAUGE, "zai_proxy_quota_usage_ratio", _quota_window),),
    ),
    "memory": _means(
        "memory",
        "Memory of the proxies",
        "bytes",
        "line",
        (Source(Kind.GAUGE, "process_resident_memory_bytes", _named("memory")),),
    ),
    "cpu": _means(
        "cpu",
        "CPU of the proxies",
        "cores",
        "line",
        (Source(Kind.COUNTER, "process_cpu_seconds_total", _named("cpu")),),
        _per_second("cpu"),
    ),
}
