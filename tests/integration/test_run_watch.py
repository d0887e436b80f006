"""How `zai-proxy run` watches its children: when it says that it is ready, and how long it waits after a crash."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

from tests.harness.processes import bare_environment
from tests.harness.stack import ZAI_PROXY, Simulator
from tests.harness.supervised import KEY, READY, Supervised, answers, quiet_settings, running_proxy, supervised
from tests.harness.waiting import wait_until

OPEN = "0.0.0.0"  # noqa: S104 - what may be dangerous


def test_it_is_not_ready_before_each_child_is(tmp_path: Path, simulator: Simulator) -> None:
    environment = quiet_settings(tmp_path, KEY, simulator.url)
    with supervised(tmp_path, environment, "run", "--no-dashboard") as proxy:
        wait_until(lambda: "extproc" in proxy.children(), "the processor is started")
        processor = proxy.child("extproc")
        os.kill(processor, signal.SIGSTOP)
        wait_until(lambda: answers(f"http://127.0.0.1:{environment['ENVOY_ADMIN_PORT']}/ready"), "Envoy is ready")
        is_never_said(proxy, READY, seconds=0.5)
        os.kill(processor, signal.SIGCONT)

        proxy.until_ready()


def test_each_program_that_says_that_it_is_ready_says_which_it_is(tmp_path: Path, simulator: Simulator) -> None:
    environment = {**quiet_settings(tmp_path, KEY, simulator.url), "LOG_FORMAT": "json", "LOG_LEVEL": "info"}

    def ready(proxy: Supervised) -> set[object]:
        return {each.get("program") for each in log_of(proxy) if each["event"] == "ready"}

    with supervised(tmp_path, environment, "run") as proxy:
        wait_until(lambda: ready(proxy) == {"extproc", "dashboard", "zai-proxy"}, "all three are ready")


def is_never_said(proxy: Supervised, text: str, seconds: float) -> None:
    """Looks all the time for what must not come."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert text not in proxy.output
        time.sleep(0.02)


def test_after_each_further_crash_it_waits_longer_and_says_why(tmp_path: Path, simulator: Simulator) -> None:
    environment = {**quiet_settings(tmp_path, KEY, simulator.url), "LOG_FORMAT": "json"}
    with supervised(tmp_path, environment, "run", "--no-dashboard") as proxy:
        wait_until(lambda: any(each["event"] == "ready" and "proxy_port" in each for each in log_of(proxy)), "ready")
        for count in range(1, 4):
            wait_until(lambda: "extproc" in proxy.children(), "the processor runs")
            os.kill(proxy.child("extproc"), signal.SIGKILL)
            wait_until(lambda count=count: len(crashes(proxy)) == count, "the crash is noticed")  # type: ignore[misc]

        assert [crash["wait_seconds"] for crash in crashes(proxy)] == [0.0, 0.5, 1.0]
        assert {crash["why"] for crash in crashes(proxy)} == {"signal SIGKILL"}


def log_of(proxy: Supervised) -> list[dict[str, object]]:
    """The log so far; a line that is not finished yet is left out."""
    lines = [line for line in proxy.output.splitlines() if line.startswith("{") and line.endswith("}")]
    return [json.loads(line) for line in lines]


def crashes(proxy: Supervised) -> list[dict[str, object]]:
    return [each for each in log_of(proxy) if "wait_seconds" in each]


def test_an_open_address_is_no_danger_where_clients_need_tokens(tmp_path: Path, simulator: Simulator) -> None:
    file = tmp_path / "tokens"
    made = bare_environment(CLIENT_TOKENS_FILE=str(file))
    subprocess.run([str(ZAI_PROXY), "token", "add", "laptop"], env=made, check=True, capture_output=True, timeout=20)
    settings = {"BIND_ADDRESS": OPEN, "CLIENT_TOKENS_FILE": str(file)}

    with running_proxy(tmp_path, simulator, KEY, "--no-dashboard", **settings) as proxy:
        assert "open to other machines" not in proxy.output
