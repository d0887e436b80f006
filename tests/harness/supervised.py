"""`zai-proxy run` or `demo` as a process of its own, and the processes below it."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import httpx

from tests.harness import plain_http
from tests.harness.ports import free_port
from tests.harness.process_table import command_line, descendants
from tests.harness.processes import Process, bare_environment, make_key
from tests.harness.readings import Readings
from tests.harness.stack import ZAI_PROXY, Simulator
from tests.harness.waiting import wait_until

KEY: Final = make_key()
"""What the simulator of a supervised proxy takes for its key."""
READY: Final = "zai-proxy is ready."
PORTS: Final = ("PROXY_PORT", "METRICS_PORT", "ENVOY_ADMIN_PORT", "DASHBOARD_PORT")
_ROLES: Final = ("extproc", "dashboard", "simulator")


def free_ports() -> dict[str, str]:
    """A free port for every setting that wants one."""
    return {name: str(free_port()) for name in PORTS}


def quiet_settings(directory: Path, key: str, upstream: str) -> dict[str, str]:
    """The settings of a proxy in a test: ports of its own, files in `directory`, no request but the test's."""
    return bare_environment(
        **free_ports(),
        ZAI_API_KEY=key,
        ZAI_TARGET_URL=upstream,
        DB_PATH=str(directory / "dashboard.db"),
        PACING="off",
        QUOTA_POLL_INTERVAL="0",
        QUOTA_GATE="off",
    )


def start_in_vain(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a command that is expected to end by itself."""
    return subprocess.run(
        [str(ZAI_PROXY), *arguments], env=dict(environment), capture_output=True, text=True, timeout=30, check=False
    )


class Supervised:
    """A running supervisor. `environment` is what it was started with."""

    def __init__(self, directory: Path, environment: Mapping[str, str], *arguments: str) -> None:
        self.environment = dict(environment)
        self.process = Process("supervisor", [str(ZAI_PROXY), *arguments], environment, directory)

    @property
    def output(self) -> str:
        return self.process.output

    @property
    def url(self) -> str:
        """The client port, as announced."""
        return self._announced("clients")

    @property
    def dashboard_url(self) -> str:
        return self._announced("dashboard")

    @property
    def metrics_url(self) -> str:
        return self._announced("metrics").removesuffix("/metrics")

    def metrics(self) -> Readings:
        return Readings.scrape(f"{self.metrics_url}/metrics")

    def until_ready(self) -> None:
        wait_until(lambda: READY in self.output or not self.process.is_running, "the proxy says that it is ready")
        assert self.process.is_running, self.output

    def child(self, role: str) -> int:
        """The process of the child: envoy, extproc, dashboard or simulator."""
        return self.children()[role]

    def children(self) -> dict[str, int]:
        """The processes right below, by what they are; one that is only about to become that is left out."""
        return {role: pid for pid in descendants(self.process.pid) if (role := _role(pid))}

    def signal(self, number: signal.Signals) -> None:
        self.process.signal(number)

    def end(self) -> None:
        """Ends it at once, and whatever may be left of it."""
        left = descendants(self.process.pid)
        self.process.kill()
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _announced(self, what: str) -> str:
        found = re.search(rf"^  {what} +(http\S+)", self.output, re.MULTILINE)
        assert found is not None, self.output
        return found[1]


@contextmanager
def supervised(directory: Path, environment: Mapping[str, str], *arguments: str) -> Iterator[Supervised]:
    """A supervisor, ended with the block."""
    proxy = Supervised(directory, environment, *arguments)
    try:
        yield proxy
    finally:
        proxy.end()


@contextmanager
def running_proxy(
    directory: Path, simulator: Simulator, key: str, *flags: str, **settings: str
) -> Iterator[Supervised]:
    """`zai-proxy run` in front of a simulator, once it has said that it is ready."""
    environment = {**quiet_settings(directory, key, simulator.url), **settings}
    with supervised(directory, environment, "run", *flags) as proxy:
        proxy.until_ready()
        yield proxy


def answers(url: str) -> bool:
    try:
        return plain_http.get(url).is_success
    except httpx.TransportError:
        return False


def _role(pid: int) -> str:
    command = command_line(pid)
    if command and Path(command[0]).name == "envoy":
        return "envoy"
    is_ours = command[1:4] == ["-P", "-m", "extproc"]
    return command[4] if is_ours and command[4] in _ROLES else ""
