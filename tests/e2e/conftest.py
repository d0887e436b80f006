"""Fixtures for tests with real clients."""

from collections.abc import Iterator

import pytest

from tests.agents.tokens import balanced, usage_in_status
from tests.harness.sdk_clients import CLIENT_VARIABLES
from tests.harness.stack import Stack, running_stack


@pytest.fixture(scope="package")
def shared_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One stack with default settings for all modules that bring none of their own."""
    with running_stack(tmp_path_factory.mktemp("e2e")) as stack:
        yield stack


@pytest.fixture(autouse=True)
def bare_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, base URL or proxy of the developer's own shell reaches a client."""
    for name in CLIENT_VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def stack(shared_stack: Stack) -> Iterator[Stack]:
    """The stack, its simulator as new. Once the test is over all books have to say the same."""
    shared_stack.simulator.reset()
    with balanced(shared_stack, usage=usage_in_status):
        yield shared_stack
