"""Runs the proxy in the foreground: processor and Envoy as children, ready together, ended in order.

The way down: the processor refuses what is new, what runs may finish, Envoy ends, and the processor goes last, because
Envoy's access log tells it how the last requests ended.
"""

import asyncio
import os
import signal
import ssl
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import httpx
import structlog

from common import logs
from common.logs import StandardError
from extproc.lasting_counts import LastingCounts, LineLoser, RestartReason
from extproc.launch import programs
from extproc.launch.addresses import client_url
from extproc.launch.child import Child, ChildError, Program
from extproc.launch.envoy_admin import EnvoyAdmin, until_answers
from extproc.launch.runtime_directory import RuntimeDirectory
from extproc.launch.service_manager import READY, STOPPING, ServiceManager
from extproc.settings import Settings

log = structlog.get_logger("zai-proxy")

STARTUP_SECONDS: Final = 60.0
_STANDARD_ERROR: Final = StandardError()
_POLL_SECONDS: Final = 0.1
_ADMIN_TIMEOUT: Final = 2.0
# Twice the time that Envoy collects access-log entries before it sends them (buffer_flush_interval).
_ENTRIES_SECONDS: Final = 0.5
_LAST_ENTRIES_SECONDS: Final = 5.0
_PATIENCE_SECONDS: Final = 5.0
_COMPANY_SECONDS: Final = 15.0


async def _nothing(_stopping: asyncio.Event) -> None:
    """Nothing runs beside the plain proxy."""


@dataclass(frozen=True, slots=True)
class Company:
    """What runs with the proxy: programs that start with it and end after it, and a coroutine from ready to the end.

    A program is made with the client that asks whether it is ready. The coroutine gets the event that is set when the
    proxy begins to stop; it is cancelled when the proxy has stopped.
    `processor_environment` overrides the environment of the processor, `merge_output` sends all output to `write_line`.
    """

    programs: tuple[Callable[[httpx.AsyncClient], Program], ...] = ()
    beside: Callable[[asyncio.Event], Coroutine[None, None, None]] = _nothing
    processor_environment: Mapping[str, str] = field(default_factory=dict)
    merge_output: bool = False


