"""Inclusive counts as the upstream reports them, split into directions that add up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.domain.tokens import TokenCounts, disjoint

COUNTS = st.integers(min_value=0, max_value=1 << 31)
ANY_NUMBER = st.integers(min_value=-(1 << 70), max_value=1 << 70)


def test_what_caches_served_and_took_is_no_longer_in_input() -> None:
    counts = disjoint(input_total=1000, output=50, cached=700, cache_creation=100, reasoning=30)
    assert counts == TokenCounts(input=200, output=50, cache_read=700, cache_write=100, reasoning=30)
    assert counts.input_total == 1000
    assert counts.total == 1050


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        # input_total, output, cached, cache_creation, reasoning
        ((10, 5, 40, 0, 0), TokenCounts(input=0, output=5, cache_read=10)),
        ((10, 5, 6, 40, 0), TokenCounts(input=0, output=5, cache_read=6, cache_write=4)),
        ((10, 5, 0, 0, 99), TokenCounts(input=10, output=5, reasoning=5)),
        ((-10, -5, -1, -1, -1), TokenCounts()),
        ((10, 5, -40, -40, -1), TokenCounts(input=10, output=5)),
        ((2**64 - 1, 5, 3, 0, 0), TokenCounts(output=5)),
        ((0, 0, 0, 0, 0), TokenCounts()),
    ],
    ids=[
        "more cached than input",
        "more written than the rest",
        "more reasoning than output",
        "all negative",
        "negative details",
        "-1 become unsigned",
        "nothing",
    ],
)
def test_contradictory_reports_are_clamped(reported: tuple[int, int, int, int, int], expected: TokenCounts) -> None:
    assert disjoint(*reported) == expected


@given(COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)
def test_the_directions_add_up_to_the_reported_totals(
    input_total: int, output: int, cached: int, cache_creation: int, reasoning: int
) -> None:
    counts = disjoint(input_total, output, cached, cache_creation, reasoning)
    assert counts.input + counts.cache_read + counts.cache_write == input_total
    assert counts.total == input_total + output


@given(ANY_NUMBER, ANY_NUMBER, ANY_NUMBER, ANY_NUMBER, ANY_NUMBER)
def test_no_direction_is_ever_negative_or_absurd(
    input_total: int, output: int, cached: int, cache_creation: int, reasoning: int
) -> None:
    counts = disjoint(input_total, output, cached, cache_creation, reasoning)
    for count in (counts.input, counts.output, counts.cache_read, counts.cache_write, counts.reasoning):
        assert 0 <= count <= 1 << 31
    assert counts.reasoning <= counts.output
