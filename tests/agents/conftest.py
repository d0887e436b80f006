"""Fixtures for tests with the real coding agents."""

import pytest

from tests.harness import agents


@pytest.fixture(scope="session", autouse=True)
def the_agents_are_installed() -> None:
    """Skips these tests where `make setup-agents` has not been."""
    if reason := agents.missing():
        pytest.skip(reason)
