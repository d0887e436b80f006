"""The ports that tests get. Two owners of one port would be a failure that comes and goes."""

import socket
import subprocess
import sys

import pytest

from tests.harness.ports import free_port
from tests.harness.processes import ROOT

TEN_PORTS = "from tests.harness.ports import free_port; print(*(free_port() for _ in range(10))); input()"


def test_no_port_is_given_out_twice() -> None:
    assert len({free_port() for _ in range(150)}) == 150


def test_two_processes_get_different_ports() -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", TEN_PORTS], cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]
    given = [process.stdout.readline().split() for process in processes if process.stdout]
    for process in processes:
        process.communicate("\n", timeout=10)

    assert len({port for ports in given for port in ports}) == 20


def test_a_port_that_somebody_listens_on_is_left_out() -> None:
    port = free_port()
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", port + 1))
        listening.listen()

        assert free_port() != port + 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux says which it gives")
def test_the_kernel_gives_none_of_them_to_a_connection() -> None:
    with open("/proc/sys/net/ipv4/ip_local_port_range") as ports:
        first = int(ports.read().split()[0])

    assert free_port() < first
