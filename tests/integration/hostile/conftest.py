"""One stack for all of these tests; after each of them it has to be as sound as before."""

from collections.abc import Iterator

import pytest

from tests.harness.stack import Stack, running_stack
from tests.harness.vitals import unharmed


@pytest.fixture(scope="package")
def shared_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with default settings, which has to survive everything that is done to it here."""
    with running_stack(tmp_path_factory.mktemp("hostile")) as stack:
        yield stack


@pytest.fixture(autouse=True)
def sound_proxy(stack: Stack) -> Iterator[None]:
    """The same processes serve the next caller, no slot is lost, nothing unadmitted went upstream."""
    with unharmed(stack):
        yield
