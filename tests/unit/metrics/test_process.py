"""What a process tells of itself where there is no /proc, beside what it tells where there is."""

import sys

import pytest
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.registry import Collector

from extproc.metrics.process import PortableProcessCollector
from tests.harness.readings import Readings


def told(collector: Collector) -> Readings:
    registry = CollectorRegistry()
    registry.register(collector)
    families = registry.collect()
    return Readings({(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples})


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="there is nothing to compare it with")
def test_it_tells_the_same_but_for_memory() -> None:
    portable, of_proc = told(PortableProcessCollector()), told(ProcessCollector(registry=None))

    for name, tolerance in (("cpu_seconds_total", 5.0), ("open_fds", 3.0), ("max_fds", 0.0)):
        assert portable.value(f"process_{name}") == pytest.approx(of_proc.value(f"process_{name}"), abs=tolerance)
    assert portable.value("process_start_time_seconds") >= of_proc.value("process_start_time_seconds") - 5.0
    assert portable.value("process_resident_memory_bytes") == 0
