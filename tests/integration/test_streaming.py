"""Nothing is held back, nothing is cut: streams as a client sees them."""

import asyncio
import itertools
import json
import time
from collections.abc import AsyncGenerator, Iterator

import httpx
import pytest

from tests.harness.readings import Readings
from tests.harness.stack import PROMPT, Stack, running_stack
from tests.harness.waiting import eventually

pytestmark = pytest.mark.slow

STREAM = {**PROMPT, "stream": True}


@pytest.fixture(scope="module")
def impatient_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack whose 900 s of permitted silence are 5 s."""
    directory = tmp_path_factory.mktemp("impatient")
    with running_stack(directory, STREAM_IDLE_TIMEOUT="5", MAX_STREAM_DURATION="10") as stack:
        yield stack


def simulating(**scenario: object) -> dict[str, str]:
    return {"x-sim": json.dumps(scenario)}


async def events(response: httpx.Response) -> AsyncGenerator[str]:
    async for line in response.aiter_lines():
        if line.startswith("data:"):
            yield line


@pytest.mark.parametrize("http2", [False, True], ids=["HTTP/1.1", "HTTP/2"])
async def test_an_event_reaches_the_client_before_the_next_is_sent(stack: Stack, http2: bool) -> None:
    pause = 0.3

    async def shortest_gap(client: httpx.AsyncClient) -> float:
        headers = simulating(events=6, pause=pause)
        async with client.stream("POST", f"{stack.url}/v1/messages", json=STREAM, headers=headers) as response:
            arrivals = [time.monotonic() async for event in events(response) if "text_delta" in event]
        assert len(arrivals) == 6
        return min(later - earlier for earlier, later in itertools.pairwise(arrivals))

    # A busy machine may wake us late for one event; what holds events back holds them back each time.
    async with httpx.AsyncClient(http1=not http2, http2=http2, timeout=30) as client:
        gaps = [await shortest_gap(client)]
        while gaps[-1] <= pause / 2 and len(gaps) < 4:
            gaps.append(await shortest_gap(client))

    assert max(gaps) > pause / 2, "events came in clumps: something held them back"


async def test_a_stream_that_is_silent_for_more_than_half_of_the_idle_time_lives_on(impatient_stack: Stack) -> None:
    headers = simulating(events=4, gap=3.0, gap_after=2)

    response = httpx.post(f"{impatient_stack.url}/v1/messages", json=STREAM, headers=headers, timeout=20)

    assert "message_stop" in response.text


async def test_a_slow_start_within_the_idle_time_is_waited_for(impatient_stack: Stack) -> None:
    response = httpx.post(f"{impatient_stack.url}/v1/messages", json=PROMPT, headers=simulating(delay=3.0), timeout=20)

    assert response.status_code == 200


async def test_an_upstream_that_never_answers_ends_in_a_timeout(impatient_stack: Stack) -> None:
    before = impatient_stack.metrics_at_rest()

    response = httpx.post(f"{impatient_stack.url}/v1/messages", json=PROMPT, headers=simulating(delay=30.0), timeout=20)

    assert response.status_code == 504
    assert response.json()["error"]["type"] == "timeout_error"
    difference = await eventually(
        lambda: impatient_stack.metrics() - before, lambda d: d.value("zai_proxy_requests_total") == 1
    )
    assert difference.value("zai_proxy_upstream_errors_total", error_type="timeout") == 1


async def test_a_stream_that_falls_silent_for_good_is_cut_and_counted_as_a_timeout(impatient_stack: Stack) -> None:
    before = impatient_stack.metrics_at_rest()

    with pytest.raises(httpx.RemoteProtocolError):
        httpx.post(
            f"{impatient_stack.url}/v1/messages",
            json=STREAM,
            headers=simulating(events=9, fault="hang", after_events=5),
            timeout=20,
        )

    difference = await eventually(
        lambda: impatient_stack.metrics() - before, lambda d: d.value("zai_proxy_requests_total") == 1
    )
    assert difference.value("zai_proxy_upstream_errors_total", error_type="timeout") == 1
    assert difference.value("zai_proxy_usage_records_total", status="estimated") == 1


async def test_a_request_that_takes_too_long_is_cut_and_counted_as_a_timeout(impatient_stack: Stack) -> None:
    before = impatient_stack.metrics_at_rest()

    with pytest.raises(httpx.RemoteProtocolError):
        httpx.post(
            f"{impatient_stack.url}/v1/messages", json=STREAM, headers=simulating(events=100, pause=0.5), timeout=20
        )

    difference = await eventually(
        lambda: impatient_stack.metrics() - before, lambda d: d.value("zai_proxy_requests_total") == 1
    )
    assert difference.value("zai_proxy_upstream_errors_total", error_type="timeout") == 1


async def test_a_slot_is_held_to_the_last_byte_of_the_response(stack: Stack) -> None:
    headers = simulating(events=10, pause=0.01, gap=3.0, gap_after=10)
    async with (
        httpx.AsyncClient(timeout=60) as client,
        client.stream("POST", f"{stack.url}/v1/messages", json=STREAM, headers=headers) as response,
    ):
        arriving = (event async for event in events(response) if "text_delta" in event)
        for _ in range(10):
            await anext(arriving)
        with stack.simulator.frozen():
            assert stack.metric("zai_proxy_concurrent_requests") == 1
            assert stack.envoy_stat("cluster.zai.upstream_rq_active") == 1

    await eventually(lambda: stack.metric("zai_proxy_concurrent_requests"), lambda now: now == 0)


async def test_a_response_with_trailers_is_not_held_back(stack: Stack) -> None:
    began = time.monotonic()

    response = httpx.post(
        f"{stack.url}/v1/messages", json=STREAM, headers=simulating(trailers={"x-checksum": "abc"}), timeout=40
    )

    assert "message_stop" in response.text
    assert time.monotonic() - began < 20.0, "it was held back until Envoy gave the processor up"


async def test_a_client_that_leaves_frees_its_slot_and_is_counted_as_such(stack: Stack, before: Readings) -> None:
    headers = simulating(events=1000, pause=0.05)
    async with (
        httpx.AsyncClient(timeout=20) as client,
        client.stream("POST", f"{stack.url}/v1/messages", json=STREAM, headers=headers) as response,
    ):
        arriving = events(response)
        await anext(arriving)
        assert stack.metric("zai_proxy_concurrent_requests") == 1

    await eventually(lambda: stack.metric("zai_proxy_concurrent_requests"), lambda slots: slots == 0)
    difference = await eventually(
        lambda: stack.metrics() - before, lambda d: d.value("zai_proxy_requests_total", status_code="499") == 1
    )
    assert difference.value("zai_proxy_upstream_errors_total", error_type="write_error") == 1
    assert difference.value("zai_proxy_upstream_errors_total") == 1
    assert difference.value("zai_proxy_usage_records_total", status="estimated") == 1
    assert difference.value("zai_proxy_estimated_tokens_total", direction="input", model="glm-5.3") > 0
    await eventually(lambda: stack.simulator.log()[-1]["aborted"], lambda aborted: aborted is True)


async def test_a_client_that_leaves_before_the_answer_is_counted_as_499(stack: Stack, before: Readings) -> None:
    async with httpx.AsyncClient(timeout=60) as client:
        headers = simulating(delay=60.0)
        asked = asyncio.create_task(client.post(f"{stack.url}/v1/messages", json=PROMPT, headers=headers))
        await eventually(lambda: stack.simulator.stats()["in_flight"], lambda running: running == 1)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked

    difference = await eventually(
        lambda: stack.metrics() - before, lambda d: d.value("zai_proxy_requests_total", status_code="499") == 1
    )
    assert difference.value("zai_proxy_estimated_tokens_total", direction="input") > 0
    assert difference.value("zai_proxy_estimated_tokens_total", direction="output") == 0


async def test_status_shows_what_runs_with_model_and_bytes(stack: Stack) -> None:
    headers = simulating(events=300, pause=0.05)
    async with (
        httpx.AsyncClient(timeout=20) as client,
        client.stream("POST", f"{stack.url}/v1/messages", json=STREAM, headers=headers) as response,
    ):
        arriving = events(response)
        await anext(arriving)
        [running] = await eventually(
            lambda: stack.status()["requests"], lambda shown: bool(shown and shown[0]["response_bytes"])
        )

    assert running["path"] == "/v1/messages"
    assert running["model"] == "glm-5.3"
    assert running["request_bytes"] > 0
    assert running["age_seconds"] > 0
    assert running["program"] == "httpx"
    assert running["request_id"] == response.headers["x-request-id"]


async def test_many_streams_at_once_are_all_counted(stack: Stack, before: Readings) -> None:
    async with httpx.AsyncClient(timeout=30, limits=httpx.Limits(max_connections=20)) as client:
        answers = await asyncio.gather(
            *(
                client.post(f"{stack.url}/v1/messages", json=STREAM, headers=simulating(events=20, pause=0.01))
                for _ in range(20)
            )
        )

    assert {answer.status_code for answer in answers} == {200}
    difference = await eventually(lambda: stack.metrics() - before, lambda d: d.value("zai_proxy_requests_total") == 20)
    sent = [entry["usage_sent"]["output"] for entry in stack.simulator.log()]
    assert difference.value("zai_proxy_tokens_total", direction="output") == sum(sent)
