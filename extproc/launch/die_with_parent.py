"""Starts a program that ends with the process that started it, kill -9 of that process included, and not before.

Run as a script, `python -I -S die_with_parent.py HOW WHOM OUTPUT PROGRAM ARGUMENT...`, it ties itself and then becomes
the program. A small process of its own does this because Python code between fork and exec is not safe in a process
with threads. There are two ways:

* `kernel` (Linux): it asks the kernel for the signal; WHOM is the parent. The kernel watches the *thread* that forked:
  start it from the main thread.
* `pipe` (elsewhere): a process beside it waits for the end of a pipe that only the parent can write to, and kills the
  program. WHOM is the pipe's descriptor. The program knows nothing of it, so it may be anybody's.

OUTPUT says what happens while nobody reads standard error and the pipe there is full: the program `waits`, or `drops`
what it has to say.

SIGTERM is blocked in what it becomes. A service manager may send it to every process at once, but only the parent may
act on it: a proxy ends in order, and Envoy would be the first to go. The parent ends its children by SIGINT.
"""

import ctypes
import os
import select
import signal
import sys
from dataclasses import dataclass
from functools import cache
from typing import Final, NoReturn

# <linux/prctl.h>; the setting survives execve.
_PR_SET_PDEATHSIG: Final = 1
_KERNEL: Final = "kernel"
_PIPE: Final = "pipe"
_WAITS: Final = "waits"
_DROPS: Final = "drops"
_HAS_THE_KERNELS: Final = sys.platform.startswith("linux")
# Tests set it to go the way of other systems on one that has the kernel's.
_ALWAYS_BY_PIPE: Final = "TETHER_BY_PIPE"


@dataclass(frozen=True, slots=True)
class BoundCommand:
    """A command line that runs a program tied to this process, and the descriptors that it has to inherit."""

    command: tuple[str, ...]
    descriptors: tuple[int, ...]


def bound_to_this_process(command: tuple[str, ...], drops_output: bool = False) -> BoundCommand:
    """The way to run `command` so that it ends with this process. With `drops_output` it never waits until somebody
    reads its standard error, which has to be a pipe that no other program writes to."""
    script = (sys.executable, "-I", "-S", __file__)
    what = (_DROPS if drops_output else _WAITS, *command)
    if _HAS_THE_KERNELS and not os.environ.get(_ALWAYS_BY_PIPE):
        return BoundCommand((*script, _KERNEL, str(os.getpid()), *what), ())
    pipe = _end_of_this_process()
    return BoundCommand((*script, _PIPE, str(pipe), *what), (pipe,))


@cache
def _end_of_this_process() -> int:
    """A descriptor that has something to read once this process has ended: nobody else has the other end."""
    reading, _writing = os.pipe()
    return reading


def main(arguments: list[str]) -> None:
    """Becomes the program; exits with 127 if there is no such program, silently if the parent is gone already."""
    how, whom, output, program = arguments[0], int(arguments[1]), arguments[2], arguments[3:]
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    if output == _DROPS:
        os.set_blocking(sys.stderr.fileno(), False)
    if how == _PIPE:
        _have_watched(whom)
    elif not _ask_the_kernel(whom, program[0]):
        return
    try:
        os.execv(program[0], program)  # noqa: S606 - no shell is wanted: this process becomes the program
    except OSError as error:
        sys.stderr.write(f"cannot start {program[0]}: {error.strerror}\n")
        sys.exit(127)


def _ask_the_kernel(parent: int, program: str) -> bool:
    """False if the parent died before the kernel was asked: no signal will come."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit(f"cannot tie {program} to its parent: {os.strerror(ctypes.get_errno())}")
    return os.getppid() == parent


def _have_watched(parents_end: int) -> None:
    """Leaves a process behind that kills this one, whatever it becomes, once the parent has ended."""
    own_end, held_open = os.pipe()
    this = os.getpid()
    between = os.fork()
    if between == 0:
        # It forks once more, so that the watcher is no child of the program, which would have to wait for it.
        if os.fork() != 0:
            os._exit(0)
        _watch(parents_end, own_end, this)
    os.waitpid(between, 0)
    os.close(parents_end)
    os.close(own_end)
    os.set_inheritable(held_open, True)  # the program has it open for as long as it runs


def _watch(parents_end: int, own_end: int, program: int) -> NoReturn:
    # A reader of the program's output sees its end only when every process has closed it. So the watcher closes its
    # copies, or it would keep that reader waiting.
    for name in os.listdir("/dev/fd"):
        if int(name) not in (parents_end, own_end):
            _close(int(name))
    ended, _, _ = select.select((parents_end, own_end), (), ())
    if own_end not in ended:
        os.kill(program, signal.SIGKILL)
    os._exit(0)


def _close(descriptor: int) -> None:
    try:
        os.close(descriptor)
    except OSError:
        return  # the one that listed them is closed already


if __name__ == "__main__":
    main(sys.argv[1:])
