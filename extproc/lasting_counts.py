"""Counts that outlive the process that shows them: the supervisor keeps them in a file without a name and hands it on.

The file is a row of 64-bit numbers, one for each count and one that says whether the proxy stops, mapped into the
memory of everyone who has its descriptor. It stands in no directory, so nothing sweeps it away, and it is gone with the
last process that holds it.
"""

import mmap
import os
import struct
import tempfile
import threading
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final, Self

CHILDREN: Final = ("envoy", "extproc", "dashboard", "simulator")
"""The programs that a supervisor runs: the values of the label `child`."""

_VARIABLE: Final = "LASTING_COUNTS_FD"
_NUMBER: Final = struct.Struct("<Q")


class RestartReason(StrEnum):
    """Why a child was started again."""

    CRASHED = "crashed"
    """It ended by itself, or somebody ended it."""
    HUNG = "hung"
    """It gave no sign of life, or could not be reached any more, and was killed."""


class LineLoser(StrEnum):
    """The processes that count log lines which could not be written. Each has a number of its own, so that no two
    processes write to the same one."""

    SUPERVISOR = "supervisor"
    PROCESSOR = "processor"


_RESTARTS: Final = {
    place: number for number, place in enumerate((child, reason) for child in CHILDREN for reason in RestartReason)
}
_LOST_LINES: Final = {loser: number for number, loser in enumerate(LineLoser, start=len(_RESTARTS))}
_TOLD_LINES: Final = {loser: number for number, loser in enumerate(LineLoser, start=len(_RESTARTS) + len(_LOST_LINES))}
_STOPS: Final = len(_RESTARTS) + len(_LOST_LINES) + len(_TOLD_LINES)
_BYTES: Final = _NUMBER.size * (_STOPS + 1)


class LastingCounts:
    """The counts in the file of this descriptor. `is_inherited` says whether a supervisor has handed it on."""

    def __init__(self, descriptor: int, is_inherited: bool) -> None:
        self.descriptor = descriptor
        self.is_inherited = is_inherited
        self._adding = threading.Lock()
        if os.fstat(descriptor).st_size < _BYTES:  # that of a supervisor from before an upgrade
            os.ftruncate(descriptor, _BYTES)
        self._numbers = mmap.mmap(descriptor, _BYTES)

    @classmethod
    def new(cls) -> Self:
        """Counts in a new file, all of them 0."""
        descriptor = _memory_file()
        os.write(descriptor, bytes(_BYTES))  # room that is taken now cannot be missing later
        return cls(descriptor, is_inherited=False)

    @classmethod
    def handed_on(cls, environment: Mapping[str, str]) -> Self:
        """Those of the supervisor that started this process; without one, new ones."""
        told = environment.get(_VARIABLE, "")
        return cls(int(told), is_inherited=True) if told.isdecimal() else cls.new()

    @property
    def environment(self) -> dict[str, str]:
        """What a process has to be told that inherits the descriptor."""
        return {_VARIABLE: str(self.descriptor)}

    def count_restart(self, child: str, reason: RestartReason) -> None:
        self._add(_RESTARTS[child, reason], 1)

    def count_lost_lines(self, loser: LineLoser, lines: int) -> None:
        self._add(_LOST_LINES[loser], lines)

    def count_told_lines(self, loser: LineLoser, lines: int) -> None:
        """The log has said that so many of the lost lines are missing."""
        self._add(_TOLD_LINES[loser], lines)

    def untold_lines(self, loser: LineLoser) -> int:
        """Lost lines of which the log has not said that they are missing."""
        return max(0, self._read(_LOST_LINES[loser]) - self._read(_TOLD_LINES[loser]))

    def restarts(self) -> Iterator[tuple[str, RestartReason, int]]:
        """How often each child was started again, for each reason."""
        for (child, reason), place in _RESTARTS.items():
            yield child, reason, self._read(place)

    def lost_lines(self) -> int:
        """Log lines that could not be written, of all processes together."""
        return sum(map(self._read, _LOST_LINES.values()))

    def mark_stopping(self) -> None:
        """The proxy is on its way down: whoever is started from now on takes nothing new."""
        self._add(_STOPS, 1)

    @property
    def is_stopping(self) -> bool:
        """Whether the proxy is on its way down."""
        return self._read(_STOPS) > 0

    def _add(self, place: int, amount: int) -> None:
        with self._adding:
            _NUMBER.pack_into(self._numbers, place * _NUMBER.size, self._read(place) + amount)

    def _read(self, place: int) -> int:
        number: int = _NUMBER.unpack_from(self._numbers, place * _NUMBER.size)[0]
        return number


def _memory_file() -> int:
    """The descriptor of an empty file without a name; in memory alone, where the system has such files."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("zai-proxy-counts")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
