"""What a dashboard gets: the feed of finished requests, and a way to end one."""

import asyncio
import json
from collections.abc import Iterator

import httpx
import pytest

from tests.harness.readings import Readings
from tests.harness.stack import PROMPT, Stack, running_stack
from tests.harness.waiting import eventually

STREAM = {**PROMPT, "stream": True}
LONG = {"x-sim": json.dumps({"events": 1000, "pause": 0.05})}
TOKEN = "a-token-of-the-owner"


@pytest.fixture(scope="module")
def guarded_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("guarded"), ADMIN_TOKEN=TOKEN) as stack:
        yield stack


async def read_feed(stack: Stack, wanted: int, last_id: str = "") -> list[tuple[str, str, dict[str, object]]]:
    """The first events of the feed: (id, event, data)."""
    events = []
    headers = {"last-event-id": last_id} if last_id else {}
    async with (
        asyncio.timeout(60),
        httpx.AsyncClient(timeout=60) as client,
        client.stream("GET", f"{stack.metrics_url}/requests", headers=headers) as response,
    ):
        assert response.headers["content-type"].startswith("text/event-stream")
        fields: dict[str, str] = {}
        async for line in response.aiter_lines():
            name, _, value = line.partition(": ")
            if name:
                fields[name] = value
            elif fields:
                events.append((fields.get("id", ""), fields["event"], json.loads(fields["data"])))
                fields = {}
                if len(events) == wanted:
                    return events
    raise AssertionError(f"the feed ended after {len(events)} events")


async def test_a_finished_request_is_told_with_all_that_is_known_of_it(stack: Stack, before: Readings) -> None:
    told = len(await read_feed_so_far(stack))
    headers = {
        "x-claude-code-session-id": "session-1",
        "x-claude-code-agent-id": "agent-2",
        "x-request-id": "feed-1",
        "x-sim": json.dumps({"input_tokens": 100, "cached_tokens": 40, "output_tokens": 7}),
    }
    httpx.post(f"{stack.url}/v1/messages", json=PROMPT, headers=headers)

    *_, (_, event, record) = await read_feed(stack, told + 1)

    assert event == "request"
    assert record["request_id"] == "feed-1"
    assert (record["session"], record["agent"], record["lane"]) == ("session-1", "agent-2", "subagent")
    assert (record["status"], record["path"], record["model"]) == (200, "/v1/messages", "glm-5.3")
    assert record["tokens"] == {"input": 100, "output": 7, "cache_read": 40, "cache_write": 0, "reasoning": 0}
    assert isinstance(record["cost_usd"], float)
    assert record["attempts"] == 1


async def read_feed_so_far(stack: Stack) -> list[tuple[str, str, dict[str, object]]]:
    count = int(stack.metrics_at_rest().value("zai_proxy_requests_total"))
    return await read_feed(stack, count) if count else []


async def test_a_reader_that_comes_back_gets_what_it_missed_and_nothing_twice(stack: Stack) -> None:
    for number in range(3):
        httpx.post(f"{stack.url}/v1/messages", json=PROMPT, headers={"x-request-id": f"missed-{number}"})
    told = await read_feed_so_far(stack)

    after_the_first = await read_feed(stack, 2, last_id=told[-3][0])

    assert after_the_first == told[-2:]
    assert {record["request_id"] for _, _, record in told[-3:]} == {"missed-0", "missed-1", "missed-2"}


async def test_a_reader_from_before_a_restart_is_told_that_something_may_be_missing(stack: Stack) -> None:
    httpx.post(f"{stack.url}/v1/messages", json=PROMPT)
    await read_feed_so_far(stack)

    (_, event, data), *_ = await read_feed(stack, 2, last_id="00000000-17")

    assert (event, data) == ("gap", {"lost": None})


async def test_a_cancelled_request_ends_and_frees_its_slot(stack: Stack, before: Readings) -> None:
    async with httpx.AsyncClient(timeout=20) as client:
        request = asyncio.create_task(client.post(f"{stack.url}/v1/messages", json=STREAM, headers=LONG))
        [running] = await eventually(lambda: stack.status()["requests"], lambda shown: len(shown) == 1)
        await eventually(lambda: stack.simulator.stats()["metered_in_flight"], lambda n: n == 1)

        answer = httpx.post(f"{stack.metrics_url}/requests/{running['id']}/cancel")

        assert answer.status_code == 202
        with pytest.raises(httpx.RemoteProtocolError):
            await request
    await eventually(lambda: stack.metric("zai_proxy_concurrent_requests"), lambda slots: slots == 0)
    await eventually(lambda: stack.simulator.log()[-1]["aborted"], lambda aborted: aborted is True)
    difference = stack.metrics_at_rest() - before
    assert difference.value("zai_proxy_requests_total", path="/v1/messages") == 1


async def test_a_request_that_is_cancelled_before_its_answer_is_told_why(stack: Stack) -> None:
    async with httpx.AsyncClient(timeout=20) as client:
        slow = {"x-sim": json.dumps({"delay": 15})}
        request = asyncio.create_task(client.post(f"{stack.url}/v1/messages", json=PROMPT, headers=slow))
        [running] = await eventually(lambda: stack.status()["requests"], lambda shown: len(shown) == 1)

        httpx.post(f"{stack.metrics_url}/requests/{running['id']}/cancel")
        response = await request

    assert response.status_code == 403
    assert response.headers["x-should-retry"] == "false"
    assert response.json()["error"] == {
        "type": "permission_error",
        "message": "This request was ended by the operator of the proxy.",
    }


async def test_a_request_that_does_not_run_cannot_be_cancelled(stack: Stack) -> None:
    assert httpx.post(f"{stack.metrics_url}/requests/nobody-1/cancel").status_code == 404


@pytest.mark.parametrize(
    "headers", [{"origin": "https://evil.example"}, {"host": "evil.example:9090"}], ids=["another site", "rebound name"]
)
async def test_a_web_page_can_neither_read_the_feed_nor_end_requests(stack: Stack, headers: dict[str, str]) -> None:
    assert httpx.get(f"{stack.metrics_url}/requests", headers=headers).status_code == 403
    assert httpx.post(f"{stack.metrics_url}/requests/x/cancel", headers=headers).status_code == 403


async def test_the_feed_is_not_on_the_client_port(stack: Stack) -> None:
    assert httpx.get(f"{stack.url}/requests").status_code == 404
    assert httpx.post(f"{stack.url}/requests/x/cancel").status_code == 404


async def test_with_an_admin_token_only_its_holder_is_served(guarded_stack: Stack) -> None:
    url = f"{guarded_stack.metrics_url}/requests/x/cancel"

    assert httpx.post(url).status_code == 401
    assert httpx.post(url, headers={"authorization": "Bearer wrong-wrong-wrong-wrong"}).status_code == 401
    assert httpx.post(url, headers={"authorization": f"Bearer {TOKEN}"}).status_code == 404
    assert guarded_stack.status()["settings"]["ADMIN_TOKEN"] == "***"
