"""A request that waits too long to be sent again is refused by the proxy, not once more by the upstream."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.fleet import running_fleet
from tests.harness.stack import PROMPT, Stack, running_stack
from tests.harness.waiting import eventually
from tests.integration.test_pacing import FAST, STREAM, played, post, waiting

pytestmark = pytest.mark.slow

ONE_PLACE = {"PACING": "on", "CONCURRENCY_LIMIT_INITIAL": "2", "QUEUE_TIMEOUT": "4", **FAST}
LONG = 8.0
"""Seconds that an answer takes."""


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """A plan of one place that is taken for one of two."""
    with running_stack(tmp_path, **ONE_PLACE) as stack:
        stack.simulator.limit(concurrency=1)
        yield stack


def attempts(stack: Stack, request_id: str) -> list[int]:
    return [each["status"] for each in stack.simulator.log() if each["request_id"] == request_id]


@pytest.mark.parametrize(
    ("path", "body", "field", "value"),
    [
        ("/v1/messages", PROMPT, "type", "rate_limit_error"),
        ("/v1/messages", STREAM, "type", "rate_limit_error"),
        ("/v1/chat/completions", STREAM, "code", "rate"),
    ],
    ids=["anthropic", "anthropic, a stream", "openai, a stream"],
)
async def test_who_waits_too_long_to_be_sent_again_gets_the_proxys_429_and_is_not_sent(
    stack: Stack, path: str, body: dict[str, object], field: str, value: str
) -> None:
    held = asyncio.create_task(post(stack, x_request_id="held", **played(delay=LONG)))
    await eventually(lambda: stack.simulator.stats()["in_flight"], lambda running: running == 1)

    answer = await post(stack, body, path, x_request_id="refused")

    assert answer.status_code == 429
    assert answer.headers["x-should-retry"] == "true"
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert int(answer.headers["x-zai-queue-ms"]) > 2000
    assert answer.headers["x-ratelimit-limit-requests"] == "1"
    assert answer.headers["x-ratelimit-remaining-requests"] == "0"
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["error"][field] == value
    assert re.search(r"has had no place for this request for \d s", answer.json()["error"]["message"])
    assert waiting(stack) == 0
    assert (await held).status_code == 200
    assert attempts(stack, "refused") == [429]

    read = stack.metrics_at_rest()
    assert read.value("zai_proxy_rate_limit_rejections_total", reason="rate") == 1
    assert read.value("zai_proxy_requests_total", status_code="429") == 1
    assert read.value("zai_proxy_zai_errors_total") == 1, "the one attempt that there was"
    assert read.value("zai_proxy_retry_attempts_total") == read.value("zai_proxy_upstream_errors_total") == 0
    assert read.value("zai_proxy_model_limit_adjustments_total", model="glm-5.3", direction="decrease") == 1


async def test_where_the_processor_dies_meanwhile_the_upstream_decides(stack: Stack) -> None:
    held = asyncio.create_task(post(stack, x_request_id="held", **played(delay=LONG)))
    await eventually(lambda: stack.simulator.stats()["in_flight"], lambda running: running == 1)
    refused = asyncio.create_task(post(stack, x_request_id="refused"))
    await eventually(lambda: waiting(stack), lambda number: number == 1)
    stack.processor.kill()

    answer = await refused
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "1302")
    assert attempts(stack, "refused") == [429] * 5, "of which one was promised before"
    assert (await held).status_code == 200


async def test_replicas_that_share_the_plan_do_the_same(tmp_path: Path) -> None:
    with running_fleet(tmp_path, 2, **ONE_PLACE) as fleet:
        one, other = fleet.stacks
        fleet.simulator.limit(concurrency=1)
        held = asyncio.create_task(post(one, x_request_id="held", **played(delay=LONG)))
        await eventually(lambda: fleet.simulator.stats()["in_flight"], lambda running: running == 1)

        answer = await post(other, x_request_id="refused")

        assert (answer.status_code, answer.headers["x-should-retry"]) == (429, "true")
        assert answer.json()["error"]["type"] == "rate_limit_error"
        assert (await held).status_code == 200
        assert attempts(other, "refused") == [429]
