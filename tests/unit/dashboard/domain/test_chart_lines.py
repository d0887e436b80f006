"""Charts from rows."""

import pytest

from dashboard.domain.chart_lines import draw
from dashboard.domain.charts import UnknownChartError, chart_names, find_chart
from dashboard.domain.rollup import Row, Tier
from dashboard.domain.row_codec import encode
from dashboard.domain.samples import SeriesKey
from dashboard.domain.timespan import Grid
from dashboard.records.series import Chart as DrawnChart
from dashboard.records.series import Line
from tests.unit.dashboard.build import counter, gauge

GRID = Grid(begin=0, step=60, points=3, tier=Tier.MINUTE)
REQUESTS = "zai_proxy_requests_total"
TOKENS = "zai_proxy_tokens_total"


def chart(name: str, by: str | None, series: list[SeriesKey], *rows: tuple[int, Row]) -> DrawnChart:
    (drawn,) = draw([find_chart(name, by)], dict(enumerate(series)), [(at, encode(row)) for at, row in rows], GRID)
    return drawn


def lines(drawn: DrawnChart) -> dict[str, list[float | None]]:
    return {line.label: line.values for line in drawn.lines}


def test_what_was_counted_is_summed_within_each_step_and_a_time_without_a_look_is_a_gap() -> None:
    series = [counter(REQUESTS, path="/a", status_code="200"), counter(REQUESTS, path="/b", status_code="200")]

    drawn = chart("requests", None, series, (0, Row(12, {0: 4, 1: 1})), (120, Row(12, {})))

    assert lines(drawn) == {"200": [5, None, 0]}
    assert drawn.lines[0].total == 5
    assert drawn.lines[0].labels == {"status": "200"}


def test_lines_can_be_told_apart_by_something_else() -> None:
    series = [counter(REQUESTS, path="/a", status_code="200"), counter(REQUESTS, path="/a", status_code="404")]
    rows = ((0, Row(1, {0: 4, 1: 2})),)

    assert lines(chart("requests", "path", series, *rows)) == {"/a": [6, None, None]}
    assert lines(chart("requests", "class", series, *rows)) == {"2xx": [4, None, None], "4xx": [2, None, None]}


def test_a_gauge_is_averaged_over_its_own_values() -> None:
    series = [gauge("zai_proxy_concurrent_requests"), gauge("zai_proxy_max_workers")]

    drawn = chart("workers", None, series, (0, Row(12, {}, {0: (12, 30.0), 1: (3, 60.0)})))

    assert lines(drawn) == {"busy": [2.5, None, None], "wall": [20, None, None]}


def test_a_gauge_is_known_even_where_increases_are_not() -> None:
    series = [gauge("zai_proxy_concurrent_requests"), counter(REQUESTS, status_code="200")]
    rows = ((0, Row(0, {}, {0: (1, 2.0)})),)

    assert lines(chart("workers", None, series, *rows))["busy"] == [2, None, None]
    assert lines(chart("requests", None, series, *rows)) == {}


def test_percentiles_come_from_the_merged_buckets_of_all_rows() -> None:
    name = "zai_proxy_time_to_first_byte_seconds_bucket"
    series = [counter(name, path=path, le=end) for path in ("/a", "/b") for end in ("1.0", "2.0", "+Inf")]

    drawn = chart("first_byte", None, series, (0, Row(1, {0: 50})), (0, Row(1, {4: 50})), (60, Row(1, {})))

    values = lines(drawn)
    assert list(values) == ["p50", "p90", "p95", "p99"]
    assert values["p50"] == [1, None, None]
    assert values["p90"] == [1.8, None, None]
    assert drawn.lines[1].total == 1.8


def test_durations_are_those_of_successful_requests() -> None:
    name = "zai_proxy_request_duration_seconds_bucket"
    series = [counter(name, path="/a", le=end, **{"class": kind}) for kind in ("2xx", "4xx") for end in ("1.0", "+Inf")]

    drawn = chart("duration", None, series, (0, Row(1, {0: 10, 2: 1000, 3: 1000})))

    assert lines(drawn)["p50"] == [0.5, None, None]


def test_the_cache_hit_share_is_over_all_input() -> None:
    series = [counter(TOKENS, direction=each, model="m") for each in ("input", "output", "cache_read", "cache_write")]

    drawn = chart("cache_hit", None, series, (0, Row(1, {0: 10, 1: 500, 2: 80, 3: 10})), (60, Row(1, {1: 5})))

    assert lines(drawn) == {"cache_hit": [0.8, None, None]}


def test_demand_and_cpu_are_rates() -> None:
    series = [counter(REQUESTS, status_code="200"), counter("process_cpu_seconds_total")]
    rows = ((0, Row(12, {0: 120, 1: 6})),)

    assert lines(chart("rate", None, series, *rows)) == {"demand": [2, None, None]}
    assert lines(chart("cpu", None, series, *rows)) == {"cpu": [0.1, None, None]}


def test_beyond_twenty_lines_the_smallest_become_one() -> None:
    series = [counter(TOKENS, direction="input", model=f"m{number:02d}") for number in range(30)]

    drawn = chart("tokens", "model", series, (0, Row(1, {number: number + 1 for number in range(30)})))

    assert len(drawn.lines) == 20
    assert drawn.lines[0].label == "m29"
    assert drawn.lines[-1] == Line(label="other", labels={"model": "other"}, values=[66, None, None], total=66)


def test_several_charts_are_read_in_one_pass() -> None:
    series = dict(enumerate([counter(REQUESTS, path="/a", status_code="200")]))

    first, second = draw([find_chart("requests"), find_chart("rate")], series, [(0, encode(Row(1, {0: 6})))], GRID)

    assert lines(first) == {"200": [6, None, None]}
    assert lines(second) == {"demand": [0.1, None, None]}


def test_any_other_series_of_a_proxy_is_a_chart_by_its_full_name() -> None:
    series = [gauge("zai_proxy_news", lane="main"), counter("zai_proxy_things_total", kind="x")]
    rows = ((0, Row(1, {1: 3}, {0: (1, 0.5)})),)

    assert lines(chart("zai_proxy_news", None, series, *rows)) == {"main": [0.5, None, None]}
    assert lines(chart("zai_proxy_things_total", None, series, *rows)) == {"x": [3, None, None]}


def test_an_unknown_chart_is_an_error_that_names_those_there_are() -> None:
    with pytest.raises(UnknownChartError, match="there are requests, duration"):
        find_chart("latency")
    with pytest.raises(UnknownChartError, match="requests has lines by status, class, path, not by 'colour'"):
        find_chart("requests", "colour")


def test_every_chart_can_be_drawn_from_nothing() -> None:
    for name, splits in chart_names().items():
        for by in splits:
            assert chart(name, by, []).lines == []
