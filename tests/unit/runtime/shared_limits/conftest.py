"""A real Valkey server for the script, where each test has a plan of its own."""

from collections.abc import Iterator

import pytest

from tests.harness.valkey import Valkey
from tests.unit.runtime.shared_limits.fleet import Store


@pytest.fixture(scope="package")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    server = Valkey(tmp_path_factory.mktemp("valkey"))
    yield server
    server.process.kill()


@pytest.fixture
def store(valkey: Valkey) -> Store:
    return Store(valkey.client())
