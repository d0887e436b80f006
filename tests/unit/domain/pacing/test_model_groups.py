"""Which models are held together, and what a storm leaves of what seemed so."""

import pytest

from extproc.domain.pacing.attribution import Attribution
from extproc.domain.pacing.clock import Steady
from extproc.domain.pacing.gate import Gate
from extproc.domain.pacing.model_groups import ModelGroups

A, B, C, D = "glm-a", "glm-b", "glm-c", "glm-d"
THREE = ((A, 2, 2, 1), (B, 1, 3, 1), (C, 1, 2, 2), (A, 3, 1, 1), (B, 1, 2, 2), (C, 2, 0, 3), (C, 2, 0, 3))


class Models:
    """Models of which some swing: what one has more the others have less."""

    def __init__(self, *names: str) -> None:
        self.gates = {name: Gate(3, 8) for name in names}
        self.account = Gate(8, 8)
        self.groups = ModelGroups(self.gates, self.account, Attribution(), 8, lambda: None)

    def others(self, model: str) -> dict[str, Gate]:
        return {name: gate for name, gate in self.gates.items() if name != model}

    def swing(self, at: float, *refusals: tuple[str, int, int, int]) -> None:
        for number, (model, of_a, of_b, of_c) in enumerate(refusals):
            in_flight = {A: of_a, B: of_b, C: of_c, D: 1}
            self.groups.refused_with(model, in_flight, self.others(model), Steady(at + 20.0 * number))

    def storm(self, *models: str, at: float) -> None:
        """Even single requests of some models are refused."""
        for after in (0.0, 2.0, 5.0):
            for model in models:
                t = Steady(at + after)
                self.gates[model].limit.refused(1, t, "upstream 1302", t, nothing_gets_through=True)
                self.groups.refused_alone(model, self.others(model), t)


def test_models_that_are_refused_at_one_sum_are_held_to_one_less() -> None:
    models = Models(A, B, C)
    models.swing(0.0, (A, 2, 2, 1), (B, 1, 3, 1), (A, 1, 3, 1), (B, 2, 2, 1), (A, 2, 2, 1))

    assert set(models.groups.members(A)) == {A, B}
    (gate,) = models.groups.gates()
    assert gate.limit.limit == 3


def test_three_of_four_models_may_share_a_limit() -> None:
    models = Models(A, B, C, D)
    models.swing(0.0, *THREE)

    assert set(models.groups.members(A)) == {A, B, C}
    assert not models.groups.members(D)


def test_what_all_of_three_models_share_is_the_accounts_limit() -> None:
    models = Models(A, B, C)
    models.account.correct(4, Steady(0.0))
    models.swing(0.0, *THREE)

    assert not models.groups.gates()
    assert not models.account.is_open


@pytest.mark.parametrize(("struck", "are_held_together"), [((A,), True), ((A, C), False)])
def test_a_storm_of_several_models_says_nothing_of_who_shares_and_a_fall_to_one_place_is_none(
    struck: tuple[str, ...], are_held_together: bool
) -> None:
    models = Models(A, B, C)
    models.swing(0.0, (A, 2, 2, 1), (B, 1, 3, 1), (A, 1, 3, 1))
    models.storm(*struck, at=50.0)
    models.swing(70.0, (B, 2, 2, 1), (A, 2, 2, 1))

    assert (set(models.groups.members(A)) == {A, B}) is are_held_together
