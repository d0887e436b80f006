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
    """The state of a connection, and why it can't be read."""

    state: Connection
    error: str | None


class Feed(Link):
    """The same of the feed of finished requests, and how far it was read."""

    received: int
    lost: int
    unknown_gaps: int


class Target(TargetState):
    """One proxy."""

    url: str
    error: str | None
    last_answer: MaybeTime
    age: float | None
    misses: int = Field(description="Looks without an answer since the last one with")
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
    oldest_sample: MaybeTime = Field(description="Of those of 5 s")
    set_aside: str | None = Field(description="Where the damaged file before this one is")


class Lookup(Record):
    """A name that stands for several proxies."""

    source: str
    addresses: int
    error: str | None


class Targets(Record):
    """All of them."""

    targets: list[Target]
    store: StoreState
    names: list[Lookup]
