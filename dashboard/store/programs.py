"""Which programs clients and sessions ask with. There are few: those that have not asked for longest go first."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

from dashboard.domain.finished import Finished
from dashboard.records.usage import By

KINDS: Final = (By.CLIENT.value, By.SESSION.value)
"""The columns of a request whose programs are kept: which program a client, or a session, was."""
MOST_KEPT: Final = 10_000
"""So many rows of each kind."""
MOST_TOLD: Final = 3
_LOOKED_BACK: Final = 50_000
_Key: TypeAlias = tuple[str, str, str]

_SAVE: Final = (
    "INSERT INTO program (kind, key, program, first, last) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT DO UPDATE SET first = min(first, excluded.first), last = max(last, excluded.last)"
)
_LOOK_BACK: Final = (
    "INSERT OR IGNORE INTO program (kind, key, program, first, last) "  # noqa: S608 - names of ours
    "SELECT '{kind}', {kind}, program, min(ended), max(ended) "
    f"FROM (SELECT {{kind}}, program, ended FROM request ORDER BY id DESC LIMIT {_LOOKED_BACK}) "
    "WHERE {kind} <> '' AND program <> '' GROUP BY {kind}, program"
)
_DROP: Final = (
    "DELETE FROM program WHERE kind = ?1 AND (key, program) IN "
    "(SELECT key, program FROM program WHERE kind = ?1 ORDER BY last DESC, key, program LIMIT -1 OFFSET ?2)"
)


def look_back(connection: sqlite3.Connection) -> None:
    """Where none are known yet, as in the file of an older version, learns them from the newest requests."""
    if connection.execute("SELECT EXISTS (SELECT 1 FROM program)").fetchone()[0]:
        return
    for kind in KINDS:
        connection.execute(_LOOK_BACK.format(kind=kind))


def note_programs(connection: sqlite3.Connection, requests: Iterable[Finished]) -> None:
    """Only within the transaction that stores the requests."""
    seen: dict[_Key, tuple[float, float]] = {}
    for request in requests:
        for kind in KINDS:
            key, program = request.texts[kind], request.texts["program"]
            if key and program:
                first, last = seen.get((kind, key, program), (request.ended, request.ended))
                seen[kind, key, program] = (min(first, request.ended), max(last, request.ended))
    connection.executemany(_SAVE, [(*key, *span) for key, span in seen.items()])


def delete_programs(connection: sqlite3.Connection) -> None:
    """Forgets those beyond the 10,000 of each kind that asked last. Only within a transaction."""
    for kind in KINDS:
        connection.execute(_DROP, (kind, MOST_KEPT))


def programs_of(
    connection: sqlite3.Connection, kind: str, keys: Sequence[str], begin: float, end: float
) -> Mapping[str, list[str]]:
    """What each of these clients or sessions asked with around this time (Unix seconds), the latest three first."""
    query = (
        f"SELECT key, program FROM program WHERE kind = ? AND key IN ({', '.join('?' * len(keys))}) "  # noqa: S608
        "AND last >= ? AND first < ? ORDER BY last DESC, program"
    )
    found: dict[str, list[str]] = {}
    for key, program in connection.execute(query, (kind, *keys, begin, end)):
        if len(told := found.setdefault(key, [])) < MOST_TOLD:
            told.append(program)
    return found
