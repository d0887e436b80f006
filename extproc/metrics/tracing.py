"""What became of the spans that were made, as series: read from the exporter when Prometheus asks."""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector


class TracingCollector(Collector):
    """`counts` are spans by result, `waiting` is how many are held. Without a collector to send to there are none."""

    def __init__(self, counts: Callable[[], Mapping[str, int]], waiting: Callable[[], int]) -> None:
        self._counts = counts
        self._waiting = waiting

    def collect(self) -> Iterator[Metric]:
        spans = CounterMetricFamily(
            "zai_proxy_trace_spans", "Spans of traces, by what became of them.", labels=("result",)
        )
        for result, count in self._counts().items():
            spans.add_metric((result,), count)
        yield spans
        yield GaugeMetricFamily(
            "zai_proxy_trace_spans_waiting", "Spans that wait for being sent.", value=self._waiting()
        )
