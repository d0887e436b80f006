"""A whole turn of each agent: it asks, runs the tool that the model calls, reports the result, and shows the answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from simulator.scenario.agent_script import AGENT_FILE, AGENT_TEXT
from tests.agents.tokens import balanced
from tests.harness.agents import AGENTS, CLIENT_KEY, MODEL, Agent, Turn, take_turn
from tests.harness.readings import Readings
from tests.harness.stack import Stack

ANSWER = "The file is written, and that is all."


@dataclass(frozen=True)
class Seen:
    """One turn as everyone saw it: the agent, the simulator, and the metrics."""

    agent: Agent
    turn: Turn
    upstream: Sequence[Mapping[str, Any]]
    difference: Readings


@pytest.fixture(scope="module", params=AGENTS, ids=lambda agent: agent.name)
def seen(request: pytest.FixtureRequest, shared_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    shared_stack.simulator.reset()
    shared_stack.simulator.use(agent=True, text=ANSWER, cached_tokens=640)
    before = shared_stack.metrics_at_rest()
    with balanced(shared_stack):
        turn = take_turn(request.param, shared_stack, tmp_path_factory.mktemp("agent"))
    difference = shared_stack.metrics_at_rest() - before
    return Seen(request.param, turn, shared_stack.simulator.log(), difference)


def test_the_agent_ends_well_and_shows_the_models_answer(seen: Seen) -> None:
    assert seen.turn.process.exit_code == 0, seen.turn.process.errors
    assert ANSWER in seen.turn.process.output


def test_the_tool_that_the_model_called_did_its_work(seen: Seen) -> None:
    assert (seen.turn.folder / AGENT_FILE).read_text().strip() == AGENT_TEXT


def test_the_model_was_asked_twice_the_second_time_with_the_tools_result(seen: Seen) -> None:
    assert [entry["status"] for entry in seen.upstream if entry["model"] == MODEL] == [200, 200]


def test_every_request_went_to_the_agents_own_api_and_was_answered(seen: Seen) -> None:
    assert {(entry["path"], entry["stream"]) for entry in seen.upstream} == {(seen.agent.upstream_path, True)}
    answered = seen.difference.value("zai_proxy_requests_total", path=seen.agent.path, status_code="200")
    assert answered == seen.difference.value("zai_proxy_requests_total") == len(seen.upstream)


def test_upstream_saw_the_proxys_key_and_no_other_credential(seen: Seen) -> None:
    form = "x-api-key" if "anthropic" in seen.agent.upstream_path else "authorization"
    for entry in seen.upstream:
        assert entry["key_seen_in"] == [form]
        assert {place for place, what in entry["credentials"].items() if what != "absent"} == {form}
        assert CLIENT_KEY not in str(entry)


def test_the_agent_never_saw_the_proxys_key(seen: Seen, shared_stack: Stack) -> None:
    assert shared_stack.key not in seen.turn.process.output + seen.turn.process.errors
    files = [file for file in seen.turn.folder.parent.rglob("*") if file.is_file() and not file.is_symlink()]
    assert files
    assert [file for file in files if shared_stack.key.encode() in file.read_bytes()] == []


def test_every_token_was_reported_by_upstream_and_none_is_estimated(seen: Seen) -> None:
    assert seen.difference.value("zai_proxy_estimated_tokens_total") == 0
    assert seen.difference.value("zai_proxy_usage_records_total", status="complete") == len(seen.upstream)


def test_the_agent_called_nobody_but_the_proxy(seen: Seen) -> None:
    assert seen.turn.process.outward_calls == 0
