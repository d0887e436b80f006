"""Output that never makes anybody wait: a thread writes, and what can't be written is dropped and counted."""

import atexit
import os
import threading
from collections.abc import Callable
from typing import Final

_MOST_BYTES: Final = 1024 * 1024
_LAST_SECONDS: Final = 1.0


def _nothing(_lines: int) -> None:
    """Where nobody wants to know."""


class LineWriter:
    """Writes text to a descriptor. `write` returns at once, whoever reads there or does not.

    A pipe that nobody reads blocks who writes to it, and so does a terminal that is held. Only the thread waits then;
    1 MiB is kept for it, and what comes beyond is lost, as is what a closed pipe or a full disk does not take.
    `on_loss` hears of lost lines at once, `on_flow` how many they were once the rest has been written again; both may
    be called in any thread.
    """

    def __init__(
        self, descriptor: int, on_loss: Callable[[int], None] = _nothing, on_flow: Callable[[int], None] = _nothing
    ) -> None:
        self.on_loss = on_loss
        self.on_flow = on_flow
        self._descriptor = descriptor
        self._changed = threading.Condition()
        self._waiting: list[bytes] = []
        self._bytes = 0
        self._lost = 0
        self._thread: threading.Thread | None = None
        self._broke_off = False  # whether the last thing that was written is the beginning of a line

    def write(self, text: str) -> None:
        """Takes one or more lines, each with its end."""
        data = text.encode(errors="backslashreplace")
        with self._changed:
            if self._bytes + len(data) <= _MOST_BYTES:
                self._bytes += len(data)
                self._waiting.append(data)
                self._start()
                self._changed.notify_all()
                return
        self._lose(data)

    def flush(self, within: float = _LAST_SECONDS) -> None:
        """Waits until all is written, but no longer than `within` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: not self._bytes, within)

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"writer of {self._descriptor}", daemon=True)
            self._thread.start()
            atexit.register(self.flush)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                data = b"".join(self._waiting)
                self._waiting.clear()
            rest = self._put(data)
            with self._changed:
                self._bytes -= len(data)
                lost, self._lost = (0, self._lost) if rest or self._waiting else (self._lost, 0)
                self._changed.notify_all()
            if rest:
                self._lose(rest)
            elif lost:
                self.on_flow(lost)

    def _put(self, data: bytes) -> bytes:
        """Returns what could not be written."""
        rest = b"\n" + data if self._broke_off else data
        while rest:
            try:
                written = os.write(self._descriptor, rest)
            except OSError:  # closed, or no room: the caller counts what is lost
                return rest
            self._broke_off = rest[written - 1 : written] != b"\n"
            rest = rest[written:]
        self._broke_off = False
        return rest

    def _lose(self, data: bytes) -> None:
        lines = data.strip(b"\n").count(b"\n") + 1
        with self._changed:
            self._lost += lines
        self.on_loss(lines)
