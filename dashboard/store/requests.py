"""Finished requests: written once, each exactly once, and read by page."""

import math
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from dashboard.domain.finished import Finished
from dashboard.records.requests import SEARCHED, SORTS, TOKEN_KINDS, Kind, Outcome, Request, columns_of
from dashboard.store.names import keys_named

MOST_KEPT: Final = 300_000
_TEXTS: Final = columns_of(Kind.TEXT)
_NUMBERS: Final = columns_of(Kind.NUMBER, Kind.WHOLE)
_HEAD: Final = ("target", "feed_id", "started", "ended", "outcome", "duration")
_COLUMNS: Final = (*_HEAD, *_TEXTS, *_NUMBERS, *TOKEN_KINDS)
_SELECT: Final = f"SELECT id, {', '.join(_COLUMNS)} FROM request"  # noqa: S608 - names of ours
_INSERT: Final = f"INSERT OR IGNORE INTO request ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608
_MOST_SORTED: Final = 50_000
_MOST_COUNTED: Final = 10_000


@dataclass(frozen=True, slots=True)
class RequestFilter:
    """Which requests are asked for. `equal` holds the allowed values by column; statuses are numbers or classes."""

    begin: float | None = None
    end: float | None = None
    equal: dict[str, tuple[str, ...]] = field(default_factory=dict)
    statuses: tuple[int, ...] = ()
    status_classes: tuple[int, ...] = ()
    target: int | None = None
    search: str = ""

    def condition(self, named: Mapping[str, Sequence[str]]) -> tuple[str, list[Any]]:
        """What stands behind WHERE, and its parameters. It is never empty. `named` says by column which clients and
        sessions have been given a name that the search finds."""
        parts, values = ["1"], list[Any]()
        for column, limit, sign in (("ended", self.begin, ">="), ("ended", self.end, "<")):
            if limit is not None:
                parts.append(f"{column} {sign} ?")
                values.append(limit)
        for column, allowed in self.equal.items():
            parts.append(f"{column} IN ({', '.join('?' * len(allowed))})")
            values += allowed
        if self.statuses or self.status_classes:
            parts.append(
                f"(status IN ({', '.join('?' * len(self.statuses))}) "
                f"OR status / 100 IN ({', '.join('?' * len(self.status_classes))}))"
            )
            values += (*self.statuses, *self.status_classes)
        if self.target is not None:
            parts.append("target = ?")
            values.append(self.target)
        if self.search:
            ways = [f"instr(lower({column}), ?)" for column in SEARCHED]
            values += [self.search.lower()] * len(SEARCHED)
            for column, keys in named.items():
                ways.append(f"{column} IN ({', '.join('?' * len(keys))})")
                values += keys
            parts.append(f"({' OR '.join(ways)})")
        return " AND ".join(parts), values


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the table. `next` is where the following one begins, None on the last."""

    requests: list[Request]
    next: tuple[float | int, int] | None
    total: int
    total_is_exact: bool


def insert_requests(
    connection: sqlite3.Connection, target: int, requests: Sequence[Finished]
) -> list[tuple[int, Finished]]:
    """Those that were not there yet, with the ids they got. Only within a transaction."""
    stored = []
    for request in requests:
        cursor = connection.execute(_INSERT, (target, *_values(request)))
        if cursor.rowcount and cursor.lastrowid is not None:
            stored.append((cursor.lastrowid, request))
    return stored


def find_page(
    connection: sqlite3.Connection,
    wanted: RequestFilter,
    sort: str,
    descending: bool,
    limit: int,
    after: tuple[float | int, int] | None,
) -> Page:
    """One page of requests. `after` is where the page before ended: the time and number of its last request if they are
    sorted by time, else how many came before."""
    condition, values = wanted.condition(keys_named(connection, wanted.search) if wanted.search else {})
    total, is_exact = _count(connection, condition, values)
    direction, sign = ("DESC", "<") if descending else ("ASC", ">")
    if sort == "ended":
        where, more = condition, list(values)
        if after is not None:
            where, more = f"{condition} AND (ended, id) {sign} (?, ?)", [*values, *after]
        query = f"{_SELECT} WHERE {where} ORDER BY ended {direction}, id {direction} LIMIT ?"
        rows = connection.execute(query, (*more, limit + 1)).fetchall()
        following = (float(rows[limit - 1][4]), int(rows[limit - 1][0])) if len(rows) > limit else None
    else:
        begin = int(after[1]) if after is not None else 0
        newest = f"SELECT * FROM request WHERE {condition} ORDER BY ended DESC LIMIT {_MOST_SORTED}"  # noqa: S608
        expression = SORTS[sort]
        query = (
            f"SELECT id, {', '.join(_COLUMNS)} FROM ({newest}) "  # noqa: S608
            f"ORDER BY {expression} IS NULL, {expression} {direction}, id {direction} LIMIT ? OFFSET ?"
        )
        rows = connection.execute(query, (*values, limit + 1, begin)).fetchall()
        following = (0, begin + limit) if len(rows) > limit else None
    return Page([_record(row) for row in rows[:limit]], following, total, is_exact)


def find_request(connection: sqlite3.Connection, number: int) -> Request | None:
    row = connection.execute(f"{_SELECT} WHERE id = ?", (number,)).fetchone()
    return None if row is None else _record(row)


def requests_after(connection: sqlite3.Connection, number: int, limit: int) -> tuple[int, list[Request]]:
    """How many requests have a larger id, and the newest of them, oldest first."""
    rows = connection.execute(f"{_SELECT} WHERE id > ? ORDER BY id DESC LIMIT ?", (number, limit)).fetchall()
    count = len(rows)
    if count == limit:
        count = connection.execute("SELECT count(*) FROM request WHERE id > ?", (number,)).fetchone()[0]
    return count, [_record(row) for row in reversed(rows)]


def newest_request(connection: sqlite3.Connection) -> int:
    """The largest id that was ever given; 0 if none was."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'request'").fetchone()
    return 0 if row is None else int(row[0])


