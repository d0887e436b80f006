"""What a service manager is told, over its own kind of socket."""

import asyncio
import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import structlog

from extproc.launch.service_manager import READY, ServiceManager


@contextmanager
def listening(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        manager.settimeout(5)
        yield manager


@pytest.mark.parametrize(
    "kind",
    [
        "file",
        pytest.param("abstract", marks=pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux alone")),
    ],
)
def test_it_is_told_in_a_word(kind: str) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        address = f"{directory}/notify" if kind == "file" else f"@{directory}"
        with listening(address) as manager:
            ServiceManager({"NOTIFY_SOCKET": address}).tell(READY)

            assert manager.recv(100) == b"READY=1"


async def test_one_that_wants_to_know_is_told_three_times_within_its_patience_that_we_live() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as directory, listening(f"{directory}/notify") as manager:
        watchdog = {"WATCHDOG_USEC": "600000", "WATCHDOG_PID": str(os.getpid())}
        reassuring = asyncio.create_task(
            ServiceManager({"NOTIFY_SOCKET": f"{directory}/notify", **watchdog}).reassure()
        )
        told = [await asyncio.to_thread(manager.recv, 100) for _ in range(3)]
        reassuring.cancel()

    assert told == [b"WATCHDOG=1"] * 3


@pytest.mark.parametrize("environment", [{}, {"WATCHDOG_USEC": "600000", "WATCHDOG_PID": "1"}])
async def test_without_one_nothing_is_told(environment: dict[str, str]) -> None:
    await asyncio.wait_for(ServiceManager(environment).reassure(), 1)
    ServiceManager(environment).tell(READY)


def test_one_that_cannot_be_reached_is_told_of_and_nothing_else_happens() -> None:
    with structlog.testing.capture_logs() as logs:
        ServiceManager({"NOTIFY_SOCKET": "/nowhere/notify"}).tell(READY)

    assert [entry["why"] for entry in logs] == ["No such file or directory"]
