"""Fixtures for tests with the real coding agents."""

from collections.abc import Iterator

import pytest

from tests.agents.tokens import balanced
from tests.harness import agents
from tests.harness.stack import Stack


@pytest.fixture(scope="session", autouse=True)
def the_agents_are_installed() -> None:
    """Skips these tests where `make setup-agents` has not been."""
    if reason := agents.missing():
        pytest.skip(reason)


@pytest.fixture
def stack(shared_stack: Stack) -> Iterator[Stack]:
    """The module's stack, its simulator as new. Once the test is over all books have to say the same."""
    shared_stack.simulator.reset()
    with balanced(shared_stack):
        yield shared_stack
