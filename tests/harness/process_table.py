"""The processes of this machine, as Linux shows them in /proc and other systems by `ps`."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_LISTS: Final = (_PROC / "self/stat").exists()
_ENDED: Final = "Z"


@dataclass(frozen=True)
class Entry:
    """A process. One that has ended but was not waited for is left out wherever processes are listed.

    By `ps` the words of a command are cut at each space.
    """

    pid: int
    parent: int
    command: tuple[str, ...]


def processes() -> list[Entry]:
    """All of them."""
    return list(_of_proc() if _LISTS else _of_ps())


def descendants(pid: int) -> list[int]:
    """All processes below this one."""
    children: dict[int, list[int]] = {}
    for each in processes():
        children.setdefault(each.parent, []).append(each.pid)
    found, todo = [], [pid]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that has ended but was not waited for does not."""
    if _LISTS:
        return _read(pid) is not None
    return any(each.pid == pid for each in _of_ps())


def command_line(pid: int) -> list[str]:
    """The words of its command, none if it has ended."""
    entry = _read(pid) if _LISTS else next((each for each in _of_ps() if each.pid == pid), None)
    return [] if entry is None else list(entry.command)


def _of_proc() -> Iterator[Entry]:
    for place in _PROC.glob("[0-9]*"):
        entry = _read(int(place.name))
        if entry is not None:
            yield entry


def _read(pid: int) -> Entry | None:
    try:
        # The name, in brackets, may hold anything; what follows it are state and parent.
        state, parent, *_ = (_PROC / f"{pid}/stat").read_text().rpartition(")")[2].split()
        command = tuple((_PROC / f"{pid}/cmdline").read_text(errors="replace").split("\0")[:-1])
    except OSError:
        return None
    return None if state == _ENDED else Entry(pid, int(parent), command)


def _of_ps() -> Iterator[Entry]:
    told = subprocess.run(
        ("ps", "-A", "-o", "pid=,ppid=,stat=,command="), capture_output=True, text=True, errors="replace", check=True
    )
    for line in told.stdout.splitlines():
        pid, parent, state, *command = line.split()
        if not state.startswith(_ENDED):
            yield Entry(int(pid), int(parent), tuple(command))
