"""Waiting in tests: a condition is polled until it holds or a deadline has passed."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_POLL_SECONDS = 0.02


async def eventually(look: Callable[[], T], holds: Callable[[T], bool], within: float = 60.0) -> T:
    """Returns what `look` saw once `holds` is true of it. Raises AssertionError with the last sight at the deadline."""
    deadline = time.monotonic() + within
    while not holds(seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"still {seen!r} after {within} s")
        await asyncio.sleep(_POLL_SECONDS)
    return seen


def wait_for(look: Callable[[], T], holds: Callable[[T], bool], within: float = 60.0) -> T:
    """The same where there is no event loop."""
    deadline = time.monotonic() + within
    while not holds(seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"still {seen!r} after {within} s")
        time.sleep(_POLL_SECONDS)
    return seen


def wait_until(condition: Callable[[], bool], what: str, within: float = 60.0) -> None:
    """Waits for a condition; `what` says in the error what should have happened."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {within} s")
        time.sleep(_POLL_SECONDS)
