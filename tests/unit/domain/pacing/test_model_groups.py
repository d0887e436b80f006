"""Which models are held together, and what a storm leaves of what seemed so."""

from collections.abc import Mapping

import pytest

from extproc.domain.pacing.attribution import Attribution
from extproc.domain.pacing.clock import Steady
from extproc.domain.pacing.gate import Gate
from extproc.domain.pacing.model_groups import ModelGroups

A, B, C, D = "glm-a", "glm-b", "glm-c", "glm-d"
TWO = ((A, 2, 2, 1), (B, 1, 3, 1), (A, 1, 3, 1), (B, 2, 2, 1))
TWO_GOT_THROUGH = ((50.0, 2, 1, 1), (51.0, 0, 3, 1))
THREE = ((A, 2, 2, 1), (B, 1, 3, 1), (C, 1, 2, 2), (A, 3, 1, 1), (B, 1, 2, 2), (C, 2, 0, 3))
THREE_GOT_THROUGH = ((62.0, 3, 1, 0), (65.0, 1, 3, 0), (66.0, 0, 2, 2), (68.0, 1, 1, 2))


class Models:
    """Models of which some swing: what one has more the others have less."""

    def __init__(self, *names: str) -> None:
        self.gates = {name: Gate(3, 8) for name in names}
        self.account = Gate(8, 8)
        self.attribution = Attribution()
        self.groups = ModelGroups(self.gates, self.account, self.attribution, 8, lambda: None)

    def others(self, model: str) -> dict[str, Gate]:
        return {name: gate for name, gate in self.gates.items() if name != model}

    def swing(self, at: float, *refusals: tuple[str, int, int, int]) -> None:
        for number, (model, of_a, of_b, of_c) in enumerate(refusals):
            in_flight = {A: of_a, B: of_b, C: of_c, D: 1}
            self.groups.refused_with(model, in_flight, self.others(model), Steady(at + 20.0 * number))

    def get_through(self, *starts: tuple[float, int, int, int]) -> None:
        for at, of_a, of_b, of_c in starts:
            self.attribution.started(A, (), {A: of_a, B: of_b, C: of_c, D: 1}, Steady(at))

    def storm(self, *models: str, at: float, beside: Mapping[str, int]) -> None:
        """Even single requests of some models are refused, with so many of others at the upstream."""
        for after in (0.0, 2.0, 5.0):
            for model in models:
                t = Steady(at + after)
                self.gates[model].limit.refused(1, t, "upstream 1302", t, nothing_gets_through=True)
                self.groups.refused_with(model, {model: 1, **beside}, self.others(model), t)
                self.groups.refused_alone(model, self.others(model), t)


def test_models_that_are_refused_at_one_sum_are_held_to_one_less() -> None:
    models = Models(A, B, C)
    models.get_through(*TWO_GOT_THROUGH)
    models.swing(0.0, *TWO)

    assert set(models.groups.members(A)) == {A, B}
    (gate,) = models.groups.gates()
    assert gate.limit.limit == 3


def test_three_of_four_models_may_share_a_limit() -> None:
    models = Models(A, B, C, D)
    models.get_through(*THREE_GOT_THROUGH)
    models.swing(0.0, *THREE)

    assert set(models.groups.members(A)) == {A, B, C}
    assert not models.groups.members(D)


def test_what_all_of_three_models_share_is_the_accounts_limit() -> None:
    models = Models(A, B, C)
    models.get_through(*THREE_GOT_THROUGH)
    models.swing(0.0, *THREE)

    assert not models.groups.gates()
    assert models.account.limit.limit == 4


def test_an_account_that_is_known_to_have_no_more_is_tried_no_later_for_it() -> None:
    models = Models(A, B, C)
    models.account.limit.assume(4, Steady(0.0))
    models.get_through(*THREE_GOT_THROUGH)
    models.swing(0.0, *THREE)

    assert models.account.limit.ceiling is not None
    assert models.account.limit.ceiling.seen == 0.0


@pytest.mark.parametrize(("struck", "beside", "are_held_together"), [((A,), {B: 3}, True), ((A, C), {}, False)])
def test_a_storm_of_several_models_says_nothing_of_who_shares_and_a_fall_to_one_place_is_none(
    struck: tuple[str, ...], beside: dict[str, int], are_held_together: bool
) -> None:
    models = Models(A, B, C)
    models.get_through(*TWO_GOT_THROUGH)
    models.swing(0.0, *TWO[:-1])
    models.storm(*struck, at=50.0, beside=beside)
    models.swing(70.0, *TWO[-1:])

    assert (set(models.groups.members(A)) == {A, B}) is are_held_together
