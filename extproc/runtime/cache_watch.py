"""What the clients' prompts find in Z.AI's cache: a clock around the book of it."""

import time

from extproc.domain.cache import report
from extproc.domain.cache.book import CacheBook
from extproc.domain.usage.outcome import Outcome
from extproc.domain.usage.prices import PriceTable
from extproc.metrics.cache import CacheCollector


class CacheWatch:
    """Listens to finished requests, and tells what the cache could have saved. `doctor` is whether Envoy tells of the
    parts of prompts."""

    def __init__(self, prices: PriceTable, *, doctor: bool) -> None:
        self._book = CacheBook(prices)
        self._doctor = doctor

    def take_outcome(self, outcome: Outcome) -> None:
        """A request has ended."""
        self._book.take(outcome, time.time())

    def describe(self) -> dict[str, object]:
        """For /status."""
        return report.as_json(self._book, time.time(), doctor=self._doctor)

    def collector(self) -> CacheCollector:
        """Exports the book."""
        return CacheCollector(lambda: self._book.programs(time.time()), lambda: self._book.since_start(time.time()))
