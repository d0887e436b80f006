"""Answers that refuse: an agent waits as long as it is told, and its user hears why when waiting cannot help."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.scenario.agent_script import AGENT_FILE
from tests.harness.agents import CLAUDE_CODE, CODEX, MODEL, OPENCODE, Agent, take_turn
from tests.harness.readings import Readings
from tests.harness.stack import Stack, running_stack

RETRY_AFTER = 2


@pytest.fixture(scope="module")
def shared_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that tries nothing again itself, so that the agents see every refusal."""
    with running_stack(tmp_path_factory.mktemp("refusals"), MAX_RETRIES="0") as stack:
        yield stack


def refuse_first(stack: Stack, **answer: object) -> None:
    rule = {"match": {"model": MODEL, "nth": 1}, "answer": answer}
    stack.simulator.use(rules=[rule], default={"agent": True})


@pytest.mark.parametrize("agent", [CLAUDE_CODE, CODEX, OPENCODE], ids=lambda agent: agent.name)
def test_a_429_is_waited_out_as_long_as_it_says(agent: Agent, stack: Stack, before: Readings, tmp_path: Path) -> None:
    refuse_first(stack, code="1302", retry_after=str(RETRY_AFTER))

    turn = take_turn(agent, stack, tmp_path)

    assert turn.process.exit_code == 0, turn.process.errors
    assert (turn.folder / AGENT_FILE).exists()
    upstream = stack.simulator.log()
    refused = next(entry["started_monotonic"] for entry in upstream if entry["status"] == 429)
    answered = next(entry["started_monotonic"] for entry in upstream if entry["model"] == MODEL)
    assert RETRY_AFTER <= answered - refused < RETRY_AFTER + 10
    difference = stack.metrics_at_rest() - before
    assert difference.value("zai_proxy_zai_errors_total", code="1302") == 1


@pytest.mark.parametrize("agent", [CLAUDE_CODE, CODEX], ids=lambda agent: agent.name)
def test_an_overloaded_model_is_asked_again(agent: Agent, stack: Stack, tmp_path: Path) -> None:
    refuse_first(stack, code="1305", status=529)

    turn = take_turn(agent, stack, tmp_path)

    assert turn.process.exit_code == 0, turn.process.errors
    assert (turn.folder / AGENT_FILE).exists()
    assert [entry["status"] for entry in stack.simulator.log()] == [529, 200, 200]


def test_claude_code_stops_at_once_when_the_quota_is_used_up_and_says_until_when(stack: Stack, tmp_path: Path) -> None:
    stack.simulator.use(code="1308")

    turn = take_turn(CLAUDE_CODE, stack, tmp_path)

    assert turn.process.exit_code == 1
    assert "Usage limit reached for 5 hour. Your limit will reset at" in turn.process.output
    assert [entry["code"] for entry in stack.simulator.log()] == ["1308"]


@pytest.mark.parametrize("status", [429, 200], ids=["a 429", "the first event of a 200"])
def test_claude_code_goes_on_after_a_refusal_that_passes_though_it_says_that_the_plan_is_used_up(
    stack: Stack, tmp_path: Path, status: int
) -> None:
    # As they stand, these headers make it stop at once, as with 1308.
    refuse_first(stack, code="1302", status=status, unified_headers=True, retry_after="18000")

    turn = take_turn(CLAUDE_CODE, stack, tmp_path)

    assert turn.process.exit_code == 0, turn.process.errors
    assert (turn.folder / AGENT_FILE).exists()
    assert [entry["code"] for entry in stack.simulator.log()] == ["1302", None, None]


def test_codex_gives_up_at_once_when_the_quota_is_used_up(stack: Stack, tmp_path: Path) -> None:
    stack.simulator.use(code="1308")

    turn = take_turn(CODEX, stack, tmp_path)

    assert turn.process.exit_code == 1
    assert "429 Too Many Requests" in turn.process.errors
    assert len(stack.simulator.log()) == 1
