"""The liveness probe of Envoy on Kubernetes, as its manifest has it, beside a real Envoy."""

import signal
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.deploy.manifests import containers, pods, render
from tests.harness.processes import ROOT, Process, bare_environment
from tests.harness.stack import Stack, running_stack
from tests.harness.stopped_thread import StoppedThread, threads
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.slow


def is_taken_for_alive(stack: Stack, directory: Path) -> bool:
    """What the command of the probe says; its paths are those of the image."""
    probe = containers(pods(render("base"))["zai-proxy"])["envoy"]["livenessProbe"]
    program, *arguments = probe["exec"]["command"]
    assert program == "python3"
    command = [argument.replace("/opt/zai-proxy", str(ROOT / "deploy/image")) for argument in arguments]
    environment = bare_environment(BIND_ADDRESS="0.0.0.0", ENVOY_ADMIN_PORT=str(stack.admin_port))  # noqa: S104
    return Process("probe", [sys.executable, *command], environment, directory).wait(60) == 0


def test_envoy_is_alive_without_its_processor_and_with_every_connection_taken_but_not_when_it_or_a_thread_hangs(
    tmp_path: Path,
) -> None:
    with running_stack(tmp_path, MAX_CONNECTIONS="10") as stack, ExitStack() as opened:
        wait_until(lambda: is_taken_for_alive(stack, tmp_path), "it is alive")

        stack.processor.kill()
        wait_until(lambda: is_taken_for_alive(stack, tmp_path), "it is alive without its processor")

        for _ in range(20):
            opened.enter_context(socket.create_connection(("127.0.0.1", stack.proxy_port), 10))
        wait_until(lambda: stack.envoy_stat("http.clients.downstream_cx_active") == 10, "no connection is free")
        wait_until(lambda: is_taken_for_alive(stack, tmp_path), "it is alive with every connection taken")

        stack.envoy.signal(signal.SIGSTOP)
        assert not is_taken_for_alive(stack, tmp_path)
        stack.envoy.signal(signal.SIGCONT)
        wait_until(lambda: is_taken_for_alive(stack, tmp_path), "it is alive again")

        worker = StoppedThread(threads(stack.envoy.pid, "wrk:worker_0")[0])
        wait_until(lambda: not is_taken_for_alive(stack, tmp_path), "a thread that hangs is missed")
        stack.envoy.signal(signal.SIGKILL)
        wait_until(worker.has_ended, "it has ended")
