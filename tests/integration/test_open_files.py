"""Connections are files: the limit of open ones is raised to what the settings need, or fewer are let in."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.harness.processes import make_key
from tests.harness.stack import ZAI_PROXY
from tests.harness.supervised import answers, quiet_settings
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.slow


class Limited:
    """A proxy under a limit of open files, in front of nothing."""

    def __init__(self, directory: Path, limit: str, **settings: str) -> None:
        environment = {**quiet_settings(directory, make_key(), "http://127.0.0.1:1"), **settings}
        self.port = int(environment["PROXY_PORT"])
        self._log = directory / "output.log"
        with self._log.open("wb") as log:
            command = ["sh", "-c", f"ulimit {limit} && exec {ZAI_PROXY} run --no-dashboard"]
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        wait_until(
            lambda: answers(f"http://127.0.0.1:{self.port}/health") or self.process.poll() is not None, "it answers"
        )

    @property
    def output(self) -> str:
        return self._log.read_text()

    def open_connections(self, number: int) -> int:
        """Opens so many at once; how many of them are answered. The others have to be closed, not left hanging."""
        with ExitStack() as opened:
            connections = [
                opened.enter_context(socket.create_connection(("127.0.0.1", self.port), 10)) for _ in range(number)
            ]
            answered = 0
            for connection in connections:
                connection.settimeout(10)
                try:
                    connection.sendall(b"HEAD / HTTP/1.1\r\nhost: here\r\n\r\n")
                    answered += connection.recv(100).startswith(b"HTTP/1.1 200")
                except ConnectionError:
                    continue
            return answered


@contextmanager
def limited(directory: Path, limit: str, **settings: str) -> Iterator[Limited]:
    proxy = Limited(directory, limit, **settings)
    try:
        yield proxy
    finally:
        proxy.process.kill()
        proxy.process.wait()


def test_a_soft_limit_is_raised_to_what_the_settings_need(tmp_path: Path) -> None:
    with limited(tmp_path, "-Sn 256", MAX_CONNECTIONS="600") as proxy:
        assert proxy.open_connections(590) == 590
        assert "ulimit" not in proxy.output


def test_below_a_hard_limit_fewer_are_let_in_and_the_next_are_refused_at_once(tmp_path: Path) -> None:
    with limited(tmp_path, "-n 1024", MAX_CONNECTIONS="1000", MAX_WORKERS="20") as proxy:
        told = (
            "MAX_CONNECTIONS=1000 would need 1296 open files and the hard limit is 1024 (ulimit -Hn): 728 connections"
        )
        assert proxy.output.count(told) == 1

        assert 700 <= proxy.open_connections(1000) <= 728
        assert httpx.get(f"http://127.0.0.1:{proxy.port}/health", timeout=10).status_code == 200


def test_without_room_for_a_few_it_does_not_start(tmp_path: Path) -> None:
    with limited(tmp_path, "-n 280", MAX_WORKERS="20") as proxy:
        assert proxy.process.wait(20) == 2
        assert proxy.output == "ulimit -Hn is 280: need 1296 open files for MAX_CONNECTIONS and MAX_WORKERS\n"
