"""What the dashboard shows: rows of panels with their queries. Only data; `generate.py` makes Grafana's JSON of it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

SELECTION: Final = 'cluster=~"$cluster",namespace=~"$namespace",pod=~"$pod",variant=~"$variant"'

EVERY_VARIANT: Final = 'cluster=~"$cluster",namespace=~"$namespace"'


class Kind(StrEnum):
    GAUGE = "gauge"
    LINES = "lines"


@dataclass(frozen=True, slots=True)
class Query:
    """An expression and the legend of its lines. In it `SEL` stands for what the variables select, `EVERY` for the
    same without the choice of pod and variant."""

    expression: str
    legend: str

    @property
    def selected(self) -> str:
        return self.expression.replace("SEL", SELECTION).replace("EVERY", EVERY_VARIANT)


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel. `width` is in columns of 24, `unit` is Grafana's name of it."""

    title: str
    meaning: str
    unit: str
    queries: tuple[Query, ...]
    kind: Kind = Kind.LINES
    width: int = 12
    stacked: bool = False
    most: float | None = None


def _percentiles(series: str, labels: str = "") -> tuple[Query, ...]:
    by = f"le{labels}"
    return tuple(
        Query(f"histogram_quantile({share}, sum by ({by}) (rate({series}_bucket{{SEL}}[$__rate_interval])))", name)
        for share, name in ((0.5, "p50"), (0.9, "p90"), (0.99, "p99"))
    )


def _p90(series: str, name: str) -> Query:
    return Query(f"histogram_quantile(0.9, sum by (le) (rate({series}_bucket{{SEL}}[$__rate_interval])))", name)


def _rate(series: str, labels: str, more: str = "") -> str:
    return f"sum by ({labels}) (rate({series}{{SEL{more}}}[$__rate_interval]))"


def _of_the_plan(series: str) -> str:
    """The plan's limit. Replicas that share it all tell the whole, so of these the largest counts; the others tell what
    they have learned of their own share, and these add up."""
    shared = "zai_proxy_shared_limits_up{SEL} == 1"
    return f"sum(max({series}{{SEL}} and {shared}) or ({series}{{SEL}} unless {shared}))"


def _of_the_plan_by_model(series: str) -> str:
    """The same for each model."""
    shared = "on (namespace, pod, instance) zai_proxy_shared_limits_up{SEL} == 1"
    return f"sum by (model) (max by (model) ({series}{{SEL}} and {shared}) or ({series}{{SEL}} unless {shared}))"


_NO_PROBES: Final = ',path!~"/health|/metrics"'

REQUESTS: Final = (
    Panel(
        "Worker utilization",
        "Workers in use over MAX_WORKERS, the busiest pod.",
        "percentunit",
        (Query("max(zai_proxy_worker_utilization_ratio{SEL})", "busiest pod"),),
        Kind.GAUGE,
        width=6,
        most=1.0,
    ),
    Panel(
        "Request rate by status code",
        "Requests a second, probes left out.",
        "reqps",
        (Query(_rate("zai_proxy_requests_total", "status_code", _NO_PROBES), "{{status_code}}"),),
        width=9,
        stacked=True,
    ),
    Panel(
        "Concurrent requests and max workers",
        "Requests that hold a worker, waiting ones included, and the workers that there are.",
        "short",
        (
            Query("sum(zai_proxy_concurrent_requests{SEL})", "concurrent requests"),
            Query("sum(zai_proxy_max_workers{SEL})", "max workers"),
        ),
        width=9,
    ),
    Panel(
        "Request duration", "Whole requests, streams included.", "s", _percentiles("zai_proxy_request_duration_seconds")
    ),
    Panel(
        "Time to first byte",
        "From the request to the first byte of the answer, waiting included.",
        "s",
        _percentiles("zai_proxy_time_to_first_byte_seconds"),
    ),
    Panel(
        "Request and response size (p90)",
        "Bytes of bodies.",
        "bytes",
        (_p90("zai_proxy_request_size_bytes", "request"), _p90("zai_proxy_response_size_bytes", "response")),
    ),
    Panel(
        "Upstream errors by type",
        "What went wrong on the way to Z.AI and back.",
        "reqps",
        (Query(_rate("zai_proxy_upstream_errors_total", "error_type"), "{{error_type}}"),),
        stacked=True,
    ),
)

