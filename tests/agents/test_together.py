"""Many agents on one small plan: the proxy makes them wait for each other, and none of them notices."""

import itertools
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from simulator.scenario.agent_script import AGENT_FILE
from tests.agents.tokens import balanced
from tests.harness.agents import CLAUDE_CODE, CODEX, OPENCODE, Agent, Turn, take_turn
from tests.harness.stack import Stack, running_stack
from tests.harness.waiting import wait_until

AGENTS = 10
PLAN = 3


@pytest.fixture(scope="module")
def shared_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A plan that takes three requests at once, and a proxy that does not know it yet."""
    with running_stack(tmp_path_factory.mktemp("plan"), "--concurrency", str(PLAN), PACING="on") as stack:
        yield stack


@pytest.fixture(scope="module")
def turns(shared_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> list[Turn]:
    shared_stack.simulator.use(agent=True, first_event_delay=0.5, end_pause=0.2)
    kinds = itertools.cycle((CLAUDE_CODE, CODEX, OPENCODE))

    def take(number: int) -> Turn:
        return take_turn(agents[number], shared_stack, tmp_path_factory.mktemp(f"agent-{number}"))

    agents = [next(kinds) for _ in range(AGENTS)]
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
    assert metrics.value("zai_proxy_requests_total", status_code="429") == 0
    assert metrics.value("zai_proxy_requests_total", status_code="503") == 0
    assert metrics.value("zai_proxy_requests_total", status_code="499") == 0
    assert metrics.value("zai_proxy_rate_limit_wait_seconds_sum") > 0


@pytest.fixture(scope="module")
def used_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A plan whose five hours end with its first answer, and a proxy that refuses what comes after."""
    options = ("--five-hour-credits", "0.0001", "--five-hour-seconds", "18000")
    settings = {"PACING": "on", "QUOTA_GATE": "on", "QUOTA_POLL_INTERVAL": "1"}
    with running_stack(tmp_path_factory.mktemp("used-up"), *options, **settings) as stack:
        yield stack


# Word for word what docs/clients.md quotes.
SHOWN = {
    CLAUDE_CODE.name: r"API Error: Request rejected \(429\) · .*(Your limit will reset at|it resets at) 20",
    CODEX.name: r"ERROR: exceeded retry limit, last status: 429 Too Many Requests, request id: ",
    OPENCODE.name: r"Error: .*(Your limit will reset at|it resets at) 20",
}


@pytest.mark.parametrize("agent", [CLAUDE_CODE, CODEX, OPENCODE], ids=lambda agent: agent.name)
def test_a_window_that_is_used_up_in_the_middle_of_a_turn_ends_it_in_these_words(
    agent: Agent, used_up: Stack, tmp_path: Path
) -> None:
    used_up.simulator.limit(five_hour_used=0)
    used_up.simulator.use(agent=True)

    turn = take_turn(agent, used_up, tmp_path)

    assert re.search(SHOWN[agent.name], turn.process.output + turn.process.errors), (
        turn.process.output + turn.process.errors
    )
