"""Rows: folding looks into coarser ones, targets into one, and their bytes."""

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.domain.rollup import Row, Tier, fold, together
from dashboard.domain.row_codec import (
    DamagedRowError,
    decode,
    decode_totals,
    encode,
    encode_totals,
    scan_counters,
    scan_gauges,
)

ids = st.integers(0, 65535)
amounts = st.one_of(st.integers(1, 10**7).map(float), st.floats(1e-9, 1e12))
rows = st.builds(
    Row,
    st.integers(0, 65535),
    st.dictionaries(ids, amounts, max_size=40),
    st.dictionaries(ids, st.tuples(st.integers(1, 65535), st.floats(-1e12, 1e12)), max_size=20),
)


@given(row=rows)
def test_a_row_survives_its_bytes(row: Row) -> None:
    assert decode(encode(row)) == row


@given(row=rows)
def test_reading_a_row_for_a_chart_gives_what_is_in_it(row: Row) -> None:
    looks, parts = scan_counters(encode(row))

    assert looks == row.looks
    counters = [pair for amounts in parts for pair in zip(*amounts, strict=True)]
    assert sorted((key, amount) for key, amount in counters if amount) == sorted(row.counters.items())
    gauges = zip(*scan_gauges(encode(row)), strict=True)
    assert {key: (count, total) for key, count, total in gauges if count} == row.gauges


@given(row=rows, cut=st.integers(0, 200))
def test_bytes_that_were_cut_are_an_error_and_nothing_else(row: Row, cut: int) -> None:
    data = encode(row)
    for damaged in (data[:cut], b"\x63" + data[1:]):
        if damaged != data:
            with pytest.raises(DamagedRowError):
                decode(damaged)


@given(row=rows)
def test_what_is_not_in_a_row_is_nothing_or_zero_when_it_is_read(row: Row) -> None:
    for amounts in scan_counters(encode(row))[1]:
        assert all(amount == 0 for key, amount in zip(*amounts, strict=True) if key not in row.counters)
    gauges = zip(*scan_gauges(encode(row)), strict=True)
    assert all((count, total) == (0, 0) for key, count, total in gauges if key not in row.gauges)


@given(row=rows)
def test_the_series_of_a_row_lie_in_the_order_of_their_ids(row: Row) -> None:
    for part in (*scan_counters(encode(row))[1], scan_gauges(encode(row))):
        assert part.ids == sorted(part.ids)


def test_a_busy_proxy_takes_less_than_half_a_kilobyte() -> None:
    row = Row(12, dict.fromkeys(range(80), 3.0), dict.fromkeys(range(100, 115), (12, 5.5)))

    assert len(encode(row)) < 340


@given(totals=st.dictionaries(ids, st.floats(0, 1e15)))
def test_totals_survive_their_bytes(totals: dict[int, float]) -> None:
    assert decode_totals(encode_totals(totals)) == totals


looks = st.lists(
    st.tuples(
        st.integers(0, 7300),
        st.dictionaries(st.integers(0, 5), st.integers(1, 500).map(float), max_size=4),
        st.dictionaries(st.integers(6, 8), st.integers(0, 100).map(float), max_size=3),
    ),
    max_size=60,
)


@given(looks=looks)
@pytest.mark.parametrize("tier", list(Tier))
def test_folding_look_by_look_gives_what_adding_up_everything_gives(
    tier: Tier, looks: list[tuple[int, dict[int, float], dict[int, float]]]
) -> None:
    folded: dict[int, Row] = {}
    for at, counters, gauges in looks:  # in any order, as when the clock jumps
        row = Row(1, dict(counters), {key: (1, value) for key, value in gauges.items()})
        fold(folded.setdefault(tier.begin(at), Row()), row)

    naive: dict[int, list[tuple[dict[int, float], dict[int, float]]]] = defaultdict(list)
    for at, counters, gauges in looks:
        naive[at - at % tier.value].append((counters, gauges))
    assert folded.keys() == naive.keys()
    for begin, seen in naive.items():
        row = folded[begin]
        assert row.looks == len(seen)
        for key in range(6):
            assert row.counters.get(key, 0.0) == sum(counters.get(key, 0.0) for counters, _ in seen)
        for key in range(6, 9):
            values = [gauges[key] for _, gauges in seen if key in gauges]
            assert row.gauges.get(key, (0, 0.0)) == (len(values), sum(values))


def test_targets_together_count_what_each_of_them_counted() -> None:
    whole = together(
        [Row(1, {1: 2.0, 2: 1.0}, {3: (1, 4.0), 4: (1, 0.2)}), Row(1, {1: 5.0}, {3: (1, 6.0), 4: (1, 0.3)})],
        adds_up=lambda key, _row: key == 3,
    )

    assert whole == Row(1, {1: 7.0, 2: 1.0}, {3: (1, 10.0), 4: (1, 0.3)})


def test_what_some_targets_have_in_common_counts_once_and_what_others_have_comes_on_top() -> None:
    common, own = Row(1, {}, {3: (1, 9.0), 4: (1, 1.0)}), Row(1, {}, {3: (1, 3.0)})

    for rows in ([common, common, own], [own, common, common]):
        assert together(rows, adds_up=lambda _key, row: row is own).gauges == {3: (1, 12.0), 4: (1, 1.0)}


def test_targets_that_nobody_knows_anything_of_are_unknown_together() -> None:
    assert together([Row(0), Row(0)], adds_up=lambda _key, _row: True).looks == 0
    assert together([], adds_up=lambda _key, _row: True).looks == 0


@pytest.mark.parametrize(
    ("span", "told"),
    [
        (5.0, [Tier.FIVE_SECONDS, Tier.MINUTE, Tier.TEN_MINUTES, Tier.HOUR]),
        (15.0, [Tier.FIVE_SECONDS, Tier.MINUTE, Tier.TEN_MINUTES, Tier.HOUR]),  # two looks were missed
        (50.0, [Tier.MINUTE, Tier.TEN_MINUTES, Tier.HOUR]),
        (400.0, [Tier.TEN_MINUTES, Tier.HOUR]),
        (3000.0, [Tier.HOUR]),
        (90000.0, []),
        (None, []),
    ],
)
def test_an_increase_shows_only_where_its_time_is_known_well_enough(span: float | None, told: list[Tier]) -> None:
    assert [tier for tier in Tier if tier.can_tell(span, interval=5.0)] == told