TOKENS: Final = (
    Panel(
        "Tokens by direction",
        "Tokens a second; the directions are disjoint.",
        "short",
        (Query(_rate("zai_proxy_tokens_total", "direction"), "{{direction}}"),),
        width=8,
        stacked=True,
    ),
    Panel(
        "Output tokens by model",
        "Tokens a second.",
        "short",
        (Query(_rate("zai_proxy_tokens_total", "model", ',direction="output"'), "{{model}}"),),
        width=8,
        stacked=True,
    ),
    Panel(
        "Cache hits",
        "Share of the prompts that a cache served.",
        "percentunit",
        (
            Query(
                'sum(rate(zai_proxy_tokens_total{SEL,direction="cache_read"}[$__rate_interval])) / '
                'sum(rate(zai_proxy_tokens_total{SEL,direction=~"input|cache_read|cache_write"}[$__rate_interval]))',
                "hits",
            ),
        ),
        width=8,
        most=1.0,
    ),
    Panel(
        "Cached input by agent",
        "Share of the input of the last hour that came from the cache, and that could have.",
        "percentunit",
        (
            Query("avg by (agent) (zai_proxy_cached_input_ratio{SEL})", "{{agent}} cached"),
            Query("avg by (agent) (zai_proxy_cacheable_input_ratio{SEL})", "{{agent}} could be"),
        ),
        most=1.0,
    ),
    Panel(
        "Credits lost to a cold cache",
        "Credits an hour of input that the cache could have served.",
        "short",
        (Query(f"3600 * {_rate('zai_proxy_cache_lost_credits_total', 'agent')}", "{{agent}}"),),
        stacked=True,
    ),
    Panel(
        "Cost at list price",
        "USD an hour.",
        "currencyUSD",
        (Query(f"3600 * {_rate('zai_proxy_estimated_cost_usd_total', 'model')}", "{{model}}"),),
        stacked=True,
    ),
    Panel(
        "Plan credits",
        "Credits an hour by the published formula.",
        "short",
        (Query(f"3600 * {_rate('zai_proxy_plan_credits_total', 'model')}", "{{model}}"),),
        stacked=True,
    ),
)

PLAN: Final = (
    Panel(
        "Quota used",
        "Share of each window of the plan, as Z.AI reports it.",
        "percentunit",
        (Query("max by (window, limit_type) (zai_proxy_quota_usage_ratio{SEL})", "{{window}} {{limit_type}}"),),
        width=8,
        most=1.0,
    ),
    Panel(
        "Gate",
        "1 while new work is refused until the window resets.",
        "short",
        (Query("max by (window) (zai_proxy_quota_gate_open{SEL})", "{{window}}"),),
        width=8,
        most=1.0,
    ),
    Panel(
        "Errors of Z.AI by class",
        "One for each attempt, also those that a retry hid.",
        "reqps",
        (Query(_rate("zai_proxy_zai_errors_total", "class, code"), "{{class}} {{code}}"),),
        width=8,
        stacked=True,
    ),
)

