"""What was counted between two looks at a target."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.domain.rates import Continuity, increase
from dashboard.domain.samples import SeriesKey
from tests.unit.dashboard.build import counter, reading

A = counter("a_total")
B = counter("b_total")


def test_a_counter_grows_by_the_difference_and_what_did_not_grow_is_left_out() -> None:
    grown = increase(reading(100, {A: 3, B: 7}), reading(105, {A: 5, B: 7}))

    assert (grown.continuity, grown.span, grown.amounts) == (Continuity.WENT_ON, 5, {A: 2})


def test_a_series_that_appears_has_grown_from_nothing() -> None:
    assert increase(reading(100, {}), reading(105, {A: 2})).amounts == {A: 2}


def test_a_counter_that_falls_was_reset_and_counts_from_zero() -> None:
    assert increase(reading(100, {A: 10}), reading(105, {A: 4})).amounts == {A: 4}


def test_a_process_that_started_anew_resets_every_counter() -> None:
    grown = increase(reading(100, {A: 10, B: 2}, started=50), reading(105, {A: 12, B: 2}, started=103))

    assert (grown.continuity, grown.amounts) == (Continuity.STARTED, {A: 12, B: 2})
    assert grown.span == 2  # it can only have counted since it started


def test_an_older_process_that_answers_instead_adds_nothing() -> None:
    grown = increase(reading(1000, {A: 10}, started=500), reading(1005, {A: 400}, started=20))

    assert (grown.continuity, grown.span, grown.amounts) == (Continuity.ANOTHER, None, {})


def test_nor_does_the_younger_one_that_answers_again() -> None:
    grown = increase(reading(1000, {A: 400}, started=20), reading(1005, {A: 10}, started=500))

    assert (grown.continuity, grown.amounts) == (Continuity.ANOTHER, {})


def test_at_the_first_look_everything_since_the_process_started_is_new() -> None:
    grown = increase(None, reading(105, {A: 3, B: 0}, started=102))

    assert (grown.continuity, grown.span, grown.amounts) == (Continuity.FIRST, 3, {A: 3})


def test_at_the_first_look_at_a_process_that_hides_its_age_nothing_can_be_told() -> None:
    grown = increase(None, reading(105, {A: 3}, started=None))

    assert (grown.span, grown.amounts) == (None, {})


def test_a_process_from_the_future_hides_its_age_too() -> None:
    assert increase(None, reading(100, {A: 3}, started=5000)).span is None


def test_time_that_passed_is_measured_by_the_clock_that_does_not_jump() -> None:
    grown = increase(reading(100, {A: 1}, steady=7), reading(90_000, {A: 2}, steady=12))

    assert grown.span == 5


def test_after_a_restart_of_the_dashboard_it_is_measured_by_the_other_clock() -> None:
    assert increase(reading(100, {A: 1}, steady=None), reading(160, {A: 2}, steady=3)).span == 60


counts = st.dictionaries(st.sampled_from([A, B]), st.integers(0, 1000).map(float))


@given(looks=st.lists(st.tuples(st.floats(-1e9, 1e9), counts, st.one_of(st.none(), st.floats(-1e9, 1e9))), min_size=2))
def test_nothing_ever_shrinks(looks: list[tuple[float, dict[SeriesKey, float], float | None]]) -> None:
    before = None
    for at, counters, started in looks:
        now = reading(at, counters, started)
        grown = increase(before, now)
        assert all(amount > 0 for amount in grown.amounts.values())
        assert grown.span is None or grown.span >= 0
        before = now


@given(steps=st.lists(st.integers(0, 50), min_size=1))
def test_while_a_process_runs_all_increases_add_up_to_its_total(steps: list[int]) -> None:
    total, counted, before = 0, 0.0, reading(0, {}, started=0)
    for number, step in enumerate(steps, 1):
        total += step
        now = reading(5.0 * number, {A: float(total)}, started=0)
        counted += increase(before, now).amounts.get(A, 0.0)
        before = now

    assert counted == pytest.approx(total)
