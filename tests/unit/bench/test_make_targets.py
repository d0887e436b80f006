"""What `make` runs of `bench`, and no other test does."""

import subprocess
from types import ModuleType

import pytest

from bench import autoscale, screenshots
from tests.harness.processes import ROOT


@pytest.mark.parametrize(("target", "module"), [("screenshots", screenshots), ("sim-autoscale", autoscale)])
def test_make_runs_what_is_there(target: str, module: ModuleType) -> None:
    command = ["make", "--dry-run", "--silent", "--no-print-directory", "--assume-old=setup", target]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout

    assert told.splitlines()[-1].endswith(f"/python -m {module.__name__}")
    assert callable(module.main)
