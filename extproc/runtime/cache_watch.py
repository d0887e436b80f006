"""What the clients' prompts find in Z.AI's cache: a clock around the ledger of it."""

import time

from extproc.domain.cache import report
from extproc.domain.cache.ledger import CacheLedger
from extproc.domain.usage.outcome import Outcome
from extproc.domain.usage.prices import PriceTable
from extproc.metrics.cache import CacheCollector


class CacheWatch:
    """Listens to finished requests, and tells what the cache could have saved. `doctor` is whether Envoy tells of the
    parts of prompts."""

    def __init__(self, prices: PriceTable, *, doctor: bool) -> None:
        self._ledger = CacheLedger(prices)
        self._doctor = doctor

    def take_outcome(self, outcome: Outcome) -> None:
        """A request has ended."""
        self._ledger.take(outcome, time.time())

    def describe(self) -> dict[str, object]:
        """For /status."""
        return report.as_json(self._ledger, time.time(), doctor=self._doctor)

    def collector(self) -> CacheCollector:
        """Exports the ledger."""
        return CacheCollector(lambda: self._ledger.programs(time.time()), lambda: self._ledger.since_start(time.time()))
