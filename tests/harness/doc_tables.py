"""The tables of the pages for people, as data."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from tests.harness.processes import ROOT

METRICS: Final = ROOT / "docs/metrics.md"


def tables(page: Path, first_heading: str) -> Iterator[list[str]]:
    """The rows, cell by cell, of each table of the page whose first column has this heading."""
    inside = False
    for line in page.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if inside and cells and not cells[0].startswith("---"):
            yield cells
        inside = bool(cells) and (inside or cells[0] == first_heading)


def code(text: str) -> list[str]:
    """What stands between backticks."""
    return re.findall(r"`([^`]+)`", text)


class Series(NamedTuple):
    """A family of /metrics: its labels but for `variant`, and the finite bounds of a histogram."""

    name: str
    kind: str
    labels: frozenset[str]
    buckets: tuple[float, ...]


def documented_series() -> set[Series]:
    """Every series that the metrics page lists."""
    rows = list(tables(METRICS, "name"))
    bounds = {name: tuple(map(float, numbers.split())) for name, numbers in (row for row in rows if len(row) == 2)}
    found = set()
    for name, kind, labels, _meaning in (row for row in rows if len(row) == 4):
        family, _, buckets = kind.partition(": ")
        found.add(Series(name.strip("`"), family, frozenset(code(labels)), bounds[buckets] if buckets else ()))
    return found
