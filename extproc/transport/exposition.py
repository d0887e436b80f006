"""Metrics and other pages: rendering one holds up every admission, so who asks too often gets the one that is there."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

OLDEST_FOR_CLIENTS: Final = 1.0
_OPENMETRICS: Final = "application/openmetrics-text"
_LARGEST_SHARE: Final = 0.5
_SECONDS_AT_ONCE: Final = 0.25


@dataclass(frozen=True, slots=True)
class Page:
    """The metrics in one format, rendered at `at` (steady seconds) in `seconds`."""

    body: bytes
    content_type: str
    at: float
    seconds: float


class Exposition:
    """Renders a registry. `clock` tells steady seconds."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float] = time.monotonic) -> None:
        self._registry = registry
        self._clock = clock
        self._pages: dict[bool, Page] = {}

    def page(self, accept: str, for_clients: bool) -> Page:
        """The page in the format that is asked for: the text format, or OpenMetrics.

        Clients share one that is up to a second old. On the metrics port it is new, unless rendering has only just
        ended: half of the time at the most goes into it.
        """
        is_openmetrics = _OPENMETRICS in accept
        page = self._pages.get(is_openmetrics)
        if page is not None:
            age = self._clock() - page.at
            if age < (OLDEST_FOR_CLIENTS if for_clients else page.seconds):
                return page
        page = self._pages[is_openmetrics] = self._rendered(_OPENMETRICS if is_openmetrics else "")
        return page

    def _rendered(self, accept: str) -> Page:
        began = self._clock()
        encode, content_type = choose_encoder(accept)
        body = encode(self._registry)
        ended = self._clock()
        return Page(body, content_type, ended, ended - began)


class SparedPage:
    """A page that is new for each who asks, unless rendering it would take more than half of the time. `clock` tells
    steady seconds."""

    def __init__(self, render: Callable[[], bytes], clock: Callable[[], float] = time.monotonic) -> None:
        self._render = render
        self._clock = clock
        self._page = b""
        self._spent = 0.0
        self._looked_at = clock()

    def get(self) -> bytes:
        now = self._clock()
        self._spent = max(0.0, self._spent - _LARGEST_SHARE * (now - self._looked_at))
        self._looked_at = now
        if not self._page or self._spent < _SECONDS_AT_ONCE:
            self._page = self._render()
            self._spent += self._clock() - now
        return self._page
