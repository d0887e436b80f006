"""What an agent sends before its first question, and what it makes of the answer."""

from pathlib import Path

import pytest

from simulator.scenario.agent_script import AGENT_FILE
from tests.harness.agents import CLAUDE_CODE, CODEX_WITH_WEBSOCKETS, take_turn
from tests.harness.readings import Readings
from tests.harness.sealed_network import can_seal
from tests.harness.stack import Stack


def test_claude_codes_look_whether_the_proxy_is_there_is_answered(
    stack: Stack, before: Readings, tmp_path: Path
) -> None:
    if not can_seal():
        pytest.skip("Claude Code looks only where no web proxy is set, so this needs a network namespace")
    stack.simulator.use(agent=True)

    turn = take_turn(CLAUDE_CODE, stack, tmp_path, CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="")

    assert turn.process.exit_code == 0, turn.process.errors
    difference = stack.metrics_at_rest() - before
    assert difference.value("zai_proxy_requests_total", method="HEAD") == 1
    assert difference.labels("zai_proxy_requests_total", "status_code") == {"200"}
    assert {entry["method"] for entry in stack.simulator.log()} == {"POST"}


def test_codex_takes_the_refusal_of_its_websocket_at_once_and_goes_on_over_http(
    stack: Stack, before: Readings, tmp_path: Path
) -> None:
    stack.simulator.use(agent=True)

    turn = take_turn(CODEX_WITH_WEBSOCKETS, stack, tmp_path)

    assert turn.process.exit_code == 0, turn.process.errors
    assert (turn.folder / AGENT_FILE).exists()
    assert "Reconnecting" not in turn.process.errors
    requests = stack.metrics_at_rest() - before
    assert requests.value("zai_proxy_requests_total", path=CODEX_WITH_WEBSOCKETS.path, status_code="426") == 1
    assert requests.value("zai_proxy_requests_total", path=CODEX_WITH_WEBSOCKETS.path, status_code="200") == 2
