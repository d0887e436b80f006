"""From Prometheus's series to the counts of both variants.

Counters are read raw, per process, at the edges of the blocks, and subtracted here: `increase()` extrapolates, and
counts nothing of a series whose first sample is already 1, such as the first error of a new pod.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from canary.domain.counts import Histogram, Reading, VariantCounts, added, histogram, increases
from canary.prometheus import Prometheus, PrometheusError, Range

PROCESS: Final = ("cluster", "namespace", "job", "pod", "instance")
"""Labels that tell one process from another, as far as the scrape sets them."""

_LEAD: Final = 5
"""Blocks read before the window, so that a scrape that fails at its edge doesn't make old counts new."""

_TRAFFIC: Final = 'path!~"/health|/metrics"'
_FAILED: Final = f'status_code=~"4..|5..",status_code!~"429|499",{_TRAFFIC}'
"""A 429 is the plan's limit, which both share; at 499 the client left. Other 4xx count: a canary that refuses what
production accepts is worse, and clients' own mistakes hit both."""

Process = tuple[str, ...]
Growth = dict[Process, list[float]]


@dataclass(frozen=True)
class Question:
    """Whom to compare, and over which blocks of time. `selector` is PromQL inside the braces, or empty."""

    canary: str
    production: str
    selector: str
    blocks: int
    block_seconds: int


def block_layout(window_seconds: int) -> tuple[int, int]:
    """Number and length in seconds of the blocks: a minute each, longer if that would be more than 30."""
    blocks = min(30, window_seconds // 60)
    return blocks, window_seconds // blocks


def read(prometheus: Prometheus, question: Question, now: float) -> tuple[VariantCounts, VariantCounts]:
    """Counts of the canary and of production up to `now` (Unix seconds). Raises what `Prometheus` does."""
    step = question.block_seconds
    end = int(now)
    over = Range(end - (question.blocks + _LEAD) * step, end, step)
    reader = _Reader(prometheus, question.selector, over)
    return reader.counts(question.canary), reader.counts(question.production)


class _Reader:
    def __init__(self, prometheus: Prometheus, selector: str, over: Range) -> None:
        self._prometheus, self._selector, self._over = prometheus, selector, over

    def counts(self, variant: str) -> VariantCounts:
        """All counts of a variant; no pods if none was seen within the window."""
        present = self._per_process("zai_proxy_max_workers", "", variant)
        seen = {
            process: series[0][1]
            for process, series in present.items()
            if any(reading is not None for reading in series[0][1][_LEAD:])
        }
        if not seen:
            return VariantCounts(0)

        def total(metric: str, matcher: str = "") -> tuple[float, ...]:
            return self._total(metric, matcher, variant, seen)

        def buckets(metric: str, matcher: str = "") -> Histogram:
            return self._buckets(f"{metric}_bucket", matcher, variant, seen)

        return VariantCounts(
            len(seen),
            total("zai_proxy_requests_total", _TRAFFIC),
            total("zai_proxy_requests_total", _FAILED),
            buckets("zai_proxy_time_to_first_byte_seconds", _TRAFFIC),
            buckets("zai_proxy_request_duration_seconds", f'status_code=~"2..",{_TRAFFIC}'),
            buckets("zai_proxy_token_rate", 'direction="output"'),
            total("zai_proxy_estimated_cost_usd_total"),
            total("zai_proxy_tokens_total"),
        )

    def _total(
        self, metric: str, matcher: str, variant: str, seen: dict[Process, Sequence[Reading]]
    ) -> tuple[float, ...]:
        sums = [0.0] * (self._over.edges - 1 - _LEAD)
        found = self._per_process(metric, matcher, variant)
        for process, presence in seen.items():
            for _, readings in found.get(process, []):
                sums = [one + more for one, more in zip(sums, increases(readings, presence, _LEAD), strict=True)]
        return tuple(sums)

    def _buckets(self, metric: str, matcher: str, variant: str, seen: dict[Process, Sequence[Reading]]) -> Histogram:
        sums: dict[float, list[float]] = {}
        found = self._per_process(metric, matcher, variant, "le")
        for process, presence in seen.items():
            grown = {_bound(le): increases(readings, presence, _LEAD) for le, readings in found.get(process, [])}
            sums = added(sums, grown)
        if sums and (math.inf not in sums or len(sums) < 3):
            raise PrometheusError(f"{metric} has no buckets to compare by")
        return histogram(sums) if sums else Histogram()

    def _per_process(
        self, metric: str, matcher: str, variant: str, *labels: str
    ) -> dict[Process, list[tuple[str, Sequence[Reading]]]]:
        """Readings of each process, with the value of the further label (or nothing) that each belongs to."""
        inside = ",".join(filter(None, (f'variant="{variant}"', matcher, self._selector)))
        query = f"sum by ({', '.join((*PROCESS, *labels))}) ({metric}{{{inside}}})"
        found = defaultdict(list)
        for series in self._prometheus.query_range(query, self._over):
            process = tuple(series.labels.get(name, "") for name in PROCESS)
            found[process].append(("".join(series.labels.get(name, "") for name in labels), series.readings))
        return dict(found)


def _bound(le: str) -> float:
    try:
        return float(le)
    except ValueError as error:
        raise PrometheusError(f"a bucket has the bound {le[:20]!r}") from error
