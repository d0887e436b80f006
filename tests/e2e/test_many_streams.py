"""Async clients with as many streams at once as there are workers."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from openai import AsyncStream

from tests.harness.readings import Readings
from tests.harness.sdk_clients import MODEL, async_anthropic_client, async_openai_client
from tests.harness.stack import PROMPT, Stack
from tests.harness.waiting import eventually

STREAMS = 20
ROUNDS = 3
HELLO: Any = [{"role": "user", "content": "hello"}]


async def texts_from_anthropic(stack: Stack) -> list[str]:
    async with async_anthropic_client(stack) as client:

        async def text() -> str:
            async with client.messages.stream(model=MODEL, max_tokens=1000, messages=HELLO) as events:
                return "".join([piece async for piece in events.text_stream])

        return list(await asyncio.gather(*(text() for _ in range(STREAMS))))


async def texts_from_openai(stack: Stack) -> list[str]:
    async with async_openai_client(stack) as client:

        async def text() -> str:
            chunks = await client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
            assert isinstance(chunks, AsyncStream)
            return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])

        return list(await asyncio.gather(*(text() for _ in range(STREAMS))))


@pytest.mark.parametrize("ask", [texts_from_anthropic, texts_from_openai])
async def test_twenty_streams_at_once_are_all_answered_and_counted(
    stack: Stack, before: Readings, ask: Callable[[Stack], Awaitable[list[str]]]
) -> None:
    stack.simulator.use(events=50, pause=0.01, thinking=0, input_tokens=10, output_tokens=100)

    texts = await ask(stack)

    assert len(texts) == STREAMS
    assert len(set(texts)) == 1
    counted = await eventually(
        lambda: stack.metrics() - before,
        lambda d: d.value("zai_proxy_requests_total", status_code="200") == STREAMS,
    )
    assert counted.value("zai_proxy_tokens_total", direction="output") == STREAMS * 100
    assert stack.metric("zai_proxy_concurrent_requests") == 0


async def test_every_admitted_request_goes_upstream_at_once_whichever_connections_lie_idle(stack: Stack) -> None:
    """Envoy's threads keep idle connections of their own: those of one must not make the requests of another wait."""
    for _ in range(ROUNDS):
        async with httpx.AsyncClient(timeout=60) as client:
            with stack.simulator.frozen():
                ask = [
                    asyncio.create_task(client.post(f"{stack.url}/v1/messages", json=PROMPT)) for _ in range(STREAMS)
                ]
                await eventually(lambda: stack.envoy_stat("cluster.zai.upstream_rq_active"), lambda n: n == STREAMS)
            answers = await asyncio.gather(*ask)
        assert [answer.status_code for answer in answers] == [200] * STREAMS
