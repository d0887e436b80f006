"""Streams that do not end well: the upstream breaks off, or the client leaves."""

import anthropic
import httpx
import httpx2
import openai
import pytest
import zai.core

from tests.e2e.callers import ANTHROPIC, OPENAI, RESPONSES, ZAI, Caller
from tests.harness.readings import Readings
from tests.harness.stack import Stack
from tests.harness.waiting import eventually

pytestmark = pytest.mark.slow

CALLERS = (ANTHROPIC, OPENAI, RESPONSES, ZAI)
# What an SDK raises when the connection ends before the body does.
CUT_OFF: dict[str, type[Exception]] = {
    "anthropic": httpx2.RemoteProtocolError,
    "openai": openai.APIConnectionError,
    "openai-responses": openai.APIConnectionError,
    "zai-sdk": httpx.RemoteProtocolError,
}
# What it raises for an error that comes as an event of the stream.
ERROR_EVENT: dict[str, type[Exception]] = {
    "anthropic": anthropic.APIStatusError,
    "openai": openai.APIError,
    "openai-responses": openai.APIError,
    "zai-sdk": zai.core.APIResponseError,
}
callers = pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: caller.name)


@pytest.mark.parametrize(
    ("caller", "fault"),
    [*((caller, "close") for caller in CALLERS), (ANTHROPIC, "reset"), (OPENAI, "truncate")],
    ids=lambda value: value.name if isinstance(value, Caller) else value,
)
async def test_a_stream_that_breaks_off_midway_ends_in_the_sdks_exception(
    stack: Stack, caller: Caller, fault: str
) -> None:
    stack.simulator.use(events=20, fault=fault, after_events=10, pause=0.1)
    heard: list[str] = []

    with pytest.raises(CUT_OFF[caller.name]):
        heard.extend(caller.stream(stack))

    assert "".join(heard)
    assert len(stack.simulator.log()) == 1


@callers
async def test_an_error_in_mid_stream_is_raised_with_its_message(stack: Stack, caller: Caller) -> None:
    stack.simulator.use(events=20, fault="error_event", after_events=10)
    heard: list[str] = []

    with pytest.raises(ERROR_EVENT[caller.name]) as raised:
        heard.extend(caller.stream(stack))

    assert "".join(heard)
    if caller is ZAI:  # says only that there was one, and keeps what it was apart
        assert isinstance(raised.value, zai.core.APIResponseError)
        assert "Internal network failure" in str(raised.value.json_data)
    else:
        assert "Internal network failure" in str(raised.value)


async def test_a_broken_stream_is_counted_as_such_with_estimated_tokens(stack: Stack, before: Readings) -> None:
    stack.simulator.use(events=200, fault="reset", after_events=100, pause=0.01)

    with pytest.raises(httpx2.RemoteProtocolError):
        list(ANTHROPIC.stream(stack))

    counted = await eventually(
        lambda: stack.metrics() - before, lambda d: d.value("zai_proxy_requests_total", path="/v1/messages") == 1
    )
    assert counted.value("zai_proxy_upstream_errors_total", error_type="read_error") == 1
    assert counted.value("zai_proxy_usage_records_total", status="estimated") == 1
    assert counted.value("zai_proxy_estimated_tokens_total", direction="output", model="glm-5.3") > 0


@callers
async def test_a_client_that_leaves_midway_frees_its_slot_and_is_counted_as_499(stack: Stack, caller: Caller) -> None:
    stack.simulator.use(events=100_000, pause=0.01)
    before = stack.metrics()
    pieces = caller.stream(stack)
    while not next(pieces):
        pass
    assert stack.metric("zai_proxy_concurrent_requests") == 1

    pieces.close()

    await eventually(lambda: stack.metric("zai_proxy_concurrent_requests"), lambda slots: slots == 0)
    counted = await eventually(
        lambda: stack.metrics() - before,
        lambda d: d.value("zai_proxy_requests_total", path=caller.path, status_code="499") == 1,
    )
    assert counted.value("zai_proxy_upstream_errors_total", error_type="write_error") == 1
    assert counted.value("zai_proxy_estimated_tokens_total", direction="input", model="glm-5.3") > 0
    assert counted.value("zai_proxy_estimated_tokens_total", direction="output", model="glm-5.3") > 0
    await eventually(stack.simulator.log, lambda log: bool(log[-1]["aborted"]))
