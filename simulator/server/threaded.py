"""A simulator in a thread of its own, for tests and tools that have another event loop, or none."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any, TypeVar

from simulator.scenario.rulebook import Rulebook, rulebook_from
from simulator.server.app import serve
from simulator.server.settings import SimulatorSettings

T = TypeVar("T")
_PATIENCE = 10.0


class SimulatorThread:
    """Listens from the constructor's return until `stop`. Every method may be called from any thread.

    Raises what kept the simulator from starting, OSError for a taken port.
    """

    def __init__(self, settings: SimulatorSettings | None = None) -> None:
        self._open = AsyncExitStack()
        self._loop = new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="simulator", daemon=True)
        self._thread.start()
        try:
            self.running = self._run(self._open.enter_async_context(serve(settings or SimulatorSettings())))
        except BaseException:
            self._end_thread()
            raise

    def __enter__(self) -> SimulatorThread:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE)

    def _end_thread(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE)
        self._loop.close()

    @property
    def url(self) -> str:
        return self.running.url

    @property
    def port(self) -> int:
        return self.running.port

    def _ask(self, question: Callable[[], T]) -> T:
        """Runs `question` in the simulator's loop, so that nothing changes meanwhile."""

        async def ask() -> T:
            return question()

        return self._run(ask())

    def log(self, since: int = 0) -> list[dict[str, Any]]:
        """The journal's entries after the id `since`, as /_simulator/log gives them."""
        journal = self.running.state.journal
        return self._ask(lambda: [entry.as_json() for entry in journal.since(since)])

    def stats(self) -> dict[str, Any]:
        """As /_simulator/stats gives them."""
        return self._ask(lambda: self.running.state.stats(time.time()))

    def reset(self) -> None:
        """Forgets the journal, and puts scenarios and limits back as they were at the start."""
        self._ask(lambda: self.running.state.reset(time.time()))

    def set_default_scenario(self, scenario: dict[str, object] | Rulebook) -> None:
        """A scenario (or {"default", "rules"}) for requests without an x-sim header. Raises ScenarioError."""
        book = scenario if isinstance(scenario, Rulebook) else rulebook_from(scenario)
        self._ask(lambda: self.running.state.use(book))

    def stop(self) -> None:
        """Ends the simulator and its connections; a second call does nothing."""
        if not self._loop.is_closed():
            self._run(self._open.aclose())
            self._end_thread()


def new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's where it is installed: it is twice as fast."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
