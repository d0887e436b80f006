"""One simulator for a test module, as new for each test, and a client that holds its key."""

import secrets
from collections.abc import Iterator

import pytest

from simulator.server.settings import SimulatorSettings
from simulator.server.threaded import SimulatorThread
from tests.unit.simulator.talk import Api


@pytest.fixture(scope="module")
def key() -> str:
    return f"{secrets.token_hex(16)}.{secrets.token_hex(8)}"


@pytest.fixture(scope="module")
def shared_simulator(key: str) -> Iterator[SimulatorThread]:
    with SimulatorThread(SimulatorSettings(key=key)) as simulator:
        yield simulator


@pytest.fixture
def simulator(shared_simulator: SimulatorThread) -> SimulatorThread:
    shared_simulator.reset()
    return shared_simulator


@pytest.fixture
def api(simulator: SimulatorThread, key: str) -> Iterator[Api]:
    with Api(simulator, key) as api:
        yield api
