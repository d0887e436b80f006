"""HTTP/1.0, as nginx speaks it upwards by default and as health checks speak it."""

import json
import re
import socket

import pytest

from tests.harness.raw_http import RawAnswer, exchange
from tests.harness.readings import Readings
from tests.harness.stack import PROMPT, Stack
from tests.harness.waiting import eventually

pytestmark = pytest.mark.slow


def ask(stack: Stack, path: bytes, headers: bytes = b"", body: bytes = b"", method: bytes = b"POST") -> RawAnswer:
    length = b"content-length: %d\r\n" % len(body) if body else b""
    return exchange(stack, b"%b %b HTTP/1.0\r\n%b%b\r\n%b" % (method, path, headers, length, body))


async def test_a_request_is_answered_and_counted(stack: Stack, before: Readings) -> None:
    answer = ask(
        stack, b"/v1/messages", b"host: proxy\r\ncontent-type: application/json\r\n", json.dumps(PROMPT).encode()
    )

    assert answer.status == 200
    assert json.loads(answer.body)["type"] == "message"
    difference = await eventually(
        lambda: stack.metrics() - before, lambda d: d.value("zai_proxy_requests_total", status_code="200") == 1
    )
    assert difference.value("zai_proxy_usage_records_total", status="complete") == 1


async def test_a_stream_comes_whole_and_without_chunks(stack: Stack) -> None:
    body = json.dumps({**PROMPT, "stream": True}).encode()

    answer = ask(stack, b"/v1/messages", b"host: proxy\r\ncontent-type: application/json\r\n", body)

    assert answer.status == 200
    assert "transfer-encoding" not in answer.headers
    assert answer.body.startswith(b"event: message_start")
    assert b"event: message_stop" in answer.body


async def test_an_events_bytes_are_there_before_the_stream_ends(stack: Stack) -> None:
    stack.simulator.use(gap=30.0, gap_after=1)
    body = json.dumps({**PROMPT, "stream": True}).encode()
    head = b"POST /v1/messages HTTP/1.0\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)

    with socket.create_connection(("127.0.0.1", stack.proxy_port), timeout=20) as connection:
        connection.sendall(head + body)
        received = b""
        while b"message_start" not in received:
            piece = connection.recv(65536)
            assert piece, received
            received += piece


@pytest.mark.parametrize("path", [b"/health", b"/metrics"])
async def test_probes_need_no_host(stack: Stack, path: bytes) -> None:
    assert ask(stack, path, method=b"GET").status == 200


async def test_haproxys_health_check_is_answered_here(stack: Stack, before: Readings) -> None:
    answer = ask(stack, b"/", method=b"OPTIONS")

    assert answer.status == 204
    assert stack.simulator.log() == []
    difference = await eventually(lambda: stack.metrics() - before, lambda d: d.value("zai_proxy_requests_total") == 1)
    assert difference.value("zai_proxy_upstream_errors_total") == 0


async def test_a_refusal_has_its_words(stack: Stack) -> None:
    answer = ask(stack, b"/no/such/path", method=b"GET")

    assert answer.status == 404
    assert json.loads(answer.body)["error"]["message"] == "No such path on this proxy."


@pytest.mark.parametrize("path", [b"/", b"/v1/v1/messages", b"/v1/message"])
@pytest.mark.parametrize("head", [b"HTTP/1.0\r\n", b"HTTP/1.1\r\nhost:\r\nconnection: close\r\n"])
async def test_who_names_no_host_is_told_a_base_url_that_works(stack: Stack, path: bytes, head: bytes) -> None:
    answer = exchange(stack, b"GET %b %b\r\n" % (path, head))

    said = json.loads(answer.body)["error"]["message"]
    assert answer.status == 404
    assert f"http://127.0.0.1:{stack.proxy_port}" in said
    assert set(re.findall(r"http://[^/ ,.?]*", said)) == {"http://127"}
