"""What the supervisor has seen, as series: read from the counts that it hands on from one processor to the next."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from extproc.lasting_counts import LastingCounts


class SupervisionCollector(Collector):
    """Reads the counts when Prometheus asks. Without a supervisor nothing is ever started again."""

    def __init__(self, counts: LastingCounts) -> None:
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        restarts = CounterMetricFamily(
            "zai_proxy_child_restarts",
            "Times that `zai-proxy run` has started a process again, by why.",
            labels=("child", "reason"),
        )
        if self._counts.is_inherited:
            for child, reason, count in self._counts.restarts():
                restarts.add_metric((child, reason), count)
        yield restarts
        yield CounterMetricFamily(
            "zai_proxy_log_lines_dropped",
            "Log lines that could not be written: nobody read the output, it was closed, or the disk was full.",
            value=self._counts.lost_lines(),
        )
