"""Models that share a limit are refused at one sum, whatever each has of it, and get through below it."""

from collections.abc import Sequence

from extproc.domain.pacing.clock import Steady
from extproc.domain.pacing.refused_sums import RefusedSums

A, B, C = "glm-a", "glm-b", "glm-c"
InFlight = tuple[int, int] | tuple[int, int, int]
SWINGING = ((A, 2, 2), (B, 1, 3), (A, 1, 3), (B, 2, 2))
"""Who was refused each twenty seconds, and how many of glm-a, glm-b and glm-c there were; one of glm-c if that is not
said."""
LATER = ((50.0, 2, 1), (55.0, 0, 3))
"""What got through at other times: from when on, and how many of each there were."""


def in_flight(counts: Sequence[int]) -> dict[str, int]:
    of_a, of_b, *of_c = counts
    return {A: of_a, B: of_b, C: of_c[0] if of_c else 1}


def units(model: str, *known: set[str]) -> list[set[str]]:
    """Those that are known to share a limit, and the others each on its own; that of the model comes first."""
    alone = [{each} for each in (A, B, C) if not any(each in unit for unit in known)]
    return sorted([*known, *alone], key=lambda unit: model not in unit)


def sharing(
    *refusals: Sequence[str | int],
    through: Sequence[Sequence[float]] = LATER,
    apart: float = 20.0,
    known: Sequence[set[str]] = (),
) -> tuple[set[str], int] | None:
    """What the last of some refusals shows."""
    sums, found = RefusedSums(), None
    got = [(Steady(at), in_flight([int(count) for count in counts])) for at, *counts in through]
    for number, (model, *counts) in enumerate(refusals):
        t = Steady(number * apart)
        seen = [(at, each) for at, each in got if at <= t]
        with_it = in_flight([int(count) for count in counts])
        found = sums.note(str(model), with_it, units(str(model), *known), seen, t)
    return found


def test_models_that_are_refused_at_one_sum_and_get_through_later_at_such_levels_share_a_limit() -> None:
    assert sharing(*SWINGING) == ({A, B}, 3)


def test_models_with_one_place_each_that_share_two_are_told_likewise() -> None:
    refusals = (A, 1, 1, 1), (B, 1, 1, 1), (C, 1, 1, 1), (A, 1, 1, 1)
    through = (50.0, 1, 1, 0), (52.0, 0, 1, 1), (54.0, 1, 0, 1)
    assert sharing(*refusals, through=through) == ({A, B, C}, 2)


def test_models_that_have_one_place_each_of_their_own_share_nothing() -> None:
    refusals = (A, 2, 1, 1), (B, 1, 2, 1), (C, 1, 1, 2), (A, 2, 1, 1), (B, 1, 2, 1)
    assert sharing(*refusals, through=[(50.0, 1, 1, 1), (70.0, 1, 1, 0)]) is None


def test_three_that_share_a_limit_are_told_by_the_sum_of_all_though_that_of_no_two_is_the_same() -> None:
    refusals = (A, 2, 2, 1), (B, 1, 3, 1), (C, 1, 2, 2), (A, 3, 1, 1), (B, 1, 2, 2), (C, 2, 0, 3)
    through = (62.0, 3, 1, 0), (65.0, 1, 3, 0), (68.0, 1, 1, 2)
    assert sharing(*refusals, through=through) == ({A, B, C}, 4)


def test_a_third_that_shares_the_limit_of_two_is_told_by_the_sum_of_those_two_and_its_own() -> None:
    refusals = (A, 2, 2, 1), (C, 1, 2, 2), (B, 2, 2, 1), (C, 2, 0, 3)
    through = (33.0, 2, 2, 0), (35.0, 1, 1, 2)
    assert sharing(*refusals, through=through, known=[{A, B}]) == ({A, B, C}, 4)


def test_where_something_got_through_at_such_a_sum_it_is_no_limit() -> None:
    assert sharing(*SWINGING, through=[*LATER, (57.0, 2, 2)]) is None


def test_models_that_never_get_through_where_they_were_refused_have_limits_of_their_own() -> None:
    assert sharing((A, 2, 3), (B, 1, 4), (A, 2, 3), (B, 1, 4), (A, 2, 3), through=[(50.0, 1, 3)]) is None


def test_models_that_got_through_only_before_have_shrunk() -> None:
    assert sharing(*SWINGING, through=[(0.0, 2, 1), (0.0, 0, 3)]) is None


def test_what_was_refused_at_a_larger_sum_does_not_matter_and_at_a_smaller_one_does() -> None:
    later = [(at + 20.0, *counts) for at, *counts in LATER]
    assert sharing((A, 5, 3), *SWINGING, through=later) == ({A, B}, 3)
    assert sharing((A, 1, 2), *SWINGING, through=later) is None


def test_a_plan_that_shrinks_or_a_storm_goes_on_to_smaller_sums() -> None:
    assert sharing(*SWINGING, (A, 1, 2)) is None


def test_the_latest_refusals_are_waited_for() -> None:
    assert sharing(*SWINGING, apart=4.0, through=[(11.0, 2, 1), (11.5, 0, 3)]) is None


def test_refusals_that_are_far_apart_are_by_chance() -> None:
    assert sharing(*SWINGING, apart=301.0, through=[(600.0, 2, 1), (650.0, 0, 3)]) is None


def test_models_that_are_refused_with_nothing_else_at_the_upstream_share_nothing() -> None:
    alone = (A, 1, 0, 0), (B, 0, 1, 0), (A, 1, 0, 0), (B, 0, 1, 0)
    assert sharing(*alone, through=[(-5.0, 1, 0, 0)]) is None


def test_what_was_found_is_found_anew_only_from_what_comes_later() -> None:
    sums = RefusedSums()
    through = [(Steady(at), in_flight([int(count) for count in counts])) for at, *counts in LATER]
    for at, (model, *counts) in enumerate(SWINGING[:3]):
        sums.note(model, in_flight(counts), units(model), through, Steady(20.0 * at))

    sums.forget()

    assert sums.note(B, in_flight((2, 2)), units(B), through, Steady(60.0)) is None
