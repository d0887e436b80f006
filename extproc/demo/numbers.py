"""What the demo shows, worked out of the text of /metrics. Pure: the caller brings the time."""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

RATE_SECONDS: Final = 10.0
LATENCY_SECONDS: Final = 60.0
_PREFIX: Final = "zai_proxy_"


@dataclass(frozen=True, slots=True)
class Totals:
    """One scrape, `at` seconds of a monotonic clock; counters since the start of the processor.

    `first_byte` maps each bucket's upper bound in seconds to the observations up to it, ascending.
    """

    at: float
    workers: int
    max_workers: int
    waiting: int
    allowed_at_once: float
    allowed_per_second: float
    requests: Mapping[str, int]
    refused: Mapping[str, int]
    errors: Mapping[str, int]
    retries: int
    tokens: Mapping[str, int]
    estimated_tokens: int
    cost: float
    first_byte: Mapping[float, float]


@dataclass(frozen=True, slots=True)
class Numbers:
    """Totals, and what the scrapes before them add: rates over the last 10 s, times over the last minute (None: no
    request in it)."""

    totals: Totals
    requests_per_second: float
    tokens_per_second: float
    first_byte_p50: float | None
    first_byte_p95: float | None


def read_totals(text: str, at: float) -> Totals:
    """Takes the totals out of Prometheus' text format."""
    series: dict[str, list[Sample]] = defaultdict(list)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            series[sample.name.removeprefix(_PREFIX)].append(sample)
    return Totals(
        at=at,
        workers=round(_sum(series["concurrent_requests"])),
        max_workers=round(_sum(series["max_workers"])),
        waiting=round(_sum(series["rate_limit_queued_requests"])),
        allowed_at_once=_sum(series["concurrency_limit_requests"]),
        allowed_per_second=_sum(series["rate_limit_requests_per_second"]),
        requests=_by(series["requests_total"], "status_code"),
        refused=_by(series["rate_limit_rejections_total"], "reason"),
        errors=_by(series["zai_errors_total"], "class"),
        retries=round(_sum(series["retry_attempts_total"])),
        tokens=_by(series["tokens_total"], "direction"),
        estimated_tokens=round(_sum(series["estimated_tokens_total"])),
        cost=_sum(series["estimated_cost_usd_total"]),
        first_byte=_buckets(series["time_to_first_byte_seconds_bucket"]),
    )


class History:
    """The scrapes of the last minute."""

    def __init__(self) -> None:
        self._totals: deque[Totals] = deque()

    def add(self, totals: Totals) -> Numbers:
        """Takes in the newest scrape and returns the numbers at its time."""
        if self._totals and _count(totals.requests) < _count(self._totals[-1].requests):
            self._totals.clear()  # a restarted processor counts from 0
        self._totals.append(totals)
        while totals.at - self._totals[0].at > LATENCY_SECONDS:
            self._totals.popleft()
        before = next(each for each in self._totals if totals.at - each.at <= RATE_SECONDS)
        oldest = self._totals[0]
        recent = {bound: count - oldest.first_byte.get(bound, 0) for bound, count in totals.first_byte.items()}
        return Numbers(
            totals=totals,
            requests_per_second=_rate(before, totals, _count(before.requests), _count(totals.requests)),
            tokens_per_second=_rate(before, totals, _count(before.tokens), _count(totals.tokens)),
            first_byte_p50=quantile(0.5, recent),
            first_byte_p95=quantile(0.95, recent),
        )


def quantile(share: float, buckets: Mapping[float, float]) -> float | None:
    """The value below which `share` of the observations lie, linear within its bucket; None without observations.

    Beyond the last finite bound it is that bound, as in Prometheus' histogram_quantile().
    """
    total = max(buckets.values(), default=0)
    if total <= 0:
        return None
    lower, below = 0.0, 0.0
    for bound, count in buckets.items():
        if count >= share * total:
            if bound == float("inf"):
                return lower
            return lower + (bound - lower) * (share * total - below) / (count - below)
        lower, below = bound, count
    return lower


def _rate(before: Totals, now: Totals, count_before: int, count_now: int) -> float:
    seconds = now.at - before.at
    return (count_now - count_before) / seconds if seconds > 0 else 0.0


def _count(by_label: Mapping[str, int]) -> int:
    return sum(by_label.values())


def _sum(samples: Iterable[Sample]) -> float:
    return sum(sample.value for sample in samples)


def _by(samples: Iterable[Sample], label: str) -> dict[str, int]:
    sums: dict[str, float] = defaultdict(float)
    for sample in samples:
        sums[sample.labels[label]] += sample.value
    return {name: round(sums[name]) for name in sorted(sums) if sums[name]}


def _buckets(samples: Iterable[Sample]) -> dict[float, float]:
    sums: dict[float, float] = defaultdict(float)
    for sample in samples:
        sums[float(sample.labels["le"])] += sample.value
    return dict(sorted(sums.items()))
