"""Places that the upstream gives back a moment after the answer has ended."""

import pytest

from extproc.domain.pacing.config import PacingConfig
from extproc.domain.pacing.release_lag import ReleaseLag
from extproc.domain.pacing.scheduler import Pacing
from tests.unit.domain.pacing.plan_model import Agent, Gate, Plan, World

HORIZON = 600.0
SETTLED = 20.0


def doubting(level: int = 1) -> ReleaseLag:
    """One that has just been refused at a level, 0.02 s after an answer had ended at 9.98."""
    lag = ReleaseLag()
    lag.ended(9.98)
    assert lag.excuses(level, 10.0, 10.1)
    return lag


def learning() -> ReleaseLag:
    """One that knows since 12.6 that places are late."""
    lag = doubting()
    lag.started(1, 10.6)
    lag.ended(12.6)
    return lag


def test_without_a_refusal_no_place_is_left_alone() -> None:
    lag = ReleaseLag()
    lag.ended(1.0)
    assert (lag.left_alone(1.0, trying=False), lag.next_release(1.0, trying=False)) == (0, None)


def test_a_refusal_long_after_the_last_answer_is_a_lesson() -> None:
    lag = ReleaseLag()
    lag.ended(1.0)
    assert not lag.excuses(1, 1.6, 1.7)


def test_a_refusal_in_the_midst_of_many_answers_is_a_lesson() -> None:
    lag = ReleaseLag()
    for end in (1.0, 1.1, 1.2):
        lag.ended(end)
    assert not lag.excuses(3, 1.3, 1.4)


def test_while_it_is_in_doubt_a_place_is_left_alone_for_half_a_second() -> None:
    lag = doubting()
    lag.ended(11.0)
    assert lag.left_alone(11.4, trying=False) == 1
    assert lag.next_release(11.4, trying=False) == pytest.approx(11.5)
    assert lag.left_alone(11.51, trying=False) == 0


def test_what_was_under_way_before_the_doubt_is_excused_with_it() -> None:
    assert doubting().excuses(1, 10.05, 10.2)


def test_who_is_refused_even_so_teaches() -> None:
    lag = doubting()
    assert not lag.excuses(1, 10.7, 10.8)
    assert lag.left_alone(10.8, trying=False) == 0


def test_who_is_refused_at_a_higher_level_teaches_and_the_doubt_goes_on() -> None:
    lag = doubting(level=1)
    assert not lag.excuses(2, 10.7, 10.8)
    lag.ended(11.0)
    assert lag.left_alone(11.1, trying=False) == 1


def test_who_is_refused_soon_after_an_answer_while_it_is_in_doubt_is_excused_too() -> None:
    lag = doubting(level=2)
    lag.ended(10.5)
    assert lag.excuses(1, 10.7, 10.8)


def test_who_is_refused_though_fewer_were_in_flight_even_with_all_late_places_teaches_and_ends_the_doubt() -> None:
    lag = doubting(level=4)
    lag.ended(10.5)
    assert not lag.excuses(2, 10.7, 10.8)
    assert lag.left_alone(10.8, trying=False) == 0


def test_a_doubt_that_cannot_be_settled_is_given_up_and_the_next_one_waits() -> None:
    lag = doubting()
    lag.ended(16.0)
    assert lag.left_alone(16.0, trying=False) == 0
    assert not lag.excuses(1, 16.01, 16.1)
    lag.ended(40.0)
    assert lag.excuses(1, 40.01, 40.1)


def test_while_the_limit_tries_one_more_places_are_left_alone_but_not_in_the_midst_of_many_answers() -> None:
    lag = ReleaseLag()
    lag.ended(1.0)
    assert (lag.left_alone(1.2, trying=True), lag.left_alone(1.31, trying=True)) == (1, 0)
    assert lag.next_release(1.2, trying=True) == pytest.approx(1.3)
    lag.ended(1.41)
    lag.ended(1.42)
    assert lag.left_alone(1.45, trying=True) == 0


def test_who_gets_through_at_the_level_that_was_refused_shows_the_lag() -> None:
    lag = learning()
    assert lag.left_alone(12.61, trying=False) == 1
    assert lag.next_release(12.61, trying=False) == pytest.approx(12.6 + 0.02 * 1.3 + 0.05)
    assert lag.left_alone(12.7, trying=False) == 0


def test_who_gets_through_below_the_level_shows_nothing() -> None:
    lag = doubting(level=2)
    lag.started(1, 10.6)
    lag.ended(20.2)
    assert lag.left_alone(20.2, trying=False) == 0


def test_a_lag_that_is_longer_than_was_known_is_learned_in_steps() -> None:
    lag = learning()
    assert lag.excuses(1, 12.68, 12.7)
    lag.started(1, 13.2)
    lag.ended(15.3)
    assert lag.next_release(15.3, trying=False) == pytest.approx(15.3 + 0.08 * 1.3 + 0.05, abs=0.01)


def test_what_was_learned_fades() -> None:
    lag = learning()
    lag.ended(1000.0)
    assert lag.left_alone(1000.0, trying=False) == 0


@pytest.mark.parametrize("mean", [3.0, 10.0])
@pytest.mark.parametrize("places", [(1,), (2,), (2, 6, 1)], ids=str)
@pytest.mark.parametrize("seed", range(2))
def test_models_whose_places_come_back_late_are_in_use_nearly_as_much_as_the_lag_allows(
    places: tuple[int, ...], mean: float, seed: int
) -> None:
    late = 0.15
    gates = {f"m{number}": each for number, each in enumerate(places)}
    plan = Plan(
        capacity=[(0.0, 1000)],
        gates=[Gate(frozenset({model}), [(0.0, each)]) for model, each in gates.items()],
        mean=mean,
        sigma=0.3,
        release_lag=late,
    )
    pacing = Pacing(PacingConfig(max_workers=60, rate_initial=100, rate_burst=100))
    world = World(plan, pacing, seed, HORIZON)
    world.counts_from = SETTLED
    world.run([Agent(f"{model}-{n}", model=model) for model, each in gates.items() for n in range(2 * each + 2)])

    used = {model: world.place_seconds[model] / (HORIZON - SETTLED) / each for model, each in gates.items()}
    assert min(used.values()) > 0.85, used
    assert world.refused_to_clients == 0
