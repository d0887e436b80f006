"""What happened, for charts and for readers who come back: marks on the time axis, alerts raised and cleared."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

from dashboard.domain import alerts
from dashboard.records.alerts import AlertChange
from dashboard.records.series import Mark

_MOST_MARKS: Final = 200
_ALERT_COLUMNS: Final = ("id", "at", "alert", "state", "severity", "title", "advice")


def add_marks(connection: sqlite3.Connection, marks: Iterable[Mark]) -> None:
    values = [(mark.at, mark.kind.value, mark.target, mark.text) for mark in marks]
    connection.executemany("INSERT INTO mark (at, kind, target, text) VALUES (?, ?, ?, ?)", values)


def find_marks(connection: sqlite3.Connection, begin: float, end: float, target: int | None) -> list[Mark]:
    """Those of a window, oldest first, at most the 200 newest."""
    query = (
        "SELECT at, kind, target, text FROM mark WHERE at >= ? AND at < ? "
        "AND (? IS NULL OR target IS NULL OR target = ?) ORDER BY at DESC, id DESC LIMIT ?"
    )
    rows = connection.execute(query, (begin, end, target, target, _MOST_MARKS)).fetchall()
    return [Mark(at=at, kind=kind, target=of, text=text) for at, kind, of, text in reversed(rows)]


def add_alerts(connection: sqlite3.Connection, changes: Sequence[alerts.AlertChange]) -> list[int]:
    """Returns their ids, which rise."""
    ids = []
    for change in changes:
        alert = change.alert
        cursor = connection.execute(
            "INSERT INTO alert (at, alert, state, severity, title, advice) VALUES (?, ?, ?, ?, ?, ?)",
            (change.at, alert.id, change.state.value, alert.severity.value, alert.title, alert.advice),
        )
        ids.append(cursor.lastrowid or 0)
    return ids


def alerts_after(connection: sqlite3.Connection, number: int, limit: int) -> tuple[int, list[tuple[int, AlertChange]]]:
    """How many there are after this id, and the newest of them with their ids, oldest first."""
    query = f"SELECT {', '.join(_ALERT_COLUMNS)} FROM alert WHERE id > ? ORDER BY id DESC LIMIT ?"  # noqa: S608
    rows = connection.execute(query, (number, limit)).fetchall()
    count: int = connection.execute("SELECT count(*) FROM alert WHERE id > ?", (number,)).fetchone()[0]
    found = []
    for row in reversed(rows):
        fields = dict(zip(_ALERT_COLUMNS, row, strict=True))
        found.append((int(fields.pop("id")), AlertChange.model_validate({"id": fields.pop("alert"), **fields})))
    return count, found


def newest_alert(connection: sqlite3.Connection) -> int:
    """The largest id that was ever given; 0 if none was."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'alert'").fetchone()
    return 0 if row is None else int(row[0])


def delete_journal(connection: sqlite3.Connection, before: float) -> None:
    connection.execute("DELETE FROM mark WHERE at < ?", (before,))
    connection.execute("DELETE FROM alert WHERE at < ?", (before,))
