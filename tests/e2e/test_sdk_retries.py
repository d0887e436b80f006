"""The SDKs' own retries: a refusal says whether and when to come back, and they do."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
import pytest

from tests.e2e.callers import ANTHROPIC, OPENAI, RESPONSES, ZAI, Caller
from tests.harness.stack import PROMPT, Stack, running_stack
from tests.harness.waiting import eventually

OBEY_RETRY_AFTER = (ANTHROPIC, OPENAI, RESPONSES)
CALLERS = (*OBEY_RETRY_AFTER, ZAI)
RETRY_AFTER = 2.0


@pytest.fixture(scope="module")
def shared_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with a worker for each SDK, and no retries of its own."""
    settings = {"MAX_WORKERS": str(len(CALLERS)), "MAX_RETRIES": "0"}
    with running_stack(tmp_path_factory.mktemp("retries"), **settings) as stack:
        yield stack


def occupy_all_workers(stack: Stack) -> ExitStack:
    """Streams that hold every slot until they are closed."""
    headers = {"x-sim": json.dumps({"events": 1000, "pause": 0.05})}
    streams = ExitStack()
    for _ in CALLERS:
        ask = httpx.stream("POST", f"{stack.url}/v1/messages", json={**PROMPT, "stream": True}, headers=headers)
        assert streams.enter_context(ask).status_code == 200
    return streams


def seconds_to_ask(caller: Caller, stack: Stack) -> float:
    began = time.monotonic()
    assert caller.ask(stack, 3)
    return time.monotonic() - began


async def test_a_refusal_at_capacity_is_obeyed_and_the_next_try_succeeds(stack: Stack) -> None:
    refused = stack.metric("zai_proxy_rate_limit_rejections_total")
    with ThreadPoolExecutor(len(CALLERS)) as pool, occupy_all_workers(stack) as streams:
        asked = {caller.name: pool.submit(seconds_to_ask, caller, stack) for caller in CALLERS}
        await eventually(
            lambda: stack.metric("zai_proxy_rate_limit_rejections_total") - refused, lambda n: n >= len(CALLERS)
        )
        streams.close()
        took = {name: each.result(60) for name, each in asked.items()}

    for caller in OBEY_RETRY_AFTER:
        assert took[caller.name] >= RETRY_AFTER
    assert stack.simulator.stats()["by_status"]["200"] >= len(CALLERS)


@pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: caller.name)
async def test_an_overload_that_passes_is_cured_by_the_sdks_second_try(stack: Stack, caller: Caller) -> None:
    stack.simulator.use(fail_first={"times": 1, "code": "1305", "key": caller.name})

    assert caller.ask(stack, 1)

    assert [entry["code"] for entry in stack.simulator.log()] == ["1305", None]


async def test_a_refusal_that_no_retry_cures_is_not_tried_again(stack: Stack) -> None:
    for path in ("/no/such/path", "/api/monitor/usage"):
        assert httpx.post(f"{stack.url}{path}").headers["x-should-retry"] == "false"
