"""Two models that share places take from one another what each gains: they fall by turns."""

from extproc.domain.pacing.attribution import Attribution
from extproc.domain.pacing.clock import Steady
from extproc.domain.pacing.falls_by_turns import FallsByTurns
from extproc.domain.pacing.gate import Gate
from extproc.domain.pacing.limits import MCP
from extproc.domain.pacing.model_groups import ModelGroups


def fall(*falls: tuple[float, str]) -> bool:
    """Falls of glm-a and glm-b, one after the other. Returns whether they are by turns, by the last of them."""
    noted, by_turns = FallsByTurns(), False
    for at, model in falls:
        by_turns = noted.note(model, "glm-b" if model == "glm-a" else "glm-a", Steady(at))
    return by_turns


def test_three_falls_of_two_models_within_five_minutes_are_by_turns() -> None:
    assert fall((0.0, "glm-a"), (20.0, "glm-b"), (40.0, "glm-a"))
    assert fall((0.0, "glm-a"), (20.0, "glm-a"), (40.0, "glm-b"))


def test_one_change_of_the_plan_is_none() -> None:
    assert not fall((0.0, "glm-a"), (1.0, "glm-b"))


def test_a_model_that_falls_alone_does_it_by_no_turns() -> None:
    assert not fall(*((at, "glm-a") for at in (0.0, 20.0, 40.0, 60.0)))


def test_falls_that_are_far_apart_are_by_chance() -> None:
    assert not fall((0.0, "glm-a"), (200.0, "glm-b"), (301.0, "glm-a"))


def test_after_a_storm_nothing_is_remembered() -> None:
    noted = FallsByTurns()
    noted.note("glm-a", "glm-b", Steady(0.0))
    noted.note("glm-b", "glm-a", Steady(1.0))

    noted.forget()

    assert not noted.note("glm-a", "glm-b", Steady(2.0))


def held_together(stormy: str) -> bool:
    """Whether glm-a and glm-b are held together once they have fallen by turns, while even single requests of another
    are refused."""
    models = {name: Gate(3, 8) for name in ("glm-a", "glm-b", "glm-c", MCP)}
    others = {name: gate for name, gate in models.items() if name != MCP}
    attribution = Attribution()
    groups = ModelGroups(models, Gate(8, 8), attribution, 8, lambda: None)
    for at in (1.0, 3.0, 6.0):
        models[stormy].limit.refused(1, at, "upstream 1302", Steady(at), nothing_gets_through=True)
    for model in ("glm-a", "glm-b"):
        attribution.started(model, (), Steady(7.0))
        for at in (6.0, 10.0):
            models[model].limit.set_demand(True, Steady(at))
    for model in ("glm-a", "glm-b", "glm-a"):
        groups.fell(model, {name: gate for name, gate in others.items() if name != model}, Steady(10.0))
    return set(groups.members("glm-a")) == {"glm-a", "glm-b"}


def test_a_storm_of_models_says_nothing_of_who_shares_but_the_gate_of_tools_is_none() -> None:
    assert not held_together("glm-c")
    assert held_together(MCP)
