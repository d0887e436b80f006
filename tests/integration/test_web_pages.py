"""What browsers ask for web pages: preflights are answered here, and no page that nobody has allowed gets the key."""

import asyncio
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.harness.readings import Readings
from tests.harness.stack import PROMPT, Stack, running_stack
from tests.harness.waiting import eventually

pytestmark = pytest.mark.slow

PAGE = "https://chat.example.com"
ORIGINS = f"{PAGE}/, http://localhost:*,vscode-webview://*"


@pytest.fixture(scope="module")
def open_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("open"), CORS_ORIGINS=ORIGINS, MAX_WORKERS="1") as stack:
        yield stack


def preflight(stack: Stack, origin: str = PAGE, path: str = "/v1/messages") -> httpx.Response:
    asked = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type,authorization,x-api-key,x-stainless-os",
        "access-control-request-private-network": "true",
    }
    return httpx.options(f"{stack.url}{path}", headers=asked)


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions", "/api/mcp/zread/mcp", "/health", "/nowhere"])
@pytest.mark.parametrize("dialect", ["anthropic", "openai"])
async def test_a_preflight_is_refused_here_where_no_page_may_come(
    stack: Stack, before: Readings, path: str, dialect: str
) -> None:
    asked = {"origin": PAGE, "access-control-request-method": "POST"}
    if dialect == "anthropic":
        asked["anthropic-version"] = "2023-06-01"

    answer = httpx.options(f"{stack.url}{path}", headers=asked)

    assert answer.status_code == 403
    assert "CORS_ORIGINS" in answer.json()["error"]["message"]
    assert "access-control-allow-origin" not in answer.headers
    assert stack.simulator.log() == []
    difference = await eventually(lambda: stack.metrics() - before, lambda d: d.value("zai_proxy_requests_total") == 1)
    for counter in ("upstream_errors_total", "rate_limit_rejections_total", "zai_errors_total"):
        assert difference.value(f"zai_proxy_{counter}") == 0


async def test_what_the_upstream_says_of_web_pages_is_not_passed_on(stack: Stack) -> None:
    page = {"origin": "http://localhost:5173"}

    answer = httpx.post(f"{stack.url}/v1/messages", json={**PROMPT, "stream": True}, headers=page)

    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions", "/api/mcp/zread/mcp", "/v1/models"])
@pytest.mark.parametrize("origin", [PAGE, "null"])
async def test_what_a_page_sends_without_asking_first_does_not_get_the_key(
    stack: Stack, before: Readings, path: str, origin: str
) -> None:
    headers = {"origin": origin, "content-type": "text/plain;charset=UTF-8"}

    answer = httpx.post(f"{stack.url}{path}", content=json.dumps(PROMPT), headers=headers)

    error = answer.json()["error"]
    assert answer.status_code == 403
    assert f"CORS_ORIGINS={origin} lets them" in error["message"]
    assert error["type"] == ("permission_error" if path == "/v1/messages" else "invalid_request_error")
    assert answer.headers["x-should-retry"] == "false"
    assert "access-control-allow-origin" not in answer.headers
    assert stack.simulator.log() == []
    difference = await eventually(lambda: stack.metrics() - before, lambda d: d.value("zai_proxy_requests_total") == 1)
    assert difference.value("zai_proxy_rate_limit_rejections_total", reason="origin") == 1
    assert difference.value("zai_proxy_upstream_errors_total") == 0
    assert stack.status()["workers"]["in_flight"] == 0


async def test_a_page_whose_name_was_made_to_point_here_does_not_get_the_key(stack: Stack) -> None:
    headers = {"origin": f"http://evil.example.com:{stack.proxy_port}", "host": f"evil.example.com:{stack.proxy_port}"}

    assert httpx.post(f"{stack.url}/v1/messages", json=PROMPT, headers=headers).status_code == 403
    assert stack.simulator.log() == []


@pytest.mark.parametrize(
    "origin", ["http://localhost:5173", "https://tauri.localhost", "vscode-webview://0a1b", "null"]
)
async def test_programs_and_pages_of_this_machine_go_on_as_before(stack: Stack, origin: str) -> None:
    assert httpx.post(f"{stack.url}/v1/messages", json=PROMPT, headers={"origin": origin}).status_code == 200


