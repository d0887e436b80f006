"""Which model serves a name: what is learned, and what no name can do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.domain.request.model_names import ModelNames, model_name


def test_a_name_that_nobody_has_seen_answered_is_served_by_nobody_knows_what() -> None:
    assert ModelNames().serves("claude-opus-5") == ""


def test_the_last_answer_tells_what_serves_a_name() -> None:
    names = ModelNames()
    names.learn("claude-opus-5", "glm-5.2")
    names.learn("claude-opus-5", "glm-5.3")
    names.learn("glm-5.2", "glm-5.3")

    assert names.serves("claude-opus-5") == "glm-5.3"
    assert sorted(names.pairs()) == [("claude-opus-5", "glm-5.3"), ("glm-5.2", "glm-5.3")]


@pytest.mark.parametrize(("asked", "served"), [("", "glm-5.3"), ("glm-5.3", ""), ("", "")])
def test_what_is_unknown_teaches_nothing(asked: str, served: str) -> None:
    names = ModelNames()
    names.learn("glm-5.3", "glm-5.3")
    names.learn(asked, served)

    assert names.pairs() == [("glm-5.3", "glm-5.3")]


def test_a_run_of_odd_names_pushes_out_only_what_nobody_uses() -> None:
    names = ModelNames(limit=3)
    names.learn("asked-again", "glm-5.3")
    names.learn("looked-up", "glm-5.3")
    for number in range(100):
        names.learn(f"odd-{number}", "glm-4.7")
        names.learn("asked-again", "glm-5.3")
        assert names.serves("looked-up") == "glm-5.3"

    assert {asked for asked, _ in names.pairs()} == {"asked-again", "looked-up", "odd-99"}


def test_a_map_without_room_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        ModelNames(limit=0)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("glm-5.3", "glm-5.3"),
        ("glm-5.2[1m]", "glm-5.2[1m]"),
        ("vendor/claude-sonnet-4@20250514", "vendor/claude-sonnet-4@20250514"),
        ("a b\n\x1b[31mc", "a_b__[31mc"),
        ("\ud800модель", "_______"),
        ("x" * 1000, "x" * 64),
        ("", ""),
    ],
)
def test_a_name_is_bounded_and_can_be_shown_anywhere(text: str, name: str) -> None:
    assert model_name(text) == name


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=200))
def test_no_name_can_hurt_a_log_or_a_page(text: str) -> None:
    name = model_name(text)

    assert len(name) <= 64
    assert name.isascii()
    assert name == "" or name.isprintable()
    assert model_name(name) == name
