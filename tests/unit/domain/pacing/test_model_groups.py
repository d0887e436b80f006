"""Which models are held together, and what a storm leaves of what seemed so."""

import pytest

from extproc.domain.pacing.attribution import Attribution
from extproc.domain.pacing.clock import Steady
from extproc.domain.pacing.gate import Gate
from extproc.domain.pacing.model_groups import ModelGroups

A, B, C = "glm-a", "glm-b", "glm-c"


class Models:
    """Three models of which two swing: what one has more the other has less."""

    def __init__(self) -> None:
        self.gates = {name: Gate(3, 8) for name in (A, B, C)}
        self.groups = ModelGroups(self.gates, Gate(8, 8), Attribution(), 8, lambda: None)

    def others(self, model: str) -> dict[str, Gate]:
        return {name: gate for name, gate in self.gates.items() if name != model}

    def swing(self, at: float, *refusals: tuple[str, int, int]) -> None:
        for number, (model, of_a, of_b) in enumerate(refusals):
            in_flight = {A: of_a, B: of_b, C: 1}
            self.groups.refused_with(model, in_flight, self.others(model), Steady(at + 20.0 * number))

    def storm(self, *models: str, at: float) -> None:
        """Even single requests of some models are refused."""
        for after in (0.0, 2.0, 5.0):
            for model in models:
                t = Steady(at + after)
                self.gates[model].limit.refused(1, t, "upstream 1302", t, nothing_gets_through=True)
                self.groups.refused_alone(model, self.others(model), t)


def test_models_that_are_refused_at_one_sum_are_held_to_one_less() -> None:
    models = Models()
    models.swing(0.0, (A, 2, 2), (B, 1, 3), (A, 1, 3), (B, 2, 2), (A, 2, 2))

    assert set(models.groups.members(A)) == {A, B}
    (gate,) = models.groups.gates()
    assert gate.limit.limit == 3


@pytest.mark.parametrize(("struck", "are_held_together"), [((A,), True), ((A, C), False)])
def test_a_storm_of_several_models_says_nothing_of_who_shares_and_a_fall_to_one_place_is_none(
    struck: tuple[str, ...], are_held_together: bool
) -> None:
    models = Models()
    models.swing(0.0, (A, 2, 2), (B, 1, 3), (A, 1, 3))
    models.storm(*struck, at=50.0)
    models.swing(70.0, (B, 2, 2), (A, 2, 2))

    assert (set(models.groups.members(A)) == {A, B}) is are_held_together
