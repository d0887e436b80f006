"""deploy/image/drain.py, the preStop hook, beside a real Envoy."""

import json
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.harness.processes import ROOT, Process, bare_environment
from tests.harness.stack import PROMPT, running_stack
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.slow

HOOK = ROOT / "deploy/image/drain.py"
ACTIVE = "http.clients.downstream_rq_active"
NONE_RUNS = f"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{ACTIVE}: 0\n".encode()


def test_the_hook_returns_when_the_last_stream_has_ended(tmp_path: Path) -> None:
    with running_stack(tmp_path) as stack:
        slow = {"x-sim": json.dumps({"events": 70, "pause": 0.1})}
        body = {**PROMPT, "stream": True}
        with httpx.stream("POST", f"{stack.url}/v1/messages", json=body, headers=slow, timeout=60) as answer:
            lines = answer.iter_lines()
            next(lines)
            hook = _hook(tmp_path, stack.admin_port)
            assert any("message_stop" in line for line in lines)
            assert hook.is_running
        assert hook.wait(20) == 0


def test_the_hook_gives_up_at_its_deadline_and_says_so(tmp_path: Path) -> None:
    with running_stack(tmp_path) as stack:
        slow = {"x-sim": json.dumps({"events": 1000, "pause": 0.1})}
        body = {**PROMPT, "stream": True}
        with httpx.stream("POST", f"{stack.url}/v1/messages", json=body, headers=slow, timeout=60) as answer:
            lines = answer.iter_lines()  # kept: the connection ends with it
            next(lines)
            wait_until(lambda: stack.metric("zai_proxy_concurrent_requests") == 1, "the stream runs")
            assert _hook(tmp_path, stack.admin_port, DRAIN_TIMEOUT="1").wait(20) == 1


def test_the_hook_waits_for_no_probe(tmp_path: Path) -> None:
    with running_stack(tmp_path) as stack, ThreadPoolExecutor() as probes, stack.processor.frozen():
        asked = [probes.submit(httpx.get, stack.url + path, timeout=60) for path in ("/metrics", "/metrics")]
        wait_until(lambda: stack.envoy_stat(ACTIVE) == len(asked), "the probes wait for their answers")
        assert _hook(tmp_path, stack.admin_port, DRAIN_TIMEOUT="8").wait(20) == 0


def test_an_envoy_that_is_slow_to_answer_has_not_ended(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=10) as admin:
        admin.settimeout(20)
        hook = _hook(tmp_path, admin.getsockname()[1])
        to_drain, first, second = (admin.accept()[0] for _ in range(3))
        assert hook.is_running
        with to_drain, first, second:
            second.sendall(NONE_RUNS)
            second.shutdown(socket.SHUT_WR)
            assert hook.wait(20) == 0


def test_an_envoy_that_has_gone_is_not_waited_for(tmp_path: Path) -> None:
    with running_stack(tmp_path) as stack:
        stack.envoy.kill()
        assert _hook(tmp_path, stack.admin_port).wait(20) == 1


def _hook(directory: Path, admin_port: int, **settings: str) -> Process:
    environment = bare_environment(ENVOY_ADMIN_PORT=str(admin_port), **settings)
    return Process("hook", [sys.executable, "-P", str(HOOK)], environment, directory)
