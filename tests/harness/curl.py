"""curl, as someone at a terminal uses it."""

import shutil
import subprocess
from dataclasses import dataclass

import pytest

from tests.harness.processes import bare_environment


@dataclass(frozen=True, slots=True)
class CurlAnswer:
    """What curl saw. `version` is the HTTP version as curl names it: 1.1 or 2; `exit_code` 0 is success."""

    exit_code: int
    status: int
    version: str
    body: bytes
    trace: str

    @property
    def text(self) -> str:
        return self.body.decode()


def curl(*arguments: str, data: bytes | None = None, timeout: float = 30) -> CurlAnswer:
    """Runs curl with these arguments; `data` is what it can read from standard input (`--data-binary @-`)."""
    program = shutil.which("curl")
    if program is None:
        pytest.skip("curl is not installed")
    command = [program, "--silent", "--verbose", "--write-out", "%{stderr}\\n%{http_code} %{http_version}", *arguments]
    done = subprocess.run(
        command, input=data, capture_output=True, env=bare_environment(), timeout=timeout, check=False
    )
    trace, _, written = done.stderr.decode(errors="replace").rpartition("\n")
    status, version = written.split()
    return CurlAnswer(done.returncode, int(status), version, done.stdout, trace)
