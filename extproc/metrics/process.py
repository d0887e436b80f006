"""What is told of this process itself: Prometheus' client reads it from Linux' /proc, elsewhere the system is asked."""

import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from prometheus_client import ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

_PROC: Final = Path("/proc/self/stat")
_OPEN: Final = "/dev/fd"


def process_collector() -> Collector:
    """The collector that works on this system."""
    return ProcessCollector(registry=None) if _PROC.exists() else PortableProcessCollector()


class PortableProcessCollector(Collector):
    """The series of `ProcessCollector` except those of memory, of which not every system tells more than the peak."""

    def __init__(self) -> None:
        self._started = time.time() - time.process_time()

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "process_start_time_seconds", "Start time of the process since unix epoch in seconds.", value=self._started
        )
        yield CounterMetricFamily(
            "process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", value=time.process_time()
        )
        yield GaugeMetricFamily(
            "process_open_fds", "Number of open file descriptors.", value=len(os.listdir(_OPEN)) - 1
        )
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        yield GaugeMetricFamily(
            "process_max_fds",
            "Maximum number of open file descriptors.",
            value=float("inf") if soft == resource.RLIM_INFINITY else soft,
        )
