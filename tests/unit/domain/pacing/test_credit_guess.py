"""What a request may take, before that is known."""

import pytest

from extproc.domain.pacing.credit_guess import CreditGuesses
from extproc.domain.usage.tokens import TokenCounts

# An agent's prompt of 100 KB and its answer take about so many credits of glm-5.3.
AGENTS_REQUEST = 6.0


def test_an_agents_request_is_guessed_by_its_length() -> None:
    assert CreditGuesses().guess("glm", 100_000) == pytest.approx(AGENTS_REQUEST)
    assert CreditGuesses().guess("glm", 200_000) == pytest.approx(2 * AGENTS_REQUEST)


def test_a_picture_is_no_more_than_the_longest_text_that_a_model_reads() -> None:
    guesses = CreditGuesses()
    assert guesses.guess("glm", 8 * 1024 * 1024) == guesses.guess("glm", 1_000_000) == pytest.approx(60.0)


def test_what_a_byte_took_lately_counts_for_its_model_alone() -> None:
    guesses = CreditGuesses()
    for _ in range(5):
        guesses.learn("dear", 100_000, 24.0)
    assert guesses.guess("dear", 50_000) == pytest.approx(12.0)
    assert guesses.guess("other", 100_000) == pytest.approx(AGENTS_REQUEST)


def test_a_model_whose_coefficients_are_known_starts_with_those() -> None:
    def credits_of(model: str, tokens: TokenCounts) -> float | None:
        return None if model == "new" else tokens.input * 1e-4 + tokens.cache_read * 1e-5 + tokens.output * 1e-3

    guesses = CreditGuesses(credits_of)
    assert guesses.guess("cheap", 100_000) == pytest.approx(0.937)
    assert guesses.guess("new", 100_000) == pytest.approx(AGENTS_REQUEST)
    guesses.learn("cheap", 100_000, 3.0)
    assert guesses.guess("cheap", 100_000) == pytest.approx(3.0)


@pytest.mark.parametrize("size", [None, 0, 1, 1024])
def test_there_is_a_guess_for_every_length(size: int | None) -> None:
    assert CreditGuesses().guess("glm", size) > 0.0
