"""GET /api/requests, /api/breakdown and /api/targets."""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from dashboard.api.answers import answer
from dashboard.api.csv_export import table_csv
from dashboard.api.openapi import known_parameters
from dashboard.api.query import Query, page_key
from dashboard.parts import Parts
from dashboard.problems import ApiError
from dashboard.records.base import Tokens
from dashboard.records.requests import SORTS, TOKEN_KINDS, Lost, Requests
from dashboard.records.targets import Lookup, StoreState, Targets
from dashboard.records.usage import Breakdown, By, Used, Wasted
from dashboard.store import programs, samples, usage
from dashboard.store import requests as stored
from dashboard.store.targets import lost_requests

_FORMATS: Final = ("json", "csv")
_PAGE: Final = 50
_LARGEST_PAGE: Final = 500
_LARGEST_FILE: Final = 10_000
_COUNTED: Final = ("requests", "ok", "failed", "aborted", "refused", "retries", "request_bytes", "response_bytes")
_MEASURED: Final = ("cost_usd", "credits", "duration", *TOKEN_KINDS)


async def requests(parts: Parts, request: Request) -> Response:
    query = Query(request.query_params, known_parameters("/api/requests"), parts.clocks.wall())
    is_csv = query.choice("format", _FORMATS, "json") == "csv"
    wanted = query.request_filter()
    sort = query.choice("sort", SORTS, "ended")
    descending = query.choice("order", ("desc", "asc"), "desc") == "desc"
    limit = query.number("limit", 1, _LARGEST_FILE if is_csv else _LARGEST_PAGE, _LARGEST_FILE if is_csv else _PAGE)
    after = query.after()

    def read(connection: sqlite3.Connection) -> tuple[stored.Page, tuple[int, int]]:
        return stored.find_page(connection, wanted, sort, descending, limit, after), lost_requests(connection)

    page, (lost, gaps) = await parts.store.read(read)
    if is_csv:
        return table_csv("requests", page.requests)
    return answer(
        Requests(
            requests=page.requests,
            next=page_key(page.next),
            total=page.total,
            total_is_exact=page.total_is_exact,
            lost=Lost(requests=lost, unknown_gaps=gaps),
        )
    )


async def one_request(parts: Parts, request: Request) -> Response:
    text = request.path_params["id"]
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 18 else -1
    found = await parts.store.read(lambda connection: stored.find_request(connection, number))
    if found is None:
        raise ApiError(404, "there is no such request (any more)")
    return answer(found)


async def breakdown(parts: Parts, request: Request) -> Response:
    query = Query(request.query_params, known_parameters("/api/breakdown"), parts.clocks.wall())
    by = query.choice("by", By, "")
    begin, end = query.window()
    limit = query.number("limit", 1, _LARGEST_PAGE, _PAGE)
    question = usage.Question(by, begin, end, query.equal(usage.KEYS), query.optional_number("target"))
    found, shown, rest, known = await parts.store.read(lambda connection: _look_up(connection, question, limit))
    rows = [_used(row["key"], [row], known.get(row["key"], ())) for row in shown]
    if query.choice("format", _FORMATS, "json") == "csv":
        return table_csv(f"by-{by}", rows)
    return answer(
        Breakdown(
            by=By(by),
            begin=found.begin,
            to=found.end,
            resolution=found.resolution,
            rows=rows,
            other=_used(None, rest) if rest else None,
            total=_used(None, found.rows),
        )
    )


async def targets(parts: Parts, _request: Request) -> Response:
    store, now = parts.store, parts.clocks.wall()
    count, oldest = await store.read(stored.stored_requests)
    oldest_sample = await store.read(samples.oldest_sample)
    return answer(
        Targets(
            targets=[target.record(now) for target in parts.scraper.targets],
            store=StoreState(
                path=str(store.path),
                bytes=store.bytes,
                error=store.error,
                requests=count,
                oldest_request=oldest,
                oldest_sample=oldest_sample,
                set_aside=None if store.set_aside_to is None else str(store.set_aside_to),
            ),
            names=[
                Lookup(source=each.source, addresses=len(each.addresses), error=each.error)
                for each in parts.resolver.lookups
            ],
        )
    )


def _look_up(
    connection: sqlite3.Connection, question: usage.Question, limit: int
) -> tuple[usage.Breakdown, list[dict[str, Any]], list[dict[str, Any]], Mapping[str, list[str]]]:
    """The answer, its rows to show and the others, and which programs those to show ask with."""
    found = usage.ask(connection, question)
    shown, rest = split_rows(found.rows, question.by, limit)
    if question.by not in programs.KINDS:
        return found, shown, rest, {}
    keys = [row["key"] for row in shown if row["key"] is not None]
    return found, shown, rest, programs.programs_of(connection, question.by, keys, found.begin, found.end)


def split_rows(rows: list[dict[str, Any]], by: str, limit: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows to show, the most expensive first, and the others. Of hours and days the newest are shown, by time."""
    if by in usage.TIMES:
        ordered = sorted(rows, key=lambda row: row["key"])
        return ordered[-limit:], ordered[:-limit]
    ranked = sorted(rows, key=lambda row: (-row["cost_usd"], -row["requests"], str(row["key"])))
    return ranked[:limit], ranked[limit:]


def _used(key: str | int | None, rows: list[dict[str, Any]], known: Sequence[str] = ()) -> Used:
    """One row of the answer, from one or several of the store's."""
    sums: dict[str, Any] = {name: sum(row[name] for row in rows) for name in (*_COUNTED, *_MEASURED)}
    count = sums["requests"]
    return Used(
        key=key,
        **{name: sums[name] for name in _COUNTED},
        cost_usd=_rounded(sums["cost_usd"]),
        credits=_known_credits(sums),
        tokens=Tokens(**{kind: sums[kind] for kind in TOKEN_KINDS}),
        mean_duration=round(sums["duration"] / count, 3) if count else None,
        wasted=Wasted(
            requests=sums["failed"] + sums["aborted"],
            tokens=sum(row["wasted_tokens"] for row in rows),
            cost_usd=_rounded(sum(row["wasted_cost"] for row in rows)),
        ),
        programs=list(known),
    )


def _known_credits(sums: Mapping[str, Any]) -> float | None:
    uses_tokens = any(sums[kind] for kind in TOKEN_KINDS)
    return None if uses_tokens and not sums["credits"] else _rounded(sums["credits"])


def _rounded(value: float) -> float:
    return round(value, 9)
