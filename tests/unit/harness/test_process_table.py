"""Processes are found in the same way by `ps` as in /proc."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.harness import process_table
from tests.harness.waiting import wait_until


@pytest.mark.parametrize(
    "in_proc",
    [
        pytest.param(True, marks=pytest.mark.skipif(not process_table._LISTS, reason="there is no /proc")),
        pytest.param(False, marks=pytest.mark.skipif(shutil.which("ps") is None, reason="need ps: make setup-system")),
    ],
)
def test_a_process_is_found_with_its_parent_and_its_command_as_long_as_it_runs(
    monkeypatch: pytest.MonkeyPatch, in_proc: bool
) -> None:
    monkeypatch.setattr(process_table, "_LISTS", in_proc)
    child = subprocess.Popen([sys.executable, "-c", "input()", "a-word"], stdin=subprocess.PIPE)

    wait_until(lambda: "a-word" in process_table.command_line(child.pid), "it has become what it shall be")
    assert child.pid in process_table.descendants(os.getpid())
    assert process_table.is_alive(child.pid)

    child.communicate(b"\n")

    assert not process_table.is_alive(child.pid)
    assert process_table.command_line(child.pid) == []
