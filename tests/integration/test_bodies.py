"""Bodies and the headers that belong to the client pass unchanged, both ways."""

import hashlib
import json
import secrets

import httpx
import pytest

from tests.harness.readings import Readings
from tests.harness.stack import PROMPT, Stack
from tests.harness.waiting import eventually


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def simulating(**scenario: object) -> dict[str, str]:
    return {"x-sim": json.dumps(scenario)}


def prompt_of(size: int) -> bytes:
    body = {**PROMPT, "messages": [{"role": "user", "content": secrets.token_hex(size // 2)}]}
    return json.dumps(body).encode()


@pytest.mark.parametrize(
    ("path", "scenario"),
    [
        ("/v1/messages", {}),
        ("/v1/messages", {"content_bytes": 9_000_000, "pieces": "batch"}),
        ("/v1/messages", {"framing": "chunked"}),
        ("/v1/messages", {"code": "1210"}),
        ("/v1/messages", {"code": "1308", "framing": "chunked"}),
        ("/v1/messages", {"envelope": "html", "status": 502}),
        ("/v1/messages", {"fault": "malformed"}),
        ("/v1/chat/completions", {}),
        ("/v1/chat/completions", {"pieces": "byte"}),
        ("/v1/embeddings", {}),
    ],
)
async def test_an_answer_arrives_byte_for_byte(stack: Stack, path: str, scenario: dict[str, object]) -> None:
    body = {**PROMPT, "input": "hello"}

    response = httpx.post(f"{stack.url}{path}", json=body, headers=simulating(**scenario), timeout=30)

    entry = stack.simulator.log()[-1]
    assert len(response.content) == entry["response_bytes"]
    assert sha256(response.content) == entry["response_sha256"]
    assert response.status_code == entry["status"]


@pytest.mark.parametrize("pieces", ["event", "byte", "utf8", "batch"])
@pytest.mark.parametrize("line_end", ["lf", "crlf", "cr"])
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions", "/v1/responses"])
async def test_a_stream_arrives_byte_for_byte(stack: Stack, path: str, pieces: str, line_end: str) -> None:
    headers = simulating(pieces=pieces, line_end=line_end, comments=2, fault="garbled", after_events=3)
    body = {**PROMPT, "input": "hello", "stream": True}

    response = httpx.post(stack.url + path, json=body, headers=headers, timeout=30)

    entry = stack.simulator.log()[-1]
    assert sha256(response.content) == entry["response_sha256"]


async def test_binary_audio_arrives_byte_for_byte(stack: Stack) -> None:
    body = {"model": "glm-tts", "input": "hello", "voice": "tongtong"}

    response = httpx.post(
        f"{stack.url}/api/paas/v4/audio/speech", json=body, headers=simulating(audio_bytes=300_000), timeout=30
    )

    assert len(response.content) == 300_000
    assert sha256(response.content) == stack.simulator.log()[-1]["response_sha256"]


@pytest.mark.parametrize("megabytes", [1, 7, 20])
async def test_a_large_prompt_arrives_byte_for_byte_and_is_counted(
    stack: Stack, before: Readings, megabytes: int
) -> None:
    body = prompt_of(megabytes * 1_000_000)

    response = httpx.post(f"{stack.url}/v1/messages", content=body, timeout=60)

    assert response.status_code == 200
    entry = stack.simulator.log()[-1]
    assert entry["request_sha256"] == sha256(body)
    difference = await eventually(lambda: stack.metrics() - before, lambda d: d.value("zai_proxy_requests_total") == 1)
    assert difference.value("zai_proxy_request_size_bytes_sum") == len(body)
    assert difference.value("zai_proxy_response_size_bytes_sum") == len(response.content)


async def test_a_chunked_prompt_arrives_byte_for_byte(stack: Stack) -> None:
    body = prompt_of(300_000)
    pieces = (body[start : start + 10_000] for start in range(0, len(body), 10_000))

    response = httpx.post(f"{stack.url}/v1/messages", content=pieces, timeout=30)

    assert response.status_code == 200
    assert stack.simulator.log()[-1]["request_sha256"] == sha256(body)


async def test_an_upload_arrives_byte_for_byte(stack: Stack) -> None:
    content = secrets.token_bytes(500_000)

    response = httpx.post(
        f"{stack.url}/api/paas/v4/files", files={"file": ("data.bin", content)}, data={"purpose": "batch"}, timeout=30
    )

    assert response.status_code == 200, response.text
    assert sha256(content) in response.text
    assert stack.simulator.log()[-1]["request_sha256"] == sha256(response.request.read())


async def test_client_headers_pass_unchanged(stack: Stack) -> None:
    headers = {
        "user-agent": "claude-cli/2.1.330 (external, cli)",
        "anthropic-beta": "claude-code-20250219,interleaved-thinking-2025-05-14",
        "anthropic-version": "2023-06-01",
        "x-app": "cli",
        "x-stainless-retry-count": "2",
        "x-request-id": "chosen-by-the-client",
    }

    response = httpx.post(f"{stack.url}/v1/messages", json=PROMPT, headers=headers)

    seen = stack.simulator.log()[-1]["headers"]
    assert {name: seen.get(name) for name in headers} == headers
    assert response.headers["x-request-id"] == "chosen-by-the-client"


async def test_upstream_hints_pass_unchanged(stack: Stack) -> None:
    hints = {
        "retry-after": "37",
        "x-should-retry": "false",
        "anthropic-ratelimit-requests-remaining": "12",
        "anthropic-ratelimit-requests-reset": "2026-11-24T12:00:00Z",
    }

    response = httpx.post(f"{stack.url}/v1/messages", json=PROMPT, headers=simulating(code="1308", headers=hints))

    assert response.status_code == 429
    assert {name: response.headers.get(name) for name in hints} == hints


async def test_internal_headers_never_leave(stack: Stack) -> None:
    response = httpx.post(
        f"{stack.url}/v1/messages", json=PROMPT, headers={**simulating(code="1308"), "x-forwarded-for": "203.0.113.9"}
    )

    upstream_saw = stack.simulator.log()[-1]["headers"]
    internal = ("x-zai-admitted", "x-zai-code", "x-zai-transient", "x-forwarded-for", "x-forwarded-proto", "via")
    assert [name for name in upstream_saw if name in internal or name.startswith("x-envoy-")] == []
    assert [name for name in response.headers if name in internal or name.startswith("x-envoy-")] == []


async def test_the_upstream_is_called_by_its_own_name_and_asked_for_plain_bytes(stack: Stack) -> None:
    response = httpx.post(f"{stack.url}/v1/messages", json=PROMPT, headers={"accept-encoding": "gzip, br"})

    upstream_saw = stack.simulator.log()[-1]["headers"]
    assert upstream_saw["host"] == f"127.0.0.1:{stack.simulator.port}"
    assert upstream_saw["accept-encoding"] == "identity"
    assert "content-encoding" not in response.headers


async def test_the_upstreams_cookies_stay_with_the_proxy(stack: Stack) -> None:
    response = httpx.post(f"{stack.url}/v1/messages", json=PROMPT)

    assert "set-cookie" not in response.headers
