"""Models that share a limit are refused at one sum, whatever each has of it."""

from collections.abc import Sequence

from extproc.domain.pacing.clock import Steady
from extproc.domain.pacing.refused_sums import RefusedSums

A, B, C = "glm-a", "glm-b", "glm-c"
SWINGING = ((A, 2, 2), (B, 1, 3), (A, 1, 3), (B, 2, 2))


def units(model: str, *known: set[str]) -> list[set[str]]:
    """Those that are known to share a limit, and the others each on its own; that of the model comes first."""
    alone = [{each} for each in (A, B, C) if not any(each in unit for unit in known)]
    return sorted([*known, *alone], key=lambda unit: model not in unit)


def sharing(
    *refusals: tuple[str, int, int] | tuple[str, int, int, int], apart: float = 20.0, known: Sequence[set[str]] = ()
) -> tuple[set[str], int] | None:
    """What the last of some refusals shows: which model was refused, and how many of glm-a, glm-b and glm-c there were;
    one of glm-c if that is not said."""
    sums, found = RefusedSums(), None
    for number, (model, of_a, of_b, *of_c) in enumerate(refusals):
        in_flight = {A: of_a, B: of_b, C: of_c[0] if of_c else 1}
        found = sums.note(model, in_flight, units(model, *known), Steady(number * apart))
    return found


def test_models_that_are_refused_at_levels_that_vary_and_at_one_sum_share_a_limit() -> None:
    assert sharing(*SWINGING, (A, 2, 2)) == ({A, B}, 3)


THREE = ((A, 2, 2, 1), (B, 1, 3, 1), (C, 1, 2, 2), (A, 3, 1, 1), (B, 1, 2, 2), (C, 2, 0, 3), (C, 2, 0, 3))


def test_three_that_share_a_limit_are_told_by_the_sum_of_all_though_that_of_no_two_is_the_same() -> None:
    assert sharing(*THREE) == ({A, B, C}, 4)


def test_a_third_that_shares_the_limit_of_two_is_told_by_the_sum_of_those_two_and_its_own() -> None:
    refusals = (A, 2, 2, 1), (C, 1, 2, 2), (B, 2, 2, 1), (C, 2, 0, 3), (A, 1, 1, 3), (C, 2, 0, 3)
    assert sharing(*refusals, known=[{A, B}]) == ({A, B, C}, 4)


def test_models_that_are_each_refused_at_one_level_have_limits_of_their_own() -> None:
    assert sharing((A, 2, 3), (B, 1, 4), (A, 2, 3), (B, 1, 4), (A, 2, 3)) is None


def test_one_that_shrinks_beside_one_that_stands_still_shares_nothing() -> None:
    assert sharing((A, 4, 3), (A, 3, 3), (A, 2, 3), (B, 1, 4), (A, 2, 3), (B, 1, 4)) is None


def test_what_was_refused_at_a_larger_sum_does_not_matter_and_at_a_smaller_one_does() -> None:
    assert sharing((A, 5, 3), *SWINGING, (A, 2, 2)) == ({A, B}, 3)
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
        sums.note(model, {A: of_a, B: of_b}, units(model), Steady(20.0 * at))

    sums.forget()

    assert sums.note(A, {A: 2, B: 2}, units(A), Steady(100.0)) is None
