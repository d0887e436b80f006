"""Looks at targets, written and read back as charts."""

import sqlite3
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.domain.chart_lines import draw
from dashboard.domain.charts import find_chart
from dashboard.domain.columns import read_columns
from dashboard.domain.rates import increase
from dashboard.domain.rollup import Tier
from dashboard.domain.timespan import Grid
from dashboard.records.series import Mark, MarkKind
from dashboard.store import journal
from dashboard.store.database import open_reader
from dashboard.store.file import Retention, StoreFile
from dashboard.store.samples import oldest_sample, read_rows
from tests.unit.dashboard.build import counter, gauge, reading, sample
from tests.unit.dashboard.conftest import NOW

OK = counter("zai_proxy_requests_total", path="/a", status_code="200")
BUSY = gauge("zai_proxy_concurrent_requests")
USED = gauge("zai_proxy_quota_usage_ratio", window="weekly")
KEPT = Retention(86400.0, 30 * 86400.0, 7 * 86400.0)


def totals(file: StoreFile, tier: Tier, target: int | None = None) -> dict[int, float]:
    """What was counted in each row of a tier."""
    connection = open_reader(file.path)
    begin = int(NOW) - 10 * 86400
    begin -= begin % tier.value
    grid = Grid(begin, tier.value, 1, tier)
    found = {}
    table = "fleet" if target is None else "target"
    shift = 0 if target is None else 20
    for (at,) in connection.execute(f"SELECT at FROM {table}_{tier.value}"):  # noqa: S608
        grid = Grid(at >> shift, tier.value, 1, tier)
        columns = read_columns(read_rows(connection, grid, target), grid, {file.series.ids[OK]: (0,)}, {}, 1, 0)
        found[at >> shift] = columns.counters[0][0]
    connection.close()
    return found


def drawn(file: StoreFile, name: str, grid: Grid, target: int | None = None) -> dict[str, list[float | None]]:
    connection = open_reader(file.path)
    (chart,) = draw([find_chart(name)], file.series.keys, read_rows(connection, grid, target), grid)
    connection.close()
    return {line.label: line.values for line in chart.lines}


def test_a_look_shows_in_every_tier_at_once(file: StoreFile) -> None:
    target = file.target("http://a/metrics").id

    file.save_round(NOW, 5.0, [sample(target, NOW, {OK: 3.0})])
    file.save_round(NOW + 5, 5.0, [sample(target, NOW + 5, {OK: 4.0})])

    assert [list(totals(file, tier).values()) for tier in Tier] == [[3, 4], [7], [7], [7]]


