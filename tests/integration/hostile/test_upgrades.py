"""Attempts to speak something else than HTTP requests: WebSockets, tunnels, upgrades."""

import json

import pytest

from tests.harness.raw_http import error_of, exchange, request_bytes
from tests.harness.raw_http2 import http2_connection, request_headers
from tests.harness.stack import PROMPT, Stack

BODY = json.dumps(PROMPT).encode()
WEBSOCKET = (
    b"connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@pytest.mark.parametrize("path", [b"/v1/responses", b"/v1/messages", b"/api/paas/v4/realtime", b"/api/mcp/zread/mcp"])
async def test_a_websocket_is_refused_at_once(stack: Stack, path: bytes) -> None:
    answer = exchange(stack, request_bytes(target=path, headers=WEBSOCKET))

    assert answer.status == 426
    assert "WebSocket" in error_of(answer)["message"]
    assert stack.simulator.log() == []


@pytest.mark.parametrize("path", [b"/api/monitor/usage", b"/nothing", b"/health", b"/metrics"])
async def test_a_websocket_elsewhere_is_refused_too(stack: Stack, path: bytes) -> None:
    answer = exchange(stack, request_bytes(target=path, headers=WEBSOCKET))

    assert 400 <= answer.status < 500
    assert stack.simulator.log() == []


@pytest.mark.parametrize("upgrade", [b"WebSocket", b"websocket, h2c", b"TLS/1.2", b"connect-udp", b"anything"])
async def test_no_upgrade_of_any_name_is_granted(stack: Stack, upgrade: bytes) -> None:
    lines = b"connection: Upgrade\r\nupgrade: %b\r\n" % upgrade

    answer = exchange(stack, request_bytes(target=b"/v1/responses", headers=lines))

    assert 400 <= answer.status < 500
    assert stack.simulator.log() == []


async def test_an_offer_of_http2_is_not_taken_up_and_the_request_answered(stack: Stack) -> None:
    lines = (
        b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"
        b"content-length: %d\r\n" % len(BODY)
    )

    answer = exchange(stack, request_bytes(b"POST", b"/v1/messages", lines, BODY))

    assert answer.status == 200
    assert not {"upgrade", "http2-settings"} & set(stack.simulator.log()[-1]["headers"])


@pytest.mark.parametrize("target", [b"api.z.ai:443", b"127.0.0.1:22", b"/v1/messages"])
async def test_no_tunnel_is_opened(stack: Stack, target: bytes) -> None:
    answer = exchange(stack, b"CONNECT %b HTTP/1.1\r\nhost: %b\r\n\r\n" % (target, target))

    assert 400 <= answer.status < 500
    assert stack.simulator.log() == []


async def test_no_tunnel_is_opened_over_http2(stack: Stack) -> None:
    with http2_connection(stack) as connection:
        plain = connection.answer(
            connection.request([(b":method", b"CONNECT"), (b":authority", b"api.z.ai:443")], None)
        )
    with http2_connection(stack) as connection:
        headers = request_headers(b"/v1/responses", b"CONNECT", [(b":protocol", b"websocket")])
        extended = connection.answer(connection.request(headers, None))

    assert plain.refused or 400 <= plain.status < 500
    assert extended.refused or 400 <= extended.status < 500
    assert stack.simulator.log() == []