async def test_a_named_page_may_send_what_it_likes(open_stack: Stack) -> None:
    open_stack.simulator.reset()
    headers = {"origin": PAGE, "content-type": "text/plain"}

    assert httpx.post(f"{open_stack.url}/v1/messages", content=json.dumps(PROMPT), headers=headers).status_code == 200


@pytest.mark.parametrize("origin", [PAGE, "http://localhost:5173", "vscode-webview://0a1b2c"])
async def test_a_preflight_of_a_named_origin_is_answered_here(open_stack: Stack, origin: str) -> None:
    open_stack.simulator.reset()
    answer = preflight(open_stack, origin)

    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == origin
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert "authorization" in answer.headers["access-control-allow-headers"]
    assert answer.headers["access-control-allow-private-network"] == "true"
    assert open_stack.simulator.log() == []


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions"])
async def test_a_preflight_without_a_body_is_answered_without_one(open_stack: Stack, path: str) -> None:
    lines = [f"OPTIONS {path} HTTP/1.1", "host: x", f"origin: {PAGE}", "access-control-request-method: POST"]
    with socket.create_connection(("127.0.0.1", open_stack.proxy_port), timeout=30) as connection:
        connection.sendall("\r\n".join([*lines, "connection: close", "\r\n"]).encode())
        head, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 204")
    assert b"content-length" not in head
    assert body == b""


@pytest.mark.parametrize("origin", ["https://evil.example.com", f"{PAGE}.evil.com", "https://chat-example.com", "null"])
async def test_a_preflight_of_another_origin_is_refused(open_stack: Stack, origin: str) -> None:
    answer = preflight(open_stack, origin)

    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


async def test_a_page_may_read_answers_and_refusals_alike(open_stack: Stack) -> None:
    open_stack.simulator.reset()
    page = {"origin": PAGE}
    async with httpx.AsyncClient(base_url=open_stack.url, headers=page, timeout=30) as client:
        good = await client.post("/v1/messages", json=PROMPT)
        missing = await client.get("/nowhere")
        with open_stack.simulator.frozen():
            held = asyncio.create_task(client.post("/v1/messages", json=PROMPT))
            await eventually(lambda: open_stack.status()["workers"]["in_flight"], lambda n: n == 1)
            refused = await client.post("/v1/messages", json=PROMPT)
            asked_meanwhile = await client.options("/v1/messages", headers={"access-control-request-method": "POST"})
        await held

    assert [each.status_code for each in (good, missing, refused, asked_meanwhile)] == [200, 404, 503, 204]
    for each in (good, missing, refused, asked_meanwhile):
        assert each.headers["access-control-allow-origin"] == PAGE
    assert refused.headers["access-control-expose-headers"] == "*"


async def test_a_preflight_brings_no_token_and_needs_none(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.json"
    tokens.write_text('{"version": 1, "clients": []}')
    with running_stack(tmp_path, CORS_ORIGINS=PAGE, CLIENT_TOKENS_FILE=str(tokens)) as stack:
        asked = preflight(stack)
        refused = httpx.post(f"{stack.url}/v1/messages", json=PROMPT, headers={"origin": PAGE})

        assert asked.status_code == 204
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == PAGE
        seen = await eventually(stack.metrics, lambda m: m.value("zai_proxy_requests_total", status_code="401") == 1)
        assert seen.value("zai_proxy_requests_total", method="OPTIONS", status_code="204") == 1
        assert seen.value("zai_proxy_rate_limit_rejections_total") == 1


async def test_every_page_may_come_where_all_are_named(tmp_path: Path) -> None:
    with running_stack(tmp_path, CORS_ORIGINS="*") as stack:
        for origin in ("https://any.example.com", "null", "http://[::1]:8000"):
            assert preflight(stack, origin).headers["access-control-allow-origin"] == origin


async def test_other_options_are_answered_here_too(stack: Stack) -> None:
    answer = httpx.options(f"{stack.url}/v1/messages")

    assert answer.status_code == 204
    assert "POST" in answer.headers["allow"]
    assert stack.simulator.log() == []
