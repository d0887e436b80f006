"""Conformance of Envoy's usage extraction: for every body shape, what /metrics says equals what the simulator sent."""

import json
from typing import Any

import httpx
import pytest

from tests.harness.readings import Readings
from tests.harness.stack import Stack, running_stack
from tests.harness.waiting import eventually

pytestmark = pytest.mark.slow

MESSAGES = [{"role": "user", "content": "hello"}]
SURFACES = {
    "/v1/messages": {"model": "glm-5.3", "max_tokens": 100, "messages": MESSAGES},
    "/api/anthropic/v1/messages": {"model": "glm-5.3", "max_tokens": 100, "messages": MESSAGES},
    "/v1/chat/completions": {"model": "glm-5.2", "messages": MESSAGES},
    "/chat/completions": {"model": "glm-5.2", "messages": MESSAGES},
    "/api/coding/paas/v4/chat/completions": {"model": "glm-5.2", "messages": MESSAGES},
    "/api/paas/v4/chat/completions": {"model": "glm-5.2", "messages": MESSAGES},
    "/v1/responses": {"model": "glm-5.3", "input": "hello"},
    "/api/v1/responses": {"model": "glm-5.3", "input": "hello"},
}
ONE_OF_EACH = ("/v1/messages", "/v1/chat/completions", "/v1/responses")

COUNTS = {"input_tokens": 1234, "output_tokens": 321}
CACHED = {**COUNTS, "cached_tokens": 777}
SHAPES: dict[str, dict[str, Any]] = {
    "plain": COUNTS,
    "cached": CACHED,
    "thinking": {**CACHED, "thinking": 5, "reasoning_tokens": 200},
    "tool call": {**CACHED, "tool_call": {"name": "Bash", "input": {"command": "ls", "usage": {"input_tokens": 9}}}},
    "another model": {**COUNTS, "model": "glm-5.3-flash"},
    "a word that looks like usage": {**COUNTS, "text": '"usage": {"input_tokens": 5, "output_tokens": 6}'},
    "no reasoning split": {**COUNTS, "reasoning_tokens": 0},
}
STREAM_SHAPES: dict[str, dict[str, Any]] = {
    "a byte a packet": {**CACHED, "pieces": "byte"},
    "split characters": {**CACHED, "pieces": "utf8"},
    "16 KiB packets": {**CACHED, "pieces": "batch", "events": 500},
    "CRLF": {**CACHED, "line_end": "crlf"},
    "CR": {**CACHED, "line_end": "cr"},
    "CRLF, a byte a packet": {**CACHED, "line_end": "crlf", "pieces": "byte"},
    "comments and pings": {**CACHED, "comments": 5, "pings": 5},
    "usage on its own chunk": {**CACHED, "usage": "separate"},
    "usage on every chunk": {**CACHED, "usage": "every_chunk"},
    "input at the start": {**CACHED, "usage": "at_start"},
    "a malformed event": {**CACHED, "fault": "malformed", "after_events": 4},
    "garbled events": {**CACHED, "fault": "garbled", "after_events": 4},
    "a huge event": {**CACHED, "event_bytes": 3_000_000, "events": 2, "pieces": "batch"},
    "many events": {**CACHED, "events": 70_000, "pieces": "batch"},
}
JSON_SHAPES: dict[str, dict[str, Any]] = {
    "a byte a packet": {**CACHED, "pieces": "byte"},
    "chunked": {**CACHED, "framing": "chunked"},
    "ended by closing": {**CACHED, "framing": "close"},
    "9 MB": {**CACHED, "content_bytes": 9_000_000, "pieces": "batch"},
    "as text/plain": {**CACHED, "content_type": "text/plain"},
}


async def counted(stack: Stack, before: Readings, path: str, stream: bool, scenario: dict[str, Any]) -> Readings:
    """Sends one request and returns what it added to the metrics."""
    body = {**SURFACES[path], "stream": stream}
    headers = {"x-sim": json.dumps(scenario)}
    response = httpx.post(f"{stack.url}{path}", json=body, headers=headers, timeout=30)
    assert response.status_code == 200, response.text[:300]
    return await eventually(lambda: stack.metrics() - before, lambda d: d.value("zai_proxy_requests_total") == 1)