PACING: Final = (
    Panel(
        "In flight: limit and ceiling",
        "What the proxy allows at once, and the number that Z.AI refused last. Limits that pods share count once.",
        "short",
        (
            Query(_of_the_plan("zai_proxy_concurrency_limit_requests"), "limit"),
            Query(_of_the_plan("zai_proxy_concurrency_limit_ceiling_requests"), "ceiling"),
            Query("sum(zai_proxy_concurrent_requests{SEL} - zai_proxy_rate_limit_queued_requests{SEL})", "in flight"),
        ),
    ),
    Panel(
        "Requests a second: limit and ceiling",
        "What may start a second. Limits that pods share count once.",
        "reqps",
        (
            Query(_of_the_plan("zai_proxy_rate_limit_requests_per_second"), "limit"),
            Query(_of_the_plan("zai_proxy_rate_limit_ceiling_requests_per_second"), "ceiling"),
        ),
    ),
    Panel(
        "Waiting, by lane",
        "Requests in the queue.",
        "short",
        (Query("sum by (lane) (zai_proxy_queued_requests_by_lane{SEL})", "{{lane}}"),),
        stacked=True,
    ),
    Panel("Time waited", "Of admitted requests.", "s", _percentiles("zai_proxy_rate_limit_wait_seconds")),
    Panel(
        "Refused by the proxy",
        "Requests that never left.",
        "reqps",
        (Query(_rate("zai_proxy_rate_limit_rejections_total", "reason"), "{{reason}}"),),
        stacked=True,
    ),
    Panel(
        "Changes of the limits",
        "Up, down and probes.",
        "short",
        (
            Query(
                "sum by (direction) (increase(zai_proxy_concurrency_limit_adjustments_total{SEL}[$__rate_interval]))",
                "in flight: {{direction}}",
            ),
            Query(
                "sum by (direction) (increase(zai_proxy_rate_limit_adjustments_total{SEL}[$__rate_interval]))",
                "rate: {{direction}}",
            ),
        ),
    ),
)

MODELS: Final = (
    Panel(
        "Places, by model",
        "How many may be in flight, as was learned; mcp are calls of MCP tools. Shared limits count once.",
        "short",
        (Query(_of_the_plan_by_model("zai_proxy_model_concurrency_limit_requests"), "{{model}}"),),
    ),
    Panel(
        "In flight, by model",
        "Requests that hold a place of their model.",
        "short",
        (Query("sum by (model) (zai_proxy_model_in_flight_requests{SEL})", "{{model}}"),),
        stacked=True,
    ),
    Panel(
        "Waiting, by model",
        "Requests that wait for a place of their model.",
        "short",
        (Query("sum by (model) (zai_proxy_model_queued_requests{SEL})", "{{model}}"),),
        width=8,
        stacked=True,
    ),
    Panel(
        "Time waited, by model (p90)",
        "Of admitted requests.",
        "s",
        (
            Query(
                "histogram_quantile(0.9, sum by (model, le) "
                "(rate(zai_proxy_model_queue_wait_seconds_bucket{SEL}[$__rate_interval])))",
                "{{model}}",
            ),
        ),
        width=8,
    ),
    Panel(
        "Changes of the limits, by model",
        "Up, down and probes. A decrease for each probe is a plan that stands still; more is one that changes.",
        "short",
        (
            Query(
                "sum by (model, direction) (increase(zai_proxy_model_limit_adjustments_total{SEL}[$__rate_interval]))",
                "{{model}}: {{direction}}",
            ),
        ),
        width=8,
    ),
)

CANARY: Final = (
    Panel(
        "Failures by variant",
        "Share of the answers with a status of 500 or more.",
        "percentunit",
        (
            Query(
                'sum by (variant) (rate(zai_proxy_requests_total{EVERY,status_code=~"5.."}'
                "[$__rate_interval])) / sum by (variant) (rate(zai_proxy_requests_total{EVERY}"
                "[$__rate_interval]))",
                "{{variant}}",
            ),
        ),
        width=8,
    ),
    Panel(
        "Time to first byte by variant (p90)",
        "Canary beside production.",
        "s",
        (
            Query(
                "histogram_quantile(0.9, sum by (variant, le) (rate(zai_proxy_time_to_first_byte_seconds_bucket"
                "{EVERY}[$__rate_interval])))",
                "{{variant}}",
            ),
        ),
        width=8,
    ),
    Panel(
        "Output rate by variant (median)",
        "Tokens a second while an answer is generated.",
        "short",
        (
            Query(
                "histogram_quantile(0.5, sum by (variant, le) (rate(zai_proxy_token_rate_bucket{EVERY}"
                "[$__rate_interval])))",
                "{{variant}}",
            ),
        ),
        width=8,
    ),
)

ROWS: Final = (
    ("Requests", REQUESTS),
    ("Tokens and cost", TOKENS),
    ("Plan", PLAN),
    ("Pacing", PACING),
    ("Models", MODELS),
    ("Canary", CANARY),
)
