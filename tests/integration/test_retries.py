"""Only what waiting cures is tried again, only before the first byte, and the client never sees it."""

import asyncio
import json
import secrets
import time

import httpx
import pytest

from extproc.domain.request.business_codes import TABLE
from tests.harness.readings import Readings
from tests.harness.stack import PROMPT, Stack
from tests.harness.waiting import eventually

pytestmark = pytest.mark.slow

PATHS = ("/v1/messages", "/v1/chat/completions")


def simulating(**scenario: object) -> dict[str, str]:
    return {"x-sim": json.dumps(scenario)}


async def after_one_request(stack: Stack, before: Readings) -> Readings:
    return await eventually(lambda: stack.metrics() - before, lambda d: d.value("zai_proxy_requests_total") == 1)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("code", ["1302", "1303", "1305", "1234"])
async def test_a_transient_error_is_tried_again_and_hidden(
    stack: Stack, before: Readings, path: str, code: str
) -> None:
    response = httpx.post(
        f"{stack.url}{path}", json=PROMPT, headers=simulating(fail_first={"code": code, "times": 2}), timeout=30
    )

    assert response.status_code == 200
    assert [entry["attempt"] for entry in stack.simulator.log()] == [1, 2, 3]
    difference = await after_one_request(stack, before)
    assert difference.value("zai_proxy_retry_attempts_total") == 2
    assert difference.value("zai_proxy_zai_errors_total", code=code) == 2
    assert difference.value("zai_proxy_zai_errors_total", **{"class": TABLE[code].error_class}) == 2
    assert difference.value("zai_proxy_requests_total", status_code="200") == 1
    assert difference.value("zai_proxy_upstream_errors_total") == 0


@pytest.mark.parametrize("code", ["1308", "1310", "1113", "1210", "1301", "1309", "1313"])
async def test_an_error_that_waiting_does_not_cure_goes_straight_out(stack: Stack, before: Readings, code: str) -> None:
    response = httpx.post(f"{stack.url}/v1/messages", json=PROMPT, headers=simulating(code=code), timeout=30)

    assert len(stack.simulator.log()) == 1
    assert code in response.text
    assert response.headers.get("x-should-retry") == ("false" if response.status_code == 429 else None)
    difference = await after_one_request(stack, before)
    assert difference.value("zai_proxy_retry_attempts_total") == 0
    assert difference.value("zai_proxy_zai_errors_total", code=code) == 1
    assert difference.value("zai_proxy_upstream_errors_total", error_type=str(response.status_code)) == 1


@pytest.mark.parametrize(
    "error", ["Too many requests", {"type": "slow_down"}, {"code": 429, "message": "later"}], ids=str
)
async def test_a_429_without_a_code_of_zais_is_left_to_its_client(stack: Stack, error: object) -> None:
    refusal = simulating(status=429, content_type="application/json", play=[json.dumps({"error": error})])

    response = httpx.post(f"{stack.url}/v1/messages", json=PROMPT, headers=refusal, timeout=60)

    assert response.status_code == 429
    assert "x-should-retry" not in response.headers


@pytest.mark.parametrize(
    ("path", "content_type", "body"),
    [
        ("/api/paas/v4/files/f1/content", "application/jsonl", '{"id":"b1","error":{"code":"1302","message":"x"}}\n'),
        ("/api/paas/v4/files/f1/content", "text/plain", "[1305][a text of somebody's]"),
        ("/v1/responses/r1", "application/json", '{"status":"failed","error":{"code":"1302","message":"x"}}'),
        ("/api/paas/v4/async-result/j1", "application/json", '{"task_status":"FAIL","error":{"code":"1302"}}'),
    ],
    ids=["a batch's errors", "a text", "a failed response", "a failed job"],
)
async def test_what_went_wrong_in_a_stored_answer_teaches_nothing(
    stack: Stack, before: Readings, path: str, content_type: str, body: str
) -> None:
    stored = simulating(status=200, content_type=content_type, play=[body])

    response = httpx.get(f"{stack.url}{path}", headers=stored, timeout=30)

    assert (response.status_code, response.text) == (200, body)
    difference = await after_one_request(stack, before)
    assert difference.value("zai_proxy_zai_errors_total") == 0
    assert difference.value("zai_proxy_upstream_errors_total") == 0
    assert difference.value("zai_proxy_retry_attempts_total") == 0
    assert len(stack.simulator.log()) == 1


@pytest.mark.parametrize(
    "envelope",
    ["paas", "anthropic", "anthropic_type", "anthropic_old", "bracket", "gateway", "gateway_short"],
)
@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_transient_error_is_known_in_every_envelope(
    stack: Stack, before: Readings, envelope: str, framing: str
) -> None:
    failure = {"code": "1302", "times": 1, "envelope": envelope}

    response = httpx.post(
        f"{stack.url}/v1/messages", json=PROMPT, headers=simulating(fail_first=failure, framing=framing), timeout=30
    )

    assert response.status_code == 200
    difference = await after_one_request(stack, before)
    assert difference.value("zai_proxy_zai_errors_total", code="1302") == 1


