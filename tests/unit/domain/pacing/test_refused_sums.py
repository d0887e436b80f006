"""Two models that share a limit are refused at one sum, whatever each has of it."""

from extproc.domain.pacing.clock import Steady
from extproc.domain.pacing.refused_sums import RefusedSums

A, B, C = "glm-a", "glm-b", "glm-c"
SWINGING = ((A, 2, 2), (B, 1, 3), (A, 1, 3), (B, 2, 2))


def sharing(*refusals: tuple[str, int, int], apart: float = 20.0) -> tuple[str, int] | None:
    """What the last of some refusals shows: which model was refused, and how many of glm-a and of glm-b there were."""
    sums, found = RefusedSums(), None
    for number, (model, of_a, of_b) in enumerate(refusals):
        others = [each for each in (A, B, C) if each != model]
        found = sums.note(model, {A: of_a, B: of_b, C: 1}, others, Steady(number * apart))
    return found


def test_models_that_are_refused_at_levels_that_vary_and_at_one_sum_share_a_limit() -> None:
    assert sharing(*SWINGING, (A, 2, 2)) == (B, 3)


def test_models_that_are_each_refused_at_one_level_have_limits_of_their_own() -> None:
    assert sharing((A, 2, 3), (B, 1, 4), (A, 2, 3), (B, 1, 4), (A, 2, 3)) is None


def test_one_that_shrinks_beside_one_that_stands_still_shares_nothing() -> None:
    assert sharing((A, 4, 3), (A, 3, 3), (A, 2, 3), (B, 1, 4), (A, 2, 3), (B, 1, 4)) is None


def test_what_was_refused_at_a_larger_sum_does_not_matter_and_at_a_smaller_one_does() -> None:
    assert sharing((A, 5, 3), *SWINGING, (A, 2, 2)) == (B, 3)
    assert sharing((A, 1, 2), *SWINGING, (A, 2, 2)) is None


def test_the_latest_refusals_are_waited_for_since_a_plan_that_shrinks_or_a_storm_goes_on_to_smaller_sums() -> None:
    assert sharing(*SWINGING) is None
    assert sharing(*SWINGING, (A, 1, 2)) is None


def test_levels_at_which_one_burst_is_refused_are_no_levels_that_vary() -> None:
    assert sharing(*SWINGING, (A, 2, 2), apart=2.5) is None


def test_refusals_that_are_far_apart_are_by_chance() -> None:
    assert sharing(*SWINGING, (A, 2, 2), apart=101.0) is None


def test_after_a_storm_nothing_is_remembered() -> None:
    sums = RefusedSums()
    for at, (model, of_a, of_b) in enumerate(SWINGING):
        sums.note(model, {A: of_a, B: of_b}, [B if model == A else A], Steady(20.0 * at))

    sums.forget()

    assert sums.note(A, {A: 2, B: 2}, [B], Steady(100.0)) is None
