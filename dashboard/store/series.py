"""The number of each series, by which rows of samples name it."""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Final

import structlog

from dashboard.domain import catalogue
from dashboard.domain.rollup import Row
from dashboard.domain.row_codec import MOST_SERIES
from dashboard.domain.samples import Kind, SeriesKey
from dashboard.store.database import transaction

log = structlog.get_logger("dashboard")

_MOST: Final = 8000
assert _MOST < MOST_SERIES  # noqa: S101 - ids have to fit into a row


class SeriesIds:
    """The number of each series. There are at most 8,000; what a target sends beyond that is left out and counted.

    The mappings are replaced, never changed, so other threads may read them.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.left_out = 0
        self.keys: Mapping[int, SeriesKey] = {}
        self.ids: Mapping[SeriesKey, int] = {}
        self._load()

    def ensure(self, keys: Iterable[SeriesKey]) -> None:
        """Gives a number to each series that has none, in a transaction of its own."""
        new = list(dict.fromkeys(key for key in keys if key not in self.ids))
        room = _MOST - len(self.ids)
        self._tell(max(0, len(new) - room))
        values = [(key.kind.value, key.name, json.dumps(key.labels)) for key in new[: max(0, room)]]
        if values:
            with transaction(self._connection):
                self._connection.executemany("INSERT INTO series (kind, name, labels) VALUES (?, ?, ?)", values)
            self._load()

    def _tell(self, left_out: int) -> None:
        if left_out and not self.left_out:
            log.warning("more series than are kept: some are left out", kept=_MOST, left_out=left_out)
        self.left_out = left_out

    def adds_up(self, number: int, row: Row) -> bool:
        """Whether this target's value of a gauge comes on top of those of the other targets; otherwise the largest of
        them counts. The row tells whether the target shares its limits with others."""
        _, sharing = row.gauges.get(self.ids.get(catalogue.SHARING, -1), (0, 0.0))
        return catalogue.adds_up(self.keys[number], is_sharing=sharing > 0.0)

    def _load(self) -> None:
        rows = self._connection.execute("SELECT id, kind, name, labels FROM series")
        self.keys = {number: _key(kind, name, labels) for number, kind, name, labels in rows}
        self.ids = {key: number for number, key in self.keys.items()}


def _key(kind: str, name: str, labels: str) -> SeriesKey:
    return SeriesKey(Kind(kind), name, tuple((str(label), str(value)) for label, value in json.loads(labels)))
