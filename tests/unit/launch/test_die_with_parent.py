"""A program that is tied to its parent ends with it, in the kernel's way and in the one of systems without it."""

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from extproc.launch.die_with_parent import bound_to_this_process
from tests.harness.process_table import is_alive, processes
from tests.harness.processes import ROOT
from tests.harness.waiting import wait_until

# Stands in every command of this file: what is left of one can be found by it.
MARK = "a-tether-under-test"
SLEEPS = f"import os, time; print(os.getpid(), flush=True); time.sleep(600)  # {MARK}"
PARENT = f"""
import subprocess, sys
sys.path.insert(0, {str(ROOT)!r})
from extproc.launch.die_with_parent import bound_to_this_process
bound = bound_to_this_process((sys.executable, "-I", "-S", "-c", {SLEEPS!r}))
subprocess.run(bound.command, pass_fds=bound.descriptors)
"""


@pytest.fixture(params=["kernel", "pipe"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Each way, where there is one; afterwards nobody may be left who watched."""
    if request.param == "kernel" and not sys.platform.startswith("linux"):
        pytest.skip("only Linux has it")
    monkeypatch.setenv("TETHER_BY_PIPE", "" if request.param == "kernel" else "1")
    yield str(request.param)
    wait_until(lambda: left() == [], "nothing is left")


def left() -> list[int]:
    return [each.pid for each in processes() if MARK in " ".join(each.command)]


def run(source: str) -> "subprocess.Popen[str]":
    bound = bound_to_this_process((sys.executable, "-I", "-S", "-c", f"{source}  # {MARK}"))
    return subprocess.Popen(bound.command, pass_fds=bound.descriptors, stdout=subprocess.PIPE, text=True)


def test_it_ends_with_its_parent_however_that_dies() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        program = int(parent.stdout.readline())
        assert is_alive(program)

        parent.kill()

        wait_until(lambda: not is_alive(program), "the program has ended")


@pytest.mark.parametrize(("source", "code"), [("", 0), ("raise SystemExit(3)", 3)])
def test_how_it_ended_is_told_and_its_output_ends_with_it(source: str, code: int) -> None:
    with run(f"print('hello'); {source}") as program:
        assert program.communicate(timeout=60) == ("hello\n", None)

    assert program.returncode == code


def test_its_parent_may_kill_it() -> None:
    with run(SLEEPS) as program:
        assert program.stdout is not None
        assert int(program.stdout.readline()) == program.pid

        program.kill()

    assert program.returncode == -signal.SIGKILL


def test_sigterm_does_nothing_to_it() -> None:
    with run("import signal; print(signal.SIGTERM in signal.pthread_sigmask(signal.SIG_BLOCK, ()))") as program:
        assert program.communicate(timeout=60) == ("True\n", None)


def test_it_has_no_child_that_it_did_not_start() -> None:
    children = "import os\ntry: print(os.waitpid(-1, os.WNOHANG))\nexcept ChildProcessError: print('none')\n"
    with run(children) as program:
        assert program.communicate(timeout=60) == ("none\n", None)


def test_one_that_drops_its_output_never_waits_until_somebody_reads_it() -> None:
    source = (
        "import os, sys\ntried = 0\nfor _ in range(100):\n  try: tried += 1; os.write(2, b'x' * 4096)\n"
        f"  except BlockingIOError: pass\nprint(tried)  # {MARK}"
    )
    bound = bound_to_this_process((sys.executable, "-I", "-S", "-c", source), drops_output=True)
    with subprocess.Popen(
        bound.command, pass_fds=bound.descriptors, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        assert program.stdout.read() == "100\n"
