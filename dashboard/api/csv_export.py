"""What a chart or a table shows, as CSV for a spreadsheet."""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from starlette.responses import Response

from dashboard.records.base import Record
from dashboard.records.series import Series

# A spreadsheet takes a text that begins with one of these for a formula.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_TIMES: Final = ("from", "started", "ended", "at")


def series_csv(answer: Series) -> Response:
    """A row a point, a column a line."""
    lines = [(chart, line) for chart in answer.charts for line in chart.lines]
    header = ["from", *(f"{chart.name} {line.label} ({chart.unit or chart.kind})" for chart, line in lines)]
    rows = (
        [answer.begin + number * answer.step, *(line.values[number] for _, line in lines)]
        for number in range(answer.points)
    )
    return _csv("series", header, rows)


def table_csv(name: str, rows: Sequence[Record]) -> Response:
    """A row each; what is nested gets a column for each of its parts, a list one for all of them."""
    flat = [_flat(row) for row in rows]
    header = list(dict.fromkeys(key for row in flat for key in row))
    return _csv(name, header, ([row.get(key) for key in header] for row in flat))


def _flat(row: Record) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in row:
        if isinstance(value, Record):
            found.update({f"{key}_{part}": each for part, each in value})
        elif isinstance(value, list):
            found[key] = ", ".join(map(str, value))
        else:
            found[key] = value
    return found


def _csv(name: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Response:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([_cell("", each) for each in header])
    writer.writerows([_cell(key, value) for key, value in zip(header, row, strict=True)] for row in rows)
    headers = {"content-disposition": f'attachment; filename="zai-proxy-{name}.csv"'}
    return Response(text.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


def _cell(key: str, value: Any) -> Any:
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    if key in _TIMES and isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return value
