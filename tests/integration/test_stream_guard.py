"""The head of a stream waits for its first event: an error there is tried again unseen, or told as plainly as any."""

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.harness.flooding_upstream import flooding_upstream
from tests.harness.readings import Readings
from tests.harness.stack import PROMPT, Stack, running_stack
from tests.harness.waiting import eventually

pytestmark = pytest.mark.slow

PATHS = ("/v1/messages", "/v1/chat/completions", "/v1/responses")
ERRORS = {
    "/v1/messages": {
        "type": "error",
        "error": {
            "type": "overloaded_error",
            "code": "1305",
            "message": "[1305][The service is busy][2026112500000001]",
        },
        "request_id": "2026112500000001",
    },
    "/v1/chat/completions": {"error": {"code": "1305", "message": "The service is busy"}},
    "/v1/responses": {
        "type": "response.failed",
        "response": {"id": "r", "status": "failed", "error": {"code": "1305", "message": "The service is busy"}},
    },
}


def event(data: Any) -> str:
    return f"data: {json.dumps(data)}\n\n"


def simulating(**scenario: object) -> dict[str, str]:
    return {"x-sim": json.dumps(scenario)}


def ask(stack: Stack, path: str, **scenario: object) -> httpx.Response:
    body = {**PROMPT, "input": "hello", "stream": True}
    return httpx.post(f"{stack.url}{path}", json=body, headers=simulating(**scenario), timeout=40)


async def after_one_request(stack: Stack, before: Readings) -> Readings:
    return await eventually(lambda: stack.metrics() - before, lambda d: d.value("zai_proxy_requests_total") == 1)


def guarded(readings: Readings) -> dict[str, float]:
    results = ("passed", "retried", "refused")
    return {each: readings.value("zai_proxy_stream_guard_total", result=each) for each in results}


@pytest.mark.parametrize("pause", [0, 0.3], ids=["at once", "after a pause"])
@pytest.mark.parametrize("path", PATHS)
async def test_an_error_as_the_first_event_is_tried_again_and_hidden(
    stack: Stack, before: Readings, path: str, pause: float
) -> None:
    failure = {"times": 2, "play": [pause, event(ERRORS[path]), 0.02]}

    answer = ask(stack, path, fail_first=failure)

    assert answer.status_code == 200
    assert "1305" not in answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    difference = await after_one_request(stack, before)
    assert guarded(difference) == {"passed": 1, "retried": 2, "refused": 0}
    assert difference.value("zai_proxy_zai_errors_total", code="1305") == 2
    assert difference.value("zai_proxy_retry_attempts_total") == 2
    assert difference.value("zai_proxy_upstream_errors_total") == 0


@pytest.mark.parametrize("path", PATHS)
async def test_with_the_tries_spent_the_client_gets_the_real_status_and_json(
    stack: Stack, before: Readings, path: str
) -> None:
    answer = ask(stack, path, play=[event(ERRORS[path]), 0.02])

    assert answer.status_code == 529
    assert answer.headers["content-type"] == "application/json"
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json()["error"]["code"] == "1305"
    assert answer.json().get("type") == ("error" if path == "/v1/messages" else None)
    assert not [name for name in answer.headers if name in ("x-zai-code", "x-zai-guard", "x-zai-exchange")]
    difference = await after_one_request(stack, before)
    assert guarded(difference) == {"passed": 0, "retried": 3, "refused": 1}
    assert difference.value("zai_proxy_requests_total", status_code="529") == 1
    assert difference.value("zai_proxy_upstream_errors_total", error_type="529") == 1
    assert difference.value("zai_proxy_zai_errors_total", code="1305") == 4
    assert difference.value("zai_proxy_tokens_total") == 0


async def test_an_error_that_waiting_does_not_cure_goes_straight_out(stack: Stack, before: Readings) -> None:
    error = {"type": "error", "error": {"type": "rate_limit_error", "message": "[1308][Usage limit reached][2026]"}}

    answer = ask(stack, "/v1/messages", play=[event(error)])

    assert answer.status_code == 429
    assert answer.headers["x-should-retry"] == "false"
    assert "retry-after" not in answer.headers
    assert answer.json() == error
    assert len(stack.simulator.log()) == 1
    assert guarded(await after_one_request(stack, before)) == {"passed": 0, "retried": 0, "refused": 1}


