"""What the plan's limits refuse is sent again more often than other errors, where the request waits for its turn in
between."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.harness.stack import PROMPT, Stack, running_stack
from tests.harness.waiting import eventually
from tests.integration.test_pacing import FAST, STREAM, played, post

pytestmark = pytest.mark.slow

MAX_RETRIES = 1
FOR_A_PLACE = 3
"""More than that, and fewer than twelve times as many."""
COUNT_TOKENS = "/v1/messages/count_tokens"


@pytest.fixture(scope="module")
def with_places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Its limits are given, so nothing keeps a retry waiting but its turn."""
    settings = {"PACING": "fixed", "MAX_RETRIES": str(MAX_RETRIES), "QUEUE_TIMEOUT": "12", **FAST}
    with running_stack(tmp_path_factory.mktemp("tries"), **settings) as stack:
        yield stack


@pytest.fixture
async def stack(with_places: Stack) -> AsyncIterator[Stack]:
    with_places.simulator.reset()
    yield with_places
    await eventually(lambda: with_places.status()["workers"]["in_flight"], lambda running: running == 0)


@pytest.mark.parametrize("code", ["1302", "1303", "3009"])
@pytest.mark.parametrize(
    ("path", "body"),
    [("/v1/messages", PROMPT), ("/v1/messages", STREAM), ("/v1/chat/completions", STREAM)],
    ids=["anthropic", "anthropic, a stream", "openai, a stream"],
)
async def test_what_the_limits_refuse_is_sent_again_until_it_has_a_place(
    stack: Stack, path: str, body: dict[str, object], code: str
) -> None:
    answer = await post(stack, body, path, **played(fail_first={"code": code, "times": FOR_A_PLACE}))

    assert answer.status_code == 200
    assert len(stack.simulator.log()) == 1 + FOR_A_PLACE


async def test_an_event_that_says_so_is_no_other_refusal(stack: Stack) -> None:
    begun = {"code": "1302", "status": 200, "times": FOR_A_PLACE}
    answer = await post(stack, STREAM, **played(fail_first=begun))

    assert answer.status_code == 200
    assert len(stack.simulator.log()) == 1 + FOR_A_PLACE


async def test_its_end_is_the_queues_time_out_and_the_proxys_own_refusal(stack: Stack) -> None:
    answer = await post(stack, **played(code="1302"))

    assert (answer.status_code, answer.headers["x-should-retry"]) == (429, "true")
    assert "has had no place for this request" in answer.json()["error"]["message"]
    assert 1 + FOR_A_PLACE <= len(stack.simulator.log()) <= 1 + 12 * MAX_RETRIES


@pytest.mark.parametrize("code", ["1305", "1234", "500"])
async def test_other_errors_that_pass_are_tried_as_often_as_the_setting_says(stack: Stack, code: str) -> None:
    answer = await post(stack, **played(code=code))

    assert answer.status_code >= 500
    assert int(answer.headers["retry-after"]) >= 2
    assert len(stack.simulator.log()) == 1 + MAX_RETRIES


async def test_what_waits_for_no_turn_is_not_sent_more_often(stack: Stack) -> None:
    answer = await post(stack, path=COUNT_TOKENS, **played(code="1302"))

    assert answer.status_code == 429
    assert len(stack.simulator.log()) == 1 + MAX_RETRIES


async def test_without_the_processor_hardly_more_often(tmp_path: Path) -> None:
    """The try that was promised before it went is beside those of the setting."""
    settings = {"PACING": "fixed", "MAX_RETRIES": str(MAX_RETRIES), **FAST}
    with running_stack(tmp_path, **settings) as stack:
        asked = asyncio.create_task(post(stack, **played(code="1302", delay=1.0)))
        await eventually(lambda: stack.simulator.stats()["in_flight"], lambda running: running == 1)
        stack.processor.kill()

        assert (await asked).status_code == 429
        assert len(stack.simulator.log()) == 1 + 1 + MAX_RETRIES


@pytest.mark.parametrize("pacing", ["on", "off"])
async def test_a_connection_that_fails_is_tried_as_often_as_the_setting_says(tmp_path: Path, pacing: str) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        with running_stack(tmp_path, ZAI_TARGET_URL=address, PACING=pacing, MAX_RETRIES="2") as stack:
            began = time.monotonic()
            answer = await post(stack)
            took = time.monotonic() - began
            read = stack.metrics_at_rest()

    assert answer.status_code == 503
    assert (answer.headers["x-should-retry"], answer.headers["retry-after"]) == ("true", "2")
    assert read.value("zai_proxy_retry_attempts_total", reason="network_error") == 2
    assert read.value("zai_proxy_upstream_errors_total", error_type="upstream_connection") == 1
    assert took < 10.0
