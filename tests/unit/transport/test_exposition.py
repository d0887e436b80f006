"""How often the page of metrics is rendered."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from extproc.transport.exposition import Exposition, SparedPage

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


def test_a_spared_page_is_new_for_whoever_asks_now_and_then() -> None:
    pages, now = iter(range(100)), [0.0]
    page = SparedPage(lambda: str(next(pages)).encode(), lambda: now[0])

    assert [page.get() for _ in range(5)] == [b"0", b"1", b"2", b"3", b"4"]


def test_of_a_spared_page_a_flood_gets_old_ones_and_half_of_the_time_is_left() -> None:
    now, times = [0.0], [0]

    def render() -> bytes:
        now[0] += RENDERING
        times[0] += 1
        return str(times[0]).encode()

    page = SparedPage(render, lambda: now[0])
    while now[0] < 10.0:
        page.get()
        now[0] += 0.001

    assert times[0] * RENDERING < 5.5
    now[0] += 5.0
    assert page.get() == str(times[0]).encode()
    assert times[0] > 4.0 / RENDERING
