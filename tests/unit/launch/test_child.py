"""One watched program, with small programs of our own."""

import asyncio
import os
import re
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import structlog

from common.settings import MAY_PASS, WRONG
from extproc.lasting_counts import RestartReason
from extproc.launch.child import Child, ChildError, Program, describe_exit
from tests.harness.process_table import is_alive
from tests.harness.waiting import eventually, wait_until

SLEEPS = "import time; time.sleep(60)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
)

CRASHES_ONCE = (
    "import os, pathlib, signal, time; flag = pathlib.Path('{flag}')\n"
    "if flag.exists(): time.sleep(60)\n"
    "flag.touch(); time.sleep(0.2); os.kill(os.getpid(), signal.SIGSEGV)"
)


async def at_once() -> None:
    """A program that serves as soon as it runs."""


async def never() -> None:
    await asyncio.Event().wait()


def is_held_back(pid: int, number: int) -> bool:
    """Whether a signal has arrived at a process that blocks it."""
    status = Path(f"/proc/{pid}/status").read_text()
    return any(int(pending, 16) >> (number - 1) & 1 for pending in re.findall(r"(?:Sig|Shd)Pnd:\s*(\w+)", status))


def python(
    source: str,
    until_ready: Callable[[], Awaitable[None]] = at_once,
    essential: bool = True,
    noise: tuple[str, ...] = (),
) -> tuple[Child, list[str]]:
    """A child that runs this Python source, and the lines that it passes on."""
    lines: list[str] = []
    command = (sys.executable, "-I", "-S", "-c", source)
    program = Program("probe", command, {}, until_ready, noise=noise, merge_output=True, essential=essential)
    return Child(program, lines.append), lines


async def test_it_is_ready_when_its_probe_says_so() -> None:
    may_serve = asyncio.Event()

    async def until_ready() -> None:
        await may_serve.wait()

    child, _ = python(SLEEPS, until_ready)
    running = asyncio.create_task(child.run())
    await eventually(lambda: child.is_running, bool)
    assert not child.ready.is_set()

    may_serve.set()

    await asyncio.wait_for(child.ready.wait(), 60)
    await child.end(5)
    await running


async def test_one_that_ends_before_it_is_ready_is_given_up_with_its_last_words() -> None:
    child, lines = python("import sys; print('no port left'); sys.exit(2)", never)

    with pytest.raises(ChildError, match=r"^probe did not start: exit code 2; its last words:\n  no port left$"):
        await child.run()

    assert lines == ["no port left"]


async def test_a_program_that_is_not_there_is_told_of() -> None:
    lines: list[str] = []
    child = Child(Program("probe", ("/nowhere/probe",), {}, never), lines.append)

    with pytest.raises(ChildError, match="cannot start /nowhere/probe: No such file or directory"):
        await child.run()


async def test_one_that_crashes_is_started_again_and_the_log_says_why(tmp_path: Path) -> None:
    child, _ = python(CRASHES_ONCE.format(flag=tmp_path / "flag"))

    with structlog.testing.capture_logs() as logs:
        running = asyncio.create_task(child.run())
        await eventually(lambda: [entry["event"] for entry in logs], lambda events: "probe is back" in events)
        await child.end(5)
        await running

    assert logs[0]["event"] == "probe crashed and is started again"
    assert logs[0]["why"] == "signal SIGSEGV"