def test_targets_are_kept_apart_and_together(file: StoreFile) -> None:
    first, second = file.target("http://a/metrics").id, file.target("http://b/metrics").id

    file.save_round(
        NOW,
        5.0,
        [sample(first, NOW, {OK: 3.0}, {BUSY: 2.0, USED: 0.3}), sample(second, NOW, {OK: 1.0}, {BUSY: 5.0, USED: 0.4})],
    )

    grid = Grid(int(NOW) // 60 * 60, 60, 1, Tier.MINUTE)
    assert drawn(file, "requests", grid)["200"] == [4]
    assert drawn(file, "requests", grid, second)["200"] == [1]
    assert drawn(file, "workers", grid)["busy"] == [7]
    assert drawn(file, "workers", grid, first)["busy"] == [2]
    assert drawn(file, "quota", grid)["weekly"] == [0.4]  # they share one plan


def test_an_increase_of_unknown_time_shows_only_where_it_fits(file: StoreFile) -> None:
    target = file.target("http://a/metrics").id

    file.save_round(NOW, 5.0, [sample(target, NOW, {OK: 50.0}, {BUSY: 1.0}, span=120.0)])

    assert [list(totals(file, tier).values()) for tier in Tier] == [[0], [0], [50], [50]]
    grid = Grid(int(NOW), 5, 1, Tier.FIVE_SECONDS)
    assert drawn(file, "requests", grid) == {}
    assert drawn(file, "workers", grid)["busy"] == [1]


def test_a_target_that_did_not_answer_leaves_a_gap(file: StoreFile) -> None:
    target = file.target("http://a/metrics").id
    begin = int(NOW) // 60 * 60
    file.save_round(begin, 5.0, [sample(target, begin, {OK: 3.0})])
    file.save_round(begin + 5, 5.0, [])
    file.save_round(begin + 10, 5.0, [sample(target, begin + 10, {OK: 2.0})])

    assert drawn(file, "requests", Grid(begin, 5, 4, Tier.FIVE_SECONDS))["200"] == [3, None, 2, None]


def test_a_dashboard_that_restarts_goes_on_with_the_counters_where_they_stood(tmp_path: Path) -> None:
    file = StoreFile(tmp_path / "x.db", lambda: NOW)
    target = file.target("http://a/metrics").id
    file.save_round(NOW, 5.0, [sample(target, NOW, {OK: 3.0}, totals={OK: 103.0})])
    file.close()

    again = StoreFile(tmp_path / "x.db", lambda: NOW)
    known = again.target("http://a/metrics")

    assert (known.id, known.version) == (target, "1.0")
    assert known.reading is not None
    grown = increase(known.reading, reading(NOW + 10, {OK: 110.0}, steady=5.0))
    assert (grown.span, grown.amounts) == (10, {OK: 7.0})
    again.close()


def test_samples_are_forgotten_when_they_are_old_but_hours_are_kept(file: StoreFile) -> None:
    target = file.target("http://a/metrics").id
    for age in (40 * 86400, 2 * 86400, 60):
        file.save_round(NOW - age, 5.0, [sample(target, NOW - age, {OK: 1.0})])

    file.prune(NOW, KEPT)

    assert [len(totals(file, tier)) for tier in Tier] == [1, 2, 2, 3]
    assert [len(totals(file, tier, target)) for tier in Tier] == [1, 2, 2, 3]


def test_series_are_bounded_whatever_a_target_invents(file: StoreFile) -> None:
    target = file.target("http://a/metrics").id
    wild = {counter("zai_proxy_wild_total", id=str(number)): 1.0 for number in range(9000)}

    file.save_round(NOW, 5.0, [sample(target, NOW, wild)])

    assert len(file.series.ids) == 8000
    assert file.series.left_out == 1000
    file.save_round(NOW + 5, 5.0, [sample(target, NOW + 5, {OK: 1.0})])
    assert len(file.series.ids) == 8000


def test_a_round_is_kept_whole_or_not_at_all(file: StoreFile, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = file.target("http://a/metrics").id, file.target("http://b/metrics").id
    full = sample(second, NOW, {OK: 1.0})

    started = Mark(at=NOW, kind=MarkKind.STARTED, target=first, text="started")

    def fail(*_arguments: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    for module, last in ((file._samples, "_remember"), (journal, "add_marks")):
        with monkeypatch.context() as patched:
            patched.setattr(module, last, fail)
            with pytest.raises(sqlite3.OperationalError):
                file.save_round(NOW, 5.0, [sample(first, NOW, {OK: 3.0}), full], [started])

    assert totals(file, Tier.MINUTE) == {}
    assert journal.find_marks(file._connection, 0, 2 * NOW, None) == []
    assert file.target("http://a/metrics").reading is None


moments = st.lists(
    st.tuples(
        st.integers(0, 40 * 60 - 1),  # seconds, in any order: a clock may jump
        st.lists(
            st.tuples(st.sampled_from([1, 2, 3]), st.integers(0, 9), st.integers(0, 20)),
            max_size=3,
            unique_by=lambda each: each[0],
        ),
    ),
    max_size=25,
)


@settings(max_examples=25)
@given(rounds=moments)
def test_charts_of_every_step_equal_those_added_up_from_scratch(
    rounds: list[tuple[int, list[tuple[int, int, int]]]],
) -> None:
    begin = int(NOW) // 3600 * 3600
    with TemporaryDirectory() as directory:
        file = StoreFile(Path(directory) / "x.db", lambda: NOW)
        for number in (1, 2, 3):
            file.target(f"http://{number}/metrics")
        for at, answers in rounds:
            samples = [
                sample(target, begin + at, {OK: float(n)} if n else {}, {BUSY: float(busy)})
                for target, n, busy in answers
            ]
            file.save_round(begin + at, 5.0, samples)

        for tier, step, points in ((Tier.FIVE_SECONDS, 10, 240), (Tier.MINUTE, 300, 8), (Tier.TEN_MINUTES, 600, 4)):
            grid = Grid(begin, step, points, tier)
            requests: dict[int, float] = defaultdict(float)
            busy: dict[int, list[int]] = defaultdict(list)
            seen = set()
            for at, answers in rounds:
                if answers:
                    seen.add(at // step)
                    busy[at // step].append(sum(each[2] for each in answers))
                requests[at // step] += sum(each[1] for each in answers)
            naive = [requests[point] if point in seen else None for point in range(points)]
            means = [sum(busy[point]) / len(busy[point]) if point in seen else None for point in range(points)]

            if any(naive):
                assert drawn(file, "requests", grid)["200"] == naive
            if seen:
                assert drawn(file, "workers", grid)["busy"] == pytest.approx(means)
        file.close()


def test_since_when_there_are_samples_is_known(file: StoreFile) -> None:
    assert oldest_sample(file._connection) is None
    target = file.target("http://a/metrics").id
    for at in (NOW - 600, NOW):
        file.save_round(at, 5.0, [sample(target, at, {OK: 1.0})])

    assert oldest_sample(file._connection) == pytest.approx(NOW - 600, abs=5)
    file.prune(NOW, Retention(300.0, 30 * 86400.0, 7 * 86400.0))
    assert oldest_sample(file._connection) == pytest.approx(NOW, abs=5)
