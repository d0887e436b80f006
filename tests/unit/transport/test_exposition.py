"""How often a page is rendered, and for whom."""

import asyncio
from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from extproc.transport.exposition import OLDEST_FOR_CLIENTS, Exposition, SparedPage

RENDERING = 0.125


class Slow:
    """A page that says how often it was rendered, and takes its time over it."""

    def __init__(self, rendering: float = RENDERING) -> None:
        self.now = 0.0
        self.times = 0
        self.slept: list[float] = []
        self._rendering = rendering
        self.page = SparedPage(self._render, lambda: self.now, self._sleep)

    def _render(self) -> bytes:
        self.now += self._rendering
        self.times += 1
        return str(self.times).encode()

    async def _sleep(self, seconds: float) -> None:
        until = self.now + seconds
        self.slept.append(seconds)
        await asyncio.sleep(0)
        self.now = max(self.now, until)


async def test_a_page_shows_what_happened_before_it_was_asked_for_however_soon_after_the_last() -> None:
    slow = Slow()

    for expected in range(1, 5):
        slow.now += 0.001
        assert await slow.page.get() == str(expected).encode()


async def test_a_flood_leaves_half_of_the_time_for_the_rest() -> None:
    slow = Slow()

    while slow.now < 10.0:
        await slow.page.get()
        slow.now += 0.001

    assert slow.times * RENDERING < 5.5


async def test_whoever_comes_after_a_rest_waits_for_nothing() -> None:
    slow = Slow()

    for _ in range(5):
        await slow.page.get()
        slow.now += 1.5 * RENDERING

    assert slow.slept == []


async def test_all_that_wait_share_one_page() -> None:
    slow = Slow()
    await slow.page.get()
    slow.now += 0.001

    assert await asyncio.gather(*(slow.page.get() for _ in range(50))) == [b"2"] * 50


async def test_a_process_that_was_stopped_while_it_rendered_makes_nobody_wait_that_long() -> None:
    slow = Slow(rendering=3600.0)

    await slow.page.get()
    await slow.page.get()

    assert slow.slept == [1.0]


async def test_clients_share_a_page_that_is_up_to_a_second_old() -> None:
    slow = Slow()

    while slow.now < 10.0:
        await slow.page.get(OLDEST_FOR_CLIENTS)
        slow.now += 0.01

    assert 9 <= slow.times <= 10


class Counted(Collector):
    """A metric of how often it was collected."""

    def __init__(self) -> None:
        self.times = 0

    def collect(self) -> Iterator[GaugeMetricFamily]:
        self.times += 1
        yield GaugeMetricFamily("times", "How often.", value=self.times)


async def test_each_of_the_two_formats_has_a_page_whatever_else_is_asked_for() -> None:
    collector, registry = Counted(), CollectorRegistry()
    registry.register(collector)
    collector.times, now = 0, [100.0]
    exposition = Exposition(registry, lambda: now[0])

    for version in range(50):
        open_metrics = await exposition.page(f"application/openmetrics-text; version=1.0.{version}", for_clients=True)
        assert open_metrics.content_type.startswith("application/openmetrics-text")
        text = await exposition.page(f"text/plain; version={version}", for_clients=True)
        assert text.content_type.startswith("text/plain")

    assert collector.times == 2
    now[0] += 0.001
    assert b"times 3.0" in (await exposition.page("", for_clients=False)).body
