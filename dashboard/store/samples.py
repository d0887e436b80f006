"""Writing looks at targets, and reading rows of samples for charts."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dashboard.domain import row_codec
from dashboard.domain.rates import Reading
from dashboard.domain.rollup import Row, Tier, fold, together
from dashboard.domain.samples import SeriesKey
from dashboard.domain.timespan import Grid
from dashboard.records.series import Mark
from dashboard.store import journal
from dashboard.store.database import transaction
from dashboard.store.series import SeriesIds

_TARGET_BITS: Final = 20
_TARGET_MASK: Final = (1 << _TARGET_BITS) - 1


@dataclass(frozen=True, slots=True)
class TargetSample:
    """One answer of a target: what was new in it (within the last `span` seconds, None if nobody can tell) and what its
    counters stand at now, which the next look is compared with."""

    target: int
    span: float | None
    increase: Mapping[SeriesKey, float]
    gauges: Mapping[SeriesKey, float]
    reading: Reading
    version: str | None


class SampleWriter:
    """Writes rounds of looks. For the one thread that writes."""

    def __init__(self, connection: sqlite3.Connection, series: SeriesIds) -> None:
        self._connection = connection
        self._series = series

    def save(self, at: float, interval: float, samples: Sequence[TargetSample], marks: Sequence[Mark] = ()) -> None:
        """Adds one look at each target and its marks, all or none; targets are asked every `interval` seconds."""
        self._series.ensure(key for sample in samples for key in (*sample.reading.counters, *sample.gauges))
        with transaction(self._connection):
            looks = [(sample, self._row(sample)) for sample in samples]
            for tier in Tier:
                begin, rows = tier.begin(at), []
                for sample, reading in looks:
                    row = reading if tier.can_tell(sample.span, interval) else Row(0, {}, reading.gauges)
                    rows.append(row)
                    self._add(f"target_{tier.value}", begin << _TARGET_BITS | sample.target, row)
                self._add(f"fleet_{tier.value}", begin, together(rows, self._series.adds_up))
            for sample in samples:
                self._remember(sample)
            journal.add_marks(self._connection, marks)

    def _row(self, sample: TargetSample) -> Row:
        ids = self._series.ids
        return Row(
            1,
            {n: amount for key, amount in sample.increase.items() if (n := ids.get(key)) is not None},
            {n: (1, value) for key, value in sample.gauges.items() if (n := ids.get(key)) is not None},
        )

    def _add(self, table: str, at: int, row: Row) -> None:
        known = self._connection.execute(f"SELECT data FROM {table} WHERE at = ?", (at,)).fetchone()  # noqa: S608
        if known is not None:
            whole = row_codec.decode(known[0])
            fold(whole, row)
            row = whole
        statement = f"INSERT OR REPLACE INTO {table} (at, data) VALUES (?, ?)"  # noqa: S608 - a table of ours
        self._connection.execute(statement, (at, row_codec.encode(row)))

    def _remember(self, sample: TargetSample) -> None:
        ids, reading = self._series.ids, sample.reading
        totals = {n: total for key, total in reading.counters.items() if total and (n := ids.get(key)) is not None}
        self._connection.execute(
            "UPDATE target SET looked_at = ?, started = ?, version = ?, totals = ? WHERE id = ?",
            (reading.at, reading.started, sample.version, row_codec.encode_totals(totals), sample.target),
        )


def read_rows(connection: sqlite3.Connection, grid: Grid, target: int | None = None) -> Iterator[tuple[int, bytes]]:
    """The rows of a grid (Unix time, bytes): of all targets together, or of one."""
    if target is None:
        query = f"SELECT at, data FROM fleet_{grid.tier.value} WHERE at >= ? AND at < ?"  # noqa: S608
        return connection.execute(query, (grid.begin, grid.end))
    query = (
        f"SELECT at >> {_TARGET_BITS}, data FROM target_{grid.tier.value} "  # noqa: S608
        f"WHERE at >= ? AND at < ? AND at & {_TARGET_MASK} = ?"
    )
    return connection.execute(query, (grid.begin << _TARGET_BITS, grid.end << _TARGET_BITS, target))


def oldest_sample(connection: sqlite3.Connection) -> float | None:
    """The Unix time since when there are samples of 5 s; None if there are none."""
    at: float | None = connection.execute("SELECT min(at) FROM fleet_5").fetchone()[0]
    return at


def delete_samples(connection: sqlite3.Connection, tier: Tier, before: float) -> None:
    """Forgets the rows of a tier that began before this Unix time."""
    begin = tier.begin(before)
    connection.execute(f"DELETE FROM fleet_{tier.value} WHERE at < ?", (begin,))  # noqa: S608
    connection.execute(f"DELETE FROM target_{tier.value} WHERE at < ?", (begin << _TARGET_BITS,))  # noqa: S608
