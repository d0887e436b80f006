"""What Ctrl-C does while this or that goes on."""

import signal

import pytest

from extproc.interrupts import AT_ONCE, NOT_NOW, RAISED, interrupts, terminations_as_interrupts


@pytest.mark.parametrize("action", [AT_ONCE, NOT_NOW, RAISED])
def test_it_is_so_within_and_then_as_before(action: signal.Handlers) -> None:
    before = signal.getsignal(signal.SIGINT)
    with interrupts(action):
        assert signal.getsignal(signal.SIGINT) is action

    assert signal.getsignal(signal.SIGINT) is before


def test_what_was_started_to_ignore_it_does_so_unless_that_is_overruled() -> None:
    with interrupts(NOT_NOW):
        with interrupts(AT_ONCE, also_ignored=False):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt), interrupts(RAISED):
            signal.raise_signal(signal.SIGINT)


def test_a_termination_can_be_taken_for_one() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), terminations_as_interrupts(), interrupts(RAISED):
        signal.raise_signal(signal.SIGTERM)

    assert signal.getsignal(signal.SIGTERM) is before
