"""Intervals against published values, and what widens them."""

import math
import random

import pytest

from canary.domain.counts import Histogram
from canary.domain.intervals import (
    geometric_mean,
    log_ratio_of_means,
    log_ratio_of_rates,
    quantile,
    share_difference,
    student_t,
)


@pytest.mark.parametrize(
    ("tail", "freedom", "expected"),
    [(0.025, 7, 2.365), (0.005, 9, 3.250), (0.001, 14, 3.787), (0.025, 29, 2.045), (0.0005, 9, 4.781)],
)
def test_students_t_is_that_of_the_tables(tail: float, freedom: int, expected: float) -> None:
    assert student_t(tail, freedom) == pytest.approx(expected, rel=0.01)


def even(total: float, blocks: int) -> list[float]:
    return [total / blocks] * blocks


def test_the_difference_of_shares_is_newcombes() -> None:
    # Newcombe (1998), table II, example (a): 56/70 - 48/80, method 10, 95 %: 0.0524 to 0.3339.
    many = 4000
    found = share_difference(even(56, many), even(70, many), even(48, many), even(80, many), 0.025)
    assert (found.lower, found.upper) == pytest.approx((0.0524, 0.3339), abs=0.0005)


def test_no_failure_at_all_still_leaves_doubt() -> None:
    found = share_difference([0.0] * 15, [20.0] * 15, [0.0] * 15, [80.0] * 15, 0.01)
    assert found.estimate == 0.0
    assert 0.01 < found.upper < 0.05


def test_failures_that_come_together_say_less_than_failures_that_are_spread() -> None:
    size, none = [40.0] * 15, [0.0] * 15
    spread = share_difference([2.0] * 15, size, none, size, 0.01)
    together = share_difference([0.0] * 14 + [30.0], size, none, size, 0.01)
    assert together.estimate == spread.estimate
    assert together.upper > 1.5 * spread.upper


BOUNDS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)


def filled(random_: random.Random, factor: float, weather: list[float], count: int) -> Histogram:
    blocks = []
    for level in weather:
        counts = [0.0] * (len(BOUNDS) + 1)
        for _ in range(count):
            value = factor * level * random_.lognormvariate(math.log(6.0), 0.7)
            counts[sum(value > bound for bound in BOUNDS)] += 1
        blocks.append(tuple(counts))
    return Histogram(BOUNDS, tuple(blocks))


def test_a_factor_is_found_though_only_buckets_are_known() -> None:
    chance = random.Random(1)
    slow, normal = filled(chance, 1.5, [1.0] * 15, 400), filled(chance, 1.0, [1.0] * 15, 400)
    found = log_ratio_of_means(slow, normal, 0.01)
    assert found.lower < math.log(1.5) < found.upper
    assert found.upper - found.lower < 0.25


def test_weather_that_both_feel_cancels() -> None:
    chance = random.Random(2)
    weather = [0.5, 2.0, 1.0, 0.7, 1.5] * 3
    both = log_ratio_of_means(filled(chance, 1.0, weather, 100), filled(chance, 1.0, weather, 100), 0.01)
    one = log_ratio_of_means(filled(chance, 1.0, weather, 100), filled(chance, 1.0, [1.0] * 15, 100), 0.01)
    assert both.upper - both.lower < 0.5 * (one.upper - one.lower)


def test_a_mood_that_lasts_for_minutes_says_less_than_one_that_changes_each_minute() -> None:
    of = [100.0] * 16
    changing = log_ratio_of_rates([90.0, 110.0] * 8, of, of, of, 0.01)
    lasting = log_ratio_of_rates(([90.0] * 4 + [110.0] * 4) * 2, of, of, of, 0.01)
    assert lasting.upper > 1.2 * changing.upper


def test_the_ratio_of_rates_is_that_of_the_sums() -> None:
    found = log_ratio_of_rates([2.0, 2.1] * 8, [1.0] * 16, [1.0] * 16, [1.0] * 16, 0.01)
    assert found.estimate == pytest.approx(math.log(2.05))


def test_quantiles_and_means_of_buckets() -> None:
    histogram = Histogram((1.0, 4.0), ((0.0, 90.0, 10.0),))
    assert quantile(histogram, 0.9) == 4.0
    assert quantile(histogram, 0.95) == math.inf
    assert geometric_mean(Histogram((1.0, 4.0), ((0.0, 9.0, 0.0),))) == pytest.approx(2.0)
