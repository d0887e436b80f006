"""The dashboard as a whole: builds every object, runs them together, and ends in order."""

import asyncio
import logging
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from importlib import metadata
from typing import Final

import structlog
import uvicorn
import uvloop

from common.http_server import Connection, HttpServer
from common.ports import bind, origin
from common.settings import SettingsError
from dashboard.access.guard import Guard
from dashboard.addresses import TargetResolver
from dashboard.api.app import create_app
from dashboard.domain.finished import Finished
from dashboard.event_hub import EventHub, EventKind, message
from dashboard.feed import FeedKeeper
from dashboard.fetch import make_client
from dashboard.overview import Overview
from dashboard.parts import Parts
from dashboard.scraper import Clocks, Scraper
from dashboard.settings import Settings
from dashboard.store import journal, requests
from dashboard.store.file import Retention
from dashboard.store.store import Store, StoreError

log = structlog.get_logger("dashboard")

_TICK_SECONDS: Final = 1.0
_PRUNE_SECONDS: Final = 60.0
_MOST_CONNECTIONS: Final = 1000
_GRACE_SECONDS: Final = 2
_LEARNED_FROM: Final = 500
_SHORT_TOKEN: Final = 12
_UNREAD_MILLISECONDS: Final = 30_000
# What uvicorn says when a reader of events that did not read is cut off, which is meant.
_CUT_OFF: Final = "ASGI callable returned without completing response."


class Service:
    """The objects of one dashboard. Raises SettingsError if the store can't be used."""

    def __init__(self, settings: Settings, clocks: Clocks | None = None) -> None:
        self._settings = settings
        self._stopping = asyncio.Event()
        clocks = clocks or Clocks()
        try:
            store = Store(settings.database, clocks.wall)
        except StoreError as error:
            raise SettingsError([str(error)]) from None
        client = make_client()
        resolver = TargetResolver(settings.targets)
        hub = EventHub(clocks.steady)
        scraper = Scraper(store, client, resolver, settings.scrape_interval, settings.answer_within, clocks)
        overview = Overview(scraper, resolver, store, hub, settings.scrape_interval, clocks)
        feeds = FeedKeeper(
            store, make_client(), settings.admin_token, self._publish, partial(hub.until_wanted, EventKind.REQUEST)
        )
        guard = Guard(settings.dashboard_token, not settings.is_reachable_from_elsewhere, settings.dashboard_port)
        self.parts = Parts(settings, version(), clocks, client, store, resolver, scraper, feeds, hub, overview, guard)
        scraper.after_round.append(overview.after_round)
        scraper.targets_changed.append(lambda: feeds.keep(scraper.targets))
        self._generation = store.generation
        self._steady_anchor = (clocks.wall(), clocks.steady())

    async def run(self) -> None:
        """Serves until a signal asks it to stop."""
        settings, parts = self._settings, self.parts
        listening = bind(settings.bind_address, settings.dashboard_port, "DASHBOARD_PORT")
        _drop_those_who_do_not_read(listening)
        for warning in exposure(settings):
            log.warning(warning)
        http = HttpServer(self._http_config())
        async with asyncio.TaskGroup() as tasks:
            try:
                await self._take_up()
                working = [
                    tasks.create_task(_forever("scraping", parts.scraper.run)),
                    tasks.create_task(_forever("the snapshot of now", self._tick)),
                    tasks.create_task(_forever("the store's upkeep", self._keep_store)),
                ]
                serving = tasks.create_task(http.serve(sockets=[listening]))
                log.info(
                    "ready", program="dashboard", url=origin("http", settings.bind_address, settings.dashboard_port)
                )
                await self._stopping.wait()
                parts.hub.close()
                http.should_exit = True
                await serving
                for task in working:
                    task.cancel()
                await asyncio.wait(working)
            finally:
                await self._close()

    def stop(self) -> None:
        self._stopping.set()

    def _publish(self, target: int, stored: list[tuple[int, Finished]]) -> None:
        self._note_fresh_store()
        self.parts.overview.learn(stored)
        for number, request in stored:
            self.parts.hub.publish_request(number, partial(requests.describe, number, target, request))

    def _note_fresh_store(self) -> None:
        if self._generation != self.parts.store.generation:
            self._generation = self.parts.store.generation
            self.parts.hub.reset()

    async def _take_up(self) -> None:
        """Goes on where the dashboard before left off."""
        store = self.parts.store
        try:
            newest = await store.read(requests.newest_request)
            self.parts.hub.position = (newest, await store.read(journal.newest_alert))
            recent = await store.read(lambda connection: requests.recent_finished(connection, _LEARNED_FROM))
            self.parts.overview.learn(recent)
            await self.parts.scraper.prepare()
        except StoreError as error:
            log.error(str(error))

    async def _tick(self) -> None:
        """Each second, while somebody looks: what runs, and the snapshot of it."""
        hub = self.parts.hub
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            self._note_fresh_store()
            if hub.is_wanted(EventKind.NOW):
                await self.parts.scraper.poll_status()
                hub.publish(message(EventKind.NOW, self.parts.now()))

    async def _keep_store(self) -> None:
        """Looks the store over once, and forgets what is old from then on."""
        settings, store = self._settings, self.parts.store
        retention = Retention(settings.retention_5s, settings.retention_1m, settings.retention_requests)
        try:
            await store.check()
        except StoreError as error:
            log.error(str(error))
        while True:
            try:
                await store.prune(self._careful_now(), retention)
            except StoreError as error:
                log.error(str(error))
            await asyncio.sleep(_PRUNE_SECONDS)

    def _careful_now(self) -> float:
        """Unix time that no jump of the clock makes later than it can be: what is deleted is gone."""
        clocks = self.parts.clocks
        wall, steady = self._steady_anchor
        return min(clocks.wall(), wall + clocks.steady() - steady)

    async def _close(self) -> None:
        parts = self.parts
        await parts.feeds.close()
        await parts.scraper.close()
        await parts.resolver.close()
        await parts.client.aclose()
        await parts.store.close()

    def _http_config(self) -> uvicorn.Config:
        return uvicorn.Config(
            create_app(self.parts),
            http=Connection,
            log_config=None,
            access_log=False,
            proxy_headers=False,  # whoever tries tokens must not choose the address that is slowed
            lifespan="off",
            server_header=False,
            limit_concurrency=_MOST_CONNECTIONS,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )


