"""From stored rows to the lines of charts."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from dashboard.domain.charts import Chart, Lines, Values
from dashboard.domain.columns import Columns, read_columns
from dashboard.domain.histograms import quantile
from dashboard.domain.samples import OTHER, Kind, SeriesKey
from dashboard.domain.timespan import Grid
from dashboard.records import series as records
from dashboard.records.series import ChartKind, Line

_MOST_LINES: Final = 20


@dataclass(slots=True)
class _Wanted:
    """The series of one kind that charts are made of. A line is told by its chart's number and its name."""

    lines: dict[tuple[int, str], int] = field(default_factory=dict)
    series: dict[int, tuple[int, ...]] = field(default_factory=dict)

    def add(self, series: int, chart: int, name: str) -> None:
        line = self.lines.setdefault((chart, name), len(self.lines))
        self.series[series] = (*self.series.get(series, ()), line)

    def of(self, chart: int) -> dict[str, int]:
        return {name: line for (number, name), line in self.lines.items() if number == chart}


def draw(
    charts: Sequence[Chart], series: Mapping[int, SeriesKey], rows: Iterable[tuple[int, bytes]], grid: Grid
) -> list[records.Chart]:
    """The charts with their lines, all read in one pass over the rows. Raises DamagedRowError."""
    counters, gauges = _Wanted(), _Wanted()
    for key_id, key in series.items():
        for number, chart in enumerate(charts):
            for source in chart.sources:
                line = source.line(key) if (key.kind, key.name) == (source.kind, source.name) else None
                if line is not None:
                    (counters if key.kind is Kind.COUNTER else gauges).add(key_id, number, line)
    columns = read_columns(rows, grid, counters.series, gauges.series, len(counters.lines), len(gauges.lines))
    return [_chart(chart, columns, counters.of(number), gauges.of(number), grid) for number, chart in enumerate(charts)]


def _chart(
    chart: Chart, columns: Columns, counters: Mapping[str, int], gauges: Mapping[str, int], grid: Grid
) -> records.Chart:
    if chart.kind is ChartKind.QUANTILE:
        lines = _quantile_lines(chart, columns, counters)
    else:
        read = {name: _known(columns.counters[line], columns.looks) for name, line in counters.items()}
        read.update({name: _means(columns, line) for name, line in gauges.items()})
        derived = chart.derive(read, grid.step)
        lines = _sum_lines(chart, derived) if chart.kind is ChartKind.SUM else _mean_lines(chart, derived)
    return records.Chart(name=chart.name, title=chart.title, kind=chart.kind, unit=chart.unit, lines=lines)


def _line(chart: Chart, label: str, values: Values, total: float | None) -> Line:
    return Line(label=label, labels={chart.split: label}, values=values, total=total)


def _known(sums: list[float], looks: list[int]) -> Values:
    return [_round(value) if seen else None for value, seen in zip(sums, looks, strict=True)]


def _means(columns: Columns, line: int) -> Values:
    pairs = zip(columns.gauge_sums[line], columns.gauge_counts[line], strict=True)
    return [_round(total / count) if count else None for total, count in pairs]


def _sum_lines(chart: Chart, lines: Lines) -> list[Line]:
    totals = {name: sum(value or 0.0 for value in values) for name, values in lines.items()}
    ranked = sorted((name for name in lines if totals[name] > 0), key=lambda name: (-totals[name], name))
    shown = ranked if len(ranked) <= _MOST_LINES else ranked[: _MOST_LINES - 1]
    drawn = [_line(chart, name, lines[name], _round(totals[name])) for name in shown]
    rest = ranked[len(shown) :]
    if rest:
        together = [
            None if values[0] is None else _round(sum(value or 0.0 for value in values))
            for values in zip(*(lines[name] for name in rest), strict=True)
        ]
        drawn.append(_line(chart, OTHER, together, _round(sum(totals[name] for name in rest))))
    return drawn


def _mean_lines(chart: Chart, lines: Lines) -> list[Line]:
    known = {name: values for name, values in lines.items() if any(value is not None for value in values)}
    order = [name for source in chart.sources if (name := source.line(SeriesKey(source.kind, source.name))) in known]
    names = list(dict.fromkeys([*(name for name in order if name is not None), *sorted(known)]))[:_MOST_LINES]
    return [_line(chart, name, known[name], None) for name in names]


def _quantile_lines(chart: Chart, columns: Columns, buckets: Mapping[str, int]) -> list[Line]:
    ordered = sorted((_end(name), line) for name, line in buckets.items())
    ends = [end for end, _ in ordered]
    counts = [columns.counters[line] for _, line in ordered]
    if not ends or not any(map(any, counts)):
        return []
    at_points = list(zip(*counts, strict=True))
    whole = [sum(bucket) for bucket in counts]
    return [
        _line(
            chart,
            f"p{share * 100:g}",
            [_rounded(quantile(share, ends, point)) for point in at_points],
            _rounded(quantile(share, ends, whole)),
        )
        for share in chart.quantiles
    ]


def _end(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.inf


def _rounded(value: float | None) -> float | None:
    return None if value is None else _round(value)


def _round(value: float) -> float:
    """Nine digits are more than a screen shows, and keep 0.1 + 0.2 from filling the line."""
    short = float(f"{value:.9g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short
