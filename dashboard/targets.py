"""What is known of each proxy at the moment, in memory."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from dashboard.addresses import Address
from dashboard.domain.exposition import PageReader
from dashboard.domain.proxy_status import ProxyStatus
from dashboard.domain.rates import Reading
from dashboard.domain.rules import TargetTrouble
from dashboard.domain.samples import Page
from dashboard.domain.snapshot import TargetView
from dashboard.domain.stalls import StallWatch
from dashboard.records import targets as records
from dashboard.records.snapshot import TargetHealth
from dashboard.records.targets import Connection
from dashboard.store.targets import FeedPosition

STALE_AFTER: Final = 3
_SEVERAL_SECONDS: Final = 600.0


@dataclass(slots=True)
class Link:
    """Whether a proxy's status, or its feed of finished requests, can be read, and if not why."""

    state: Connection = Connection.CONNECTING
    error: str | None = None

    def is_up(self) -> None:
        self.state, self.error = Connection.UP, None

    def failed(self, error: str, status: int | None = None) -> None:
        """Notes why it can't be read, from the status of the answer if there was one."""
        by_status = {401: Connection.DENIED, 403: Connection.DENIED, 404: Connection.ABSENT}
        self.state, self.error = by_status.get(status or 0, Connection.DOWN), error


@dataclass(slots=True)
class Target:
    """One proxy. Times named `…_steady` are monotonic, others Unix time."""

    id: int
    address: Address
    reading: Reading | None
    version: str | None
    position: FeedPosition
    reader: PageReader = field(default_factory=PageReader)
    page: Page = field(default_factory=Page)
    answered_at: float | None = None
    answered_steady: float | None = None
    misses: int = 0
    error: str | None = None
    scrape_seconds: float | None = None
    several_steady: float | None = None
    status: ProxyStatus | None = None
    status_steady: float = 0.0
    status_link: Link = field(default_factory=Link)
    status_due: float = 0.0
    feed_link: Link = field(default_factory=Link)
    stalls: StallWatch = field(default_factory=StallWatch)

    @property
    def health(self) -> TargetHealth:
        if self.misses >= STALE_AFTER:
            return TargetHealth.STALE
        if self.answered_at is None:
            return TargetHealth.NEW
        return TargetHealth.LATE if self.misses else TargetHealth.UP

    def is_several(self, steady: float) -> bool:
        """Whether lately another process answered here than just before."""
        return self.several_steady is not None and steady - self.several_steady < _SEVERAL_SECONDS

    def view(self, steady: float) -> TargetView:
        age = max(0.0, steady - self.status_steady)
        return TargetView(
            self.id, self.address.name, self.health, self.status, age, self._silent(steady), self.page.gauge
        )

    def trouble(self, steady: float) -> TargetTrouble:
        silent_for = None if self.answered_steady is None else steady - self.answered_steady
        denied = self.feed_link.state is Connection.DENIED
        return TargetTrouble(
            self.id, self.address.url, self.health, self.error, silent_for, self.is_several(steady), denied
        )

    def record(self, now: float) -> records.Target:
        """What is told of it at this Unix time."""
        status, feed, position = self.status_link, self.feed_link, self.position
        return records.Target(
            id=self.id,
            name=self.address.name,
            url=self.address.url,
            state=self.health,
            error=self.error,
            last_answer=self.answered_at,
            age=None if self.answered_at is None else max(0.0, now - self.answered_at),
            misses=self.misses,
            scrape_seconds=self.scrape_seconds,
            series=len(self.page.counters) + len(self.page.gauges),
            started=self.page.started,
            version=self.version,
            variant=None if self.status is None else self.status.variant,
            status=records.Link(state=status.state, error=status.error),
            feed=records.Feed(
                state=feed.state,
                error=feed.error,
                received=position.received,
                lost=position.lost,
                unknown_gaps=position.unknown_gaps,
            ),
        )

    def _silent(self, steady: float) -> Callable[[str], float | None]:
        return lambda request_id: self.stalls.silent(request_id, steady)