@pytest.mark.parametrize(
    ("code", "shown"), [("1302", (None, "2")), ("1308", ("rejected", "18000"))], ids=["passes", "used up"]
)
async def test_a_stream_that_begins_with_an_error_sends_nobody_to_sleep_unless_the_plan_is_used_up(
    stack: Stack, code: str, shown: tuple[str | None, str]
) -> None:
    headers = {"anthropic-ratelimit-unified-status": "rejected", "retry-after": "18000"}
    error = {"type": "error", "error": {"type": "rate_limit_error", "code": code, "message": f"[{code}][no][2026]"}}

    answer = ask(stack, "/v1/messages", play=[event(error), 0.02], headers=headers)

    assert answer.status_code == 429
    assert answer.json() == error
    assert (answer.headers.get("anthropic-ratelimit-unified-status"), answer.headers.get("retry-after")) == shown


@pytest.mark.parametrize(
    ("told", "shown"), [("20", "20"), ("61", "2"), ("Thu, 26 Nov 2099 09:00:00 GMT", "2"), (None, "2")]
)
async def test_the_client_hears_z_ais_own_retry_after_if_it_is_short(
    stack: Stack, told: str | None, shown: str
) -> None:
    headers = {} if told is None else {"retry-after": told}

    answer = ask(stack, "/v1/messages", play=[event(ERRORS["/v1/messages"]), 0.02], headers=headers)

    assert (answer.status_code, answer.headers["retry-after"]) == (529, shown)
    assert "x-zai-wait" not in answer.headers


async def test_what_is_too_large_to_be_tried_again_hears_when_to_come_back(stack: Stack) -> None:
    body = {**PROMPT, "stream": True, "messages": [{"role": "user", "content": "x" * 17_000_000}]}
    headers = simulating(play=[event(ERRORS["/v1/messages"]), 0.02])

    answer = httpx.post(f"{stack.url}/v1/messages", json=body, headers=headers, timeout=40)

    assert (answer.status_code, answer.headers["retry-after"]) == (529, "2")
    assert len(stack.simulator.log()) == 1


async def test_bytes_behind_the_error_reach_nobody(stack: Stack) -> None:
    error = event(ERRORS["/v1/messages"])

    answer = ask(stack, "/v1/messages", play=[error[:20], 0.05, error[20:], 0.05, "data: [DONE]\n\n", 0.05, "more"])

    assert answer.json()["error"]["code"] == "1305"


async def test_json_of_unknown_length_that_is_an_error_is_tried_again(stack: Stack, before: Readings) -> None:
    failure = {"times": 1, "play": [json.dumps(ERRORS["/v1/messages"])], "content_type": "application/json"}

    answer = httpx.post(
        f"{stack.url}/v1/messages", json=PROMPT, headers=simulating(fail_first=failure, framing="chunked"), timeout=30
    )

    assert answer.json()["type"] == "message"
    difference = await after_one_request(stack, before)
    assert difference.value("zai_proxy_zai_errors_total", code="1305") == 1


@pytest.mark.parametrize("path", PATHS)
async def test_a_good_stream_loses_no_byte(stack: Stack, path: str) -> None:
    scenario = {"events": 40, "pieces": "byte", "thinking": 3, "first_event_delay": 0.05}
    direct = {"/v1/messages": "/api/anthropic/v1/messages", "/v1/responses": "/api/v1/responses"}

    answer = ask(stack, path, **scenario)

    entry = stack.simulator.log()[-1]
    assert answer.status_code == 200, direct
    assert len(answer.content) == entry["response_bytes"]
    assert entry["attempt"] == 1


async def test_the_first_event_is_not_kept_back_for_the_second(stack: Stack) -> None:
    async with (
        httpx.AsyncClient(timeout=30) as client,
        client.stream(
            "POST", f"{stack.url}/v1/messages", json={**PROMPT, "stream": True}, headers=simulating(events=5, pause=60)
        ) as answer,
    ):
        began = time.monotonic()
        await anext(answer.aiter_bytes())
        assert time.monotonic() - began < 30


async def test_a_model_that_thinks_for_long_shows_its_head_after_ten_seconds(stack: Stack, before: Readings) -> None:
    began = time.monotonic()
    async with (
        httpx.AsyncClient(timeout=40) as client,
        client.stream(
            "POST",
            f"{stack.url}/v1/messages",
            json={**PROMPT, "stream": True},
            headers=simulating(first_event_delay=18),
        ) as answer,
    ):
        waited = time.monotonic() - began
        body = await answer.aread()

    assert 9.5 < waited < 17.5
    assert b"message_stop" in body
    assert guarded(await after_one_request(stack, before))["passed"] == 1


