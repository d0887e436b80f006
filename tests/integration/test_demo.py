"""`zai-proxy demo`: one command shows the whole proxy at work, and leaves nothing behind."""

import fcntl
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import tempfile
import termios
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.harness import plain_http
from tests.harness.process_table import descendants, is_alive
from tests.harness.processes import bare_environment
from tests.harness.readings import Readings
from tests.harness.stack import ZAI_PROXY
from tests.harness.supervised import Supervised, answers, free_ports, supervised
from tests.harness.waiting import eventually, wait_until

pytestmark = pytest.mark.slow

ROWS, COLUMNS = 24, 80


@contextmanager
def own_temporary_files() -> Iterator[Path]:
    """A directory for what a demo writes; short, for there is a Unix socket in it."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        yield Path(directory)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervised]:
    """A demo on given ports, without a terminal, that only this module's first tests look at."""
    with own_temporary_files() as temporary:
        environment = bare_environment(**free_ports(), TMPDIR=str(temporary))
        with supervised(tmp_path_factory.mktemp("demo"), environment, "demo") as demo:
            demo.until_ready()
            yield demo


def test_it_takes_the_given_ports_and_says_where_it_is(demo: Supervised) -> None:
    assert demo.url.endswith(f":{demo.environment['PROXY_PORT']}")
    assert demo.metrics_url.endswith(f":{demo.environment['METRICS_PORT']}")
    assert demo.dashboard_url.endswith(f":{demo.environment['DASHBOARD_PORT']}")
    assert f"  export ANTHROPIC_BASE_URL={demo.url}\n  export ANTHROPIC_AUTH_TOKEN=anything\n" in demo.output
    assert answers(f"{demo.dashboard_url}/healthz")
    assert sorted(demo.children()) == ["dashboard", "envoy", "extproc", "simulator"]


async def test_its_traffic_is_of_every_kind(demo: Supervised) -> None:
    def has_all(metrics: Readings) -> bool:
        requests = "zai_proxy_requests_total"
        return all(
            (
                metrics.value(requests, path="/v1/messages", status_code="200"),
                metrics.value(requests, path="/v1/chat/completions", status_code="200"),
                metrics.value(requests, path="/v1/responses", status_code="200"),
                metrics.value(requests, path="/v1/messages/count_tokens", status_code="200"),
                metrics.value(requests, path="/v1/models", status_code="200"),
                metrics.value(requests, path="/v1/embeddings", status_code="200"),
                metrics.value(requests, status_code="404"),
                metrics.value(requests, status_code="499"),
                metrics.value("zai_proxy_rate_limit_rejections_total", reason="capacity"),
                metrics.value("zai_proxy_zai_errors_total", **{"class": "quota"}),
                metrics.value("zai_proxy_retry_attempts_total"),
                metrics.value("zai_proxy_tokens_total", direction="cache_read"),
                metrics.value("zai_proxy_cold_conversations", agent="claude_code"),
            )
        )

    await eventually(demo.metrics, has_all, within=60)
    assert demo.metrics().value("zai_proxy_max_workers") == 20
    texts = await eventually(lambda: _causes(demo), bool, within=60)
    assert all("Set CLAUDE_CODE_ATTRIBUTION_HEADER=0" in text for text in texts)
    assert re.search(r"workers \d+/20 \| .*requests [1-9].* \d+\.\d/s \| tokens in [1-9]", demo.output)


def _causes(demo: Supervised) -> list[str]:
    """What the doctor of the cache has found."""
    findings = plain_http.get(f"{demo.metrics_url}/status").raise_for_status().json()["cache"]["findings"]
    return [finding["text"] for finding in findings]


async def test_it_shows_windows_that_move_a_forecast_two_models_and_a_learned_limit(demo: Supervised) -> None:
    usage = "zai_proxy_quota_usage_ratio"
    at_first = await eventually(demo.metrics, lambda metrics: bool(metrics.value(usage, window="five_hour")), within=60)

    def shows_all(metrics: Readings) -> bool:
        series = {name for name, _ in metrics.samples}
        forecasts = {"zai_proxy_quota_exhaustion_time_seconds", "zai_proxy_quota_unused_at_reset_ratio"}
        return all(
            (
                metrics.value(usage, window="five_hour") != at_first.value(usage, window="five_hour"),
                forecasts & series,
                {"glm-5.3", "glm-4.7"} <= metrics.labels("zai_proxy_tokens_total", "model"),
                metrics.labels("zai_proxy_model_concurrency_limit_ceiling_requests", "model"),
            )
        )

    await eventually(demo.metrics, shows_all, within=120)


