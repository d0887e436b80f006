"""Stops one thread of a process and lets the others run, which no signal can: by the means of debuggers (Linux)."""

import ctypes
import os
from pathlib import Path
from typing import Final

_PTRACE_SEIZE: Final = 0x4206  # <linux/ptrace.h>
_PTRACE_INTERRUPT: Final = 0x4207
_ANY_THREAD: Final = 0x40000000  # __WALL of <linux/wait.h>


def threads(pid: int, name: str) -> list[int]:
    """The threads of a process whose name begins so."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sorted(int(task.name) for task in tasks if (task / "comm").read_text().startswith(name))


class StoppedThread:
    """Stops a thread for good, until its process is killed. The process has to be a descendant of this one."""

    def __init__(self, thread: int) -> None:
        """Returns once it stands still."""
        self._thread = thread
        _ptrace(_PTRACE_SEIZE, thread)
        _ptrace(_PTRACE_INTERRUPT, thread)
        os.waitpid(thread, _ANY_THREAD)

    def has_ended(self) -> bool:
        """Whether it has been killed. The parent of its process is told that the process has ended only after this was
        asked."""
        found, _ = os.waitpid(self._thread, _ANY_THREAD | os.WNOHANG)
        return found == self._thread


def _ptrace(request: int, thread: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    nothing = ctypes.c_void_p(0)
    if libc.ptrace(ctypes.c_long(request), ctypes.c_long(thread), nothing, nothing) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
