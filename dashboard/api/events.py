"""GET /api/events: server-sent events with replay."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from dashboard.api.openapi import known_parameters
from dashboard.api.query import Query
from dashboard.event_hub import (
    EventHub,
    EventKind,
    Message,
    Position,
    Reader,
    TooManyReadersError,
    message,
    parse_position,
)
from dashboard.parts import Parts
from dashboard.problems import ApiError
from dashboard.records.events import Gap, Reset
from dashboard.store import journal
from dashboard.store import requests as stored
from dashboard.store.names import all_names
from dashboard.store.store import StoreError

_HEARTBEAT_SECONDS: Final = 15.0
_MOST_REPLAYED: Final = 2000
_HEADERS: Final = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    "x-accel-buffering": "no",
}
_OPTIONAL: Final = (EventKind.NOW, EventKind.REQUEST, EventKind.ALERT, EventKind.NAMES)


async def events(parts: Parts, request: Request) -> Response:
    query = Query(request.query_params, known_parameters("/api/events"), parts.clocks.wall())
    only = query.names("only")
    if unknown := [name for name in only if name not in _OPTIONAL]:
        raise ApiError(400, f"only={unknown[0][:50]}: need some of {', '.join(_OPTIONAL)}")
    wanted = frozenset(map(EventKind, only))
    since = parse_position(request.headers.get("last-event-id") or query.text("since"))
    try:
        reader = parts.hub.join(wanted | {EventKind.GAP, EventKind.RESET} if wanted else wanted)
    except TooManyReadersError:
        raise ApiError(503, "too many readers of events") from None
    try:
        missed, position = await _missed(parts, since)
        named = await parts.store.read(all_names)
    except StoreError:
        parts.hub.leave(reader)
        raise
    reader.start([message(EventKind.NAMES, named), *missed], position)
    if reader.wants(EventKind.NOW):
        reader.put(message(EventKind.NOW, parts.now()))
    return EventResponse(parts.hub, reader)


class EventResponse(Response):
    """Sends what the reader gets, until it goes, is cut, or the service ends."""

    def __init__(self, hub: EventHub, reader: Reader) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._hub = hub
        self._reader = reader

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        tasks = [
            asyncio.create_task(self._send(send)),
            asyncio.create_task(_gone(receive)),
            asyncio.create_task(self._reader.cut.wait()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._hub.leave(self._reader)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for chunk in self._chunks():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})

    async def _chunks(self) -> AsyncIterator[bytes]:
        yield b"retry: 2000\n\n"
        while True:
            try:
                async with asyncio.timeout(_HEARTBEAT_SECONDS):
                    chunk = await self._reader.take()
            except TimeoutError:
                chunk = b": alive\n\n"
            if chunk:
                yield chunk


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _missed(parts: Parts, since: Position | None) -> tuple[list[Message], Position]:
    """What a reader has missed, and the newest request and alert that are known to it then. One that is new has missed
    nothing, and knows nothing: what ends from now on is news to it, also what is in the store before it is let in."""
    if since is None:
        return [], (0, 0)

    def read(connection: sqlite3.Connection) -> tuple[list[Message], Position]:
        newest = (stored.newest_request(connection), journal.newest_alert(connection))
        if since[0] > newest[0] or since[1] > newest[1]:
            return [message(EventKind.RESET, Reset(), newest)], newest
        count, requests = stored.requests_after(connection, since[0], _MOST_REPLAYED)
        told, alerts = journal.alerts_after(connection, since[1], _MOST_REPLAYED)
        messages = []
        if lost := count - len(requests) + told - len(alerts):
            messages.append(message(EventKind.GAP, Gap(lost=lost)))
        messages += [message(EventKind.ALERT, data, (since[0], number)) for number, data in alerts]
        messages += [message(EventKind.REQUEST, data, (data.id, newest[1])) for data in requests]
        return messages, newest

    return await parts.store.read(read)
