"""The series about the cache of prompts: read from its ledger when Prometheus asks, so nothing can drift."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from extproc.domain.cache.ledger import ProgramUse, Sums
from extproc.domain.request.programs import label_of


class CacheCollector(Collector):
    """Exports what came from the cache and what could have. `lately` are the last hour's sums by client and program,
    `since_start` those of each program since the processor started."""

    def __init__(
        self, lately: Callable[[], Sequence[ProgramUse]], since_start: Callable[[], Mapping[str, Sums]]
    ) -> None:
        self._lately = lately
        self._since_start = since_start

    def collect(self) -> Iterator[Metric]:
        sums: dict[str, Sums] = defaultdict(Sums)
        cold: dict[str, int] = defaultdict(int)
        for use in self._lately():
            label = label_of(use.program)
            sums[label].add(use.sums)
            cold[label] += use.cold
        yield _gauge(
            "zai_proxy_cached_input_ratio",
            "Share of the last hour's input tokens that came from the cache.",
            {agent: each.cached / each.input for agent, each in sums.items()},
        )
        yield _gauge(
            "zai_proxy_cacheable_input_ratio",
            "Share of the last hour's input tokens that could have come from the cache.",
            {agent: each.cacheable / each.input for agent, each in sums.items()},
        )
        yield _gauge(
            "zai_proxy_cold_conversations", "Conversations whose requests find little in the cache, one by one.", cold
        )
        yield from self._lost()

    def _lost(self) -> Iterator[Metric]:
        usd = CounterMetricFamily(
            "zai_proxy_cache_lost_usd", "List price of input that the cache could have served.", labels=("agent",)
        )
        credits = CounterMetricFamily(
            "zai_proxy_cache_lost_credits", "Plan credits of input that the cache could have served.", labels=("agent",)
        )
        for program, each in self._since_start().items():
            usd.add_metric((label_of(program),), each.usd)
            credits.add_metric((label_of(program),), each.credits)
        yield from (usd, credits)


def _gauge(name: str, meaning: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(name, meaning, labels=("agent",))
    for agent, value in values.items():
        gauge.add_metric((agent,), value)
    return gauge
