"""Starts a program that ends with the process that started it, kill -9 of that process included, and not before.

Run as a script: `python -I -S die_with_parent.py PARENT_PID PROGRAM ARGUMENT...`. It asks the kernel for the signal
and then becomes the program. A small process of its own does this because Python code between fork and exec is not
safe in a process with threads. The kernel watches the *thread* that forked: start it from the main thread. Linux only.

SIGTERM is blocked in what it becomes. A service manager may send it to every process at once, but only the parent may
act on it: a proxy ends in order, and Envoy would be the first to go. The parent ends its children by SIGINT.
"""

import ctypes
import os
import signal
import sys
from typing import Final

# <linux/prctl.h>; the setting survives execve.
_PR_SET_PDEATHSIG: Final = 1


def tethered(command: tuple[str, ...]) -> tuple[str, ...]:
    """The command line that runs `command` tied to this process."""
    return (sys.executable, "-I", "-S", __file__, str(os.getpid()), *command)


def main(arguments: list[str]) -> None:
    """Becomes the program; exits with 127 if there is no such program, silently if the parent is gone already."""
    parent, program = int(arguments[0]), arguments[1:]
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit(f"cannot tie {program[0]} to its parent: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:
        # It died before the kernel was asked, so no signal will come.
        return
    try:
        os.execv(program[0], program)  # noqa: S606 - no shell is wanted: this process becomes the program
    except OSError as error:
        sys.stderr.write(f"cannot start {program[0]}: {error.strerror}\n")
        sys.exit(127)


if __name__ == "__main__":
    main(sys.argv[1:])
