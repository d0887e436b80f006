"""The proxy that gets the blows: `zai-proxy run` with a dashboard, its output a FIFO, a store that lies beside it."""

import asyncio
import itertools
import os
import signal
import socketserver
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx

from tests.chaos.books import Books
from tests.chaos.load import Sent
from tests.chaos.output import Output, Reader
from tests.harness import plain_http
from tests.harness.process_table import command_line, descendants
from tests.harness.readings import Readings
from tests.harness.stack import PROMPT, ZAI_PROXY, Simulator
from tests.harness.supervised import READY, answers, quiet_settings
from tests.harness.waiting import wait_until

_SETTINGS: Final = {
    "PACING": "fixed",
    "CONCURRENCY_LIMIT_INITIAL": "12",
    "RATE_LIMIT_INITIAL": "100",
    "RATE_LIMIT_BURST": "100",
    "MAX_WORKERS": "40",
    "QUEUE_TIMEOUT": "30",
    "DRAIN_TIMEOUT": "60",
    "RETRY_BUFFER_BYTES": "1048576",
}
_LIES: Final = (b"+OK\r\n", b"*1\r\n" * 50 + b":1\r\n", b"", b"-ERR no\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n")


class LyingStore:
    """A server that is no Redis, each time in another way."""

    def __init__(self) -> None:
        self._lies = itertools.cycle(_LIES)
        self._lie = next(self._lies)
        store = self

        class Liar(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                try:
                    while self.request.recv(65536):
                        self.request.sendall(store._lie)
                except ConnectionError:
                    return

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Liar)
        self.url = f"redis://127.0.0.1:{self._server.server_address[1]}/0"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def tell_the_next_lie(self) -> None:
        self._lie = next(self._lies)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Victim:
    """A running proxy. `probes` are the requests by which `is_well` has looked."""

    def __init__(self, directory: Path, simulator: Simulator, key: str, **settings: str) -> None:
        self.simulator = simulator
        self.store = LyingStore()
        (directory / "state").mkdir()
        self.environment: Mapping[str, str] = {
            **quiet_settings(directory, key, simulator.url),
            **_SETTINGS,
            "STATE_DIR": str(directory / "state"),
            "LIMITS_URL": self.store.url,
            **settings,
        }
        port = self.environment
        self.url = f"http://127.0.0.1:{port['PROXY_PORT']}"
        self.metrics_url = f"http://127.0.0.1:{port['METRICS_PORT']}"
        self.admin_url = f"http://127.0.0.1:{port['ENVOY_ADMIN_PORT']}"
        self.dashboard_url = f"http://127.0.0.1:{port['DASHBOARD_PORT']}"
        self.books = Books(f"{self.metrics_url}/metrics")
        self.probes: list[Sent] = []
        self.written = Output(directory / "output")
        end = self.written.writing_end()
        self.process = subprocess.Popen(
            [str(ZAI_PROXY), "run"], env=self.environment, stdin=subprocess.DEVNULL, stdout=end, stderr=end
        )
        os.close(end)
        wait_until(lambda: READY in self.output or self.process.poll() is not None, "the proxy is ready")
        assert self.process.poll() is None, self.output

    @property
    def output(self) -> str:
        """What it has written and somebody has read."""
        return self.written.text

    async def child(self, role: str) -> int:
        """The process of a child, once there is one."""
        deadline = time.monotonic() + 20
        while True:
            for pid in descendants(self.process.pid):
                command = command_line(pid)
                is_envoy = bool(command) and Path(command[0]).name == "envoy"
                if (is_envoy and role == "envoy") or command[1:5] == ["-P", "-m", "extproc", role]:
                    return pid
            assert time.monotonic() < deadline, f"there is no {role}"
            await asyncio.sleep(0.02)

    def children(self) -> list[int]:
        return descendants(self.process.pid)

    async def runtime_directory(self) -> Path:
        command = command_line(await self.child("envoy"))
        return Path(command[command.index("-c") + 1]).parent

    def metrics(self) -> Readings:
        return Readings.scrape(f"{self.metrics_url}/metrics")

    def envoy_stat(self, name: str) -> int:
        text = plain_http.get(f"{self.admin_url}/stats", filter=f"^{name}$").raise_for_status().text
        return int(text.rpartition(":")[2]) if text.strip() else 0

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = plain_http.get(f"{self.metrics_url}/status").raise_for_status().json()
        return status

    def restarts(self, child: str) -> float:
        """How often the child was started again; less than ever where nobody says."""
        try:
            page = httpx.get(f"{self.metrics_url}/metrics", timeout=2, verify=plain_http.NO_TLS)
        except httpx.TransportError:
            return -1.0
        return Readings.of(page.text).value("zai_proxy_child_restarts_total", child=child)

    def store_error(self) -> str | None:
        """What the dashboard says of its file; None if it can be written."""
        told = plain_http.get(f"{self.dashboard_url}/api/targets").raise_for_status().json()
        error: str | None = told["store"]["error"]
        return error

    def is_well(self) -> bool:
        """Whether every part of it answers, and a request is."""
        try:
            return (
                self._probe() == 200
                and answers(f"{self.metrics_url}/readyz")
                and answers(f"{self.dashboard_url}/healthz")
            )
        except httpx.TransportError:
            return False

    def end(self) -> None:
        left = descendants(self.process.pid)
        self.process.kill()
        self.process.wait(10)
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.store.close()
        self.written.become(Reader.GONE)

    def _probe(self) -> int:
        """The status of a request. Raises httpx.TransportError."""
        probe = Sent(f"chaos-probe-{len(self.probes)}", time.monotonic())
        self.probes.append(probe)
        headers = {"x-request-id": probe.id}
        try:
            answer = httpx.post(f"{self.url}/v1/messages", json=PROMPT, headers=headers, timeout=5)
            probe.status = answer.status_code
        except httpx.TransportError as error:
            probe.broken = type(error).__name__
            raise
        finally:
            probe.ended = time.monotonic()
        return probe.status


@contextmanager
def running_victim(directory: Path, simulator: Simulator, key: str, **settings: str) -> Iterator[Victim]:
    victim = Victim(directory, simulator, key, **settings)
    try:
        yield victim
    finally:
        victim.end()
