"""What the plan charged, against what was counted."""

import pytest

from extproc.domain.quota.reconciliation import Comparison, Reconciliation
from extproc.domain.quota.windows import FIVE_HOUR, WEEKLY
from tests.unit.domain.quota.windows import HOUR, NOON, credit_window, report, window


def only(reconciliation: Reconciliation) -> Comparison:
    [comparison] = reconciliation.comparisons()
    return comparison


def test_both_counts_begin_with_the_first_report() -> None:
    reconciliation = Reconciliation()
    reconciliation.count(100)
    reconciliation.take_report(report(credit_window(700)), NOON)

    assert only(reconciliation) == Comparison(FIVE_HOUR, NOON, 0.0, 0.0)
    assert only(reconciliation).deviation is None


def test_what_was_charged_and_not_counted_is_the_difference() -> None:
    reconciliation = Reconciliation()
    reconciliation.take_report(report(credit_window(700)), NOON)
    reconciliation.count(90)
    reconciliation.take_report(report(credit_window(800)), NOON + 60)

    comparison = only(reconciliation)

    assert (comparison.charged, comparison.counted, comparison.uncounted) == (100, 90, 10)
    assert comparison.deviation == pytest.approx(0.1)


def test_counting_more_than_was_charged_is_a_negative_difference() -> None:
    reconciliation = Reconciliation()
    reconciliation.take_report(report(credit_window(0)), NOON)
    reconciliation.count(12)
    reconciliation.take_report(report(credit_window(10)), NOON + 60)

    assert only(reconciliation).uncounted == -2


def test_figures_that_come_late_even_out() -> None:
    reconciliation = Reconciliation()
    reconciliation.take_report(report(credit_window(0)), NOON)
    for minute in range(1, 50):
        reconciliation.count(10)
        reconciliation.take_report(report(credit_window(10 * (minute - 1))), NOON + 60 * minute)

    assert only(reconciliation).uncounted == -10


def test_a_reset_begins_a_new_page_and_the_week_goes_on() -> None:
    reconciliation = Reconciliation()
    before = (credit_window(1000, resets_in=HOUR), credit_window(5000, total=10_000, resets_in=90 * HOUR, name=WEEKLY))
    reconciliation.take_report(report(*before), NOON)
    reconciliation.count(50)
    after = (credit_window(20, resets_in=6 * HOUR), credit_window(5060, total=10_000, resets_in=90 * HOUR, name=WEEKLY))
    reconciliation.take_report(report(*after), NOON + 2 * HOUR)

    five_hour, week = reconciliation.comparisons()

    assert (five_hour.charged, five_hour.counted, five_hour.since) == (0, 0, NOON + 2 * HOUR)
    assert (week.charged, week.counted, week.since) == (60, 50, NOON)


def test_a_plan_that_counts_no_credits_is_not_compared() -> None:
    reconciliation = Reconciliation()
    reconciliation.take_report(report(window(0.4)), NOON)

    assert reconciliation.comparisons() == []
