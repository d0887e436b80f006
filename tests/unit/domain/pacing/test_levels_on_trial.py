"""A level that is in use has proven to be there if all of it was at the upstream for two seconds without a refusal."""

import pytest

from extproc.domain.pacing.clock import Steady
from extproc.domain.pacing.levels_on_trial import LevelsOnTrial


def busy() -> LevelsOnTrial:
    """Six run: four since the first second, which is known, the fifth and the sixth since the fifth second."""
    levels = LevelsOnTrial()
    for level, at in ((4, 1.0), (5, 5.0), (6, 5.1)):
        levels.started(level, Steady(at))
    assert list(levels.proven(0, Steady(5.2))) == [4]
    return levels


def test_what_was_at_the_upstream_for_two_seconds_without_a_refusal_is_proven() -> None:
    levels = busy()
    assert levels.proven_at(6) == pytest.approx(7.1)
    assert list(levels.proven(4, Steady(6.9))) == []
    assert list(levels.proven(4, Steady(8.0))) == [5, 6]


@pytest.mark.parametrize(
    ("level", "started", "proven"), [(6, 5.1, [5]), (8, 5.1, [5]), (6, 5.0, []), (7, 4.0, []), (9, 0.5, [])]
)
def test_a_level_is_not_proven_by_what_was_refused_nor_by_what_was_counted_with_it(
    level: int, started: float, proven: list[int]
) -> None:
    levels = busy()
    levels.distrust(level, Steady(started))
    assert list(levels.proven(4, Steady(8.0))) == proven


def test_a_refusal_that_is_told_late_says_what_was_proven_before_its_attempt_seemed_to_prove_more() -> None:
    levels = busy()
    assert list(levels.proven(4, Steady(8.0))) == [5, 6]
    assert levels.distrust(6, Steady(5.1)) == 5
    assert levels.distrust(6, Steady(5.1)) is None


@pytest.mark.parametrize(("ended", "proven"), [(5.15, [5]), (5.25, [5, 6])])
def test_what_had_just_started_when_an_answer_ended_may_have_arrived_after_that(
    ended: float, proven: list[int]
) -> None:
    levels = busy()
    levels.answered(Steady(ended))
    assert list(levels.proven(4, Steady(8.0))) == proven


def test_among_many_answers_each_start_is_just_before_an_end_so_it_counts() -> None:
    levels = LevelsOnTrial()
    for hundredth in range(5):
        levels.answered(Steady(4.96 + hundredth / 100))
    levels.started(2, Steady(5.0))
    levels.answered(Steady(5.02))
    assert list(levels.proven(0, Steady(8.0))) == [2]


def test_what_was_answered_alone_was_there_however_soon() -> None:
    levels = LevelsOnTrial()
    levels.started(1, Steady(1.0))
    levels.answered(Steady(1.05))
    assert list(levels.proven(0, Steady(3.0))) == [1]


def test_what_may_not_be_in_flight_any_more_proves_nothing() -> None:
    levels = busy()
    levels.fell(3)
    assert not levels
    assert list(levels.proven(0, Steady(8.0))) == []
