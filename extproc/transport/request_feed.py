"""The feed of finished requests, as server-sent events with replay, for dashboards."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Final

from extproc.domain.usage.finished_request import as_json
from extproc.domain.usage.outcome import Outcome
from extproc.domain.usage.request_ring import Finished, RequestRing

HEARTBEAT_SECONDS: Final = 15.0
_MOST_READERS: Final = 32
_MOST_UNREAD: Final = 1000


class TooManyReadersError(Exception):
    """All places for readers are taken."""


class RequestFeed:
    """Keeps the ring and hands each finished request to its readers. `run_id` makes the ids of two runs differ."""

    def __init__(self, run_id: str, ring: RequestRing) -> None:
        self._run_id = run_id
        self._ring = ring
        self._readers: set[asyncio.Queue[Finished | None]] = set()
        self._closed = False

    def add(self, outcome: Outcome) -> None:
        """Takes in a finished request. A reader that is too far behind is cut off: it can come back and replay."""
        finished = self._ring.add(outcome)
        for reader in list(self._readers):
            try:
                reader.put_nowait(finished)
            except asyncio.QueueFull:
                self._readers.discard(reader)

    def close(self) -> None:
        """Ends every reader's feed behind what it still has to hear of."""
        self._closed = True
        for reader in list(self._readers):
            try:
                reader.put_nowait(None)
            except asyncio.QueueFull:
                self._readers.discard(reader)

    def events(self, last_id: str) -> AsyncGenerator[str]:
        """Server-sent events: first what came after `last_id`, then everything new, until the reader falls behind.

        Raises TooManyReadersError at once if there is no place.
        """
        if len(self._readers) >= _MOST_READERS:
            raise TooManyReadersError
        unread: asyncio.Queue[Finished | None] = asyncio.Queue(_MOST_UNREAD)
        if not self._closed:
            self._readers.add(unread)
        return self._events(unread, self._replay(last_id))

    async def _events(self, unread: asyncio.Queue[Finished | None], replay: list[str]) -> AsyncGenerator[str]:
        try:
            for event in replay:
                yield event
            while unread in self._readers:
                try:
                    async with asyncio.timeout(HEARTBEAT_SECONDS):
                        finished = await unread.get()
                except TimeoutError:
                    yield ": alive\n\n"
                else:
                    if finished is None:
                        return
                    yield self._event(finished)
        finally:
            self._readers.discard(unread)

    def _replay(self, last_id: str) -> list[str]:
        run, _, serial = last_id.rpartition("-")
        known = run == self._run_id and serial.isdecimal()
        replay = self._ring.since(int(serial) if known else 0)
        # If the id is one of another run, nobody knows how many were lost. A reader without an id is new and has missed
        # nothing.
        lost = replay.lost if known else None
        gap = [f"event: gap\ndata: {json.dumps({'lost': lost})}\n\n"] if last_id and lost != 0 else []
        return gap + [self._event(finished) for finished in replay.requests]

    def _event(self, finished: Finished) -> str:
        data = json.dumps(as_json(finished.outcome))
        return f"id: {self._run_id}-{finished.serial}\nevent: request\ndata: {data}\n\n"