def recent_finished(connection: sqlite3.Connection, limit: int) -> list[tuple[int, Finished]]:
    """The last requests as they were stored, oldest first, with their ids."""
    rows = connection.execute(f"{_SELECT} ORDER BY id DESC LIMIT ?", (limit,)).fetchall()
    return [(row[0], _finished(row)) for row in reversed(rows)]


def delete_requests(connection: sqlite3.Connection, before: float) -> None:
    """Forgets those that ended before this Unix time, and the oldest beyond the 300,000 newest."""
    # One after the other: each of both is looked up in an index, together they are not.
    for old, bound in (("ended < ?", before), ("id <= (SELECT max(id) FROM request) - ?", MOST_KEPT)):
        newest = connection.execute(f"SELECT max(ended) FROM request WHERE {old}", (bound,)).fetchone()[0]  # noqa: S608
        if newest is not None:
            connection.execute(f"DELETE FROM request WHERE {old}", (bound,))  # noqa: S608
            connection.execute(
                "INSERT INTO forgotten (only, ended) VALUES (1, ?) "
                "ON CONFLICT DO UPDATE SET ended = max(ended, excluded.ended)",
                (newest,),
            )


def forgotten_until(connection: sqlite3.Connection) -> float:
    """Every request that ended after this Unix time is still kept."""
    row = connection.execute("SELECT ended FROM forgotten").fetchone()
    return -math.inf if row is None else float(row[0])


def stored_requests(connection: sqlite3.Connection) -> tuple[int, float | None]:
    """About how many there are, and when the oldest ended."""
    # One by one: SQLite looks up a single end, and reads everything for both.
    first, last = connection.execute("SELECT (SELECT min(id) FROM request), (SELECT max(id) FROM request)").fetchone()
    oldest = connection.execute("SELECT min(ended) FROM request").fetchone()[0]
    return (0 if first is None else last - first + 1), oldest


def describe(number: int, target: int, request: Finished) -> Request:
    """A stored request as the API tells of it."""
    return _record((number, target, *_values(request)))


def _record(row: Iterable[Any]) -> Request:
    fields = dict(zip(("id", *_COLUMNS), row, strict=True))
    tokens = {kind: fields.pop(kind) for kind in TOKEN_KINDS}
    return Request.model_validate({**fields, "tokens": tokens})


def _finished(row: Sequence[Any]) -> Finished:
    fields = dict(zip(("id", *_COLUMNS), row, strict=True))
    return Finished(
        fields["feed_id"],
        fields["started"],
        fields["ended"],
        Outcome(fields["outcome"]),
        fields["duration"],
        {name: fields[name] for name in _TEXTS},
        {name: fields[name] for name in _NUMBERS},
        {kind: fields[kind] for kind in TOKEN_KINDS},
    )


def _values(request: Finished) -> tuple[Any, ...]:
    return (
        request.feed_id,
        request.started,
        request.ended,
        request.outcome.value,
        request.duration,
        *(request.texts[name] for name in _TEXTS),
        *(request.numbers[name] for name in _NUMBERS),
        *(request.tokens[kind] for kind in TOKEN_KINDS),
    )


def _count(connection: sqlite3.Connection, condition: str, values: list[Any]) -> tuple[int, bool]:
    query = f"SELECT count(*) FROM (SELECT 1 FROM request WHERE {condition} LIMIT {_MOST_COUNTED + 1})"  # noqa: S608
    found: int = connection.execute(query, values).fetchone()[0]
    return min(found, _MOST_COUNTED), found <= _MOST_COUNTED
