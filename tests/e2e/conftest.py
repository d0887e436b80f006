"""Fixtures for tests with real clients."""

from collections.abc import Iterator

import pytest

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
