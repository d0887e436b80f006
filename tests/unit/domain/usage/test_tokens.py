"""What answers of three dialects report, split into directions that add up."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.domain.usage.tokens import NO_TOKENS, TOKEN_FIELDS, TokenCounts, disjoint

COUNTS = st.integers(min_value=0, max_value=1 << 31)
ANY_NUMBER = st.integers(min_value=-(1 << 70), max_value=1 << 70) | st.floats()
REPORTS = st.dictionaries(st.sampled_from(TOKEN_FIELDS), ANY_NUMBER)


def test_messages_tell_what_the_caches_did_beside_the_input() -> None:
    reported = {"input_tokens": 50, "output_tokens": 64, "cache_read_input_tokens": 2400}
    assert disjoint(reported) == TokenCounts(input=50, output=64, cache_read=2400)
    assert disjoint({**reported, "cache_creation_input_tokens": 7}).cache_write == 7


def test_chat_tells_what_the_cache_served_as_a_part_of_the_prompt() -> None:
    reported = {"prompt_tokens": 3859, "completion_tokens": 14, "cached_tokens": 43, "reasoning_tokens": 9}
    assert disjoint(reported) == TokenCounts(input=3816, output=14, cache_read=43, reasoning=9)


def test_responses_tell_what_the_cache_served_as_a_part_of_the_input() -> None:
    reported = {"input_tokens": 12500, "output_tokens": 60, "cached_tokens": 11000}
    assert disjoint(reported) == TokenCounts(input=1500, output=60, cache_read=11000)


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        ({}, NO_TOKENS),
        ({"input_tokens": 10, "cached_tokens": 40}, TokenCounts(cache_read=10)),
        ({"prompt_tokens": 10, "cached_tokens": 6, "cache_creation_input_tokens": 40}, TokenCounts(0, 0, 6, 4)),
        ({"prompt_tokens": 10, "cached_tokens": 6, "cache_read_input_tokens": 6}, TokenCounts(4, 0, 6)),
        ({"input_tokens": 10, "cached_tokens": 6, "cache_read_input_tokens": 6}, TokenCounts(10, 0, 6)),
        ({"completion_tokens": 5, "reasoning_tokens": 99}, TokenCounts(output=5, reasoning=5)),
        ({"input_tokens": -10, "output_tokens": 5, "cached_tokens": -1}, TokenCounts(output=5)),
        ({"input_tokens": 2.0**64, "output_tokens": 5}, TokenCounts(output=5)),
        ({"input_tokens": math.nan, "output_tokens": math.inf, "prompt_tokens": -math.inf}, NO_TOKENS),
        ({"input_tokens": 3.9, "output_tokens": 0.5}, TokenCounts(input=3)),
    ],
    ids=[
        "nothing",
        "more cached than input",
        "more written than the rest",
        "the cache told twice, within the prompt",
        "the cache told twice, beside the input",
        "more reasoning than output",
        "negative",
        "-1 become unsigned",
        "no numbers",
        "fractions",
    ],
)
def test_odd_reports_are_clamped(reported: dict[str, float], expected: TokenCounts) -> None:
    assert disjoint(reported) == expected


@given(COUNTS, COUNTS, COUNTS, COUNTS)
def test_the_directions_add_up_to_the_reported_totals(prompt: int, output: int, cached: int, reasoning: int) -> None:
    counts = disjoint(
        {
            "prompt_tokens": prompt,
            "completion_tokens": output,
            "cached_tokens": cached,
            "reasoning_tokens": reasoning,
        }
    )
    assert counts.input_total == prompt
    assert counts.total == prompt + output


@given(REPORTS)
def test_no_direction_is_ever_negative_or_absurd(reported: dict[str, float]) -> None:
    counts = disjoint(reported)
    for count in (counts.input, counts.output, counts.cache_read, counts.cache_write, counts.reasoning):
        assert isinstance(count, int)
        assert 0 <= count <= 1 << 31
    assert counts.reasoning <= counts.output
