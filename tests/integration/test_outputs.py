"""Whatever becomes of what `zai-proxy run` writes, it goes on serving, restarting and ending."""

import asyncio
import fcntl
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.harness.process_table import command_line, descendants
from tests.harness.readings import Readings
from tests.harness.stack import PROMPT, ZAI_PROXY, Simulator
from tests.harness.supervised import KEY, answers, quiet_settings
from tests.harness.waiting import eventually, wait_until

pytestmark = pytest.mark.slow


class Written:
    """A proxy whose outputs are these descriptors."""

    def __init__(self, directory: Path, simulator: Simulator, redirected: str, **outputs: int) -> None:
        environment = {**quiet_settings(directory, KEY, simulator.url), "LOG_FORMAT": "json"}
        self.url = f"http://127.0.0.1:{environment['PROXY_PORT']}"
        self._metrics_url = f"http://127.0.0.1:{environment['METRICS_PORT']}/metrics"
        command = ["sh", "-c", f"exec {ZAI_PROXY} run --no-dashboard {redirected}"]
        self.process = subprocess.Popen(command, env=environment, **outputs)
        wait_until(lambda: answers(f"{self.url}/health"), "the proxy answers")

    @property
    def processor(self) -> int:
        [pid] = [pid for pid in descendants(self.process.pid) if "extproc" in command_line(pid)[-1:]]
        return pid

    def metrics(self) -> Readings:
        return Readings.scrape(self._metrics_url)

    async def ask(self, times: int) -> set[int]:
        """The statuses of so many requests, each with a log line of more than 1 KB: of these 1 MiB is kept."""
        async with httpx.AsyncClient(timeout=30, headers={"user-agent": ("ä" * 120).encode()}) as client:
            statuses: set[int] = set()

            async def ask_some() -> None:
                for _ in range(times // 10):
                    statuses.add((await client.post(f"{self.url}/v1/messages", json=PROMPT)).status_code)

            await asyncio.gather(*(ask_some() for _ in range(10)))
            return statuses


@contextmanager
def writing(directory: Path, simulator: Simulator, redirected: str = "", **outputs: int) -> Iterator[Written]:
    proxy = Written(directory, simulator, redirected, **outputs)
    try:
        yield proxy
    finally:
        proxy.process.kill()
        proxy.process.wait()


async def test_a_pipe_that_nobody_reads_blocks_nothing_and_the_loss_is_counted_and_told(
    tmp_path: Path, simulator: Simulator
) -> None:
    reading, end = os.pipe()
    fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, 4096)
    with writing(tmp_path, simulator, stdout=end, stderr=end) as proxy:
        os.close(end)
        assert await proxy.ask(1500) == {200}
        lost = await eventually(lambda: proxy.metrics().value("zai_proxy_log_lines_dropped_total"), bool)
        os.kill(proxy.processor, signal.SIGKILL)
        await eventually(lambda: httpx.post(f"{proxy.url}/v1/messages", json=PROMPT).status_code, lambda s: s == 200)
        assert proxy.metrics().value("zai_proxy_log_lines_dropped_total") >= lost
        assert proxy.metrics().value("zai_proxy_child_restarts_total", child="extproc", reason="crashed") == 1

        told, text = "log lines of a processor that has ended were dropped", ""
        while told not in text:
            text += os.read(reading, 1_000_000).decode()
        assert text.count(told) == 1
        proxy.process.send_signal(signal.SIGTERM)
        assert proxy.process.wait(60) == 0
    os.close(reading)


async def test_once_somebody_reads_again_the_log_says_how_many_lines_are_missing(
    tmp_path: Path, simulator: Simulator
) -> None:
    reading, end = os.pipe()
    fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, 4096)
    with writing(tmp_path, simulator, stdout=end, stderr=end) as proxy:
        os.close(end)
        await proxy.ask(1500)
        counted = {"path": "/v1/messages", "status_code": "200"}
        await eventually(lambda: proxy.metrics().value("zai_proxy_requests_total", **counted), lambda n: n == 1500)
        lost = proxy.metrics().value("zai_proxy_log_lines_dropped_total")
        assert lost > 0

        text = ""
        while "log lines were dropped" not in text:
            text += os.read(reading, 1_000_000).decode()

    assert f'"lines": {lost:.0f}' in text
    assert text.count("log lines were dropped") == 1
    os.close(reading)


@pytest.mark.parametrize("redirected", [">/dev/full 2>/dev/full", ">&- 2>&-", ">&- 2>&- <&-"])
async def test_a_full_or_closed_output_is_no_defect_and_no_traceback(
    tmp_path: Path, simulator: Simulator, redirected: str
) -> None:
    with writing(tmp_path, simulator, redirected) as proxy:
        assert await proxy.ask(50) == {200}
        asked = {"path": "/v1/messages", "status_code": "200"}
        await eventually(lambda: proxy.metrics().value("zai_proxy_requests_total", **asked), lambda count: count == 50)

        metrics = proxy.metrics()
        assert metrics.value("zai_proxy_access_log_failures_total") == 0
        assert (metrics.value("zai_proxy_log_lines_dropped_total") >= 50) == ("full" in redirected)
        proxy.process.send_signal(signal.SIGTERM)
        assert proxy.process.wait(60) == 0
