"""A proxy whose workers are all busy: an agent that comes meanwhile waits as it is told, and finishes."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from simulator.scenario.agent_script import AGENT_FILE
from tests.harness.agents import CLAUDE_CODE, CODEX, OPENCODE, Agent, take_turn
from tests.harness.readings import Readings
from tests.harness.stack import PROMPT, Stack, running_stack
from tests.harness.waiting import wait_until


@pytest.fixture(scope="module")
def shared_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with a single worker."""
    with running_stack(tmp_path_factory.mktemp("capacity"), MAX_WORKERS="1") as stack:
        yield stack


@contextmanager
def busy_worker(stack: Stack) -> Iterator[None]:
    """A stream that holds the only slot until the block ends."""
    headers = {"x-sim": json.dumps({"events": 2000, "pause": 0.05})}
    with httpx.stream("POST", f"{stack.url}/v1/messages", json={**PROMPT, "stream": True}, headers=headers) as response:
        assert response.status_code == 200
        yield


@pytest.mark.parametrize("agent", [CLAUDE_CODE, CODEX, OPENCODE], ids=lambda agent: agent.name)
def test_an_agent_that_is_refused_at_capacity_comes_back_and_finishes(
    agent: Agent, stack: Stack, before: Readings, tmp_path: Path
) -> None:
    stack.simulator.use(agent=True)
    refused = before.value("zai_proxy_rate_limit_rejections_total")
    with ThreadPoolExecutor(1) as pool:
        with busy_worker(stack):
            running = pool.submit(take_turn, agent, stack, tmp_path)
            wait_until(
                lambda: stack.metric("zai_proxy_rate_limit_rejections_total") > refused or running.done(),
                "the agent is refused",
                within=60,
            )
        turn = running.result()

    assert turn.process.exit_code == 0, turn.process.errors
    assert (turn.folder / AGENT_FILE).exists()
    difference = stack.metrics_at_rest() - before
    refusals = difference.value("zai_proxy_rate_limit_rejections_total", reason="capacity")
    assert refusals == difference.value("zai_proxy_requests_total", path=agent.path, status_code="503") > 0
