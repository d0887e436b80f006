"""Rows of samples read into the columns of a chart: the inner loop of every query."""

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
    for at, data in rows:
        point = (at - begin) // step
        row_looks, row_counters, row_gauges = scan(data)
        looks[point] += row_looks
        for key, amount in row_counters:
            lines = counters.get(key)
            if lines is not None:
                for line in lines:
                    amounts[line][point] += amount
        if not gauges:
            continue
        for key, count, total in row_gauges:
            lines = gauges.get(key)
            if lines is not None:
                for line in lines:
                    counts[line][point] += count
                    sums[line][point] += total
    return Columns(looks, amounts, counts, sums)
