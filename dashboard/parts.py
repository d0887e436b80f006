"""The objects that the service is made of, for the API to ask."""

from dataclasses import dataclass

import httpx

from dashboard.access.guard import Guard
from dashboard.addresses import TargetResolver
from dashboard.event_hub import EventHub
from dashboard.feed import FeedKeeper
from dashboard.overview import Overview
from dashboard.records.snapshot import Now
from dashboard.scraper import Clocks, Scraper
from dashboard.settings import Settings
from dashboard.store.store import Store

_CANCEL_HINT = "Set DASHBOARD_TOKEN to end requests from here."


@dataclass(frozen=True, slots=True)
class Parts:
    """Built in one place, by the service."""

    settings: Settings
    version: str
    clocks: Clocks
    client: httpx.AsyncClient
    store: Store
    resolver: TargetResolver
    scraper: Scraper
    feeds: FeedKeeper
    hub: EventHub
    overview: Overview
    guard: Guard

    def now(self) -> Now:
        """What /api/now answers."""
        return Now(
            **dict(self.overview.now()),
            version=self.version,
            notice=self.settings.dashboard_notice,
            scrape_interval=self.settings.scrape_interval,
            can_name=self.guard.may_change,
            can_cancel=self.guard.has_token,
            cancel_hint=None if self.guard.has_token else _CANCEL_HINT,
        )
