"""A program that is kept running: started, watched, started again after a crash, and ended in order."""

import asyncio
import signal
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import structlog

from extproc.launch.die_with_parent import tethered
from extproc.launch.restart_policy import LONGEST_WAIT, Restarts

log = structlog.get_logger("zai-proxy")

_CHUNK_BYTES: Final = 64 * 1024
_LONGEST_LINE: Final = 64 * 1024
_TAIL_LINES: Final = 8


@dataclass(frozen=True, slots=True)
class Program:
    """What to run. `environment` is all that it gets; lines on its standard error that contain `noise` are left out.

    `until_ready` returns once it serves. `merge_output` sends standard output the way of standard error, else it is
    inherited. Without one that is not `essential` the others go on: it is started again however often it crashes.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    until_ready: Callable[[], Awaitable[None]] = field(repr=False)
    noise: tuple[str, ...] = ()
    merge_output: bool = False
    essential: bool = True


class ChildError(Exception):
    """A program that cannot be kept running; the message says which and why, with its own last words."""


class Child:
    """One program and its process of the moment, in a session of its own: a Ctrl-C in the terminal does not reach it.

    `write_line` gets what the program writes to standard error, line by line.
    """

    def __init__(self, program: Program, write_line: Callable[[str], None]) -> None:
        self.name = program.name
        self.essential = program.essential
        self.ready = asyncio.Event()
        self.started = asyncio.Event()
        """Set when it is ready for the first time, or has crashed before it was."""
        self._program = program
        self._write_line = write_line
        self._process: Process | None = None
        self._ending = asyncio.Event()
        self._gone = asyncio.Event()
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)

    async def run(self) -> None:
        """Keeps it running until `expect_end`; cancelled, it kills. Raises ChildError if it can't be kept running."""
        restarts, now = Restarts(), asyncio.get_running_loop().time
        try:
            while not self._ending.is_set():
                began = now()
                code = await self._run_once(began)
                if self._ending.is_set():
                    return
                self.started.set()
                if self.essential and not self.ready.is_set():
                    raise ChildError(self._last_words(f"{self.name} did not start: {describe_exit(code)}"))
                await self._wait_to_restart(code, restarts.wait_after(now() - began))
        finally:
            self._gone.set()

    def expect_end(self) -> None:
        """From now on an end is no crash."""
        self._ending.set()

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal, if there is a process."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):  # it ended this very moment, which is as good
                self._process.send_signal(number)

    @property
    def is_running(self) -> bool:
        """Whether there is a process right now."""
        return self._process is not None and self._process.returncode is None

    async def gone(self, within: float) -> bool:
        """Waits, `within` seconds at most, until it has ended for good."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._gone.wait(), within)
        return self._gone.is_set()

    async def end(self, patience: float) -> None:
        """Ends it: SIGTERM, and SIGKILL after `patience` seconds. Returns when it has gone."""
        self.expect_end()
        self.signal(signal.SIGTERM)
        if not await self.gone(patience):
            log.warning(f"{self.name} does not end; it is killed")
            self.signal(signal.SIGKILL)
            await self._gone.wait()

    def describe_unready(self, seconds: float) -> str:
        """Why the wait for it was given up."""
        return self._last_words(f"{self.name} was not ready within {seconds:g} s")

    async def _run_once(self, began: float) -> int:
        process = self._process = await asyncio.create_subprocess_exec(
            *tethered(self._program.command),
            env=self._program.environment,
            stdin=DEVNULL,
            stdout=PIPE if self._program.merge_output else None,
            stderr=STDOUT if self._program.merge_output else PIPE,
            start_new_session=True,
        )
        try:
            if self._ending.is_set():
                process.terminate()
            async with asyncio.TaskGroup() as tasks:
                probing = tasks.create_task(self._probe(began))
                tasks.create_task(self._copy_output(process.stdout or process.stderr))
                code = await process.wait()
                probing.cancel()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return code

    async def _probe(self, began: float) -> None:
        await self._program.until_ready()
        if self.ready.is_set():
            after = asyncio.get_running_loop().time() - began
            log.info(f"{self.name} is back", seconds=round(after, 1))
        self.ready.set()
        self.started.set()

    async def _copy_output(self, stream: asyncio.StreamReader | None) -> None:
        if stream is None:
            return
        rest = b""
        while chunk := await stream.read(_CHUNK_BYTES):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > _LONGEST_LINE:
                lines, rest = [*lines, rest], b""
            for line in lines:
                self._pass_on(line)
        if rest:
            self._pass_on(rest)

    def _pass_on(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip("\r")
        if any(noise in text for noise in self._program.noise):
            return
        self._tail.append(text)
        self._write_line(text)

    async def _wait_to_restart(self, code: int, wait: float | None) -> None:
        why = describe_exit(code)
        if wait is None and self.essential:
            raise ChildError(self._last_words(f"{self.name} crashed again and again, the last time with {why}"))
        wait = LONGEST_WAIT if wait is None else wait
        log.warning(f"{self.name} crashed and is started again", why=why, wait_seconds=wait)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), wait)

    def _last_words(self, headline: str) -> str:
        if not self._tail:
            return headline
        return "\n".join([f"{headline}; its last words:", *(f"  {line}" for line in self._tail)])


def describe_exit(code: int) -> str:
    """An exit code as asyncio reports it, in words; negative ones are signals."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
