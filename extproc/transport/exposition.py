"""Metrics and other pages: rendering one holds up every admission, so who asks too often has to wait for the next."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

OLDEST_FOR_CLIENTS: Final = 1.0
_OPENMETRICS: Final = "application/openmetrics-text"
_LONGEST_REST: Final = 1.0


@dataclass(frozen=True, slots=True)
class Page:
    """The metrics in one format."""

    body: bytes
    content_type: str


class SparedPage:
    """A page that shows how things stood when it was asked for, or later.

    Rendering takes half of the time at most: after each the page rests for as long as it took, and all that ask
    meanwhile wait for one rendering. `clock` tells steady seconds.
    """

    def __init__(
        self,
        render: Callable[[], bytes],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._render = render
        self._clock = clock
        self._sleep = sleep
        self._body = b""
        self._began = self._rests_until = float("-inf")

    async def get(self, oldest: float = 0.0) -> bytes:
        """The page; one that is there does while it is at most `oldest` seconds old."""
        since = self._clock() - oldest
        while self._began < since:
            rest = self._rests_until - self._clock()
            if rest > 0.0:
                await self._sleep(rest)
            else:
                self._began = self._clock()
                self._body = self._render()
                ended = self._clock()
                # A process that was stopped meanwhile would rest for as long as that.
                self._rests_until = ended + min(ended - self._began, _LONGEST_REST)
        return self._body


class Exposition:
    """Renders a registry, in the text format and in OpenMetrics. `clock` tells steady seconds."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float] = time.monotonic) -> None:
        self._text = _Format(registry, clock, "")
        self._openmetrics = _Format(registry, clock, _OPENMETRICS)

    async def page(self, accept: str, for_clients: bool) -> Page:
        """The page in the format that is asked for. Clients share one that is up to a second old."""
        asked = self._openmetrics if _OPENMETRICS in accept else self._text
        body = await asked.page.get(OLDEST_FOR_CLIENTS if for_clients else 0.0)
        return Page(body, asked.content_type)


class _Format:
    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float], accept: str) -> None:
        encode, self.content_type = choose_encoder(accept)
        self.page = SparedPage(lambda: encode(registry), clock)
