"""Worker slots: how many, for whom, and what the others are told."""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest

from tests.harness.readings import Readings
from tests.harness.stack import PROMPT, Stack, running_stack
from tests.harness.waiting import eventually

WORKERS = 2


@pytest.fixture(scope="module")
def shared_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with two workers."""
    with running_stack(tmp_path_factory.mktemp("two-workers"), MAX_WORKERS=str(WORKERS)) as stack:
        yield stack


@asynccontextmanager
async def all_workers_busy(stack: Stack) -> AsyncGenerator[None]:
    headers = {"x-sim": json.dumps({"events": 1000, "pause": 0.05})}
    async with AsyncExitStack() as open_streams:
        client = await open_streams.enter_async_context(httpx.AsyncClient(timeout=30))
        for _ in range(WORKERS):
            stream = client.stream("POST", f"{stack.url}/v1/messages", json={**PROMPT, "stream": True}, headers=headers)
            response = await open_streams.enter_async_context(stream)
            assert response.status_code == 200
        yield
    await eventually(lambda: stack.metric("zai_proxy_concurrent_requests"), lambda slots: slots == 0)


async def test_beyond_the_workers_an_anthropic_client_gets_503_in_its_dialect_at_once(stack: Stack) -> None:
    async with all_workers_busy(stack):
        response = httpx.post(f"{stack.url}/v1/messages", json=PROMPT)

    assert response.status_code == 503
    assert response.headers["content-type"] == "application/json"
    assert response.headers["retry-after"] == "2"
    assert response.headers["x-should-retry"] == "true"
    assert response.elapsed.total_seconds() < 20.0, "it was not refused at once"
    body = response.json()
    assert body["type"] == "error"
    assert body["error"]["type"] == "overloaded_error"
    assert "All 2 workers" in body["error"]["message"]
    assert body["request_id"] == response.headers["x-request-id"]


async def test_beyond_the_workers_an_openai_client_gets_503_in_its_dialect(stack: Stack) -> None:
    async with all_workers_busy(stack):
        response = httpx.post(f"{stack.url}/v1/chat/completions", json=PROMPT)

    assert response.status_code == 503
    assert response.json()["error"] == {
        "message": "All 2 workers of this proxy are busy: try again in a few seconds.",
        "type": "server_error",
        "code": "capacity",
        "param": None,
    }


async def test_a_refusal_is_counted_and_never_goes_upstream(stack: Stack, before: Readings) -> None:
    async with all_workers_busy(stack):
        calls = len(stack.simulator.log())
        for _ in range(3):
            httpx.post(f"{stack.url}/v1/messages", json=PROMPT)
        difference = await eventually(
            lambda: stack.metrics() - before, lambda d: d.value("zai_proxy_requests_total", status_code="503") == 3
        )
        assert len(stack.simulator.log()) == calls

    assert difference.value("zai_proxy_rate_limit_rejections_total", reason="capacity") == 3
    assert difference.value("zai_proxy_upstream_errors_total") == 0
    assert difference.value("zai_proxy_requests_total", path="/v1/messages", status_code="503") == 3


async def test_a_refused_large_upload_is_answered_without_waiting_for_its_body(stack: Stack) -> None:
    async with all_workers_busy(stack):
        response = httpx.post(f"{stack.url}/v1/messages", content=b"x" * 20_000_000, timeout=60)

    assert response.status_code == 503


async def test_what_never_leaves_takes_no_slot(stack: Stack) -> None:
    async with all_workers_busy(stack):
        assert httpx.get(f"{stack.url}/health").status_code == 200
        assert httpx.get(f"{stack.url}/metrics").status_code == 200
        assert httpx.head(f"{stack.url}/").status_code == 200
        assert httpx.get(f"{stack.url}/no/such/path").status_code == 404
        assert httpx.get(f"{stack.url}/api/monitor/usage/quota/limit").status_code == 403
        assert stack.metric("zai_proxy_concurrent_requests") == WORKERS


async def test_the_gauges_tell_the_truth_while_workers_are_busy(stack: Stack) -> None:
    async with all_workers_busy(stack):
        readings = stack.metrics()
        assert readings.value("zai_proxy_concurrent_requests") == WORKERS
        assert readings.value("zai_proxy_max_workers") == WORKERS
        assert readings.value("zai_proxy_worker_utilization_ratio") == 1.0

    assert stack.metric("zai_proxy_worker_utilization_ratio") == 0.0


async def test_a_freed_slot_is_taken_by_the_next_request(stack: Stack) -> None:
    async with httpx.AsyncClient(timeout=30) as client:
        for _ in range(10):
            both = await asyncio.gather(*(client.post(f"{stack.url}/v1/messages", json=PROMPT) for _ in range(WORKERS)))
            assert [response.status_code for response in both] == [200] * WORKERS