@pytest.mark.parametrize("envelope", ["anthropic", "paas", "bracket", "gateway", "anthropic_old"])
async def test_an_error_inside_a_200_is_tried_again_and_counted(stack: Stack, before: Readings, envelope: str) -> None:
    failure = {"code": "1305", "status": 200, "times": 1, "envelope": envelope}

    response = httpx.post(f"{stack.url}/v1/messages", json=PROMPT, headers=simulating(fail_first=failure), timeout=30)

    assert response.json()["type"] == "message"
    difference = await after_one_request(stack, before)
    assert difference.value("zai_proxy_zai_errors_total", code="1305") == 1
    assert difference.value("zai_proxy_retry_attempts_total") == 1


async def test_an_answer_that_only_talks_about_errors_is_no_error(stack: Stack, before: Readings) -> None:
    text = 'On failure it sends {"error": {"code": "1302"}} or [1302][message] or {"code": 500, "msg": "x"}.'
    call = {"name": "report", "input": {"error": {"code": "1302"}, "code": 500, "msg": "no", "type": "error"}}

    for scenario in ({"text": text}, {"tool_call": call}):
        response = httpx.post(f"{stack.url}/v1/messages", json=PROMPT, headers=simulating(**scenario))
        assert response.status_code == 200

    assert len(stack.simulator.log()) == 2
    difference = stack.metrics_at_rest() - before
    assert difference.value("zai_proxy_zai_errors_total") == 0
    assert difference.value("zai_proxy_usage_records_total", status="complete") == 2


async def test_retries_end_and_the_last_answer_goes_to_the_client(stack: Stack, before: Readings) -> None:
    response = httpx.post(f"{stack.url}/v1/messages", json=PROMPT, headers=simulating(code="1302"), timeout=60)

    assert response.status_code == 429
    assert response.headers["retry-after"] == "2"
    assert response.json()["error"]["code"] == "1302"
    assert len(stack.simulator.log()) == 4
    difference = await after_one_request(stack, before)
    assert difference.value("zai_proxy_retry_attempts_total", reason="429") == 3
    assert difference.value("zai_proxy_zai_errors_total", code="1302") == 4
    assert difference.value("zai_proxy_upstream_errors_total", error_type="429") == 1


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("code", ["1303", "1305", "1312", "1234", "500"])
async def test_who_is_refused_after_all_for_what_passes_is_told_when_to_come_back(
    stack: Stack, code: str, framing: str
) -> None:
    body = b"x" * 17_000_000  # too large to be sent again

    answer = httpx.post(
        f"{stack.url}/v1/messages", content=body, headers=simulating(code=code, framing=framing), timeout=60
    )

    assert answer.status_code in (429, 500, 529)
    assert answer.headers.get_list("retry-after") == ["2"]
    assert len(stack.simulator.log()) == 1


@pytest.mark.parametrize(("told", "shown"), [("1", "1"), ("20", "20"), ("61", "2")])
async def test_a_refusal_that_passes_keeps_z_ais_own_retry_after_if_it_is_short(
    stack: Stack, told: str, shown: str
) -> None:
    body = b"x" * 17_000_000

    answer = httpx.post(
        f"{stack.url}/v1/messages", content=body, headers=simulating(code="1302", retry_after=told), timeout=60
    )

    assert answer.headers.get_list("retry-after") == [shown]


async def test_a_refusal_that_does_not_pass_tells_nobody_to_come_back(stack: Stack) -> None:
    answer = httpx.post(f"{stack.url}/v1/messages", json=PROMPT, headers=simulating(code="1310"), timeout=30)

    assert "retry-after" not in answer.headers


async def test_a_prompt_within_the_retry_buffer_is_sent_again_whole(stack: Stack) -> None:
    body = json.dumps({**PROMPT, "messages": [{"role": "user", "content": secrets.token_hex(2_500_000)}]}).encode()

    response = httpx.post(
        f"{stack.url}/v1/messages",
        content=body,
        headers=simulating(fail_first={"code": "1303", "times": 1}),
        timeout=60,
    )

    assert response.status_code == 200
    first, second = stack.simulator.log()
    assert first["request_sha256"] == second["request_sha256"]
    assert second["request_bytes"] == len(body)


async def test_a_prompt_beyond_the_retry_buffer_passes_once(stack: Stack) -> None:
    body = json.dumps({**PROMPT, "messages": [{"role": "user", "content": secrets.token_hex(10_000_000)}]}).encode()

    response = httpx.post(f"{stack.url}/v1/messages", content=body, headers=simulating(code="1303"), timeout=60)

    assert response.status_code == 429
    assert len(stack.simulator.log()) == 1


