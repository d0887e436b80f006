"""What a name may be."""

import pytest

from dashboard.domain.names import LONGEST_NAME, proper_name


@pytest.mark.parametrize("name", ["Anna's laptop", "größer, 大きい", "<b>&amp;", "👩\u200d💻", "x" * LONGEST_NAME])
def test_a_name_is_kept_as_it_is_without_the_spaces_around_it(name: str) -> None:
    assert proper_name(f" \t {name}\u00a0\n") == name


def test_nothing_but_spaces_is_no_name() -> None:
    assert proper_name(" \n ") == ""


def test_a_name_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 60"):
        proper_name("x" * (LONGEST_NAME + 1))


@pytest.mark.parametrize(
    "character", ["\x00", "\n", "\r", "\t", "\x1b", "\x7f", "\x85", "\u202e", "\u2066", "\u200b", "\u2028", "\ud800"]
)
def test_a_name_with_a_control_character_is_refused(character: str) -> None:
    with pytest.raises(ValueError, match="control characters"):
        proper_name(f"a{character}b")