def _drop_those_who_do_not_read(listening: socket.socket) -> None:
    """The kernel drops a reader that takes nothing for 30 s, with all that was buffered for it. Nothing is logged."""
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_MILLISECONDS)
    logging.getLogger("uvicorn.error").addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    return record.getMessage() != _CUT_OFF


async def _forever(what: str, work: Callable[[], Awaitable[None]]) -> None:
    """Goes on after a defect: a dashboard that shows less is better than none."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("a defect of the dashboard", in_=what)
        await asyncio.sleep(_TICK_SECONDS)


def version() -> str:
    """The version of the installed package."""
    try:
        return metadata.version("zai-proxy")
    except metadata.PackageNotFoundError:
        return "unknown"


def exposure(settings: Settings) -> Iterator[str]:
    """Warnings about who can see the dashboard."""
    if settings.is_reachable_from_elsewhere and settings.dashboard_token is None:
        yield (
            f"BIND_ADDRESS={settings.bind_address} is open to other machines and DASHBOARD_TOKEN is not set: whoever "
            f"reaches port {settings.dashboard_port} sees who does what; set DASHBOARD_TOKEN, or BIND_ADDRESS=127.0.0.1"
        )
    if settings.dashboard_token is not None and len(settings.dashboard_token.get_secret_value()) < _SHORT_TOKEN:
        yield f"DASHBOARD_TOKEN is easy to guess: better take one of at least {_SHORT_TOKEN} characters"


def run(settings: Settings) -> None:
    """Runs the dashboard in the foreground until it is told to stop."""

    async def serve() -> None:
        service = Service(settings)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, service.stop)
        await service.run()

    uvloop.run(serve())
