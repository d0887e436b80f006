"""GET /api/series."""

import sqlite3
from collections.abc import Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from dashboard.api.answers import answer
from dashboard.api.csv_export import series_csv
from dashboard.api.openapi import known_parameters
from dashboard.api.query import Query
from dashboard.domain.chart_lines import draw
from dashboard.domain.charts import Chart, UnknownChartError, find_chart
from dashboard.domain.rollup import Tier
from dashboard.domain.samples import SeriesKey
from dashboard.domain.timespan import Grid, make_grid
from dashboard.parts import Parts
from dashboard.problems import ApiError
from dashboard.records.series import Series
from dashboard.store.journal import find_marks
from dashboard.store.samples import read_rows

_MOST_CHARTS: Final = 12
_HOUR: Final = 3600.0


async def series(parts: Parts, request: Request) -> Response:
    now = parts.clocks.wall()
    query = Query(request.query_params, known_parameters("/api/series"), now)
    names = query.names("name")
    if not names or len(names) > _MOST_CHARTS:
        raise ApiError(400, f"name: need one to {_MOST_CHARTS} charts; see /api/docs")
    charts = _charts(names, query.text("by") or None)
    begin, end = query.window(_HOUR)
    grid = _grid(parts, begin, end, query.seconds("step"), now)
    target = query.optional_number("target")

    def read(connection: sqlite3.Connection, keys: Mapping[int, SeriesKey]) -> Series:
        return Series(
            begin=grid.begin,
            to=grid.end,
            step=grid.step,
            points=grid.points,
            last_is_partial=grid.end > min(end, now),
            charts=draw(charts, keys, read_rows(connection, grid, target), grid),
            marks=find_marks(connection, grid.begin, grid.end, target),
        )

    found = await parts.store.read_series(read)
    return series_csv(found) if query.choice("format", ("json", "csv"), "json") == "csv" else answer(found)


def _charts(names: list[str], by: str | None) -> list[Chart]:
    try:
        return [find_chart(name, by) for name in names]
    except UnknownChartError as error:
        raise ApiError(400, str(error)) from None


def _grid(parts: Parts, begin: float, end: float, step: float | None, now: float) -> Grid:
    kept = {
        Tier.FIVE_SECONDS: parts.settings.retention_5s,
        Tier.MINUTE: parts.settings.retention_1m,
        Tier.TEN_MINUTES: parts.settings.retention_1m,
        Tier.HOUR: now,
    }
    try:
        return make_grid(begin, end, step, lambda tier: now - kept[tier], parts.settings.scrape_interval)
    except ValueError as error:
        raise ApiError(400, f"from and to: {error}") from None
