"""Agents of two models on a plan that limits each: Claude Code with both of its models, Codex and opencode beside."""

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from simulator.scenario.agent_script import AGENT_FILE
from tests.agents.tokens import balanced
from tests.harness.agents import CLAUDE_CODE, CODEX, MODEL, OPENCODE, SMALL_MODEL, Agent, Turn, take_turn
from tests.harness.stack import Stack, running_stack
from tests.harness.waiting import wait_until

PLACES = {MODEL: 2, SMALL_MODEL: 1}
# Claude Code asks for its small model when it likes: here whole conversations do, as sub-agents of it would.
TEAM: tuple[tuple[Agent, dict[str, str]], ...] = (
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
    shared_stack.simulator.use(agent=True, first_event_delay=0.5, end_pause=0.2)
    team = list(itertools.islice(itertools.cycle(TEAM), AGENTS))

    def take(number: int) -> Turn:
        agent, variables = team[number]
        return take_turn(agent, shared_stack, tmp_path_factory.mktemp(f"agent-{number}"), **variables)

    with balanced(shared_stack), ThreadPoolExecutor(AGENTS) as pool:
        with shared_stack.simulator.frozen():  # or on a slow machine they might come one after the other
            taken = pool.map(take, range(AGENTS))
            wait_until(lambda: bool(shared_stack.status()["waiting"]), "more of them ask than the plan takes")
        return list(taken)


def test_all_turns_end_well(turns: list[Turn]) -> None:
    assert [turn.process.exit_code for turn in turns] == [0] * AGENTS
    assert all((turn.folder / AGENT_FILE).exists() for turn in turns)


def test_no_client_shows_an_error(turns: list[Turn]) -> None:
    for turn in turns:
        shown = (turn.process.output + turn.process.errors).lower()
        assert not [word for word in ("429", "rate limit", "overloaded", "retrying") if word in shown]


def test_no_client_was_refused(turns: list[Turn], shared_stack: Stack) -> None:
    assert turns
    metrics = shared_stack.metrics_at_rest()
    for status in ("429", "503", "499"):
        assert metrics.value("zai_proxy_requests_total", status_code=status) == 0


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
