"""The proxies that are asked, and the store: the answer of /api/targets."""

from enum import StrEnum

from pydantic import Field

from dashboard.records.base import MaybeTime, Record
from dashboard.records.snapshot import TargetState


class Connection(StrEnum):
    """Whether a proxy's status, or its feed of finished requests, can be read."""

    CONNECTING = "connecting"
    UP = "up"
    DOWN = "down"
    DENIED = "denied"  # it wants another ADMIN_TOKEN
    ABSENT = "absent"  # it has none


class Link(Record):
    """Whether something of a proxy can be read, and if not why."""

    state: Connection
    error: str | None


class Feed(Link):
    """Whether a proxy's feed of finished requests can be read, and how far it was read."""

    received: int
    lost: int
    unknown_gaps: int


class Target(TargetState):
    """One proxy."""

    url: str
    error: str | None
    last_answer: MaybeTime
    age: float | None
    misses: int = Field(description="How many times in a row it has not answered")
    scrape_seconds: float | None
    series: int
    started: MaybeTime
    version: str | None
    variant: str | None
    status: Link
    feed: Feed


class StoreState(Record):
    """The file that everything is kept in."""

    path: str
    bytes: int
    error: str | None
    requests: int
    oldest_request: MaybeTime
    oldest_sample: MaybeTime = Field(description="Of the samples of 5 s")
    set_aside: str | None = Field(description="Where the damaged file is that was in use before this one")


class Lookup(Record):
    """A name in SCRAPE_TARGETS that stands for several proxies, and how looking it up went."""

    source: str
    addresses: int
    error: str | None


class Targets(Record):
    """All proxies, the names that were looked up to find them, and the store."""

    targets: list[Target]
    store: StoreState
    names: list[Lookup]