async def test_what_is_no_answer_of_a_model_is_not_held(stack: Stack, before: Readings) -> None:
    headers = simulating(play=[1.0, "data: {}\n\n"])

    answer = httpx.post(f"{stack.url}/api/mcp/zread/mcp", json={"jsonrpc": "2.0"}, headers=headers, timeout=30)

    assert answer.status_code == 200
    assert sum(guarded(await after_one_request(stack, before)).values()) == 0


@pytest.fixture
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("own")) as stack:
        yield stack


async def test_if_the_processor_dies_before_the_first_event_the_stream_goes_on(own_stack: Stack) -> None:
    stack = own_stack

    async def whole() -> httpx.Response:
        async with httpx.AsyncClient(timeout=30) as client:
            body = {**PROMPT, "stream": True}
            headers = simulating(first_event_delay=1.5, events=10)
            return await client.post(f"{stack.url}/v1/messages", json=body, headers=headers)

    asking = asyncio.create_task(whole())
    await eventually(lambda: stack.envoy_stat("cluster.extproc.upstream_rq_active"), lambda n: n >= 2)
    stack.processor.kill()

    answer = await asking
    assert answer.status_code == 200
    assert b"message_stop" in answer.content


async def test_switched_off_it_holds_nothing_and_the_error_counts(tmp_path_factory: pytest.TempPathFactory) -> None:
    with running_stack(tmp_path_factory.mktemp("off"), STREAM_GUARD="off") as stack:
        before = stack.metrics_at_rest()

        answer = ask(stack, "/v1/messages", play=[event(ERRORS["/v1/messages"])])

        assert answer.status_code == 200
        difference = await after_one_request(stack, before)
        assert sum(guarded(difference).values()) == 0
        assert difference.value("zai_proxy_zai_errors_total", code="1305", **{"class": "overload"}) == 1
        assert difference.value("zai_proxy_upstream_errors_total", error_type="529") == 1
        assert difference.value("zai_proxy_tokens_total") == 0


@pytest.mark.parametrize("guard", ["on", "off"])
async def test_a_pause_that_a_streams_error_asks_for_is_kept(
    tmp_path_factory: pytest.TempPathFactory, guard: str
) -> None:
    options = {"STREAM_GUARD": guard, "MAX_RETRIES": "0", "PACING": "on"}
    with running_stack(tmp_path_factory.mktemp("pause"), **options) as stack:
        before = stack.metrics_at_rest()
        error = event({"error": {"code": "1302", "message": "slow down"}})
        ask(stack, "/v1/chat/completions", play=[error], headers={"retry-after": "4"})
        await after_one_request(stack, before)

        answer = ask(stack, "/v1/chat/completions", events=2)

    assert answer.status_code == 200
    assert int(answer.headers["x-zai-queue-ms"]) > 2000