def test_told_to_stop_it_ends_within_its_ten_seconds_and_leaves_no_process_and_no_file(demo: Supervised) -> None:
    left = descendants(demo.process.pid)
    temporary = Path(demo.environment["TMPDIR"])
    assert any(temporary.rglob("dashboard.db"))

    demo.signal(signal.SIGTERM)

    assert demo.process.wait(40) == 0
    assert not any(map(is_alive, left))
    assert list(temporary.iterdir()) == []
    assert "Traceback" not in demo.output
    assert "crashed" not in demo.output


def test_where_a_port_is_taken_and_not_given_it_takes_another(tmp_path: Path) -> None:
    with taken(8080), supervised(tmp_path, bare_environment(), "demo", "--no-dashboard") as demo:
        demo.until_ready()
        left = descendants(demo.process.pid)

        assert not demo.url.endswith(":8080")
        assert answers(f"{demo.url}/health")
        assert "  dashboard" not in demo.output

        demo.signal(signal.SIGKILL)
        wait_until(lambda: not any(map(is_alive, left)), "no process outlives a killed demo")


@contextmanager
def taken(port: int) -> Iterator[None]:
    """The port is in use: by us, or by somebody else already."""
    with ExitStack() as stack:
        with suppress(OSError):
            stack.enter_context(socket.create_server(("127.0.0.1", port)))
        yield


def test_in_a_terminal_it_shows_a_live_table_below_the_addresses_and_ctrl_c_ends_it(tmp_path: Path) -> None:
    with terminal(tmp_path) as (demo, shown):
        wait_until(lambda: "Requests" in shown(), "the table is there")
        wait_until(lambda: re.search(r"Requests +[1-9]", shown()) is not None, "requests are counted")
        text = shown()

        assert "export ANTHROPIC_BASE_URL=http://127.0.0.1:" in text
        assert "Ctrl-C stops it" in text
        for label in ("Workers", "Pacing", "Tokens", "Cost", "First byte", "Errors", "Refused"):
            assert f"│ {label}" in text
        assert max(len(line) for line in text.splitlines()) <= COLUMNS

        os.killpg(demo.pid, signal.SIGINT)
        wait_until(lambda: "a second signal cuts them" in " ".join(shown().split()), "it is stopping")
        os.killpg(demo.pid, signal.SIGINT)
        wait_until(lambda: bool(shown()) and demo.poll() is not None, "it has ended")
        assert demo.returncode == 0


def test_a_terminal_that_is_held_holds_nothing_up(tmp_path: Path) -> None:
    ours, its = pty.openpty()
    environment = {**bare_environment(**free_ports()), "TERM": "xterm-256color"}
    demo = subprocess.Popen(
        [str(ZAI_PROXY), "demo", "--no-dashboard"], env=environment, cwd=tmp_path, stdin=its, stdout=its, stderr=its
    )
    try:
        termios.tcflow(its, termios.TCOOFF)  # as Ctrl-S does
        url = f"http://127.0.0.1:{environment['PROXY_PORT']}"
        wait_until(lambda: answers(f"{url}/health"), "the proxy answers")
        metrics = f"http://127.0.0.1:{environment['METRICS_PORT']}/metrics"
        requests = "zai_proxy_requests_total"
        wait_until(lambda: Readings.scrape(metrics).value(requests, status_code="200") > 5, "the traffic goes on")

        demo.send_signal(signal.SIGTERM)

        assert demo.wait(40) == 0
    finally:
        demo.kill()
        demo.wait()
        os.close(its)
        os.close(ours)


@contextmanager
def terminal(directory: Path) -> Iterator[tuple["subprocess.Popen[bytes]", "Screen"]]:
    """A demo in a terminal of 24 lines, and a look at all that it wrote, without its control sequences."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    environment = {**bare_environment(**free_ports()), "TERM": "xterm-256color"}
    demo = subprocess.Popen(
        [str(ZAI_PROXY), "demo"],
        env=environment,
        cwd=directory,
        stdin=its,
        stdout=its,
        stderr=its,
        start_new_session=True,
    )
    os.close(its)
    try:
        yield demo, Screen(ours)
    finally:
        demo.kill()
        demo.wait()
        os.close(ours)


class Screen:
    """Everything that was written to a terminal, without its control sequences."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal
        self._written = b""

    def __call__(self) -> str:
        with suppress(OSError):  # the other side has ended
            while select.select([self._terminal], [], [], 0)[0]:
                self._written += os.read(self._terminal, 65536)
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self._written.decode(errors="replace")).replace("\r", "\n")
