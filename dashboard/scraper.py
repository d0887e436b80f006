"""Asking every proxy, again and again: all at once, and none waits for another longer than the time-out."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import httpx
import structlog

from dashboard.addresses import Address, TargetResolver, beside
from dashboard.domain.exposition import UnreadablePageError
from dashboard.domain.proxy_status import read_status
from dashboard.domain.rates import Continuity, Increase, Reading, increase
from dashboard.domain.samples import Page
from dashboard.fetch import FetchError, fetch, fetch_json
from dashboard.records.series import Mark, MarkKind
from dashboard.records.targets import Connection
from dashboard.store.samples import TargetSample
from dashboard.store.store import Store, StoreError
from dashboard.targets import STALE_AFTER, Target

log = structlog.get_logger("dashboard")

_MOST_AT_ONCE: Final = 16
_MOST_TARGETS: Final = 100
_ACCEPT: Final = {"accept": "text/plain; version=0.0.4"}
_ASK_AGAIN_SECONDS: Final = 60.0
_JUST_STARTED: Final = 60.0
# A round begins a little after a multiple of the interval, so that each row of 5 s gets exactly one.
_OFFSET: Final = 0.2
# So that one slow status does not hold up the snapshot of all the others.
_LONGEST_POLL: Final = 0.5


@dataclass(frozen=True, slots=True)
class Clocks:
    """Unix time, which may jump, and monotonic time, which does not."""

    wall: Callable[[], float] = time.time
    steady: Callable[[], float] = time.monotonic


class Scraper:
    """Holds the targets. `after_round` is awaited after each round, `targets_changed` called when some came or went."""

    def __init__(
        self,
        store: Store,
        client: httpx.AsyncClient,
        resolver: TargetResolver,
        interval: float,
        within: float,
        clocks: Clocks,
    ) -> None:
        self._store = store
        self._client = client
        self._resolver = resolver
        self._interval = interval
        self._within = within
        self._clocks = clocks
        self._places = asyncio.Semaphore(_MOST_AT_ONCE)
        self._by_url: dict[str, Target] = {}
        self._polls: dict[int, asyncio.Task[None]] = {}
        self.left_out = 0
        self.after_round: list[Callable[[], Awaitable[None]]] = []
        self.targets_changed: list[Callable[[], None]] = []

    @property
    def targets(self) -> list[Target]:
        """In the order of their numbers."""
        return sorted(self._by_url.values(), key=lambda target: target.id)

    async def prepare(self) -> None:
        """Takes up the targets that need no looking up, with what the store knows of them."""
        await self._sync(self._resolver.known())

    async def run(self) -> None:
        """Round after round until it is cancelled."""
        while True:
            await self.round()
            now = self._clocks.wall() - _OFFSET
            await asyncio.sleep(self._interval - now % self._interval)

    async def round(self) -> None:
        """Asks each target once and keeps what they answered."""
        at = self._clocks.wall()
        try:
            await self._sync(await self._resolver.current(self._clocks.steady()))
            marks: list[Mark] = []
            # Those that did not answer come last: they must not take the places of those that do.
            asked = sorted(self.targets, key=lambda target: target.misses)
            answers = await asyncio.gather(*(self._visit(target, marks) for target in asked))
            samples = [sample for sample in answers if sample is not None]
            await self._store.save_round(at, self._interval, samples, marks)
            for target, sample in zip(asked, answers, strict=True):
                if sample is not None:
                    target.reading, target.version = sample.reading, sample.version
        except StoreError as error:
            log.error(str(error))
        for follow in self.after_round:
            await follow()

    async def poll_status(self) -> None:
        """Asks those that answer what they do at the moment, between rounds; waits half a second for them at most."""
        for target in self.targets:
            if target.id not in self._polls and not target.misses and target.status_link.state is Connection.UP:
                self._polls[target.id] = asyncio.create_task(self._poll(target))
        if self._polls:
            await asyncio.wait(self._polls.values(), timeout=_LONGEST_POLL)

    async def close(self) -> None:
        """Gives up what is still being asked."""
        for poll in (polls := list(self._polls.values())):
            poll.cancel()
        await asyncio.gather(*polls, return_exceptions=True)

    async def _poll(self, target: Target) -> None:
        try:
            await self._ask_status(target)
        finally:
            del self._polls[target.id]

    async def _sync(self, addresses: list[Address]) -> None:
        self.left_out = max(0, len(addresses) - _MOST_TARGETS)
        wanted = {address.url: address for address in addresses[:_MOST_TARGETS]}
        gone = [url for url in self._by_url if url not in wanted]
        for url in gone:
            del self._by_url[url]
        for url, address in wanted.items():
            if url not in self._by_url:
                known = await self._store.target(url)
                self._by_url[url] = Target(known.id, address, known.reading, known.version, known.feed)
                gone.append(url)
        if gone:
            for changed in self.targets_changed:
                changed()

    async def _visit(self, target: Target, marks: list[Mark]) -> TargetSample | None:
        async with self._places:
            status = asyncio.create_task(self._ask_status(target))
            try:
                return await self._ask_metrics(target, marks)
            except (FetchError, UnreadablePageError) as error:
                self._miss(target, str(error), marks)
                return None
            finally:
                await status

    async def _ask_metrics(self, target: Target, marks: list[Mark]) -> TargetSample:
        began = self._clocks.steady()
        headers = {**_ACCEPT, **_host(target)}
        page = target.reader.read(await fetch(self._client, target.address.url, self._within, headers))
        now, steady = self._clocks.wall(), self._clocks.steady()
        reading = Reading(now, steady, page.started, page.counters)
        grown = increase(target.reading, reading)
        marks += _marks(target, page, grown, now)
        if grown.continuity is Continuity.ANOTHER:
            target.several_steady = steady
        target.page, target.error, target.misses = page, None, 0
        target.answered_at, target.answered_steady, target.scrape_seconds = now, steady, steady - began
        return TargetSample(target.id, grown.span, grown.amounts, page.gauges, reading, page.version)

    def _miss(self, target: Target, error: str, marks: list[Mark]) -> None:
        target.misses += 1
        target.error = error
        if target.misses == STALE_AFTER and target.answered_at is not None:
            marks.append(_mark(target.answered_at, MarkKind.LOST, target, "no longer answers"))
        if target.misses == STALE_AFTER:
            log.warning("no answer", target=target.address.url, error=error)

    async def _ask_status(self, target: Target) -> None:
        link, steady = target.status_link, self._clocks.steady()
        if link.state in (Connection.ABSENT, Connection.DENIED) and steady < target.status_due:
            return
        target.status_due = steady + _ASK_AGAIN_SECONDS
        try:
            answer = await fetch_json(self._client, beside(target.address.url, "status"), self._within, _host(target))
        except FetchError as error:
            link.failed(str(error), error.status)
            if link.state in (Connection.ABSENT, Connection.DENIED):
                target.status = None
            return
        link.is_up()
        target.status, target.status_steady = read_status(answer), self._clocks.steady()
        target.stalls.update(target.status.running, target.status_steady)


def _host(target: Target) -> dict[str, str]:
    return {} if target.address.host is None else {"host": target.address.host}


def _marks(target: Target, page: Page, grown: Increase, now: float) -> list[Mark]:
    marks = []
    if target.misses >= STALE_AFTER:
        marks.append(_mark(now, MarkKind.BACK, target, "answers again"))
    fresh = (
        grown.continuity is Continuity.FIRST and page.started is not None and 0 <= now - page.started < _JUST_STARTED
    )
    if grown.continuity is Continuity.STARTED or fresh:
        is_other = target.version is not None and target.version != page.version
        kind = MarkKind.DEPLOYED if is_other else MarkKind.STARTED
        # Linux knows to the second when it was booted, and so when a process was started: up to a second too early.
        at = max(page.started or now, target.answered_at or 0.0)
        marks.append(_mark(at, kind, target, f"started ({page.version or 'unknown version'})"))
    return marks


def _mark(at: float, kind: MarkKind, target: Target, what: str) -> Mark:
    return Mark(at=at, kind=kind, target=target.id, text=f"{target.address.name} {what}")
