"""Fixtures for every test; what they start is shown only when a test fails."""

import os
import socket
from collections.abc import Generator, Iterator
from typing import Any, Final

import pytest
from hypothesis import settings

from tests.harness.certificates import Authority
from tests.harness.readings import Readings
from tests.harness.stack import Simulator, Stack, running_stack
from tests.harness.supervised import KEY

# Two test processes share two cores with Envoy: how long an example takes says nothing.
settings.register_profile("shared-machine", deadline=None)
settings.load_profile("shared-machine")


@pytest.fixture(scope="session", autouse=True)
def one_authority_to_read(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """httpx reads all authorities for each client; the system's take 50 ms of CPU, and no test meets one of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(Authority(tmp_path_factory.mktemp("authority")).certificate_file))
        yield


_REAL_HOST: Final = "z.ai"


@pytest.fixture(scope="session", autouse=True)
def no_test_finds_the_real_host() -> Iterator[None]:
    """Z.AI has no address in a process of tests: what runs in it reaches the simulator or nobody, also where a test has
    forgotten to say which. The commands that a test starts as processes are told by the test."""
    look_up = socket.getaddrinfo

    def look_up_others(host: Any, *others: Any, **named: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else str(host)
        if f".{name.rstrip('.').lower()}".endswith(f".{_REAL_HOST}"):
            raise socket.gaierror(socket.EAI_NONAME, f"no test looks up {name}")
        return look_up(host, *others, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", look_up_others)
        yield


@pytest.fixture(scope="module")
def shared_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One stack with default settings for the tests of a module."""
    with running_stack(tmp_path_factory.mktemp("stack")) as stack:
        yield stack


@pytest.fixture
def stack(shared_stack: Stack) -> Stack:
    """The module's stack, its simulator as new."""
    shared_stack.simulator.reset()
    return shared_stack


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """A fake Z.AI for the proxies that a module starts; it takes KEY."""
    simulator = Simulator(tmp_path_factory.mktemp("simulator"), KEY)
    yield simulator
    simulator.process.kill()


@pytest.fixture
def before(stack: Stack) -> Readings:
    """The metrics as they were when the test began, with all that earlier tests did in them."""
    return stack.metrics_at_rest()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests come first: what is short fills the gap that several processes leave at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds what the processes of a stack wrote to a failure's report; where CI is set, a skip is a failure."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {report.longrepr}"
    stack = getattr(item, "funcargs", {}).get("shared_stack")
    if report.failed and isinstance(stack, Stack):
        for process in (stack.processor, stack.envoy, stack.simulator.process):
            report.sections.append((process.name, process.output[-5000:]))
    return report