async def test_a_flood_of_events_behind_held_heads_harms_nobody(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Envoy 1.40 crashes here within a second if its guard is shown the bodies (`response_body_mode: STREAMED`)."""
    with (
        flooding_upstream() as upstream,
        running_stack(tmp_path_factory.mktemp("flood"), ZAI_TARGET_URL=upstream.url) as stack,
    ):
        before = stack.metrics_at_rest()

        async def read(client: httpx.AsyncClient, events_a_write: int) -> bytes:
            end = b""
            body = {**PROMPT, "stream": True, "events_a_write": events_a_write}
            async with client.stream("POST", f"{stack.url}/v1/messages", json=body) as answer:
                async for piece in answer.aiter_raw():
                    end = (end + piece)[-30:]
            return end

        async with httpx.AsyncClient(timeout=60) as client:
            for events_a_write in (1, 64, 1, 64):
                ends = await asyncio.gather(*(read(client, events_a_write) for _ in range(8)))
                assert all(end.endswith(b'"message_stop"}\n\n') for end in ends)

        assert stack.envoy.is_running
        difference = stack.metrics_at_rest() - before
        assert difference.value("zai_proxy_stream_guard_total", result="passed") == 32
        assert difference.value("zai_proxy_tokens_total", direction="output") == 7 * 32


@pytest.mark.parametrize("code", ["1210", "1305"])
@pytest.mark.parametrize("behind", [[60], [3, "<reset>"]], ids=["silence", "a reset"])
async def test_the_error_is_over_at_once_whatever_z_ai_does_behind_it(
    stack: Stack, before: Readings, code: str, behind: list[object]
) -> None:
    error = {"type": "error", "error": {"type": "x", "code": code, "message": "x"}}
    headers = simulating(play=[event(error), *behind], headers={"retry-after": "1"})
    body = {**PROMPT, "stream": True}
    async with (
        httpx.AsyncClient(http1=False, http2=True, timeout=40) as over_http2,
        httpx.AsyncClient(timeout=40) as over_http1,
    ):
        for speaker in (over_http2, over_http1):
            began = time.monotonic()
            answer = await speaker.post(f"{stack.url}/v1/messages", json=body, headers=headers)

            assert time.monotonic() - began < 30
            assert answer.status_code == (400 if code == "1210" else 529)
            assert answer.json() == error
            assert int(answer.headers["content-length"]) == len(answer.content)
            assert answer.headers["content-type"] == "application/json"
            assert not [name for name in answer.headers if name in ("x-zai-code", "x-zai-guard", "x-zai-end")]
    difference = await eventually(lambda: stack.metrics() - before, lambda d: d.value("zai_proxy_requests_total") == 2)
    assert difference.value("zai_proxy_upstream_errors_total", error_type=str(answer.status_code)) == 2
    assert difference.value("zai_proxy_upstream_errors_total") == 2
    assert difference.value("zai_proxy_zai_errors_total", code=code) == (2 if code == "1210" else 8)


OPEN_ERRORS = (
    (429, "application/json", json.dumps({"error": {"code": "1308", "message": "used up"}}, indent=1)),
    (529, "application/problem+json", json.dumps(ERRORS["/v1/messages"])),
    (400, "text/event-stream", event({"type": "error", "error": {"code": "1210", "message": "x"}})),
    (413, "text/plain", json.dumps({"error": {"code": "1214", "message": "x"}})),
    (401, "", json.dumps({"error": {"code": "1002", "message": "x"}})),
    (404, "application/json", json.dumps({"detail": "Not Found"})),
)


@pytest.mark.parametrize("guard", ["on", "off"])
async def test_an_error_answer_is_over_once_it_has_been_read(
    tmp_path_factory: pytest.TempPathFactory, guard: str
) -> None:
    """One that does not say how long it is may be left open: nobody waits for its end."""
    with running_stack(tmp_path_factory.mktemp("open"), STREAM_GUARD=guard, MAX_RETRIES="1") as stack:
        async with httpx.AsyncClient(timeout=60) as client:
            for framing in ("chunked", "close"):
                before = stack.metrics_at_rest()
                await asyncio.gather(*(the_error_is_over(client, stack, error, framing) for error in OPEN_ERRORS))
                difference = await eventually(
                    lambda: stack.metrics() - before,  # noqa: B023
                    lambda d: d.value("zai_proxy_requests_total") == len(OPEN_ERRORS),
                )
                for status, _, _ in OPEN_ERRORS:
                    assert difference.value("zai_proxy_upstream_errors_total", error_type=str(status)) == 1
                assert difference.value("zai_proxy_zai_errors_total") == len(OPEN_ERRORS) + 1
                assert difference.value("zai_proxy_zai_errors_total", code="1305") == 2
                assert sum(guarded(difference).values()) == 0
        await eventually(lambda: stack.envoy_stat("cluster.zai.upstream_rq_active"), lambda n: n == 0)


async def the_error_is_over(client: httpx.AsyncClient, stack: Stack, error: tuple[int, str, str], framing: str) -> None:
    status, content_type, body = error
    play = [body[:9], 0.05, body[9:], 300]
    headers = simulating(status=status, content_type=content_type, framing=framing, play=play)

    answer = await client.post(f"{stack.url}/v1/messages", json={**PROMPT, "stream": True}, headers=headers)

    assert answer.status_code == status
    assert int(answer.headers["content-length"]) == len(answer.content)
    if content_type == "text/event-stream":
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()["error"] == {"type": "invalid_request_error", "code": "1210", "message": "x"}
    else:
        assert answer.text == body
        assert answer.headers["content-type"] == (content_type or "application/json")
    assert answer.headers.get("x-should-retry") == ("false" if status in (401, 429) else None)
    assert not [name for name in answer.headers if name.startswith("x-zai-") and name != "x-zai-queue-ms"]
