"""Rows of samples read into the columns of a chart: the inner loop of every query."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dashboard.domain.row_codec import scan
from dashboard.domain.timespan import Grid


@dataclass(frozen=True, slots=True)
class Columns:
    """For each line and point of a grid: what was counted, or how many values a gauge had and their sum.

    `looks` says for each point how many moments were looked at: 0 is a gap, in which nothing is known.
    """

    looks: list[int]
    counters: list[list[float]]
    gauge_counts: list[list[int]]
    gauge_sums: list[list[float]]


def read_columns(
    rows: Iterable[tuple[int, bytes]],
    grid: Grid,
    counters: Mapping[int, tuple[int, ...]],
    gauges: Mapping[int, tuple[int, ...]],
    counter_lines: int,
    gauge_lines: int,
) -> Columns:
    """Adds up rows (Unix time, bytes) that lie within the grid. `counters` and `gauges` map the id of a series to its
    lines; others are passed over. Raises DamagedRowError."""
    points, begin, step = grid.points, grid.begin, grid.step
    looks = [0] * points
    amounts = [[0.0] * points for _ in range(counter_lines)]
    counts = [[0] * points for _ in range(gauge_lines)]
    sums = [[0.0] * points for _ in range(gauge_lines)]
    counter_span, gauge_span = _span(counters), _span(gauges)
    for at, data in rows:
        point = (at - begin) // step
        row = scan(data)
        looks[point] += row.looks
        for ids, grown in row.counters:
            part = _part(ids, counter_span)
            for key, amount in zip(ids[part], grown[part], strict=True):
                for line in counters.get(key, ()):
                    amounts[line][point] += amount
        if not gauges:
            continue
        part = _part(row.gauges.ids, gauge_span)
        for key, count, total in zip(*(each[part] for each in row.gauges), strict=True):
            for line in gauges.get(key, ()):
                counts[line][point] += count
                sums[line][point] += total
    return Columns(looks, amounts, counts, sums)


def _span(ids: Iterable[int]) -> tuple[int, int]:
    """The first and the last; the series of one metric mostly lie beside each other, and the rest is passed over."""
    return min(ids, default=1), max(ids, default=0)


def _part(ids: list[int], span: tuple[int, int]) -> slice:
    return slice(bisect_left(ids, span[0]), bisect_right(ids, span[1]))
