"""Many agents on one small plan: the proxy makes them wait for each other, and none of them notices."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agents.teams import Member, all_ended_well, refused, take_turns_at_once, trouble_shown
from tests.harness.agents import CLAUDE_CODE, CODEX, OPENCODE, Agent, Turn, take_turn
from tests.harness.stack import Stack, running_stack

AGENTS = 10
PLAN = 3
TEAM: tuple[Member, ...] = ((CLAUDE_CODE, {}), (CODEX, {}), (OPENCODE, {}))


@pytest.fixture(scope="module")
def shared_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A plan that takes three requests at once, and a proxy that does not know it yet."""
    with running_stack(tmp_path_factory.mktemp("plan"), "--concurrency", str(PLAN), PACING="on") as stack:
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
    assert shared_stack.metrics_at_rest().value("zai_proxy_rate_limit_wait_seconds_sum") > 0


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
