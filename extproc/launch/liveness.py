"""Whether a program still lives: it is asked for a sign of life again and again, and nothing else counts as one."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

PATIENCE_SECONDS: Final = 5.0
_TICK_SECONDS: Final = 0.25
_LONGEST_TICK: Final = 2 * _TICK_SECONDS


class Silence:
    """How long a program has been silent, in the running time of whoever listens. Pure: the caller brings the time.

    If the listener looks late, no more than the usual time between two looks is counted: it did not run itself, so
    perhaps the program could not run either.
    """

    def __init__(self, now: float) -> None:
        self.seconds = 0.0
        self._looked = now

    def look(self, now: float) -> None:
        """Time has passed, and nothing was heard."""
        self.seconds += min(now - self._looked, _LONGEST_TICK)
        self._looked = now

    def end(self, now: float) -> None:
        """A sign of life has come."""
        self.seconds = 0.0
        self._looked = now


async def until_silent(gives_sign: Callable[[], Awaitable[bool]], patience: float = PATIENCE_SECONDS) -> float:
    """Returns the seconds of silence once it has lasted for `patience` seconds.

    One question may take all that time: an answer that comes late is a sign of life too.
    """
    now = asyncio.get_running_loop().time
    silence = Silence(now())
    asking = asyncio.ensure_future(gives_sign())
    try:
        while silence.seconds < patience:
            await asyncio.wait((asking,), timeout=_TICK_SECONDS)
            silence.look(now())
            if asking.done():
                # A question that fails, in whatever way, was not answered.
                if asking.exception() is None and asking.result():
                    silence.end(now())
                await asyncio.sleep(_TICK_SECONDS)
                asking = asyncio.ensure_future(gives_sign())
    finally:
        asking.cancel()
        await asyncio.wait((asking,))
    return silence.seconds
