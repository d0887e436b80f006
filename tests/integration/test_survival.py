"""What a client notices when a part of the proxy dies or is told to stop."""

import asyncio
import json
import signal
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterator

import httpx
import pytest

from tests.harness.processes import seconds_to_start
from tests.harness.raw_http import connected, request_bytes
from tests.harness.readings import Readings
from tests.harness.stack import PROMPT, Stack, running_stack
from tests.harness.waiting import eventually

pytestmark = pytest.mark.slow

STREAM = {**PROMPT, "stream": True}
PATHS = ("/v1/messages", "/v1/chat/completions", "/v1/responses", "/v1/models", "/api/paas/v4/files", "/v1/embeddings")


@pytest.fixture
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack for this test alone: it will not be the same afterwards."""
    with running_stack(tmp_path_factory.mktemp("own"), DRAIN_TIMEOUT="60") as stack:
        yield stack


def simulating(**scenario: object) -> dict[str, str]:
    return {"x-sim": json.dumps(scenario)}


async def lines(response: httpx.Response) -> AsyncGenerator[str]:
    async for line in response.aiter_lines():
        yield line


async def test_a_stream_outlives_the_processor_and_is_counted_by_its_successor(own_stack: Stack) -> None:
    stack = own_stack
    async with (
        httpx.AsyncClient(timeout=30) as client,
        client.stream(
            "POST", f"{stack.url}/v1/messages", json=STREAM, headers=simulating(events=60, pause=0.05)
        ) as answer,
    ):
        arriving = lines(answer)
        await anext(arriving)
        calls = len(stack.simulator.log())
        with stack.simulator.frozen():  # or the stream would end while a slow machine starts the successor
            stack.processor.kill()
            refusals = [httpx.post(f"{stack.url}{path}", json=PROMPT) for path in PATHS]
            forged = httpx.post(f"{stack.url}/v1/messages", json=PROMPT, headers={"x-zai-admitted": "1"})
            stack.restart_processor()
        recovered = httpx.post(f"{stack.url}/v1/messages", json=PROMPT)
        rest = [line async for line in arriving]

    assert {refusal.status_code for refusal in refusals} == {503}
    assert refusals[0].json()["error"]["type"] == "overloaded_error"
    assert refusals[0].headers["retry-after"] == "2"
    assert refusals[1].json()["error"]["type"] == "server_error"
    assert forged.status_code == 503
    assert recovered.status_code == 200
    assert len(stack.simulator.log()) == calls + 1, "something went up that nobody admitted"
    assert any("message_stop" in line for line in rest), "the stream was cut"
    sent = next(entry for entry in stack.simulator.log() if entry["events_sent"] > 50)
    await eventually(
        stack.metrics,
        lambda m: (
            m.value("zai_proxy_requests_total", path="/v1/messages", status_code="200") == 2
            and m.value("zai_proxy_tokens_total", direction="output") >= sent["usage_sent"]["output"]
        ),
    )
    metrics = stack.metrics()
    assert metrics.value("zai_proxy_requests_total", status_code="503") == len(PATHS) + 1
    assert metrics.value("zai_proxy_upstream_errors_total", error_type="request_creation") == len(PATHS) + 1


async def test_the_processor_is_back_in_service_within_three_seconds(own_stack: Stack) -> None:
    def seconds_away() -> float:
        own_stack.processor.kill()
        began = time.monotonic()
        own_stack.restart_processor()
        assert httpx.post(f"{own_stack.url}/v1/messages", json=PROMPT, timeout=30).status_code == 200
        return time.monotonic() - began

    # Where other tests take the machine, its programs take long to start: that is not the processor's delay.
    assert any(seconds_away() < max(3.0, 2 * seconds_to_start()) for _ in range(3))


async def test_the_slots_are_free_at_once_when_envoy_dies(own_stack: Stack) -> None:
    stack = own_stack
    async with httpx.AsyncClient(timeout=30) as client:
        running = [
            asyncio.create_task(
                client.post(f"{stack.url}/v1/messages", json=STREAM, headers=simulating(events=500, pause=0.05))
            )
            for _ in range(5)
        ]
        await eventually(lambda: stack.metric("zai_proxy_concurrent_requests"), lambda slots: slots == 5)

        stack.envoy.kill()
        await eventually(lambda: stack.metric("zai_proxy_concurrent_requests"), lambda slots: slots == 0)
        await asyncio.gather(*running, return_exceptions=True)

    stack.restart_envoy()
    assert httpx.post(f"{stack.url}/v1/messages", json=PROMPT).status_code == 200


async def test_a_stopping_processor_refuses_new_work_and_waits_for_what_runs(own_stack: Stack) -> None:
    stack = own_stack
    async with (
        httpx.AsyncClient(timeout=30) as client,
        client.stream(
            "POST", f"{stack.url}/v1/messages", json=STREAM, headers=simulating(events=40, pause=0.05)
        ) as answer,
    ):
        arriving = lines(answer)
        await anext(arriving)

        with stack.simulator.frozen():
            stack.processor.signal(signal.SIGTERM)
            await eventually(lambda: httpx.get(f"{stack.metrics_url}/readyz").status_code, lambda code: code == 503)
            refusal = httpx.post(f"{stack.url}/v1/messages", json=PROMPT)
        rest = [line async for line in arriving]

    assert refusal.status_code == 503
    assert "shutting down" in refusal.json()["error"]["message"]
    assert any("message_stop" in line for line in rest), "the stream was cut"
    assert stack.processor.wait() == 0


async def test_a_second_signal_ends_the_processor_at_once(own_stack: Stack) -> None:
    stack = own_stack
    async with (
        httpx.AsyncClient(timeout=30) as client,
        client.stream(
            "POST", f"{stack.url}/v1/messages", json=STREAM, headers=simulating(events=4000, pause=0.05)
        ) as answer,
    ):
        await anext(arriving := lines(answer))
        stack.processor.signal(signal.SIGTERM)
        await eventually(lambda: httpx.get(f"{stack.metrics_url}/readyz").status_code, lambda code: code == 503)

        stack.processor.signal(signal.SIGTERM)
        began = time.monotonic()

        assert await asyncio.to_thread(stack.processor.wait) == 0
        assert time.monotonic() - began < 100.0, "it waited for the stream, which takes 200 s"
        await anext(arriving)


@pytest.mark.parametrize("streams", [1, 20])
async def test_long_streams_that_end_while_the_processor_is_away_are_counted(own_stack: Stack, streams: int) -> None:
    """Each of them writes how far it is every two seconds, and that must not push out how it ended."""
    stack = own_stack
    async with httpx.AsyncClient(timeout=60) as client:
        running = [
            asyncio.create_task(
                client.post(f"{stack.url}/v1/messages", json=STREAM, headers=simulating(events=100, pause=0.05))
            )
            for _ in range(streams)
        ]
        await eventually(lambda: stack.simulator.stats()["metered_in_flight"], lambda n: n == streams)
        stack.processor.kill()
        answers = await asyncio.gather(*running)
        stack.restart_processor()

    assert {answer.status_code for answer in answers} == {200}
    await eventually(stack.metrics, lambda m: m.value("zai_proxy_requests_total", status_code="200") == streams)
    sent = sum(entry["usage_sent"]["output"] for entry in stack.simulator.log())
    assert stack.metric("zai_proxy_tokens_total", direction="output") == sent


async def test_whoever_knocks_while_the_processor_is_away_or_comes_back_is_counted(own_stack: Stack) -> None:
    stack = own_stack
    statuses: Counter[int] = Counter()

    async def knock_until(over: asyncio.Event, client: httpx.AsyncClient) -> None:
        while not over.is_set():
            answer = await client.post(f"{stack.url}/v1/messages", json=PROMPT)
            statuses[answer.status_code] += 1

    async with httpx.AsyncClient(timeout=60) as client:
        over = asyncio.Event()
        stack.processor.kill()
        knocking = [asyncio.create_task(knock_until(over, client)) for _ in range(10)]
        await eventually(lambda: statuses[503], lambda refused: refused > 500)
        await asyncio.to_thread(stack.restart_processor)
        await eventually(lambda: statuses[200], lambda answered: answered > 200)
        over.set()
        await asyncio.gather(*knocking)

    assert set(statuses) == {503, 200}
    await eventually(
        stack.metrics,
        lambda m: all(
            m.value("zai_proxy_requests_total", status_code=str(each)) == statuses[each] for each in statuses
        ),
    )


async def test_what_envoy_cannot_keep_for_an_absent_processor_is_told(own_stack: Stack) -> None:
    """The loggers keep a bounded number of entries; that what came after them is lost stands in the metrics."""
    stack = own_stack
    stack.processor.kill()
    knocks = await asyncio.to_thread(knock_until_entries_are_dropped, stack)
    stack.restart_processor()

    def accounts(metrics: Readings) -> bool:
        dropped = metrics.value("zai_proxy_envoy_log_entries_dropped_total")
        return dropped > 0 and metrics.value("zai_proxy_requests_total", status_code="503") + dropped == knocks

    await eventually(stack.metrics, accounts, within=90)
    assert httpx.post(f"{stack.url}/v1/messages", json=PROMPT).status_code == 200
    await eventually(stack.metrics, lambda m: m.value("zai_proxy_requests_total", status_code="200") == 1)


def knock_until_entries_are_dropped(stack: Stack) -> int:
    """Knocks on one connection until Envoy drops entries; returns how many times it was."""
    knock = request_bytes(headers=b"user-agent: %b\r\n" % (b"u" * 4000))
    knocks = 0
    with connected(stack) as connection:
        while not stack.envoy_stat("access_logs.grpc_access_log.logs_dropped"):
            assert knocks < 50_000
            connection.send(100 * knock)
            answers = [connection.answer("GET") for _ in range(100)]
            assert {answer.status for answer in answers} == {503}
            knocks += 100
    return knocks
