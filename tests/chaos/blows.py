"""What can happen to a running proxy, and how it is done to it."""

import asyncio
import os
import resource
import shutil
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.chaos.output import Reader
from tests.chaos.victim import Victim
from tests.harness.process_table import is_alive
from tests.harness.waiting import eventually

SHORT_STOP: Final = 1.0
_SUSPENDED: Final = 6.0
"""Longer than a process that hangs is borne."""
_LIED_TO: Final = 3.0
"""How long a store lies before anybody looks; when it is asked is its clients' affair."""
_SILENT: Final = 3.0
"""How long the upstream says nothing to anybody."""
_PATIENCE: Final = 60.0
_MORE_THAN_THE_PIPE_HOLDS: Final = 30
"""Lines of requests."""


@dataclass(frozen=True, slots=True)
class Blow:
    """`costs_log` says whether entries of Envoy's log may be lost by it, so that requests are neither counted nor have
    a line, `costs_lines` whether lines alone may be, `cuts` whether connections of clients may break.

    `hangs` names the child that is silent after it, which takes five seconds to be noticed, and is started again.
    """

    name: str
    strike: Callable[[Victim], Awaitable[None]]
    costs_log: bool = False
    costs_lines: bool = False
    cuts: bool = False
    hangs: str = ""


def _killed(child: str) -> Callable[[Victim], Awaitable[None]]:
    async def strike(victim: Victim) -> None:
        os.kill(await victim.child(child), signal.SIGKILL)

    return strike


def _stopped(child: str) -> Callable[[Victim], Awaitable[None]]:
    async def strike(victim: Victim) -> None:
        os.kill(await victim.child(child), signal.SIGSTOP)

    return strike


def _stopped_for_a_moment(child: str) -> Callable[[Victim], Awaitable[None]]:
    async def strike(victim: Victim) -> None:
        pid = victim.process.pid if child == "supervisor" else await victim.child(child)
        os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(SHORT_STOP)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    return strike


async def _suspended(victim: Victim) -> None:
    """Everything stands still for longer than a hanging process is borne, as on a laptop that sleeps."""
    pids = [victim.process.pid, *victim.children()]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    await asyncio.sleep(_SUSPENDED)
    for pid in reversed(pids):
        os.kill(pid, signal.SIGCONT)


async def _output_unread(victim: Victim) -> None:
    """The pipe fills up."""
    victim.written.become(Reader.WAITS)
    enough = victim.books.look().total() + _MORE_THAN_THE_PIPE_HOLDS
    await eventually(lambda: victim.books.look().total(), lambda counted: counted >= enough, within=_PATIENCE)
    victim.written.become(Reader.READS)


async def _output_closed(victim: Victim) -> None:
    """Whoever writes is told that the pipe is broken, until somebody has it open again."""
    lost = "zai_proxy_log_lines_dropped_total"
    before = victim.metrics().value(lost)
    victim.written.become(Reader.AWAY)
    await eventually(lambda: victim.metrics().value(lost), lambda lines: lines > before, within=_PATIENCE)
    victim.written.become(Reader.READS)


async def _swept(victim: Victim) -> None:
    directory = await victim.runtime_directory()
    await asyncio.to_thread(shutil.rmtree, directory, True)
    with suppress(FileNotFoundError):
        directory.rmdir()


async def _disk_full(victim: Victim) -> None:
    """No file can grow, the dashboard's either: a limit of their size stands for the disk."""
    _let_no_file_grow([await victim.child(child) for child in ("extproc", "dashboard")])
    await eventually(victim.store_error, bool, within=_PATIENCE)
    _let_files_grow(victim)
    await eventually(victim.store_error, lambda error: error is None, within=_PATIENCE)


async def _killed_while_the_disk_is_full(victim: Victim) -> None:
    """Who starts it again has no room either, nor has what is started."""
    processor = await victim.child("extproc")
    _let_no_file_grow([victim.process.pid, processor, await victim.child("dashboard")])
    os.kill(processor, signal.SIGKILL)
    await eventually(lambda: victim.is_well() and not is_alive(processor), bool, within=_PATIENCE)
    _let_files_grow(victim)


def _let_no_file_grow(pids: list[int]) -> None:
    for pid in pids:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))


def _let_files_grow(victim: Victim) -> None:
    for pid in (victim.process.pid, *victim.children()):
        with suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


async def _state_gone(victim: Victim) -> None:
    """All that is kept, with its directory."""
    shutil.rmtree(victim.environment["STATE_DIR"])
    database = Path(victim.environment["DB_PATH"])
    for file in database.parent.glob(f"{database.name}*"):
        file.unlink(missing_ok=True)
    await eventually(database.exists, bool, within=_PATIENCE)


async def _store_lies(victim: Victim) -> None:
    victim.store.tell_the_next_lie()
    await asyncio.sleep(_LIED_TO)


async def _upstream_silent(victim: Victim) -> None:
    with victim.simulator.frozen():
        await asyncio.sleep(_SILENT)


BLOWS: Final = (
    Blow("the processor is killed", _killed("extproc"), costs_log=True),
    Blow("Envoy is killed", _killed("envoy"), costs_log=True, cuts=True),
    Blow("the dashboard is killed", _killed("dashboard")),
    Blow("the processor hangs", _stopped("extproc"), costs_log=True, hangs="extproc"),
    Blow("Envoy hangs", _stopped("envoy"), costs_log=True, cuts=True, hangs="envoy"),
    Blow("the dashboard hangs", _stopped("dashboard"), hangs="dashboard"),
    Blow("the processor stands still for a moment", _stopped_for_a_moment("extproc")),
    Blow("Envoy stands still for a moment", _stopped_for_a_moment("envoy")),
    Blow("the supervisor stands still for a moment", _stopped_for_a_moment("supervisor")),
    Blow("the machine is suspended", _suspended),
    Blow("nobody reads the output", _output_unread),
    Blow("the output is closed", _output_closed, costs_lines=True),
    Blow("the runtime directory is swept away", _swept, costs_log=True, hangs="extproc"),
    Blow("the disk is full", _disk_full),
    Blow("the processor is killed while the disk is full", _killed_while_the_disk_is_full, costs_log=True),
    Blow("the state is gone", _state_gone),
    Blow("the store lies", _store_lies),
    Blow("the upstream accepts and never answers", _upstream_silent),
)
