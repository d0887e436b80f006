"""Clients that begin and do not go on: what they take, and when it is taken back."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.harness.raw_http import connected, request_bytes
from tests.harness.raw_http2 import http2_connection, request_headers
from tests.harness.readings import Readings
from tests.harness.stack import PROMPT, Stack, running_stack
from tests.harness.vitals import assert_serves
from tests.harness.waiting import eventually

pytestmark = pytest.mark.slow

BODY = json.dumps(PROMPT).encode()
HEAD = request_bytes(b"POST", b"/v1/messages", b"content-length: %d\r\n" % len(BODY))
IDLE_SECONDS = 1.5
HEAD_SECONDS = 10.0


@pytest.fixture(scope="module")
def impatient_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that waits a moment for a silent client, and has two workers."""
    settings = {"STREAM_IDLE_TIMEOUT": str(IDLE_SECONDS), "MAX_WORKERS": "2"}
    with running_stack(tmp_path_factory.mktemp("impatient"), **settings) as stack:
        yield stack


async def slots_in_use(stack: Stack, number: int) -> None:
    await eventually(lambda: stack.metric("zai_proxy_concurrent_requests"), lambda slots: slots == number)


async def test_connections_without_a_request_take_no_slot(stack: Stack) -> None:
    with ExitStack() as idle:
        for _ in range(100):
            idle.enter_context(connected(stack))
        assert_serves(stack)
        await slots_in_use(stack, 0)


async def test_heads_that_dribble_take_no_slot(stack: Stack) -> None:
    with ExitStack() as half:
        for number in range(40):
            connection = half.enter_context(connected(stack))
            connection.send(HEAD[: 20 + number])
        assert_serves(stack)
        await slots_in_use(stack, 0)


async def test_a_head_that_does_not_end_is_given_up_after_ten_seconds(stack: Stack) -> None:
    began = time.monotonic()
    with connected(stack) as connection:
        connection.send(HEAD[:-2])
        answer = connection.answer(patience=HEAD_SECONDS + 50)

    assert answer.status == 408
    assert time.monotonic() - began > HEAD_SECONDS - 1


async def test_a_body_that_never_comes_holds_its_slot_until_the_client_leaves(stack: Stack, before: Readings) -> None:
    with ExitStack() as silent:
        for _ in range(3):
            silent.enter_context(connected(stack)).send(HEAD)
        await slots_in_use(stack, 3)
        assert_serves(stack)

    await slots_in_use(stack, 0)
    counted = await eventually(
        lambda: stack.metrics() - before, lambda d: d.value("zai_proxy_requests_total", status_code="499") == 3
    )
    assert counted.value("zai_proxy_upstream_errors_total", error_type="write_error") == 3
    assert counted.value("zai_proxy_tokens_total", direction="output", model="unknown") == 0


async def test_a_body_that_never_comes_over_http2_holds_its_slot_until_the_client_leaves(stack: Stack) -> None:
    with http2_connection(stack) as connection:
        for _ in range(3):
            connection.request(request_headers(b"/v1/messages", b"POST"), None)
        await slots_in_use(stack, 3)

    await slots_in_use(stack, 0)


async def test_a_body_that_never_comes_is_given_up_after_the_idle_time(impatient_stack: Stack) -> None:
    with connected(impatient_stack) as first, connected(impatient_stack) as second:
        for connection in (first, second):
            connection.send(HEAD + BODY[:5])
        await slots_in_use(impatient_stack, 2)

        answers = [connection.answer() for connection in (first, second)]
        await slots_in_use(impatient_stack, 0)

    assert {answer.status for answer in answers} <= {408, 504}
    assert_serves(impatient_stack)


async def test_a_body_that_comes_slowly_is_waited_for(impatient_stack: Stack) -> None:
    def status() -> int:
        with connected(impatient_stack) as connection:
            connection.send(HEAD)
            for start in range(0, len(BODY), 30):
                time.sleep(IDLE_SECONDS / 3)  # the slowness is what is tested
                connection.send(BODY[start : start + 30])
            return connection.answer().status

    # A busy machine may wake us only when the idle time is over; what does not wait cuts each of them.
    assert any(status() == 200 for _ in range(3))


async def test_a_client_that_leaves_in_the_middle_of_its_body_frees_its_slot(stack: Stack) -> None:
    with connected(stack) as connection:
        connection.send(HEAD + BODY[: len(BODY) // 2])
        await slots_in_use(stack, 1)

    await slots_in_use(stack, 0)
    await eventually(lambda: stack.simulator.stats()["in_flight"], lambda requests: requests == 0)
    assert [entry["status"] for entry in stack.simulator.log()] == [None]


async def test_a_client_that_does_not_read_holds_its_slot_and_nothing_else(stack: Stack) -> None:
    stack.simulator.use(content_bytes=30_000_000)
    memory = stack.envoy_stat("server.memory_allocated")
    with connected(stack) as connection:
        connection.send(HEAD + BODY)
        await slots_in_use(stack, 1)
        assert_serves_others(stack)
        assert stack.envoy_stat("server.memory_allocated") - memory < 20_000_000
        assert stack.metric("zai_proxy_concurrent_requests") == 1

    await slots_in_use(stack, 0)


def assert_serves_others(stack: Stack) -> None:
    stack.simulator.use()
    assert_serves(stack)
