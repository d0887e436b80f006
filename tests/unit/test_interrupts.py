"""What Ctrl-C does while this or that goes on."""

import signal
from collections.abc import Iterator

import pytest

from extproc.interrupts import AT_ONCE, NOT_NOW, interrupts


@pytest.fixture(autouse=True)
def python_as_usual() -> Iterator[None]:
    """The tests may run in the background of a shell, which ignores Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("action", [AT_ONCE, NOT_NOW])
def test_it_is_so_within_and_then_as_before(action: signal.Handlers) -> None:
    before = signal.getsignal(signal.SIGINT)
    with interrupts(action):
        assert signal.getsignal(signal.SIGINT) is action

    assert signal.getsignal(signal.SIGINT) is before


def test_what_was_started_to_ignore_it_does_so() -> None:
    with interrupts(NOT_NOW), interrupts(AT_ONCE):
        signal.raise_signal(signal.SIGINT)