def assert_counts_what_was_sent(stack: Stack, difference: Readings) -> None:
    sent = stack.simulator.log()[-1]["usage_sent"]
    tokens = {
        direction: difference.value("zai_proxy_tokens_total", direction=direction)
        for direction in ("input", "output", "cache_read", "cache_write")
    }
    assert tokens == {
        "input": sent["input"],
        "output": sent["output"],
        "cache_read": sent["cached"],
        "cache_write": sent["cache_creation"],
    }
    assert difference.value("zai_proxy_usage_records_total") == 1
    assert difference.labels("zai_proxy_usage_records_total", "status") <= {"complete", "partial"}
    assert difference.value("zai_proxy_estimated_tokens_total") == 0
    assert difference.labels("zai_proxy_tokens_total", "model") == {stack.simulator.log()[-1]["model"]}


@pytest.mark.parametrize("stream", [False, True], ids=["json", "sse"])
@pytest.mark.parametrize("path", SURFACES)
async def test_tokens_are_counted_on_every_surface(stack: Stack, before: Readings, path: str, stream: bool) -> None:
    difference = await counted(stack, before, path, stream, CACHED)

    assert_counts_what_was_sent(stack, difference)


async def test_tokens_of_small_events_are_estimated_right_after_many_large_ones(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """On a stack of its own: no other test has taught it what its answers' tokens are."""
    with running_stack(tmp_path_factory.mktemp("taught")) as stack:
        async with httpx.AsyncClient(timeout=60) as client:
            for path in ONE_OF_EACH:
                estimated = await estimated_after_large_ones(client, stack, path)
                assert 291 / 2 <= estimated <= 300 * 2, path


async def estimated_after_large_ones(client: httpx.AsyncClient, stack: Stack, path: str) -> float:
    """Tokens of a stream that its client leaves behind 291 to 300 of its small events, each of a token."""
    body = {**SURFACES[path], "stream": True}
    large = {"events": 10, "event_bytes": 4000, "output_tokens": 10_000}
    for _ in range(20):
        await client.post(f"{stack.url}{path}", json=body, headers={"x-sim": json.dumps(large)})
    before = stack.metrics_at_rest()
    broken = {"events": 400, "fault": "hang", "after_events": 300}
    async with client.stream("POST", f"{stack.url}{path}", json=body, headers={"x-sim": json.dumps(broken)}) as answer:
        seen = b""
        async for piece in answer.aiter_bytes():
            seen += piece
            if seen.count(b"data:") > 290:
                break
    difference = await eventually(lambda: stack.metrics() - before, lambda d: d.value("zai_proxy_requests_total") == 1)
    return difference.value("zai_proxy_estimated_tokens_total", direction="output")


@pytest.mark.parametrize("stream", [False, True], ids=["json", "sse"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("path", ONE_OF_EACH)
async def test_tokens_are_counted_in_every_shape(
    stack: Stack, before: Readings, path: str, shape: str, stream: bool
) -> None:
    difference = await counted(stack, before, path, stream, SHAPES[shape])

    assert_counts_what_was_sent(stack, difference)


@pytest.mark.parametrize("stream", [False, True], ids=["json", "sse"])
async def test_cache_writes_are_counted_apart(stack: Stack, before: Readings, stream: bool) -> None:
    scenario = {**COUNTS, "cached_tokens": 500, "cache_creation_tokens": 60}

    difference = await counted(stack, before, "/v1/messages", stream, scenario)

    assert_counts_what_was_sent(stack, difference)


@pytest.mark.parametrize("shape", STREAM_SHAPES)
@pytest.mark.parametrize("path", ONE_OF_EACH)
async def test_tokens_of_a_stream_are_counted_however_it_is_cut(
    stack: Stack, before: Readings, path: str, shape: str
) -> None:
    difference = await counted(stack, before, path, True, STREAM_SHAPES[shape])

    assert_counts_what_was_sent(stack, difference)


@pytest.mark.parametrize("shape", JSON_SHAPES)
@pytest.mark.parametrize("path", ONE_OF_EACH)
async def test_tokens_of_a_json_answer_are_counted_however_it_is_framed(
    stack: Stack, before: Readings, path: str, shape: str
) -> None:
    difference = await counted(stack, before, path, False, JSON_SHAPES[shape])

    assert_counts_what_was_sent(stack, difference)
