"""Reading the proxies' feeds of finished requests: from where the last one left off, each request exactly once."""

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final

import httpx
import structlog
from pydantic import SecretStr

from dashboard.addresses import beside
from dashboard.domain.event_stream import Event, EventReader, OversizedEventError
from dashboard.domain.finished import Finished, UnreadableRequestError, read_finished
from dashboard.domain.lenient import mapping, whole
from dashboard.fetch import FetchError, reason
from dashboard.records.targets import Connection
from dashboard.store.store import Store, StoreError
from dashboard.targets import Target

log = structlog.get_logger("dashboard")

_CONNECT_SECONDS: Final = 5.0
# Three heartbeats of a proxy.
_LONGEST_SILENCE: Final = 45.0
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0
_REFUSED_PAUSE: Final = 60.0
_MOST_IN_A_BATCH: Final = 500
# Received and not stored yet: more are left to wait at the proxy.
_MOST_UNSTORED: Final = 1000
_UNWATCHED_PAUSE: Final = 1.0


class FeedKeeper:
    """One reader for each target. `stored` is called with what was new, ids and requests, oldest first.

    While nobody watches requests end, those of a second are stored together: `until_watched` waits for somebody who
    does, so many seconds at most. The client is closed with it.
    """

    def __init__(
        self,
        store: Store,
        client: httpx.AsyncClient,
        token: SecretStr | None,
        stored: Callable[[int, list[tuple[int, Finished]]], None],
        until_watched: Callable[[float], Awaitable[None]],
    ) -> None:
        self._store = store
        self._client = client
        self._token = token
        self._stored = stored
        self._until_watched = until_watched
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def keep(self, targets: list[Target]) -> None:
        """Reads these and no others from now on."""
        wanted = {target.id: target for target in targets}
        for number in [number for number in self._tasks if number not in wanted]:
            self._tasks.pop(number).cancel()
        for number, target in wanted.items():
            if number not in self._tasks:
                self._tasks[number] = asyncio.create_task(self._read(target))

    async def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._tasks.clear()
        await self._client.aclose()

    def authorization(self) -> dict[str, str]:
        """The header that a proxy wants of its owner."""
        return {} if self._token is None else {"authorization": f"Bearer {self._token.get_secret_value()}"}

    async def _read(self, target: Target) -> None:
        pause = _FIRST_PAUSE
        while True:
            received = target.position
            try:
                await self._follow(target)
                target.feed_link.failed("the proxy ended the feed")
            except FetchError as error:
                target.feed_link.failed(str(error), error.status)
            except StoreError as error:
                target.feed_link.failed(str(error))
            except (httpx.HTTPError, OversizedEventError) as error:
                target.feed_link.failed(reason(error))
            except Exception:  # a defect must not end the feed for good
                log.exception("reading a feed failed", target=target.address.url)
                target.feed_link.failed("a defect of the dashboard: see its log")
            pause = _FIRST_PAUSE if target.position != received else min(2 * pause, _LONGEST_PAUSE)
            is_refused = target.feed_link.state in (Connection.DENIED, Connection.ABSENT)
            await asyncio.sleep((_REFUSED_PAUSE if is_refused else pause) * random.uniform(0.5, 1.0))  # noqa: S311 - spread

    async def _follow(self, target: Target) -> None:
        """Receives and stores until the feed ends. A slow disk slows the feed down."""
        arrived: asyncio.Queue[Event | None] = asyncio.Queue(_MOST_UNSTORED)
        receiving = asyncio.create_task(self._receive(target, arrived))
        try:
            while True:
                batch = await self._take(arrived)
                if events := [each for each in batch if each is not None]:
                    await self._store_batch(target, events)
                if len(events) < len(batch):
                    return await receiving
        finally:
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)

    async def _take(self, arrived: asyncio.Queue[Event | None]) -> list[Event | None]:
        """What has arrived, at least one; after None there is nothing more."""
        batch = [await arrived.get()]
        if batch[0] is not None and arrived.qsize() < _MOST_IN_A_BATCH:
            await self._until_watched(_UNWATCHED_PAUSE)
        while len(batch) < _MOST_IN_A_BATCH and not arrived.empty():
            batch.append(arrived.get_nowait())
        return batch

    async def _receive(self, target: Target, arrived: asyncio.Queue[Event | None]) -> None:
        """Passes on the events of a feed, and None at its end, whatever ended it."""
        try:
            async with aclosing(self._events(target)) as events:
                async for event in events:
                    await arrived.put(event)
        except Exception:
            await arrived.put(None)
            raise
        await arrived.put(None)

    async def _events(self, target: Target) -> AsyncGenerator[Event, None]:
        headers = {"accept": "text/event-stream", **self.authorization()}
        if target.address.host is not None:
            headers["host"] = target.address.host
        if target.position.last_id:
            headers["last-event-id"] = target.position.last_id
        timeout = httpx.Timeout(_CONNECT_SECONDS, read=_LONGEST_SILENCE)
        url = beside(target.address.url, "requests")
        async with self._client.stream("GET", url, headers=headers, timeout=timeout) as response:
            if response.status_code != 200:
                raise FetchError(f"answers {response.status_code}", response.status_code)
            if not response.headers.get("content-type", "").startswith("text/event-stream"):
                raise FetchError("is no feed", 404)
            target.feed_link.is_up()
            reader = EventReader()
            async for chunk in response.aiter_raw():
                for event in reader.feed(chunk):
                    yield event

    async def _store_batch(self, target: Target, events: list[Event]) -> None:
        position, finished = target.position, []
        for event in events:
            if event.name == "gap":
                lost = whole(mapping(_json(event.data)).get("lost"))
                position = replace(position, lost=position.lost + (lost or 0))
                position = replace(position, unknown_gaps=position.unknown_gaps + (lost is None))
                if lost is None:  # a new run numbers anew, and most often nothing is missing
                    log.info("restarted: what finished in its last moment may be missing", target=target.address.url)
                else:
                    log.warning("finished requests were lost", target=target.address.url, lost=lost)
            elif event.name == "request":
                position = replace(position, last_id=event.id, received=position.received + 1)
                try:
                    finished.append(read_finished(event.id, _json(event.data)))
                except UnreadableRequestError as error:
                    log.warning("a finished request can't be read", target=target.address.url, error=str(error))
        if position == target.position:
            return
        stored = await self._store.save_requests(target.id, finished, position)
        target.position = position
        if stored:
            self._stored(target.id, stored)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
