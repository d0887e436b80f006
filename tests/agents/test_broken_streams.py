"""Streams that do not end well: each agent asks again, and its user sees a finished turn."""

import json
from pathlib import Path

import pytest

from simulator.scenario.agent_script import AGENT_FILE
from tests.agents.tokens import counted, reported
from tests.harness.agents import CLAUDE_CODE, CODEX, MODEL, OPENCODE, Agent, take_turn
from tests.harness.readings import Readings
from tests.harness.stack import Stack

OVERLOADED = "The service may be temporarily overloaded, please try again later"
ERRORS = {
    CLAUDE_CODE.name: {
        "type": "error",
        "error": {"type": "overloaded_error", "message": f"[1305][{OVERLOADED}][2026]"},
    },
    CODEX.name: {"type": "response.failed", "response": {"error": {"code": "1305", "message": OVERLOADED}}},
    OPENCODE.name: {"error": {"code": "1305", "message": OVERLOADED}},
}


def break_the_first_stream(stack: Stack, fault: str) -> None:
    broken = {"fault": fault, "after_events": 3, "pause": 0.02}
    rule = {"match": {"model": MODEL, "nth": 1}, "answer": broken}
    stack.simulator.use(rules=[rule], default={"agent": True})


@pytest.mark.parametrize("agent", [CLAUDE_CODE, CODEX, OPENCODE], ids=lambda agent: agent.name)
def test_an_agent_whose_stream_is_cut_asks_again_and_finishes(
    agent: Agent, stack: Stack, before: Readings, tmp_path: Path
) -> None:
    break_the_first_stream(stack, "reset")

    turn = take_turn(agent, stack, tmp_path)

    assert turn.process.exit_code == 0, turn.process.errors
    assert (turn.folder / AGENT_FILE).exists()
    upstream = stack.simulator.log()
    assert len([entry for entry in upstream if entry["model"] == MODEL]) == 3
    difference = stack.metrics_at_rest() - before
    assert difference.value("zai_proxy_upstream_errors_total", error_type="read_error") == 1
    assert difference.value("zai_proxy_estimated_tokens_total", model=MODEL) > 0
    assert counted(difference) == reported(upstream)


@pytest.mark.parametrize("agent", [CLAUDE_CODE, CODEX, OPENCODE], ids=lambda agent: agent.name)
def test_an_agent_does_not_notice_an_error_as_the_first_event(
    agent: Agent, stack: Stack, before: Readings, tmp_path: Path
) -> None:
    failure = {"times": 1, "play": [0.1, f"data: {json.dumps(ERRORS[agent.name])}\n\n", 0.02]}
    stack.simulator.use(agent=True, fail_first=failure, end_pause=0.2)

    turn = take_turn(agent, stack, tmp_path)

    assert turn.process.exit_code == 0, turn.process.errors
    assert (turn.folder / AGENT_FILE).exists()
    shown = (turn.process.output + turn.process.errors).lower()
    assert not [word for word in ("1305", "overloaded", "error", "retry", "reconnect") if word in shown], shown
    difference = stack.metrics_at_rest() - before
    answered = difference.value("zai_proxy_requests_total", status_code="200")
    assert answered == difference.value("zai_proxy_requests_total") >= 2
    assert difference.value("zai_proxy_stream_guard_total", result="retried") == answered
    assert difference.value("zai_proxy_zai_errors_total", code="1305") == answered
    assert difference.value("zai_proxy_upstream_errors_total") == 0


def test_claude_code_asks_again_without_a_stream_when_an_error_comes_as_an_event(stack: Stack, tmp_path: Path) -> None:
    break_the_first_stream(stack, "error_event")

    turn = take_turn(CLAUDE_CODE, stack, tmp_path)

    assert turn.process.exit_code == 0, turn.process.errors
    assert (turn.folder / AGENT_FILE).exists()
    assert [entry["stream"] for entry in stack.simulator.log()] == [True, False, True]
