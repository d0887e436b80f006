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

from common.settings import MAY_PASS, WRONG
from extproc.lasting_counts import RestartReason
from extproc.launch.die_with_parent import bound_to_this_process
from extproc.launch.liveness import PATIENCE_SECONDS, until_silent
from extproc.launch.restart_policy import LONGEST_WAIT, Restarts

log = structlog.get_logger("zai-proxy")

_CHUNK_BYTES: Final = 64 * 1024
# The least that lies in a pipe, which holds 64 KiB, when another line finds no room.
_NEARLY_FULL: Final = 48 * 1024
_LONGEST_LINE: Final = 64 * 1024
_TAIL_LINES: Final = 8
_ROOM_SECONDS: Final = 1.0
_SELDOM_SECONDS: Final = 60.0
# SIGTERM is held back in the programs: a service manager may send it to all of them at once, and we alone act on it.
_END: Final = signal.SIGINT


async def _always() -> bool:
    """For a program that cannot be asked for a sign of life."""
    return True


def _nothing_to_prepare() -> None:
    """For a program that needs no preparation."""


def _count_nothing(_reason: RestartReason) -> None:
    """For a child whose restarts nobody counts."""


@dataclass(frozen=True, slots=True)
class Program:
    """What to run. `environment` is all that it gets; lines on its standard error that contain `noise` are left out.

    `prepare` makes before each start what the program needs. `until_ready` returns once it serves; when that has taken
    `most_seconds_to_start` after a crash, it hangs. `gives_sign` asks it for a sign of life, from when it is ready;
    after five seconds without one it hangs too. `descriptors` are open files that it gets beside the standard ones.
    `merge_output` sends standard output the way of standard error, else it is inherited. One that `drops_output` loses
    what it writes to standard error while we do not run and so do not read, instead of waiting. Without one that is not
    `essential` the others go on: it is started again however often it crashes, once a minute after ten times in a row.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    until_ready: Callable[[], Awaitable[None]] = field(repr=False)
    gives_sign: Callable[[], Awaitable[bool]] = field(repr=False, default=_always)
    prepare: Callable[[], None] = field(repr=False, default=_nothing_to_prepare)
    most_seconds_to_start: float = 20.0
    descriptors: tuple[int, ...] = ()
    noise: tuple[str, ...] = ()
    merge_output: bool = False
    drops_output: bool = False
    essential: bool = True


class ChildError(Exception):
    """A program that cannot be kept running; the message says which and why, with its own last words."""


class Child:
    """One program and its process of the moment, in a session of its own: a Ctrl-C in the terminal does not reach it.

    `write_line` gets what the program writes to standard error, line by line; `count` hears of each restart.
    """

    def __init__(
        self,
        program: Program,
        write_line: Callable[[str], None],
        count: Callable[[RestartReason], None] = _count_nothing,
    ) -> None:
        self.name = program.name
        self.essential = program.essential
        self.ready = asyncio.Event()
        self.started = asyncio.Event()
        """Set when it is ready for the first time, or has crashed before it was."""
        self._program = program
        self._write_line = write_line
        self._count = count
        self._ready_at: float | None = None
        self._silence: float | None = None
        self.restarts = 0
        self._process: Process | None = None
        self._waits_for_room = False
        self._refuses_its_settings = False
        self._is_asked_to_end = False
        self._ending = asyncio.Event()
        self._gone = asyncio.Event()
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)

    async def run(self) -> None:
        """Keeps it running until `expect_end`; cancelled, it kills. Raises ChildError if it can't be kept running."""
        restarts, now = Restarts(), asyncio.get_running_loop().time
        try:
            while not self._ending.is_set():
                why = await self._run_once()
                if self._ending.is_set() or self._has_done_as_asked:
                    return
                self.started.set()
                if self.essential and not self.ready.is_set():
                    raise ChildError(self._last_words(f"{self.name} did not start: {why}"))
                if self._process is None:
                    await self._wait_for_room(why)
                    continue
                self._waits_for_room = False
                served = 0.0 if self._ready_at is None else now() - self._ready_at
                await self._wait_to_restart(why, restarts.wait_after(served))
        finally:
            self._gone.set()

    def expect_end(self) -> None:
        """From now on an end is no crash."""
        self._ending.set()

    def ask_to_end(self) -> None:
        """Lets it end in its own time, from when it is ready. If it crashes or hangs before it has, it is started again
        and asked again."""
        self._is_asked_to_end = True
        if self._ready_at is not None:
            self._signal(_END)

    @property
    def _has_done_as_asked(self) -> bool:
        return self._is_asked_to_end and self._process is not None and self._process.returncode == 0

    @property
    def is_running(self) -> bool:
        """Whether there is a process right now."""
        return self._process is not None and self._process.returncode is None

    async def gone(self, within: float) -> bool:
        """Waits, `within` seconds at most, until it has ended for good."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._gone.wait()
        return self._gone.is_set()

    async def end(self, patience: float) -> None:
        """Ends it: SIGINT, and SIGKILL after `patience` seconds, or at once if it is only starting. Returns when it has
        gone."""
        self.expect_end()
        self._signal(signal.SIGKILL if self._ready_at is None else _END)
        if not await self.gone(patience):
            log.warning(f"{self.name} does not end; it is killed")
            self._signal(signal.SIGKILL)
            await self._gone.wait()

    def describe_unready(self, seconds: float) -> str:
        """Why the wait for it was given up."""
        return self._last_words(f"{self.name} was not ready within {seconds:g} s")

    def _signal(self, number: signal.Signals) -> None:
        """Sends a signal, if there is a process."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):  # it ended this very moment, which is as good
                self._process.send_signal(number)

    async def _run_once(self) -> str:
        """Returns, in words, how it ended; there is no process then if it could not even be started."""
        self._ready_at = self._silence = self._process = None
        began = asyncio.get_running_loop().time()
        try:
            self._program.prepare()
            process = self._process = await self._start()
        except OSError as error:  # no room for another process, or for what it needs: that may pass
            return f"cannot be started ({_describe_error(error)})"
        try:
            if self._ending.is_set():
                process.kill()
            async with asyncio.TaskGroup() as tasks:
                watching = tasks.create_task(self._watch(process, began))
                tasks.create_task(self._copy_output(process.stdout or process.stderr))
                code = await process.wait()
                watching.cancel()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        self._refuses_its_settings = code in (WRONG, MAY_PASS)
        return describe_exit(code) if self._silence is None else f"no sign of life for {self._silence:.0f} s"

    async def _start(self) -> Process:
        bound = bound_to_this_process(self._program.command, self._program.drops_output)
        return await asyncio.create_subprocess_exec(
            *bound.command,
            env=self._program.environment,
            stdin=DEVNULL,
            stdout=PIPE if self._program.merge_output else None,
            stderr=STDOUT if self._program.merge_output else PIPE,
            pass_fds=(*self._program.descriptors, *bound.descriptors),
            start_new_session=True,
        )

    async def _watch(self, process: Process, began: float) -> None:
        """Waits until it is ready, then asks for signs of life; one that hangs is killed."""
        now = asyncio.get_running_loop().time
        # No deadline at the first start of an essential program: whoever waits for it sets one.
        is_waited_for = self.essential and not self.started.is_set()
        patience = None if is_waited_for else self._program.most_seconds_to_start
        try:
            async with asyncio.timeout(patience):
                await self._program.until_ready()
        except TimeoutError:
            self._silence = now() - began
        else:
            self._say_ready(now() - began)
            self._silence = await until_silent(self._program.gives_sign, PATIENCE_SECONDS)
        if self._ending.is_set():
            log.warning(f"{self.name} gives no sign of life and is killed", seconds=round(self._silence, 1))
        process.kill()

    def _say_ready(self, after: float) -> None:
        self._ready_at = asyncio.get_running_loop().time()
        if self.ready.is_set():
            log.info(f"{self.name} is back", seconds=round(after, 1))
        self.ready.set()
        self.started.set()
        if self._is_asked_to_end or self._ending.is_set():
            self._signal(_END)

    async def _copy_output(self, stream: asyncio.StreamReader | None) -> None:
        if stream is None:
            return
        rest = b""
        while chunk := await stream.read(_CHUNK_BYTES):
            if self._program.drops_output and len(chunk) > _NEARLY_FULL:
                log.warning(f"{self.name} wrote more than anybody read: lines of its log are missing, and it may write "
                            "no more until it is started again")  # fmt: skip
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

    async def _wait_to_restart(self, why: str, wait: float | None) -> None:
        # If it refuses its settings now, though it has served with them, a file has gone or a port is taken. Either may
        # change by itself, so it is tried again for ever. So is one that has been asked to end: others still run.
        goes_on = self._refuses_its_settings or self._is_asked_to_end
        if wait is None and self.essential and not goes_on:
            raise ChildError(self._last_words(f"{self.name} crashed again and again, the last time with {why}"))
        if wait is None:
            wait = LONGEST_WAIT if self.essential else _SELDOM_SECONDS
        reason = RestartReason.CRASHED if self._silence is None else RestartReason.HUNG
        what = "crashed" if reason is RestartReason.CRASHED else "hung, was killed"
        log.warning(f"{self.name} {what} and is started again", why=why, wait_seconds=wait)
        self.restarts += 1
        self._count(reason)
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._ending.wait()

    async def _wait_for_room(self, why: str) -> None:
        """Waits before the next try to start it, when something outside of it (such as a full disk) prevents that. It
        is tried for as long as it takes, and logged once."""
        if not self._waits_for_room:
            log.warning(f"{self.name} {why}: tried again until it can be", seconds=_ROOM_SECONDS)
        self._waits_for_room = True
        with suppress(TimeoutError):
            async with asyncio.timeout(_ROOM_SECONDS):
                await self._ending.wait()

    def _last_words(self, headline: str) -> str:
        if not self._tail:
            return headline
        return "\n".join([f"{headline}; its last words:", *(f"  {line}" for line in self._tail)])


def _describe_error(error: OSError) -> str:
    return f"{error.strerror}: {error.filename}" if error.filename else str(error.strerror)


def describe_exit(code: int) -> str:
    """An exit code as asyncio reports it, in words; negative ones are signals."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
