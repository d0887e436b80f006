"""Many agents at once on a plan that is smaller than they are."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from simulator.scenario.agent_script import AGENT_FILE
from tests.agents.tokens import balanced
from tests.harness.agents import Agent, Turn, take_turn
from tests.harness.stack import Stack
from tests.harness.waiting import wait_until

Member = tuple[Agent, Mapping[str, str]]
"""An agent, and what its environment has beside the proxy's address."""
_WORDS_OF_TROUBLE = ("429", "rate limit", "overloaded", "retrying")


def take_turns_at_once(stack: Stack, folders: pytest.TempPathFactory, team: Sequence[Member]) -> list[Turn]:
    """Each member takes a turn, all at the same time; some have to wait."""
    stack.simulator.use(agent=True, first_event_delay=0.5, end_pause=0.2)

    def take(number: int) -> Turn:
        agent, variables = team[number]
        return take_turn(agent, stack, folders.mktemp(f"agent-{number}"), **variables)

    with balanced(stack), ThreadPoolExecutor(len(team)) as pool:
        with stack.simulator.frozen():  # or on a slow machine they might come one after the other
            taken = pool.map(take, range(len(team)))
            wait_until(lambda: bool(stack.status()["waiting"]), "more of them ask than the plan takes")
        return list(taken)


def all_ended_well(turns: Sequence[Turn]) -> bool:
    """Whether each agent ended without an error, with its work done."""
    return all(turn.process.exit_code == 0 and (turn.folder / AGENT_FILE).exists() for turn in turns)


def trouble_shown(turns: Sequence[Turn]) -> list[str]:
    """The words of trouble that any of them printed."""
    shown = [(turn.process.output + turn.process.errors).lower() for turn in turns]
    return [word for word in _WORDS_OF_TROUBLE if any(word in each for each in shown)]


def refused(stack: Stack) -> float:
    """How many requests were refused."""
    metrics = stack.metrics_at_rest()
    return sum(metrics.value("zai_proxy_requests_total", status_code=status) for status in ("429", "503"))
