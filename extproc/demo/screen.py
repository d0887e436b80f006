"""Standard output for the demo: a terminal that somebody holds (Ctrl-S) or a pipe that nobody reads stops nothing."""

import io
import sys

from common.line_writer import LineWriter


class Screen(io.TextIOBase):
    """Standard output as a file that can be written to without a wait; what finds no room is not shown."""

    def __init__(self) -> None:
        self._lines = LineWriter(sys.stdout.fileno())

    def write(self, text: str) -> int:
        self._lines.write(text)
        return len(text)

    def isatty(self) -> bool:
        return sys.__stdout__ is not None and sys.__stdout__.isatty()
