"""What Ctrl-C does while this or that goes on."""

import signal

import pytest

from extproc.interrupts import AT_ONCE, NOT_NOW, interrupts


@pytest.mark.parametrize("action", [AT_ONCE, NOT_NOW])
def test_it_is_so_within_and_then_as_before(action: signal.Handlers) -> None:
    before = signal.getsignal(signal.SIGINT)
    with interrupts(action):
        assert signal.getsignal(signal.SIGINT) is action

    assert signal.getsignal(signal.SIGINT) is before


def test_what_was_started_to_ignore_it_does_so() -> None:
    with interrupts(NOT_NOW), interrupts(AT_ONCE):
        signal.raise_signal(signal.SIGINT)
