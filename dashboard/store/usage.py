"""Who used what: added up by the hour as requests are stored, and asked for by anything that tells them apart."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from dashboard.domain.finished import Finished
from dashboard.domain.samples import OTHER
from dashboard.records.requests import Outcome
from dashboard.records.usage import By
from dashboard.store.requests import forgotten_until

HOUR: Final = 3600
DAY: Final = 86400
TIMES: Final = {By.HOUR.value: HOUR, By.DAY.value: DAY}
KEYS: Final = tuple(by.value for by in By if by.value not in TIMES)
_MOST_OF_AN_HOUR: Final = 2000
_MOST_EXACT: Final = 50_000

_COUNTS: Final = (
    "requests", "ok", "failed", "aborted", "refused", "retries",
    "input", "output", "cache_read", "cache_write", "reasoning",
    "cost_usd", "credits", "request_bytes", "response_bytes", "duration", "wasted_tokens", "wasted_cost",
)  # fmt: skip
_WASTED: Final = "outcome IN ('failed', 'aborted')"
_FROM_REQUESTS: Final = (
    "count(*)",
    "sum(outcome = 'ok')", "sum(outcome = 'failed')", "sum(outcome = 'aborted')", "sum(outcome = 'refused')",
    "sum(max(coalesce(attempts, 1) - 1, 0))",
    "sum(input)", "sum(output)", "sum(cache_read)", "sum(cache_write)", "sum(reasoning)",
    "sum(coalesce(cost_usd, 0))", "sum(coalesce(credits, 0))", "sum(coalesce(request_bytes, 0))",
    "sum(coalesce(response_bytes, 0))", "sum(duration)",
    f"sum(CASE WHEN {_WASTED} THEN input + output + cache_read + cache_write ELSE 0 END)",
    f"sum(CASE WHEN {_WASTED} THEN coalesce(cost_usd, 0) ELSE 0 END)",
)  # fmt: skip
_ADD: Final = (
    f"INSERT INTO usage (span, at, target, {', '.join(KEYS)}, {', '.join(_COUNTS)}) "  # noqa: S608
    f"VALUES (?, ?, ?, {', '.join('?' * len(KEYS))}, {', '.join('?' * len(_COUNTS))}) "
    f"ON CONFLICT DO UPDATE SET {', '.join(f'{name} = {name} + excluded.{name}' for name in _COUNTS)}"
)
_AGE: Final = (
    f"INSERT INTO usage (span, at, target, {', '.join(KEYS)}, {', '.join(_COUNTS)}) "  # noqa: S608
    f"SELECT {DAY}, at / {DAY} * {DAY}, target, client, '', '', lane, model, path, "
    f"{', '.join(f'sum({name})' for name in _COUNTS)} FROM usage WHERE span = {HOUR} AND at < ? "
    "GROUP BY at / 86400, target, client, lane, model, path "
    f"ON CONFLICT DO UPDATE SET {', '.join(f'{name} = {name} + excluded.{name}' for name in _COUNTS)}"
)


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be told apart by `by`, within a window of Unix time. `equal` holds the allowed values by column."""

    by: str
    begin: float
    end: float
    equal: dict[str, tuple[str, ...]] = field(default_factory=dict)
    target: int | None = None


@dataclass(frozen=True, slots=True)
class Breakdown:
    """The answer. `resolution` is 0 if the window is exactly the one that was asked for, else the seconds that it was
    widened to whole ones of."""

    begin: float
    end: float
    resolution: int
    rows: list[dict[str, Any]]


