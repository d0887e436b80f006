"""Child processes of a test: started on free ports, their output kept in files, ended with the test."""

import os
import secrets
import signal
import string
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def make_key() -> str:
    """A key in Z.AI's form, of nobody: made anew for each run, so that none stands in a file."""
    alphanumerics = string.ascii_letters + string.digits
    return secrets.token_hex(16) + "." + "".join(secrets.choice(alphanumerics) for _ in range(16))


def bare_environment(**settings: str) -> dict[str, str]:
    """An environment in which only these settings are set, whatever the developer's shell holds."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, "PYTHONUNBUFFERED": "1", **settings}


class Process:
    """A running child. `output` is everything that it wrote."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], directory: Path) -> None:
        self.name = name
        self._log = directory / f"{name}.log"
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(
                command, env=dict(environment), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def is_running(self) -> bool:
        return self._child.poll() is None

    def signal(self, number: signal.Signals) -> None:
        self._child.send_signal(number)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stops the process while the block runs: connections to it are still accepted, but nothing is answered."""
        self.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)

    def wait(self, within: float = 20.0) -> int:
        """The exit code, once it has ended."""
        return self._child.wait(within)

    def kill(self) -> None:
        """Ends it at once, as the kernel would when memory runs out."""
        if self.is_running:
            self._child.kill()
        self._child.wait(10)


def seconds_to_start() -> float:
    """How long it takes on this machine, at this moment, to start Python and import the processor."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-P", "-c", "import extproc.service"], check=True)
    return time.monotonic() - began
