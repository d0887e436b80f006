"""deploy/image/drain.py, the preStop hook, beside a real Envoy."""

import json
import sys
from pathlib import Path

import httpx
import pytest

from tests.harness.processes import ROOT, Process, bare_environment
from tests.harness.stack import PROMPT, running_stack
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.slow

HOOK = ROOT / "deploy/image/drain.py"


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


def _hook(directory: Path, admin_port: int, **settings: str) -> Process:
    environment = bare_environment(ENVOY_ADMIN_PORT=str(admin_port), **settings)
    return Process("hook", [sys.executable, "-P", str(HOOK)], environment, directory)
