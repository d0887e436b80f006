"""Which request goes on with which."""

import pytest

from extproc.domain.cache.lanes import LONGEST_PAUSE, Asked, Lanes


def lanes(*tokens: int, apart: float = 10.0) -> list[tuple[int, int]]:
    """The lanes of requests of so many tokens, each some seconds after the one before, and with which they go on; 0 if
    with none."""
    found, sorted_into = Lanes(), []
    for number, each in enumerate(tokens):
        sequel = found.take(Asked(apart * number, apart * number + 1, each, 0))
        sorted_into.append((sequel.lane, sequel.before.input if sequel.before else 0))
    return sorted_into


def test_a_conversation_grows() -> None:
    assert lanes(20_000, 21_000, 21_000) == [(1, 0), (1, 20_000), (1, 21_000)]


def test_a_question_has_a_lane_of_its_own() -> None:
    assert lanes(20_000, 3_000, 21_000, 60_000, 22_000)[1:] == [(2, 0), (1, 20_000), (2, 0), (1, 21_000)]


@pytest.mark.parametrize("questions", [1, 2, 5])
def test_so_have_several_in_a_row(questions: int) -> None:
    asked = [3_000 - 100 * number for number in range(questions)]
    found = lanes(20_000, 20_500, *asked, 21_000, *asked, 21_500)

    assert found[2 + questions] == (1, 20_500)
    assert found[-1] == (1, 21_000)


def test_what_was_compacted_goes_on_with_its_first_request() -> None:
    assert lanes(90_000, 9_000, 9_500, 10_000)[1:] == [(2, 0), (2, 9_000), (2, 9_500)]


def test_sub_agents_that_come_one_after_the_other_do_not_end_the_conversation_that_has_started_them() -> None:
    first, second = [8_000, 8_500, 9_000], [7_000, 7_500]
    found = lanes(30_000, 30_500, 31_000, 31_500, *first, *second, 32_000)

    assert found[-1] == (1, 31_500)


def test_what_was_left_is_forgotten_after_a_pause() -> None:
    assert lanes(20_000, 60_000, 21_000, 61_000)[-1] == (2, 60_000)
    assert lanes(20_000, 60_000, 21_000, 61_000, apart=LONGEST_PAUSE / 2 + 1)[-1] == (2, 0)


def test_a_prompt_that_is_a_little_shorter_begins_its_lane_anew() -> None:
    assert lanes(20_000, 18_000, 18_500)[1:] == [(1, 0), (1, 18_000)]


def test_a_request_that_left_before_an_answer_began_does_not_go_on_with_it() -> None:
    found = Lanes()
    found.take(Asked(0.0, 5.0, 20_000, 0))

    assert found.take(Asked(4.0, 6.0, 21_000, 0)).before is None
    latest = found.take(Asked(6.0, 7.0, 21_000, 0)).before
    assert latest is not None
    assert latest.input in (20_000, 21_000)