class Supervisor:
    """The children of one proxy. `announce` is called once they are ready, `directory` is private to this run."""

    def __init__(
        self,
        settings: Settings,
        directory: RuntimeDirectory,
        client: httpx.AsyncClient,
        announce: Callable[[], None],
        company: Company,
    ) -> None:
        self._settings = settings
        self._client = client
        self._announce = announce
        self._company = company
        self._manager = ServiceManager(os.environ)
        self._stopping = asyncio.Event()
        self._cutting = asyncio.Event()
        self._admin = EnvoyAdmin(client, settings.envoy_admin_port)
        self._counts = LastingCounts.new()
        logs.count_losses(
            partial(self._counts.count_lost_lines, LineLoser.SUPERVISOR),
            partial(self._counts.count_told_lines, LineLoser.SUPERVISOR),
        )
        self._processor = self._child(
            programs.processor(
                settings, directory, client, self._counts, company.processor_environment, company.merge_output
            )
        )
        self._envoy = self._child(programs.envoy(settings, directory, self._admin))
        self._others = [self._child(make(client)) for make in company.programs]
        self._started: list[Child] = []

    async def run(self) -> None:
        """Returns when told to stop, once everything has ended. Raises a group of ChildError if a child can't run."""
        self._handle_signals()
        async with asyncio.TaskGroup() as tasks:
            # First what the proxy needs, or its first look at the upstream would be in vain.
            await self._start(tasks, [child for child in self._others if child.essential], self._all_ready)
            others = [child for child in self._others if not child.essential]
            await self._start(tasks, [*others, self._processor, self._envoy], self._serving)
            reassuring = tasks.create_task(self._manager.reassure())
            if not self._stopping.is_set():
                self._announce()
                self._manager.tell(READY)
                beside = tasks.create_task(self._company.beside(self._stopping))
                await self._stopping.wait()
                await self._drain()
                beside.cancel()
            for child in reversed(self._started):
                await child.end(_PATIENCE_SECONDS)
            self._tell_of_lost_lines()
            reassuring.cancel()

    def stop(self) -> None:
        """Asked once, drains; asked again, cuts."""
        if self._stopping.is_set():
            self._cutting.set()
        self._stopping.set()

    def _child(self, program: Program) -> Child:
        return Child(program, write_line, partial(self._note_restart, program.name))

    def _note_restart(self, child: str, reason: RestartReason) -> None:
        self._counts.count_restart(child, reason)
        self._tell_of_lost_lines()

    def _tell_of_lost_lines(self) -> None:
        """Says what a processor that has ended could not say itself: that lines of its log are missing."""
        lines = 0 if self._processor.is_running else self._counts.untold_lines(LineLoser.PROCESSOR)
        if lines:
            self._counts.count_told_lines(LineLoser.PROCESSOR, lines)
            log.warning("log lines of a processor that has ended were dropped: nobody read them, or there was no room",
                        lines=lines)  # fmt: skip

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.stop)
        loop.add_signal_handler(signal.SIGINT, self.stop)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # under `nohup` the terminal may go
            loop.add_signal_handler(signal.SIGHUP, self.stop)

    async def _start(
        self,
        tasks: asyncio.TaskGroup,
        children: list[Child],
        until: Callable[[list[Child]], Coroutine[None, None, None]],
    ) -> None:
        """Returns when `until` does, or when it is told to stop. Raises ChildError at the deadline."""
        if self._stopping.is_set():
            return
        for child in children:
            self._started.append(child)
            tasks.create_task(child.run())
        ready = asyncio.create_task(until(children))
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait((ready, stopped), timeout=STARTUP_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if not ready.done() and not stopped.done():
                late = [child for child in children if child.essential and not child.ready.is_set()] or [self._envoy]
                raise ChildError("\n".join(child.describe_unready(STARTUP_SECONDS) for child in late))
        finally:
            ready.cancel()
            stopped.cancel()

    async def _all_ready(self, children: list[Child]) -> None:
        for child in children:
            if child.essential:
                await child.ready.wait()

    async def _serving(self, children: list[Child]) -> None:
        await self._all_ready(children)
        await until_answers(self._client, f"{client_url(self._settings)}/health")
        for child in children:
            if not child.essential:
                await self._a_while_for(child)

    async def _a_while_for(self, child: Child) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_COMPANY_SECONDS):
                await child.started.wait()
        if not child.ready.is_set():
            log.warning(f"{child.name} is not ready; the proxy does not wait for it")

    async def _drain(self) -> None:
        deadline = asyncio.get_running_loop().time() + self._settings.drain_timeout
        self._manager.tell(STOPPING)
        self._envoy.expect_end()
        self._counts.mark_stopping()
        self._processor.ask_to_end()
        await self._admin.start_draining()
        log.info(
            "stopping: new requests are refused, running ones may finish; a second signal cuts them",
            running=await self._admin.active_requests(),
            seconds=self._settings.drain_timeout,
        )
        left = await self._until_idle(deadline)
        if left:
            log.warning("requests cut off", requests=left)
        else:
            await self._until_all_is_counted()
        await self._envoy.end(_PATIENCE_SECONDS)
        # It was asked first. A second signal would end it at once, before it has counted what Envoy just delivered.
        await self._processor.gone(_PATIENCE_SECONDS)

    async def _until_idle(self, deadline: float) -> int:
        """Requests that still run at the deadline or when told to cut; 0 as soon as none does."""
        running = 1
        while self._envoy.is_running:
            told = await self._admin.active_requests()
            running = running if told is None else told
            if running == 0 or self._cutting.is_set() or asyncio.get_running_loop().time() >= deadline:
                return running
            await self._unless_cut(_POLL_SECONDS)
        return 0

    async def _until_all_is_counted(self) -> None:
        """Waits until the processor has every entry of Envoy's log, or for some seconds.

        Where one of them has been restarted their counts say nothing: then it is enough that nothing more comes.
        """
        now = asyncio.get_running_loop().time
        deadline = now() + _LAST_ENTRIES_SECONDS
        last, since = None, now()
        await self._unless_cut(_POLL_SECONDS)  # an entry is written a moment after its request has ended
        while self._envoy.is_running and not self._cutting.is_set() and now() < deadline:
            seen = (await self._admin.log_entries(), await programs.arrived_entries(self._client, self._settings))
            if seen != last:
                last, since = seen, now()
            is_first_run = not self._processor.restarts + self._envoy.restarts
            is_settled = seen[0] == seen[1] if is_first_run else now() - since >= _ENTRIES_SECONDS
            if None not in seen and is_settled:
                return
            await self._unless_cut(_POLL_SECONDS)

    async def _unless_cut(self, seconds: float) -> None:
        """Waits, but not when told to cut."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._cutting.wait()


def write_line(line: str) -> None:
    """Passes a line of a child on."""
    _STANDARD_ERROR.write(f"{line}\n")
    _STANDARD_ERROR.flush()


async def supervise(
    settings: Settings, directory: RuntimeDirectory, announce: Callable[[], None], company: Company | None = None
) -> None:
    """Runs the proxy until it is told to stop. Raises ChildError if a child can't be kept running."""
    async with trusting_client(timeout=_ADMIN_TIMEOUT) as client:
        try:
            await Supervisor(settings, directory, client, announce, company or Company()).run()
        except BaseExceptionGroup as group:
            failures, others = group.split(ChildError)
            if failures is None or others is not None:
                raise
            raise ChildError("\n".join(str(failure) for failure in failures.exceptions)) from None


def trusting_client(timeout: float) -> httpx.AsyncClient:
    """A client for our own ports alone: the certificate there has other names than 127.0.0.1, so any will do."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return httpx.AsyncClient(
        verify=context, trust_env=False, timeout=timeout, limits=httpx.Limits(max_connections=None)
    )
