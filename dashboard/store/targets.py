"""What the store knows of each target: its number, what its counters stood at, how far its feed was read."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from dashboard.domain import row_codec
from dashboard.domain.rates import Reading
from dashboard.domain.samples import SeriesKey


@dataclass(frozen=True, slots=True)
class FeedPosition:
    """How far a target's feed was read. `last_id` is empty for one that was never read; `lost` counts requests that it
    no longer had, `unknown_gaps` the times when nobody knows how many."""

    last_id: str = ""
    received: int = 0
    lost: int = 0
    unknown_gaps: int = 0


@dataclass(frozen=True, slots=True)
class KnownTarget:
    """A target. `reading` is the last one at it, None if it never answered."""

    id: int
    url: str
    reading: Reading | None
    version: str | None
    feed: FeedPosition


def get_target(connection: sqlite3.Connection, url: str, keys: Mapping[int, SeriesKey]) -> KnownTarget:
    """The target with this address, given a number if it is new."""
    connection.execute("INSERT OR IGNORE INTO target (url) VALUES (?)", (url,))
    query = (
        "SELECT id, looked_at, started, version, totals, feed_id, received, lost, unknown_gaps "
        "FROM target WHERE url = ?"
    )
    number, looked_at, started, version, totals, *feed = connection.execute(query, (url,)).fetchone()
    reading = None
    if looked_at is not None and totals is not None:
        counters = {keys[key]: total for key, total in row_codec.decode_totals(totals).items() if key in keys}
        reading = Reading(looked_at, None, started, counters)
    return KnownTarget(number, url, reading, version, FeedPosition(*feed))


def save_position(connection: sqlite3.Connection, target: int, position: FeedPosition) -> None:
    """Notes how far a target's feed was read. To be called within the transaction that stores what was read."""
    connection.execute(
        "UPDATE target SET feed_id = ?, received = ?, lost = ?, unknown_gaps = ? WHERE id = ?",
        (position.last_id, position.received, position.lost, position.unknown_gaps, target),
    )


def lost_requests(connection: sqlite3.Connection) -> tuple[int, int]:
    """How many requests were lost, and how often an unknown number of them was, over all targets."""
    lost, gaps = connection.execute(
        "SELECT coalesce(sum(lost), 0), coalesce(sum(unknown_gaps), 0) FROM target"
    ).fetchone()
    return int(lost), int(gaps)