class UsageWriter:
    """Adds requests to their hours. For the one thread that writes."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add(self, target: int, requests: Iterable[Finished]) -> None:
        """Adds requests. To be called within the transaction that stores them."""
        for request in requests:
            at = int(request.ended // HOUR) * HOUR
            keys = tuple(request.texts[name] or "" for name in KEYS)
            if self._is_full(at, target, keys):
                keys = (OTHER, OTHER, OTHER, *keys[3:])
            self._connection.execute(_ADD, (HOUR, at, target, *keys, *_counts(request)))

    def _is_full(self, at: int, target: int, keys: tuple[str, ...]) -> bool:
        """Whether the hour has no place for another combination of keys than it knows."""
        query = f"SELECT count(*) FROM (SELECT 1 FROM usage WHERE span = ? AND at = ? LIMIT {_MOST_OF_AN_HOUR})"  # noqa: S608
        found: int = self._connection.execute(query, (HOUR, at)).fetchone()[0]
        if found < _MOST_OF_AN_HOUR:
            return False
        known = f"SELECT 1 FROM usage WHERE (span, at, target, {', '.join(KEYS)}) = (?, ?, ?{', ?' * len(KEYS)})"  # noqa: S608
        return self._connection.execute(known, (HOUR, at, target, *keys)).fetchone() is None


def age_usage(connection: sqlite3.Connection, before: float) -> None:
    """Whole days before this Unix time become a row a day, without sessions and agents. Only within a transaction."""
    begin_of_day = int(before // DAY) * DAY
    connection.execute(_AGE, (begin_of_day,))
    connection.execute("DELETE FROM usage WHERE span = ? AND at < ?", (HOUR, begin_of_day))


def ask(connection: sqlite3.Connection, question: Question) -> Breakdown:
    """From the requests themselves if they are few and all still kept, else from the hours or days."""
    if _is_exact(connection, question):
        return Breakdown(question.begin, question.end, 0, _from_requests(connection, question))
    resolution = _resolution(connection, question.begin)
    begin = question.begin // resolution * resolution
    end = -(-question.end // resolution) * resolution
    return Breakdown(begin, end, resolution, _from_usage(connection, question, begin, end))


def _is_exact(connection: sqlite3.Connection, question: Question) -> bool:
    if question.by in TIMES and question.end - question.begin > DAY:
        return False
    if question.begin <= forgotten_until(connection):
        return False
    query = f"SELECT count(*) FROM (SELECT 1 FROM request WHERE ended >= ? AND ended < ? LIMIT {_MOST_EXACT + 1})"  # noqa: S608
    count: int = connection.execute(query, (question.begin, question.end)).fetchone()[0]
    return count <= _MOST_EXACT


def _resolution(connection: sqlite3.Connection, begin: float) -> int:
    last_day = connection.execute("SELECT max(at) FROM usage WHERE span = ?", (DAY,)).fetchone()[0]
    return DAY if last_day is not None and begin < last_day + DAY else HOUR


def _from_requests(connection: sqlite3.Connection, question: Question) -> list[dict[str, Any]]:
    if question.by in TIMES:
        key = f"CAST(ended / {TIMES[question.by]} AS INTEGER) * {TIMES[question.by]}"
    else:
        key = f"nullif({question.by}, '')"
    condition, values = _condition("ended", question, question.begin, question.end)
    query = f"SELECT {key}, {', '.join(_FROM_REQUESTS)} FROM request WHERE {condition} GROUP BY 1"  # noqa: S608
    return [_row(row) for row in connection.execute(query, values)]


def _from_usage(connection: sqlite3.Connection, question: Question, begin: float, end: float) -> list[dict[str, Any]]:
    key = f"nullif({question.by}, '')"
    if question.by in TIMES:
        key = f"at / {TIMES[question.by]} * {TIMES[question.by]}"
    condition, values = _condition("at", question, begin, end)
    sums = ", ".join(f"sum({name})" for name in _COUNTS)
    # Both spans named, so that the primary key is of use.
    query = f"SELECT {key}, {sums} FROM usage WHERE span IN ({HOUR}, {DAY}) AND {condition} GROUP BY 1"  # noqa: S608
    return [_row(row) for row in connection.execute(query, values)]


def _condition(time: str, question: Question, begin: float, end: float) -> tuple[str, list[Any]]:
    parts, values = [f"{time} >= ?", f"{time} < ?"], list[Any]((begin, end))
    for column, allowed in question.equal.items():
        parts.append(f"{column} IN ({', '.join('?' * len(allowed))})")
        values += allowed
    if question.target is not None:
        parts.append("target = ?")
        values.append(question.target)
    return " AND ".join(parts), values


def _counts(request: Finished) -> tuple[float, ...]:
    numbers = request.numbers
    wasted = request.is_wasted
    used = sum(request.tokens[kind] for kind in ("input", "output", "cache_read", "cache_write"))
    cost = numbers["cost_usd"] or 0.0
    return (
        1,
        *(
            int(request.outcome is outcome)
            for outcome in (Outcome.OK, Outcome.FAILED, Outcome.ABORTED, Outcome.REFUSED)
        ),
        max(0, int(numbers["attempts"] or 1) - 1),
        *request.tokens.values(),
        cost,
        numbers["credits"] or 0.0,
        int(numbers["request_bytes"] or 0),
        int(numbers["response_bytes"] or 0),
        request.duration,
        used if wasted else 0,
        cost if wasted else 0.0,
    )


def _row(row: tuple[Any, ...]) -> dict[str, Any]:
    return {"key": row[0], **dict(zip(_COUNTS, row[1:], strict=True))}