async def test_an_upstreams_short_retry_after_is_obeyed(stack: Stack) -> None:
    began = time.monotonic()

    response = httpx.post(
        f"{stack.url}/v1/messages",
        json=PROMPT,
        headers=simulating(fail_first={"code": "1302", "times": 1, "retry_after": "2"}),
        timeout=30,
    )

    assert response.status_code == 200
    assert time.monotonic() - began > 1.9


async def test_an_upstreams_long_retry_after_is_not_waited_for(stack: Stack) -> None:
    began = time.monotonic()

    response = httpx.post(
        f"{stack.url}/v1/messages",
        json=PROMPT,
        headers=simulating(fail_first={"code": "1302", "times": 1, "retry_after": "60"}),
        timeout=90,
    )

    assert response.status_code == 200
    assert time.monotonic() - began < 50.0


async def test_no_more_than_a_fifth_of_what_runs_or_ten_are_tried_again_at_the_same_time(stack: Stack) -> None:
    overflowed = stack.envoy_stat("cluster.zai.upstream_rq_retry_overflow")
    async with httpx.AsyncClient(timeout=30) as client:
        ask = (
            client.post(f"{stack.url}/v1/messages", json=PROMPT, headers=simulating(code="1305", delay=0.5))
            for _ in range(15)
        )
        answers = await asyncio.gather(*ask)

    assert {answer.status_code for answer in answers} == {529}
    assert stack.envoy_stat("cluster.zai.upstream_rq_retry_overflow") > overflowed
    assert 15 < len(stack.simulator.log()) < 15 * 4


async def test_a_stream_that_broke_off_is_never_sent_again(stack: Stack, before: Readings) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.post(
            f"{stack.url}/v1/messages",
            json={**PROMPT, "stream": True},
            headers=simulating(fault="reset", after_events=4, gap=1, gap_after=4),  # a reset at once takes all with it
        )

    assert len(stack.simulator.log()) == 1
    difference = await after_one_request(stack, before)
    assert difference.value("zai_proxy_upstream_errors_total", error_type="read_error") == 1
    assert difference.value("zai_proxy_usage_records_total", status="estimated") == 1


async def test_a_reset_after_the_request_was_sent_is_not_repeated(stack: Stack, before: Readings) -> None:
    response = httpx.post(f"{stack.url}/v1/messages", json=PROMPT, headers=simulating(fault="reset"))

    assert response.status_code == 503
    assert response.json()["error"]["type"] == "overloaded_error"
    assert len(stack.simulator.log()) == 1
    difference = await after_one_request(stack, before)
    assert difference.value("zai_proxy_upstream_errors_total", error_type="read_error") == 1


@pytest.mark.parametrize("path", PATHS)
async def test_an_error_event_instead_of_an_answer_is_an_error_answer_and_costs_no_tokens(
    stack: Stack, before: Readings, path: str
) -> None:
    scenario = simulating(code="1308", fault="error_event", after_events=0)

    response = httpx.post(f"{stack.url}{path}", json={**PROMPT, "stream": True}, headers=scenario)

    assert response.status_code == 429
    difference = await after_one_request(stack, before)
    assert difference.value("zai_proxy_zai_errors_total", code="1308") == 1
    assert difference.value("zai_proxy_tokens_total") == 0


async def test_two_requests_with_the_same_id_at_once_keep_their_own_attempts(stack: Stack, before: Readings) -> None:
    same = {"x-request-id": "the-same-for-both"}
    slow = {**same, **simulating(fail_first={"code": "1303", "times": 1, "key": "slow"}, delay=0.3)}
    quick = {**same, **simulating(events=3)}
    async with httpx.AsyncClient(base_url=stack.url, timeout=30) as client:
        first = asyncio.create_task(client.post("/v1/messages", json=PROMPT, headers=slow))
        second = asyncio.create_task(client.post("/v1/messages", json=PROMPT, headers=quick))
        assert [(await each).status_code for each in (first, second)] == [200, 200]

    difference = await eventually(lambda: stack.metrics() - before, lambda d: d.value("zai_proxy_requests_total") == 2)
    assert difference.value("zai_proxy_retry_attempts_total", reason="429") == 1
    assert difference.value("zai_proxy_retry_attempts_total") == 1


async def test_an_error_event_in_mid_stream_is_counted_with_what_was_generated(stack: Stack, before: Readings) -> None:
    scenario = simulating(code="1305", fault="error_event", after_events=5)

    httpx.post(f"{stack.url}/v1/messages", json={**PROMPT, "stream": True}, headers=scenario)

    difference = await after_one_request(stack, before)
    assert difference.value("zai_proxy_zai_errors_total", code="1305") == 1
    assert difference.value("zai_proxy_usage_records_total", status="estimated") == 1
    assert difference.value("zai_proxy_tokens_total", direction="output") > 0
