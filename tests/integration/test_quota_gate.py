"""A used-up window of the plan: found, answered honestly and at once, and left behind at its reset."""

import time
from collections.abc import Iterator

import httpx
import pytest

from tests.harness.stack import PROMPT, Stack, running_stack
from tests.harness.waiting import eventually

pytestmark = pytest.mark.slow

WINDOW_SECONDS = 20
# One answer of 10,000 output tokens of glm-5.3 costs 12 or 24 credits, by the hour.
EXPENSIVE = {"x-sim": '{"output_tokens": 10000}'}


@pytest.fixture
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A plan of a few credits whose five hours are seconds, polled each second."""
    options = ("--five-hour-credits", "30", "--five-hour-seconds", str(WINDOW_SECONDS))
    with running_stack(tmp_path_factory.mktemp("plan"), *options, QUOTA_POLL_INTERVAL="1", QUOTA_GATE="on") as stack:
        yield stack


def use_up(stack: Stack) -> None:
    for _ in range(10):
        if httpx.post(f"{stack.url}/v1/messages", json=PROMPT, headers=EXPENSIVE).status_code == 429:
            return
    raise AssertionError("the plan has no end")


async def test_a_used_up_window_is_answered_at_once_and_left_behind_at_its_reset(own_stack: Stack) -> None:
    stack = own_stack
    use_up(stack)
    await eventually(lambda: stack.metric("zai_proxy_quota_gate_open", window="five_hour"), lambda value: value == 1)
    await eventually(lambda: stack.status()["quota"]["gate"], lambda gate: bool(gate and gate[0]["resets_at"]))
    calls = [entry for entry in stack.simulator.log() if entry["path"].endswith("/messages")]

    anthropic = httpx.post(f"{stack.url}/v1/messages", json=PROMPT)
    openai = httpx.post(f"{stack.url}/v1/chat/completions", json=PROMPT)
    free = httpx.get(f"{stack.url}/v1/models")

    assert (anthropic.status_code, openai.status_code, free.status_code) == (429, 429, 200)
    assert anthropic.json()["error"]["type"] == "rate_limit_error"
    assert openai.json()["error"]["code"] == "quota"
    message = anthropic.json()["error"]["message"]
    assert message.startswith("The five-hour quota of the Z.AI plan is used up; it resets at ")
    assert int(anthropic.headers["retry-after"]) <= WINDOW_SECONDS
    assert len([e for e in stack.simulator.log() if e["path"].endswith("/messages")]) == len(calls), (
        "it was asked again"
    )
    await eventually(
        lambda: stack.metric("zai_proxy_rate_limit_rejections_total", reason="quota"), lambda refusals: refusals == 2
    )
    await eventually(
        lambda: httpx.post(f"{stack.url}/v1/messages", json=PROMPT).status_code,
        lambda status: status == 200,
        within=WINDOW_SECONDS + 10,
    )
    await eventually(lambda: stack.metric("zai_proxy_quota_gate_open", window="five_hour"), lambda value: value == 0)


async def test_the_windows_are_shown_as_z_ai_reports_them(own_stack: Stack) -> None:
    stack = own_stack
    assert httpx.post(f"{stack.url}/v1/messages", json=PROMPT, headers=EXPENSIVE).status_code == 200
    used = await eventually(
        lambda: stack.metric("zai_proxy_quota_usage_ratio", window="five_hour"), lambda ratio: ratio > 0
    )

    readings = stack.metrics()

    assert 0.3 < used < 0.9
    assert readings.value("zai_proxy_quota_remaining_ratio", window="five_hour") == pytest.approx(1 - used, abs=0.05)
    assert 0 < readings.value("zai_proxy_quota_reset_time_seconds", window="five_hour") - time.time() <= WINDOW_SECONDS
    assert readings.value("zai_proxy_quota_poll_total", result="success") >= 1
    assert readings.value("zai_proxy_quota_sample_age_seconds") < 5
    windows = {window["window"]: window for window in stack.status()["quota"]["windows"]}
    assert windows["five_hour"]["used"] == pytest.approx(used)


@pytest.fixture
def unpolled_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("unpolled"), QUOTA_GATE="on") as stack:
        yield stack


async def test_a_quota_code_that_comes_without_a_poll_closes_the_gate_too(unpolled_stack: Stack) -> None:
    stack = unpolled_stack
    refused = httpx.post(f"{stack.url}/v1/messages", json=PROMPT, headers={"x-sim": '{"code": "1310"}'})
    assert refused.status_code == 429
    await eventually(lambda: stack.metric("zai_proxy_quota_gate_open", window="weekly"), lambda value: value == 1)

    answer = httpx.post(f"{stack.url}/v1/messages", json=PROMPT)

    assert answer.status_code == 429
    assert answer.headers["x-should-retry"] == "false"
    assert "retry-after" not in answer.headers
    assert answer.headers["anthropic-ratelimit-unified-status"] == "rejected"
    assert "anthropic-ratelimit-unified-reset" not in answer.headers, "nobody knows it"
    assert "weekly quota" in answer.json()["error"]["message"]


async def test_a_retry_after_of_z_ai_tells_the_gate_and_its_clients_when_to_come_back(unpolled_stack: Stack) -> None:
    stack = unpolled_stack
    began = time.time()
    told = {"x-sim": '{"code": "1308", "retry_after": 7200}'}
    assert httpx.post(f"{stack.url}/v1/messages", json=PROMPT, headers=told).status_code == 429
    await eventually(lambda: stack.metric("zai_proxy_quota_gate_open", window="five_hour"), lambda value: value == 1)

    anthropic = httpx.post(f"{stack.url}/v1/messages", json=PROMPT)
    openai = httpx.post(f"{stack.url}/v1/chat/completions", json=PROMPT)

    assert len(stack.simulator.log()) == 1
    assert anthropic.headers["anthropic-ratelimit-unified-status"] == "rejected"
    assert began + 7200 <= int(anthropic.headers["anthropic-ratelimit-unified-reset"]) <= time.time() + 7201
    assert 7100 <= int(anthropic.headers["retry-after"]) <= 7200
    assert anthropic.headers["x-should-retry"] == openai.headers["x-should-retry"] == "false"
    assert not {"retry-after", "anthropic-ratelimit-unified-status"} & set(openai.headers)


async def test_without_the_gate_every_request_finds_out_for_itself(stack: Stack) -> None:
    for _ in range(2):
        httpx.post(f"{stack.url}/v1/messages", json=PROMPT, headers={"x-sim": '{"code": "1308"}'})

    stack.metrics_at_rest()
    assert len(stack.simulator.log()) == 2
    assert httpx.post(f"{stack.url}/v1/messages", json=PROMPT).status_code == 200
