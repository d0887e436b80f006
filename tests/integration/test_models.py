"""The model that a request asks for is known before it goes up: while it waits, while it runs, and if it is refused."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.harness.stack import PROMPT, Stack, running_stack
from tests.harness.waiting import eventually

pytestmark = pytest.mark.slow

ASKED = {
    "/v1/messages": {**PROMPT, "model": "claude-opus-4-1"},
    "/v1/chat/completions": {"messages": PROMPT["messages"], "model": "glm-4.7"},
    "/v1/responses": {"input": "hello", "model": "glm-5.2", "max_output_tokens": 50},
}


@pytest.fixture(scope="module")
def one_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    options = {"PACING": "fixed", "CONCURRENCY_LIMIT_INITIAL": "1", "QUEUE_TIMEOUT": "30", "MAX_WORKERS": "5"}
    with running_stack(tmp_path_factory.mktemp("models"), **options, RATE_LIMIT_BURST="100") as stack:
        yield stack


@pytest.fixture
async def stack(one_place: Stack) -> AsyncIterator[Stack]:
    yield one_place
    await eventually(lambda: one_place.status()["workers"]["in_flight"], lambda running: running == 0)


@asynccontextmanager
async def occupied(stack: Stack, model: str) -> AsyncIterator[None]:
    """The one place is taken, by a stream that its client leaves in the end."""
    body = {**PROMPT, "stream": True, "model": model}
    headers = {"x-sim": json.dumps({"events": 10_000, "pause": 0.05})}
    async with (
        httpx.AsyncClient(timeout=30) as client,
        client.stream("POST", f"{stack.url}/v1/messages", json=body, headers=headers) as held,
    ):
        assert held.status_code == 200
        yield


def ask(stack: Stack, path: str, body: Any, **headers: str) -> httpx.Response:
    return httpx.post(stack.url + path, json=body, headers=headers, timeout=30)


def feed(stack: Stack) -> list[dict[str, Any]]:
    """All that the feed has to tell so far."""
    records = []
    count = int(stack.metrics_at_rest().value("zai_proxy_requests_total"))
    with httpx.stream("GET", f"{stack.metrics_url}/requests", params={"since": "x-0"}, timeout=10) as answer:
        for line in answer.iter_lines():
            if line.startswith("data:") and "request_id" in line:
                records.append(json.loads(line.removeprefix("data:")))
                if len(records) == count:
                    break
    return records


async def test_running_and_waiting_requests_show_the_model_that_they_ask_for(stack: Stack) -> None:
    async with occupied(stack, "claude-opus-4-1"):
        queued = [asyncio.create_task(asyncio.to_thread(ask, stack, path, body)) for path, body in ASKED.items()]
        await eventually(lambda: len(stack.status()["waiting"]), lambda number: number == len(ASKED))
        await eventually(lambda: stack.status()["requests"][0]["model"], bool)

        status = stack.status()

    assert [each["model_asked"] for each in status["requests"]] == ["claude-opus-4-1"]
    assert {each["path"]: each["model_asked"] for each in status["waiting"]} == {
        path: body["model"] for path, body in ASKED.items()
    }
    served = status["requests"][0]["model"]
    assert served.startswith("glm-")
    assert {"asked": "claude-opus-4-1", "served": served} in status["models"]
    assert [each["model"] for each in status["waiting"] if each["path"] == "/v1/messages"] == [served]
    assert {answer.status_code for answer in await asyncio.gather(*queued)} == {200}


async def test_what_serves_a_name_is_learned_from_answers(stack: Stack) -> None:
    for path, body in ASKED.items():
        assert ask(stack, path, body).status_code == 200

    stack.metrics_at_rest()
    served = {each["asked"]: each["served"] for each in stack.status()["models"]}
    assert set(served) >= {body["model"] for body in ASKED.values()}
    assert served["glm-4.7"] == "glm-4.7"


async def test_a_request_that_was_refused_says_what_it_asked_for(stack: Stack) -> None:
    refused = {"x-request-id": "refused-upstream", "x-sim": '{"code": "1211"}'}
    assert ask(stack, "/v1/messages", {**PROMPT, "model": "glm-9"}, **refused).status_code == 400
    async with occupied(stack, "glm-5.3"):
        queued = [asyncio.create_task(asyncio.to_thread(ask, stack, "/v1/messages", PROMPT)) for _ in range(4)]
        await eventually(lambda: stack.status()["workers"]["in_flight"], lambda running: running == 5)
        body = {**PROMPT, "model": "glm-4.5-air"}
        assert ask(stack, "/v1/messages", body, **{"x-request-id": "refused-here"}).status_code == 503
    await asyncio.gather(*queued)

    told = {record["request_id"]: record for record in feed(stack)}

    assert (told["refused-upstream"]["model_asked"], told["refused-upstream"]["model"]) == ("glm-9", None)
    assert (told["refused-here"]["model_asked"], told["refused-here"]["refused"]) == ("glm-4.5-air", "capacity")
    assert "glm-9" not in {each["asked"] for each in stack.status()["models"]}


@pytest.mark.parametrize(
    "content",
    [
        b'{"messages": [{"model": "inner"}]',
        b"no json at all",
        b'{"messages": [], "model": 5}',
        b'{"model": "a\\u0000b\\ud800c\\nd", "messages": []}',
    ],
)
async def test_a_body_that_says_nothing_right_harms_nothing(stack: Stack, content: bytes) -> None:
    headers = {"content-type": "application/json"}
    answer = httpx.post(f"{stack.url}/v1/messages", content=content, headers=headers, timeout=30)

    assert answer.status_code < 500
    assert ask(stack, "/v1/messages", PROMPT).status_code == 200
    stack.metrics_at_rest()
    assert stack.metric("zai_proxy_access_log_failures_total") == 0
