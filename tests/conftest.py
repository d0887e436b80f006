"""Fixtures for every test; what they start is shown only when a test fails."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.harness.readings import Readings
from tests.harness.stack import Stack, running_stack

# Two test processes share two cores with Envoy: how long an example takes says nothing.
settings.register_profile("shared-machine", deadline=None)
settings.load_profile("shared-machine")


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


@pytest.fixture
def before(stack: Stack) -> Readings:
    """The metrics as they were when the test began, with all that earlier tests did in them."""
    return stack.metrics_at_rest()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Adds what the processes of a stack wrote to the report of a test that failed."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    stack = getattr(item, "funcargs", {}).get("shared_stack")
    if report.failed and isinstance(stack, Stack):
        for process in (stack.processor, stack.envoy, stack.simulator.process):
            report.sections.append((process.name, process.output[-5000:]))
