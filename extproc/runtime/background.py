"""Work that goes on beside the requests: whatever goes wrong in it, the processor goes on and it is begun anew."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Final

import structlog

log = structlog.get_logger("extproc.background")

_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
_HEALTHY_SECONDS: Final = 10.0
_LAST_SECONDS: Final = 3.0


class Background:
    """Keeps tasks running. `count` hears of each failure, by the name of the task."""

    def __init__(self, count: Callable[[str], None]) -> None:
        self._count = count
        self.failing: dict[str, str] = {}
        """The tasks that have failed and not run well since, with the kind of their latest error."""

    async def keep(self, name: str, run: Callable[[], Coroutine[None, None, None]]) -> None:
        """Runs the task, again and again if it fails: after 1, 2, 4 … 60 s, and 1 s once it has been well for ten.

        Returns when the task returns, and ends with it when it is cancelled.
        """
        pause = _FIRST_PAUSE
        while True:
            began = time.monotonic()
            try:
                await self._run(name, run())
                return
            except Exception as error:  # noqa: BLE001 - whatever it is, it must not end the processor
                pause = _FIRST_PAUSE if time.monotonic() - began >= _HEALTHY_SECONDS else pause
                self._tell(name, error, pause)
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, 2 * pause)

    async def _run(self, name: str, running: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(running)
        try:
            await asyncio.wait((task,), timeout=_HEALTHY_SECONDS)
            if not task.done():
                self.failing.pop(name, None)
            await asyncio.shield(task)
        finally:
            if not task.done():
                await self._end(name, task)

    async def _end(self, name: str, task: "asyncio.Future[None]") -> None:
        """Ends a task. A library may lose a cancellation that comes at a wrong moment: then there is another."""
        while not task.done():
            task.cancel()
            await asyncio.wait((task,), timeout=_LAST_SECONDS)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):  # its last words; there is no next time
            self._tell(name, error, pause=None)

    def _tell(self, name: str, error: Exception, pause: float | None) -> None:
        kind = _kind(error)
        self._count(name)
        is_new = self.failing.get(name) != kind
        self.failing[name] = kind
        # The traceback once, while it is news; after that its kind alone.
        log.error("a background task failed", task=name, why=kind, pause=pause, exc_info=error if is_new else None)


def _kind(error: BaseException) -> str:
    """The name of an error; of a group the name of its first."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return type(error).__name__
