"""Rows of samples read into the columns of a chart: the inner loop of every query."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dashboard.domain.row_codec import scan_counters, scan_gauges
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
    counter_columns = {key: [amounts[line] for line in lines] for key, lines in counters.items()}
    gauge_columns = {key: [(counts[line], sums[line]) for line in lines] for key, lines in gauges.items()}
    counter_span, gauge_span = _span(counters), _span(gauges)
    for at, data in rows:
        point = (at - begin) // step
        row_looks, parts = scan_counters(data)
        looks[point] += row_looks
        for ids, grown in parts:
            part = _part(ids, counter_span)
            for columns, amount in zip(map(counter_columns.get, ids[part]), grown[part], strict=True):
                if columns is not None:
                    for column in columns:
                        column[point] += amount
        if gauges:
            ids, row_counts, row_sums = scan_gauges(data)
            part = _part(ids, gauge_span)
            for key, count, total in zip(ids[part], row_counts[part], row_sums[part], strict=True):
                for column_of_counts, column_of_sums in gauge_columns.get(key, ()):
                    column_of_counts[point] += count
                    column_of_sums[point] += total
    return Columns(looks, amounts, counts, sums)


def _span(ids: Iterable[int]) -> tuple[int, int]:
    """The first and the last; the series of one metric mostly lie beside each other, and the rest is passed over."""
    return min(ids, default=1), max(ids, default=0)


def _part(ids: list[int], span: tuple[int, int]) -> slice:
    return slice(bisect_left(ids, span[0]), bisect_right(ids, span[1]))
