"""The whole data plane for a test: simulator, processor and the real Envoy, each a process of its own."""

import os
import ssl
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import httpx

import envoy
from extproc.launch import envoy_config
from extproc.settings import load_settings
from tests.harness import plain_http
from tests.harness.ports import free_port
from tests.harness.processes import ROOT, Process, bare_environment, make_key
from tests.harness.readings import Readings
from tests.harness.waiting import wait_until

ENVOY = Path(envoy.__file__).parent / "_bin" / "envoy"
ZAI_PROXY = Path(sys.executable).parent / "zai-proxy"

_COUNTED_TWICE: Final = (
    ("http.clients.downstream_rq_total", "zai_proxy_requests_total"),
    ("access_logs.grpc_access_log.logs_written", "zai_proxy_access_log_entries_total"),
)
"""Pairs of counters, Envoy's and the processor's, that agree once all of Envoy's log has arrived."""

PROMPT = {"model": "glm-5.3", "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}]}


class Simulator:
    """A fake Z.AI in a process of its own, steered over HTTP."""

    def __init__(self, directory: Path, key: str, *options: str) -> None:
        self.port = free_port()
        scheme = "https" if "--tls-cert" in options else "http"
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self._client = httpx.Client(base_url=self.url, verify=_trusting() if scheme == "https" else True, timeout=20)
        command = [sys.executable, "-m", "simulator", "--port", str(self.port), *options]
        self.process = Process("simulator", command, bare_environment(ZAI_API_KEY=key), directory)
        with _ended_in_vain(self.process):
            wait_until(self._answers, "the simulator answers")

    def frozen(self) -> AbstractContextManager[None]:
        """Stops the simulator's process while the block runs: requests that are upstream stay there, however slow the
        machine is."""
        return self.process.frozen()

    def use(self, **scenario: Any) -> None:
        """Answers everything like this from now on."""
        self._client.put("/_simulator/scenario", json=scenario).raise_for_status()

    def limit(self, **limits: Any) -> None:
        self._client.put("/_simulator/limits", json=limits).raise_for_status()

    def reset(self) -> None:
        self._client.post("/_simulator/reset").raise_for_status()

    def log(self) -> list[dict[str, Any]]:
        """One entry for each request that it got, oldest first."""
        entries: list[dict[str, Any]] = self._client.get("/_simulator/log").raise_for_status().json()["entries"]
        return entries

    def stats(self) -> dict[str, Any]:
        stats: dict[str, Any] = self._client.get("/_simulator/stats").raise_for_status().json()
        return stats

    def _answers(self) -> bool:
        try:
            return self._client.get("/_simulator/stats").is_success
        except httpx.TransportError:
            return False


class Stack:
    """Simulator, processor and Envoy. `settings` are environment variables of the processor and of Envoy's config."""

    def __init__(self, directory: Path, simulator: Simulator, key: str, **settings: str) -> None:
        self.simulator = simulator
        self.key = key
        self._directory = directory
        self.proxy_port, self.metrics_port, self.admin_port = free_port(), free_port(), free_port()
        scheme = "https" if "TLS_CERT_FILE" in settings else "http"
        self.url = f"{scheme}://127.0.0.1:{self.proxy_port}"
        self.metrics_url = f"http://127.0.0.1:{self.metrics_port}"
        self.admin_url = f"http://127.0.0.1:{self.admin_port}"
        defaults = {
            "ZAI_API_KEY": key,
            "ZAI_TARGET_URL": simulator.url,
            "PROXY_PORT": str(self.proxy_port),
            "METRICS_PORT": str(self.metrics_port),
            "ENVOY_ADMIN_PORT": str(self.admin_port),
            "EXTPROC_SOCKET": str(directory / "extproc.sock"),
            "LOG_FORMAT": "json",
            "DRAIN_TIMEOUT": "5",
            "QUOTA_POLL_INTERVAL": "0",  # or the polls would stand in the simulator's log among a test's own requests
            "PACING": "off",  # or most requests of a storm would wait for their turn
            "QUOTA_GATE": "off",  # or a test of code 1308 would close the gate for those after it
        }
        self.environment = bare_environment(**{**defaults, **settings})
        if "ZAI_API_KEY_FILE" in settings:
            del self.environment["ZAI_API_KEY"]
        # By how much Envoy's counters are ahead of the processor's. A process that is started again counts from 0, so
        # this changes whenever one of the two is.
        self._ahead = {of_processor: 0.0 for _, of_processor in _COUNTED_TWICE}
        self.processor = self._start_processor()
        with _ended_in_vain(self.processor):
            self.envoy = self._start_envoy()

    def metrics(self) -> Readings:
        return Readings.scrape(f"{self.metrics_url}/metrics")

    def metrics_at_rest(self) -> Readings:
        """The metrics once nothing runs and Envoy's log has told of every request that there was."""
        wait_until(lambda: self.envoy_stat("http.clients.downstream_rq_active") == 0, "no request is running")
        wait_until(self._log_has_arrived, "Envoy's log has arrived")
        return self.metrics()

    def metric(self, name: str, **labels: str) -> float:
        return self.metrics().value(name, **labels)

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = plain_http.get(f"{self.metrics_url}/status").raise_for_status().json()
        return status

    def envoy_stat(self, name: str) -> int:
        """A counter or gauge of Envoy by its full name."""
        text = plain_http.get(f"{self.admin_url}/stats", filter=f"^{name}$").raise_for_status().text
        return int(text.rpartition(":")[2]) if text.strip() else 0

    def restart_processor(self) -> None:
        self._ahead = {of_processor: float(self.envoy_stat(of_envoy)) for of_envoy, of_processor in _COUNTED_TWICE}
        self.processor = self._start_processor()

    def restart_envoy(self, *options: str) -> None:
        """`options` are how Envoy logs, only warnings if there are none."""
        self._ahead = {of_processor: -self.metric(of_processor) for _, of_processor in _COUNTED_TWICE}
        self.envoy = self._start_envoy(*options)

    def kill(self) -> None:
        """Ends the processor first: it would learn from Envoy's end that its requests have ended."""
        self.processor.kill()
        self.envoy.kill()

    def mend(self) -> None:
        """Starts again what was killed."""
        if not self.envoy.is_running and not self.processor.is_running:
            self._ahead = dict.fromkeys(self._ahead, 0.0)
            self.processor = self._start_processor()
            self.envoy = self._start_envoy()
        elif not self.processor.is_running:
            self.restart_processor()
        elif not self.envoy.is_running:
            self.restart_envoy()

    def stop(self) -> None:
        self.envoy.kill()
        self.processor.kill()

    def _log_has_arrived(self) -> bool:
        metrics = self.metrics()
        return all(
            metrics.value(of_processor) >= self.envoy_stat(of_envoy) - self._ahead[of_processor]
            for of_envoy, of_processor in _COUNTED_TWICE
        )

    def _start_processor(self) -> Process:
        process = Process("processor", [str(ZAI_PROXY), "extproc"], self.environment, self._directory)
        with _ended_in_vain(process):
            wait_until(lambda: _is_ok(f"{self.metrics_url}/readyz") or not process.is_running, "the processor is ready")
            assert process.is_running, process.output
        return process

    def _start_envoy(self, *options: str) -> Process:
        config = self._directory / "envoy.yaml"
        config.write_text(_rendered(self.environment))
        command = [str(ENVOY), "-c", str(config), "--disable-hot-restart", "--concurrency", "2"]
        process = Process("envoy", [*command, *(options or ("-l", "warning"))], bare_environment(), self._directory)
        with _ended_in_vain(process):
            wait_until(lambda: _is_ok(f"{self.admin_url}/ready") or not process.is_running, "Envoy is ready")
            assert process.is_running, process.output
        return process


@contextmanager
def running_stack(directory: Path, *simulator_options: str, **settings: str) -> Iterator[Stack]:
    """A stack of its own, ended with the block."""
    key = make_key()
    simulator = Simulator(directory, key, *simulator_options)
    try:
        stack = Stack(directory, simulator, key, **settings)
        try:
            yield stack
        finally:
            stack.stop()
    finally:
        simulator.process.kill()


@contextmanager
def _ended_in_vain(process: Process) -> Iterator[None]:
    """If the block raises, ends the process, which its test would never get hold of."""
    try:
        yield
    except BaseException:
        process.kill()
        raise


def _rendered(environment: Mapping[str, str]) -> str:
    """What `zai-proxy envoy-config` prints there, without a process that takes as long to start as Envoy does."""
    with patch.dict(os.environ, environment, clear=True):
        settings = load_settings(needs_key=False)
    assert settings.extproc_socket is not None
    return envoy_config.render(settings, settings.extproc_socket)


def _is_ok(url: str) -> bool:
    try:
        return plain_http.get(url).is_success
    except httpx.TransportError:
        return False


def _trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


__all__ = ["ENVOY", "PROMPT", "ROOT", "ZAI_PROXY", "Simulator", "Stack", "running_stack"]
