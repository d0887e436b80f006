"""What Ctrl-C does while this or that goes on. Imports next to nothing: it is needed before all else is there."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

AT_ONCE = signal.SIG_DFL
"""It ends the process, and says nothing: for as long as nothing has begun."""

NOT_NOW = signal.SIG_IGN
"""It does nothing: for what is over at once, and has to be whole."""


@contextmanager
def interrupts(action: signal.Handlers) -> Iterator[None]:
    """Within, SIGINT does this. A process that was started to ignore it still does."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGINT, action)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
