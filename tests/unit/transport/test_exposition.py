"""How often the page of metrics is rendered."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from extproc.transport.exposition import Exposition

RENDERING = 0.1


class Slow(Collector):
    """Takes its time, and counts how often it is asked."""

    def __init__(self) -> None:
        self.now = 100.0
        self.times = 0

    def collect(self) -> Iterator[GaugeMetricFamily]:
        self.now += RENDERING
        self.times += 1
        yield GaugeMetricFamily("times", "How often.", value=self.times)


def made() -> tuple[Exposition, Slow]:
    collector, registry = Slow(), CollectorRegistry()
    registry.register(collector)
    collector.times = 0
    return Exposition(registry, lambda: collector.now), collector


def test_clients_share_a_page_that_is_up_to_a_second_old() -> None:
    exposition, collector = made()

    for _ in range(300):
        exposition.page("", for_clients=True)
        collector.now += 0.01

    assert collector.times == 3


def test_on_the_metrics_port_it_is_new() -> None:
    exposition, collector = made()

    for expected in range(1, 5):
        assert f"times {expected}.0" in exposition.page("", for_clients=False).body.decode()
        collector.now += 1.5 * RENDERING


def test_on_the_metrics_port_too_half_of_the_time_is_left_for_the_rest() -> None:
    exposition, collector = made()
    began = collector.now

    while collector.now < began + 10:
        exposition.page("", for_clients=False)
        collector.now += 0.001

    assert collector.times * RENDERING < 5.5


def test_each_of_the_two_formats_has_a_page_whatever_else_is_asked_for() -> None:
    exposition, collector = made()

    for version in range(50):
        accept = f"application/openmetrics-text; version=1.0.{version}; escaping=values"
        assert exposition.page(accept, for_clients=True).content_type.startswith("application/openmetrics-text")
        assert exposition.page(f"text/plain; version={version}", for_clients=True).content_type.startswith("text/plain")

    assert collector.times == 2
