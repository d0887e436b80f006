"""What Ctrl-C does while this or that goes on. Imports next to nothing: it is needed before all else is there."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

Action = signal.Handlers | Callable[[int, FrameType | None], object]

AT_ONCE = signal.SIG_DFL
"""It ends the process, and says nothing: for as long as nothing has begun."""

NOT_NOW = signal.SIG_IGN
"""It does nothing: for what is over at once, and has to be whole."""

RAISED = signal.default_int_handler
"""It is a KeyboardInterrupt, or cancels what `asyncio.run` runs."""


@contextmanager
def interrupts(action: Action, *, also_ignored: bool = True) -> Iterator[None]:
    """Within, SIGINT does this. A process that was started to ignore it still does, without `also_ignored`."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN and not also_ignored:
        yield
        return
    signal.signal(signal.SIGINT, action)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def terminations_as_interrupts() -> Iterator[None]:
    """Within, SIGTERM is taken for SIGINT."""
    before = signal.signal(signal.SIGTERM, lambda _number, _frame: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
