"""What the clients' prompts find in Z.AI's cache: a clock and a file around the ledger of it."""

import asyncio
import time
from typing import Final

from extproc.domain.cache import report
from extproc.domain.cache.conversation import Speaker
from extproc.domain.cache.ledger import PROMPTS, CacheLedger
from extproc.domain.request.exchange import Exchange
from extproc.domain.request.routes import Route
from extproc.domain.usage.outcome import Outcome
from extproc.domain.usage.prices import PriceTable
from extproc.metrics.cache import CacheCollector
from extproc.runtime.state_file import SavedState, StateFile

STATE_NAME: Final = "cache.json"
"""The file of `STATE_DIR` that keeps the sums of the last hour."""

_SAVE_SECONDS: Final = 30.0


class CacheWatch:
    """Listens to finished requests, and tells what the cache could have saved. `doctor` is whether Envoy tells of the
    parts of prompts; `state` keeps the sums of the last hour over a restart, if there is one."""

    def __init__(self, prices: PriceTable, *, doctor: bool, state: StateFile | None = None) -> None:
        self._ledger = CacheLedger(prices)
        self._doctor = doctor
        self._has_news = False
        self._state = SavedState(state, "what the cache gave")
        self._state.restore(lambda data: self._ledger.restore(data, time.time()))

    def take_outcome(self, outcome: Outcome) -> None:
        """A request has ended."""
        self._ledger.take(outcome, time.time())
        self._has_news = True

    def wants_parts(self, exchange: Exchange, route: Route) -> bool:
        """Whether Envoy is to tell of the parts of this request's prompt, for CACHE_DOCTOR. Of one whose body was not
        read it cannot."""
        if route.llm_protocol not in PROMPTS or not exchange.asked:
            return False
        session = exchange.session or exchange.thread
        who = exchange.client, exchange.source, exchange.program, session, exchange.agent, exchange.asked
        return self._ledger.wants_parts(Speaker(*who))

    def describe(self) -> dict[str, object]:
        """For /status."""
        return report.as_json(self._ledger, time.time(), doctor=self._doctor)

    def collector(self) -> CacheCollector:
        """Exports the ledger."""
        return CacheCollector(lambda: self._ledger.programs(time.time()), lambda: self._ledger.since_start(time.time()))

    async def run(self) -> None:
        """Saves the sums when they have changed, until it is cancelled; then saves for the last time."""
        try:
            while True:
                await asyncio.sleep(_SAVE_SECONDS)
                if self._has_news or self._state.is_swept_away:
                    snapshot = self._ledger.snapshot(time.time())
                    self._has_news = not self._ledger.is_settled
                    await asyncio.to_thread(self._state.save, snapshot)
        finally:
            self._state.save(self._ledger.snapshot(time.time(), is_last=True))
