"""The ways to the upstream that are compared, each with processes of its own on free ports."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import httpx

import envoy
from bench import envoy_configs
from bench.failure import BenchError
from tests.harness.ports import free_port
from tests.harness.processes import ROOT, Process, bare_environment, make_key
from tests.harness.waiting import wait_until

_ENVOY: Final = Path(envoy.__file__).parent / "_bin" / "envoy"
# -P keeps the directory that we are in out of its imports, so that PYTHONPATH says which revision runs.
_ZAI_PROXY: Final = (sys.executable, "-P", "-m", "extproc")
_MAX_WORKERS: Final = 2000
# Pacing at work, with limits that nothing here reaches: what it costs when nothing waits.
_WIDE_LIMITS: Final = {
    "CONCURRENCY_LIMIT_INITIAL": str(_MAX_WORKERS),
    "RATE_LIMIT_INITIAL": "10000",
    "RATE_LIMIT_MAX": "10000",
    "RATE_LIMIT_BURST": "10000",
}


class Way(StrEnum):
    """How a request gets to the upstream. The values are the names in the JSON report."""

    DIRECT = "no_proxy"
    BARE = "bare_envoy"
    FLOOR = "floor"
    FILTERS = "filters"
    UNPACED = "unpaced"
    UNGUARDED = "unguarded"
    DOCTORED = "doctored"
    BEFORE = "before"
    ALSO = "also"
    PROXY = "proxy"


@dataclass(frozen=True, slots=True)
class Running:
    """A way that is open: the port to send to, the one it leads to, and the processes that are measured, by role."""

    way: Way
    port: int
    upstream_port: int
    pids: dict[str, int]


class Launcher:
    """Starts the upstream, and ways to it. Whatever it started ends with the block that opened it.

    `before` is a checkout of another revision, whose proxy is the way BEFORE; `also` are settings for the way ALSO.
    """

    def __init__(self, directory: Path, before: Path | None = None, also: Mapping[str, str] | None = None) -> None:
        self._directory = directory
        self._before = before
        self._also = also or {}
        self._key = make_key()
        self._serial = 0
        self.upstream_port = free_port()

    @contextmanager
    def upstream(self) -> Iterator[None]:
        """The upstream that every way leads to."""
        with ExitStack() as started:
            command = [sys.executable, "-m", "bench.upstream", str(self.upstream_port)]
            process = self._start(started, "upstream", command, bare_environment())
            _wait(process, lambda: _answers(f"http://127.0.0.1:{self.upstream_port}/"))
            yield

    @contextmanager
    def open(self, way: Way) -> Iterator[Running]:
        """Raises BenchError, with what the process wrote, if one does not start."""
        with ExitStack() as started:
            if way is Way.DIRECT:
                yield Running(way, self.upstream_port, self.upstream_port, {})
            else:
                yield self._open(way, started)

    def _open(self, way: Way, started: ExitStack) -> Running:
        self._serial += 1
        directory = self._directory / f"{self._serial}-{way.value}"
        directory.mkdir()
        environment = bare_environment(
            ZAI_API_KEY=self._key,
            ZAI_TARGET_URL=f"http://127.0.0.1:{self.upstream_port}",
            MAX_WORKERS=str(_MAX_WORKERS),
            PROXY_PORT=str(free_port()),
            METRICS_PORT=str(free_port()),
            ENVOY_ADMIN_PORT=str(free_port()),
            EXTPROC_SOCKET=str(directory / "extproc.sock"),
            LOG_FORMAT="json",
            QUOTA_POLL_INTERVAL="0",
            PYTHONPATH=str(self._before if way is Way.BEFORE else ROOT),
            **_WIDE_LIMITS,
            **self._own_settings(way),
        )
        pids = {}
        if way is not Way.BARE:
            pids["processor"] = self._processor(way, started, environment, directory)
        pids["envoy"] = self._envoy(way, started, environment, directory)
        return Running(way, int(environment["PROXY_PORT"]), self.upstream_port, pids)

    def _own_settings(self, way: Way) -> Mapping[str, str]:
        if way is Way.UNPACED:
            return {"PACING": "off"}
        if way is Way.UNGUARDED:
            return {"STREAM_GUARD": "off"}
        if way is Way.DOCTORED:
            return {"CACHE_DOCTOR": "on"}
        return self._also if way is Way.ALSO else {}

    def _processor(self, way: Way, started: ExitStack, environment: dict[str, str], directory: Path) -> int:
        socket = Path(environment["EXTPROC_SOCKET"])
        is_floor = way in (Way.FLOOR, Way.FILTERS)
        command = [sys.executable, "-m", "bench.floor", str(socket)] if is_floor else [*_ZAI_PROXY, "extproc"]
        process = self._start(started, "processor", command, environment, directory)
        _wait(process, socket.exists)
        return process.pid

    def _envoy(self, way: Way, started: ExitStack, environment: dict[str, str], directory: Path) -> int:
        config = directory / "envoy.yaml"
        config.write_text(_adapted(way, self._rendered(environment, directory)))
        command = [str(_ENVOY), "-c", str(config), "--disable-hot-restart", "--concurrency", "2", "-l", "warning"]
        process = self._start(started, "envoy", command, bare_environment(), directory)
        _wait(process, lambda: _answers(f"http://127.0.0.1:{environment['ENVOY_ADMIN_PORT']}/ready"))
        return process.pid

    def _rendered(self, environment: dict[str, str], directory: Path) -> str:
        process = Process("envoy-config", [*_ZAI_PROXY, "envoy-config"], environment, directory)
        if process.wait() != 0:
            raise BenchError(f"zai-proxy envoy-config: {process.output.strip()[-500:]}")
        return process.output

    def _start(
        self,
        started: ExitStack,
        name: str,
        command: list[str],
        environment: dict[str, str],
        directory: Path | None = None,
    ) -> Process:
        process = Process(name, command, environment, directory or self._directory)
        started.callback(process.kill)
        return process


def check_revision(checkout: Path) -> None:
    """Raises BenchError unless the proxy of that checkout is what runs with it on the path."""
    command = [sys.executable, "-P", "-c", "import extproc; print(extproc.__file__)"]
    environment = bare_environment(PYTHONPATH=str(checkout))
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout.strip()
    if not found or checkout.resolve() not in Path(found).resolve().parents:
        raise BenchError(f"{checkout} is no checkout of this project (extproc is {found or 'not there'})")


def _adapted(way: Way, rendered: str) -> str:
    if way is Way.BARE:
        return envoy_configs.bare(rendered)
    if way is Way.FLOOR:
        return envoy_configs.with_ext_proc_alone(rendered)
    return rendered


def _wait(process: Process, ready: Callable[[], bool]) -> None:
    try:
        wait_until(lambda: ready() or not process.is_running, f"{process.name} is ready")
    except AssertionError as late:
        raise BenchError(str(late)) from None
    if not process.is_running:
        raise BenchError(f"{process.name} ended at once: {process.output.strip()[-500:]}")


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).is_success
    except httpx.TransportError:
        return False
