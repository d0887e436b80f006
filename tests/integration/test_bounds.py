"""What clients can make the proxy hold, and for how long, has an end."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from tests.harness.stack import PROMPT, Stack, running_stack
from tests.harness.waiting import eventually

pytestmark = pytest.mark.slow

CONNECTIONS = 5


@pytest.fixture(scope="module")
def shared_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("narrow"), MAX_CONNECTIONS=str(CONNECTIONS)) as stack:
        yield stack


def connect(stack: Stack) -> socket.socket:
    return socket.create_connection(("127.0.0.1", stack.proxy_port), timeout=30)


async def test_one_connection_too_many_is_closed_and_a_freed_one_is_given_again(stack: Stack) -> None:
    with ExitStack() as idle:
        for _ in range(CONNECTIONS):
            idle.enter_context(connect(stack))
        await eventually(lambda: stack.envoy_stat("http.clients.downstream_cx_active"), lambda n: n == CONNECTIONS)

        with connect(stack) as beyond:
            assert beyond.recv(1) == b""

        assert httpx.get(f"{stack.admin_url}/ready").status_code == 200, "a full house must not lock the owner out"
        assert stack.status()["workers"]["in_flight"] == 0

    await eventually(lambda: stack.envoy_stat("http.clients.downstream_cx_active"), lambda n: n < CONNECTIONS)
    assert httpx.post(f"{stack.url}/v1/messages", json=PROMPT).status_code == 200


async def test_a_client_that_dribbles_its_headers_is_cut_off(stack: Stack) -> None:
    with connect(stack) as slow:
        slow.settimeout(60)
        slow.sendall(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\n")
        answer = slow.recv(4096)

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert stack.simulator.log() == []
