"""The names that people gave to clients and sessions. There are few: the one that was unused for longest goes first."""

import sqlite3
from collections.abc import Collection, Iterable
from typing import Final, TypeAlias

from dashboard.domain.finished import Finished
from dashboard.domain.names import MOST_NAMES
from dashboard.records.names import Name, NameKind, Names

Key: TypeAlias = tuple[str, str]
"""The kind and the client or session."""
Row: TypeAlias = tuple[str, str, str, float]
"""A key's two parts, the name, and the Unix time at which the name was given or its client or session last asked."""

_KNOWN: Final = (
    "SELECT EXISTS (SELECT 1 FROM name WHERE kind = ?1 AND key = ?2) "
    "OR EXISTS (SELECT 1 FROM request WHERE {column} = ?2) OR EXISTS (SELECT 1 FROM usage WHERE {column} = ?2)"
)
_SAVE: Final = (
    "INSERT INTO name (kind, key, name, used) VALUES (?, ?, ?, ?) "
    "ON CONFLICT DO UPDATE SET name = excluded.name, used = max(used, excluded.used)"
)
# Never the one that is given now, whatever the clock says.
_DROP: Final = (
    "DELETE FROM name WHERE (kind, key) IN "
    "(SELECT kind, key FROM name WHERE (kind, key) <> (?, ?) ORDER BY used DESC, kind, key LIMIT -1 OFFSET ?)"
)


def read_rows(connection: sqlite3.Connection) -> list[Row]:
    """All names, the latest used first."""
    return connection.execute("SELECT kind, key, name, used FROM name ORDER BY used DESC, kind, key").fetchall()


def all_names(connection: sqlite3.Connection) -> Names:
    """The same as the API tells of them."""
    return Names(names=[Name(kind=NameKind(kind), key=key, name=name) for kind, key, name, _ in read_rows(connection)])


def keys_named(connection: sqlite3.Connection, part: str) -> dict[str, list[str]]:
    """The clients and the sessions, by kind, in whose names this stands, in whatever case."""
    found: dict[str, list[str]] = {}
    for kind, key, name, _ in read_rows(connection):
        if part.lower() in name.lower():
            found.setdefault(kind, []).append(key)
    return found


def is_known(connection: sqlite3.Connection, kind: NameKind, key: str) -> bool:
    """Whether such a client or session has a name, or any request of it is known."""
    query = _KNOWN.format(column=kind.value)
    return bool(connection.execute(query, (kind.value, key)).fetchone()[0])


def save_name(connection: sqlite3.Connection, name: Name, now: float) -> None:
    """An empty name takes away the one that was there. Only within a transaction."""
    if name.name:
        key = (name.kind.value, name.key)
        save_rows(connection, [(*key, name.name, now)])
        connection.execute(_DROP, (*key, MOST_NAMES - 1))
    else:
        connection.execute("DELETE FROM name WHERE kind = ? AND key = ?", (name.kind.value, name.key))


def save_rows(connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
    connection.executemany(_SAVE, rows)


def note_use(connection: sqlite3.Connection, named: Collection[Key], requests: Iterable[Finished]) -> None:
    """Who asked has used its names; `named` are all there are. Only within the transaction that stores the requests."""
    last: dict[Key, float] = {}
    for request in requests if named else ():
        for kind in NameKind:
            key = (kind.value, request.texts[kind.value] or "")
            if key in named:
                last[key] = max(last.get(key, 0.0), request.ended)
    connection.executemany(
        "UPDATE name SET used = max(used, ?) WHERE kind = ? AND key = ?", [(at, *key) for key, at in last.items()]
    )
