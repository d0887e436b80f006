"""Agents of two models on a plan that limits each: Claude Code with both of its models, Codex and opencode beside."""

import itertools
from collections.abc import Iterator

import pytest

from tests.agents.teams import Member, all_ended_well, refused, take_turns_at_once, trouble_shown
from tests.harness.agents import CLAUDE_CODE, CODEX, MODEL, OPENCODE, SMALL_MODEL, Turn
from tests.harness.stack import Stack, running_stack

PLACES = {MODEL: 2, SMALL_MODEL: 1}
# Claude Code asks for its small model when it likes: here whole conversations do, as sub-agents of it would.
TEAM: tuple[Member, ...] = (
    (CLAUDE_CODE, {}),
    (CLAUDE_CODE, {"ANTHROPIC_MODEL": SMALL_MODEL}),
    (CODEX, {}),
    (OPENCODE, {}),
)
AGENTS = 8


@pytest.fixture(scope="module")
def shared_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A plan that takes two requests of one model and one of another, and a proxy that does not know it yet."""
    limits = [f"--model-concurrency={model}={places}" for model, places in PLACES.items()]
    with running_stack(tmp_path_factory.mktemp("plan"), *limits, PACING="on") as stack:
        yield stack


@pytest.fixture(scope="module")
def turns(shared_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> list[Turn]:
    return take_turns_at_once(shared_stack, tmp_path_factory, list(itertools.islice(itertools.cycle(TEAM), AGENTS)))


def test_all_turns_end_well(turns: list[Turn]) -> None:
    assert all_ended_well(turns)


def test_no_client_shows_an_error(turns: list[Turn]) -> None:
    assert trouble_shown(turns) == []


def test_no_client_was_refused(turns: list[Turn], shared_stack: Stack) -> None:
    assert turns
    assert refused(shared_stack) == 0


def test_all_places_of_both_models_were_in_use(turns: list[Turn], shared_stack: Stack) -> None:
    assert turns
    models = shared_stack.simulator.stats()["models"]
    assert {model: models[model]["max_in_flight"] for model in PLACES} == PLACES
    asked = {entry["served"] for entry in shared_stack.status()["models"]}
    assert asked >= set(PLACES)


def test_each_model_has_limits_of_its_own(turns: list[Turn], shared_stack: Stack) -> None:
    assert turns
    limits = {limit["name"]: limit for limit in shared_stack.status()["model_limits"]}
    for model, places in PLACES.items():
        assert limits[model]["limit"] >= places
        assert limits[model]["in_flight"] == limits[model]["waiting"] == 0
