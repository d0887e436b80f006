"""Percentiles from buckets."""

import math
from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.domain.histograms import quantile

ENDS = (0.1, 0.5, 1.0, 5.0, math.inf)


def test_values_are_taken_to_lie_evenly_within_a_bucket() -> None:
    assert quantile(0.5, ENDS, (0, 10, 0, 0, 0)) == pytest.approx(0.3)
    assert quantile(0.0, ENDS, (0, 10, 0, 0, 0)) == pytest.approx(0.1)
    assert quantile(1.0, ENDS, (0, 10, 0, 0, 0)) == pytest.approx(0.5)


def test_what_is_in_the_open_bucket_is_at_least_its_lower_end() -> None:
    assert quantile(0.99, ENDS, (0, 0, 0, 0, 3)) == 5.0


def test_without_measurements_there_is_no_percentile() -> None:
    assert quantile(0.5, ENDS, (0, 0, 0, 0, 0)) is None
    assert quantile(0.5, (), ()) is None


def test_merged_buckets_differ_from_the_average_of_percentiles() -> None:
    fast, slow = (99, 0, 0, 0, 0), (0, 0, 0, 1, 0)

    merged = quantile(0.5, ENDS, [a + b for a, b in zip(fast, slow, strict=True)])

    assert merged is not None
    assert merged < 0.1


@given(values=st.lists(st.floats(0.0, 4.9), min_size=1, max_size=200), share=st.sampled_from([0.05, 0.5, 0.9, 0.99]))
def test_it_lies_in_the_bucket_of_the_value_that_a_sorted_list_gives(values: list[float], share: float) -> None:
    counts = [0.0] * len(ENDS)
    for value in values:
        counts[bisect_left(ENDS, value)] += 1
    exact = sorted(values)[max(0, math.ceil(share * len(values)) - 1)]

    found = quantile(share, ENDS, counts)

    bucket = bisect_left(ENDS, exact)
    assert found is not None
    assert (ENDS[bucket - 1] if bucket else 0.0) - 1e-9 <= found <= ENDS[bucket] + 1e-9