async def test_one_that_is_not_essential_may_fail_from_the_start_and_is_tried_again_more_and_more_seldom(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("extproc.launch.child._SELDOM_SECONDS", 0.0)
    monkeypatch.setattr("extproc.launch.child.Restarts.wait_after", lambda _self, _served: None)
    starts = tmp_path / "starts"
    child, _ = python(f"open({str(starts)!r}, 'a').write('x'); raise SystemExit(1)", never, essential=False)

    running = asyncio.create_task(child.run())

    await eventually(lambda: starts.exists() and len(starts.read_text()) >= 3, bool)
    assert child.started.is_set()
    assert not child.ready.is_set()
    await child.end(5)
    await running


async def test_one_that_crashes_after_it_was_asked_to_end_is_started_again_and_asked_again(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    source = (
        "import pathlib, signal, sys, threading\n"
        f"flag, asked = pathlib.Path({str(flag)!r}), threading.Event()\n"
        "signal.signal(signal.SIGINT, lambda *_: asked.set())\n"
        "print('serves', flush=True)\nasked.wait()\n"
        "if not flag.exists(): flag.touch(); sys.exit('worn out')\nprint('done', flush=True)"
    )
    lines: list[str] = []

    async def until_ready() -> None:
        await eventually(lambda: lines[-1:], lambda last: last == ["serves"])

    program = Program("probe", (sys.executable, "-I", "-S", "-c", source), {}, until_ready, merge_output=True)
    child = Child(program, lines.append)
    running = asyncio.create_task(child.run())
    await asyncio.wait_for(child.ready.wait(), 60)

    child.ask_to_end()

    await asyncio.wait_for(running, 60)
    assert lines == ["serves", "worn out", "serves", "done"]
    assert child.restarts == 1


async def test_one_that_was_asked_to_end_and_crashes_again_and_again_takes_nobody_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("extproc.launch.child.LONGEST_WAIT", 0.0)
    monkeypatch.setattr("extproc.launch.child.Restarts.wait_after", lambda _self, _served: None)
    child, _ = python("import time; time.sleep(60)")
    running = asyncio.create_task(child.run())
    await asyncio.wait_for(child.ready.wait(), 60)

    child.ask_to_end()  # which it takes for an interrupt

    await eventually(lambda: child.restarts, lambda number: number >= 3)
    assert not running.done()
    await child.end(5)
    await running


async def test_what_was_lost_because_nobody_read_it_is_told(tmp_path: Path) -> None:
    may_write, has_written = tmp_path / "may_write", tmp_path / "has_written"
    source = (
        "import os, pathlib, time\n"
        f"while not os.path.exists({str(may_write)!r}): time.sleep(0.01)\n"
        "for _ in range(100):\n  try: os.write(2, b'x' * 4095 + b'\\n')\n  except BlockingIOError: pass\n"
        f"pathlib.Path({str(has_written)!r}).touch()\ntime.sleep(60)"
    )
    lines: list[str] = []
    command = (sys.executable, "-I", "-S", "-c", source)
    child = Child(Program("probe", command, {}, at_once, drops_output=True), lines.append)
    with structlog.testing.capture_logs() as logs:
        running = asyncio.create_task(child.run())
        await asyncio.wait_for(child.ready.wait(), 60)
        may_write.touch()
        wait_until(has_written.exists, "it has written")  # and we have not run, nor read
        await eventually(lambda: lines, bool)
        await child.end(5)
        await running

    assert [entry["event"].partition(":")[0] for entry in logs] == ["probe wrote more than anybody read"]


@pytest.mark.parametrize("exit_code", [WRONG, MAY_PASS])
async def test_one_that_has_served_and_can_no_longer_use_its_settings_is_tried_until_it_can(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, exit_code: int
) -> None:
    monkeypatch.setattr("extproc.launch.child.LONGEST_WAIT", 0.0)
    monkeypatch.setattr("extproc.launch.child.Restarts.wait_after", lambda _self, _served: None)
    file = tmp_path / "tokens"
    file.touch()
    source = (
        f"import pathlib, sys, time\nfile = pathlib.Path({str(file)!r})\n"
        f"if file.exists(): print('serves', flush=True)\nwhile file.exists(): time.sleep(0.05)\nsys.exit({exit_code})"
    )
    child, lines = python(source)
    running = asyncio.create_task(child.run())
    await eventually(lambda: lines, lambda said: said == ["serves"])

    file.unlink()
    await eventually(lambda: child.restarts, lambda number: number >= 3)
    file.touch()

    await eventually(lambda: lines, lambda said: said == ["serves", "serves"])
    await child.end(5)
    await running


async def test_one_that_is_essential_is_given_up_when_it_crashes_again_and_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("extproc.launch.child.Restarts.wait_after", lambda _self, _served: None)
    child, _ = python("import time; time.sleep(0.2); raise SystemExit('worn out')")

    with pytest.raises(
        ChildError, match=r"probe crashed again and again, the last time with exit code 1(.|\n)*worn out"
    ):
        await child.run()


async def test_one_that_does_not_end_when_told_is_killed() -> None:
    child, lines = python(STUBBORN)
    running = asyncio.create_task(child.run())
    await eventually(lambda: lines, bool)
    began = time.monotonic()

    await child.end(patience=0.2)

    assert not child.is_running
    assert time.monotonic() - began < 30
    await running


async def test_while_it_waits_to_be_restarted_it_can_be_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extproc.launch.child.Restarts.wait_after", lambda _self, _served: 60.0)
    child, _ = python("import time; time.sleep(0.1)")
    running = asyncio.create_task(child.run())
    await asyncio.wait_for(child.ready.wait(), 60)
    await eventually(lambda: child.is_running, lambda alive: not alive)

    await asyncio.wait_for(child.end(5), 30)
    await running


async def test_when_its_watcher_is_cancelled_it_is_killed() -> None:
    child, lines = python(f"import os; print(os.getpid(), flush=True); {SLEEPS}")
    running = asyncio.create_task(child.run())
    await eventually(lambda: lines, bool)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert not is_alive(int(lines[0]))


async def test_what_it_writes_is_passed_on_line_by_line_but_for_noise() -> None:
    source = (
        "import sys; sys.stdout.buffer.write(b'one\\r\\nchatter: two\\n\\xff three\\n' + b'x' * 70_000 + b'\\nlast'); "
        "sys.stdout.flush(); import time; time.sleep(0.1)"
    )
    child, lines = python(source, noise=("chatter",))
    running = asyncio.create_task(child.run())
    await eventually(lambda: "last" in lines, bool)
    await child.end(5)
    await running

    assert lines[:2] == ["one", "\ufffd three"]
    assert "".join(lines[2:]).count("x") >= 70_000
    assert not any("chatter" in line for line in lines)


@pytest.mark.parametrize(
    ("code", "words"),
    [(0, "exit code 0"), (3, "exit code 3"), (-signal.SIGKILL, "signal SIGKILL"), (-99, "signal 99")],
)
def test_an_exit_code_is_told_in_words(code: int, words: str) -> None:
    assert describe_exit(code) == words


async def test_one_that_gives_no_sign_of_life_is_killed_counted_and_started_again_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("extproc.launch.child.PATIENCE_SECONDS", 0.5)
    lives = True

    async def gives_sign() -> bool:
        return lives

    command = (sys.executable, "-I", "-S", "-c", SLEEPS)
    counted: list[RestartReason] = []
    child = Child(Program("probe", command, {}, at_once, gives_sign), print, counted.append)
    with structlog.testing.capture_logs() as logs:
        running = asyncio.create_task(child.run())
        await asyncio.wait_for(child.ready.wait(), 60)
        assert child._process is not None
        first = child._process.pid

        lives = False
        await eventually(lambda: counted, bool)
        lives = True
        await eventually(lambda: [entry["event"] for entry in logs], lambda events: "probe is back" in events)

    assert not is_alive(first)
    assert counted == [RestartReason.HUNG]
    assert [entry["event"] for entry in logs] == ["probe hung, was killed and is started again", "probe is back"]
    assert logs[0]["why"].startswith("no sign of life for ")
    await child.end(5)
    await running


async def test_one_that_hangs_while_it_is_started_again_is_killed_too(tmp_path: Path) -> None:
    counted: list[RestartReason] = []

    async def until_ready() -> None:
        await asyncio.Event().wait() if counted else None

    command = (sys.executable, "-I", "-S", "-c", CRASHES_ONCE.format(flag=tmp_path / "flag"))
    program = Program("probe", command, {}, until_ready, most_seconds_to_start=0.5)
    child = Child(program, print, counted.append)
    running = asyncio.create_task(child.run())

    await eventually(lambda: counted[:2], lambda reasons: reasons == [RestartReason.CRASHED, RestartReason.HUNG])

    await child.end(5)
    await running


async def test_one_that_is_not_essential_and_hangs_at_its_first_start_is_killed_too() -> None:
    counted: list[RestartReason] = []
    command = (sys.executable, "-I", "-S", "-c", SLEEPS)
    program = Program("probe", command, {}, never, most_seconds_to_start=0.5, essential=False)
    child = Child(program, print, counted.append)
    running = asyncio.create_task(child.run())

    await eventually(lambda: counted, lambda reasons: RestartReason.HUNG in reasons)

    await child.end(5)
    await running


async def test_what_keeps_it_from_being_started_is_no_crash_however_long_it_lasts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("extproc.launch.child.Restarts.wait_after", lambda _self, _served: 0.0)
    monkeypatch.setattr("extproc.launch.child._ROOM_SECONDS", 0.0)
    prepared, counted = 0, []

    def prepare() -> None:
        nonlocal prepared
        prepared += 1
        if 2 <= prepared <= 30:
            raise OSError(0, "no room")

    command = (sys.executable, "-I", "-S", "-c", "import time; time.sleep(0.2)")
    child = Child(Program("probe", command, {}, at_once, prepare=prepare), print, counted.append)
    with structlog.testing.capture_logs() as logs:
        running = asyncio.create_task(child.run())
        await eventually(lambda: prepared, lambda times: times >= 32)
        await child.end(5)
        await running

    assert [entry["event"] for entry in logs if "cannot be started (no room)" in entry["event"]] == [
        "probe cannot be started (no room): tried again until it can be"
    ]
    assert len(counted) <= prepared - 29  # none for the failures


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only /proc tells which signals are held back")
async def test_a_signal_to_every_process_at_once_ends_only_the_parent() -> None:
    child, lines = python("import os, signal, time; print(os.getpid(), flush=True); time.sleep(60)")
    running = asyncio.create_task(child.run())
    await eventually(lambda: lines, bool)
    pid = int(lines[0])

    os.kill(pid, signal.SIGTERM)
    await eventually(lambda: is_held_back(pid, signal.SIGTERM), bool)

    assert is_alive(pid)
    await child.end(5)
    assert not is_alive(pid)
    await running
