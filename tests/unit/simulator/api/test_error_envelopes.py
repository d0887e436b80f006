"""Every error that Z.AI is known to send, in every envelope, as JSON and inside a stream."""

import json
import re
from typing import Any

import httpx
import pytest

from simulator.api.errors import CODES
from tests.unit.simulator.talk import CHAT, MESSAGES, RESPONSES, SPOKEN, Api, event_names, events

LOG_ID = re.compile(r"\d{14}[0-9a-f]{16}")
RESET = re.compile(r"Your limit will reset at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


def without_id(value: Any) -> Any:
    """The same with every request id replaced."""
    return json.loads(LOG_ID.sub("ID", json.dumps(value)))


BODIES: dict[str, Any] = {
    "paas": {"error": {"code": "1302", "message": "Rate limit reached for requests"}},
    "anthropic": {
        "type": "error",
        "error": {
            "type": "rate_limit_error",
            "code": "1302",
            "message": "[1302][Rate limit reached for requests][ID]",
        },
        "request_id": "ID",
    },
    "anthropic_type": {"type": "error", "error": {"type": "1302", "message": "Rate limit reached for requests"}},
    "anthropic_short": {"error": {"message": "Rate limit reached for requests", "type": "1302"}},
    "anthropic_old": {
        "error": {"code": "1302", "message": "Rate limit reached for requests"},
        "request_id": "ID",
    },
    "gateway": {"code": 1302, "msg": "Rate limit reached for requests", "success": False},
    "gateway_short": {"code": 1302, "msg": "Rate limit reached for requests"},
    "response_failed": {
        "type": "response.failed",
        "response": {
            "id": "resp_ID",
            "object": "response",
            "status": "failed",
            "error": {"code": "rate_limit_exceeded", "message": "[1302][Rate limit reached for requests][ID]"},
            "usage": None,
        },
    },
    "monitor": {"code": 1302, "msg": "Rate limit reached for requests", "data": None, "success": False},
}


@pytest.mark.parametrize("path", SPOKEN)
@pytest.mark.parametrize("envelope", BODIES)
def test_every_envelope_can_be_had_on_every_surface(api: Api, path: str, envelope: str) -> None:
    response = api.ask(path, code="1302", envelope=envelope, status=429)

    assert response.status_code == 429
    assert without_id(response.json()) == BODIES[envelope]


@pytest.mark.parametrize("path", SPOKEN)
@pytest.mark.parametrize("envelope", BODIES)
@pytest.mark.parametrize("stream", [False, True], ids=["json", "sse"])
def test_every_envelope_can_hide_in_an_http_200(api: Api, path: str, envelope: str, stream: bool) -> None:
    response = api.ask(path, stream=stream, code="1302", envelope=envelope, status=200)

    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream" if stream else "application/json")
    body = events(response.text)[0] if stream else response.json()
    assert without_id(body) == BODIES[envelope]


@pytest.mark.parametrize(("path", "envelope"), [(MESSAGES, "anthropic"), (CHAT, "paas"), (RESPONSES, "paas")])
def test_each_surface_has_its_envelope_of_today(api: Api, path: str, envelope: str) -> None:
    response = api.ask(path, code="1302")

    assert without_id(response.json()) == BODIES[envelope]
    assert api.entry()["code"] == "1302"


def test_the_bare_bracketed_message_can_be_had(api: Api) -> None:
    whole = api.ask(MESSAGES, code="1305", envelope="bracket", status=200)
    stream = api.ask(MESSAGES, stream=True, code="1305", envelope="bracket", status=200)

    message = r"\[1305\]\[The service may be temporarily overloaded, please try again later\]\[\w{30}\]"
    assert re.fullmatch(message, whole.text)
    assert re.search(f"data: {message}", stream.text)


@pytest.mark.parametrize("path", SPOKEN)
def test_the_bare_message_can_end_a_stream(api: Api, path: str) -> None:
    scenario = {"fault": "error_event", "after_events": 2, "code": "1305", "envelope": "bracket"}

    text = api.ask(path, stream=True, **scenario).text

    last = text.splitlines()[-2]
    assert re.fullmatch(r"data: \[1305\]\[[^]]+\]\[\w{30}\]", last)


@pytest.mark.parametrize(("code", "word"), [("1302", "rate_limit_exceeded"), ("1305", "server_is_overloaded")])
def test_a_response_can_fail_in_mid_stream(api: Api, code: str, word: str) -> None:
    scenario = {"fault": "error_event", "after_events": 2, "code": code, "envelope": "response_failed"}

    text = api.ask(RESPONSES, stream=True, **scenario).text

    assert event_names(text)[-1] == "response.failed"
    assert events(text)[-1]["response"]["error"]["code"] == word
    assert api.settled()["usage_sent"] is None


def test_a_network_error_can_be_the_reason_to_stop(api: Api) -> None:
    chat = api.ask(CHAT, stop_reason="network_error").json()
    message = api.ask(MESSAGES, stop_reason="network_error").json()

    assert chat["choices"][0]["finish_reason"] == message["stop_reason"] == "network_error"


@pytest.mark.parametrize("path", ["/api/coding/", "/api/coding/paas/v4/nothing", "/api/coding/v1/chat/completions"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_wrong_path_of_the_coding_api_is_dressed_as_a_500(api: Api, method: str, path: str) -> None:
    response = api.http.request(method, path)

    assert response.status_code == 500
    assert response.headers["content-type"].startswith("application/json")
    assert response.json() == {"error": {"code": "500", "message": "404 NOT_FOUND"}}


def unified(response: httpx.Response) -> tuple[str | None, str | None]:
    return response.headers.get("anthropic-ratelimit-unified-status"), response.headers.get("retry-after")


@pytest.mark.parametrize("code", ["1308", "1310"])
def test_a_used_up_window_is_told_in_anthropics_headers_to_those_with_a_beta(api: Api, code: str) -> None:
    assert unified(api.ask(MESSAGES, code=code)) == (None, None)

    api.http.headers["anthropic-beta"] = "claude-code-20250219"
    assert unified(api.ask(MESSAGES, code=code)) == ("rejected", "18000")
    assert unified(api.ask(MESSAGES, code=code, unified_headers=False)) == (None, None)
    assert unified(api.ask(MESSAGES, code="1302")) == (None, None)
    assert unified(api.ask(CHAT, code=code)) == (None, None)


def test_anthropics_headers_say_when_the_window_resets(api: Api) -> None:
    api.http.headers["anthropic-beta"] = "claude-code-20250219"
    limits = {"five_hour_credits": 1, "five_hour_seconds": 100, "five_hour_used": 1}
    httpx.put(f"{api.simulator.url}/_simulator/limits", json=limits).raise_for_status()

    status, seconds = unified(api.ask(MESSAGES))

    assert status == "rejected"
    assert 90 <= int(seconds or 0) <= 100


def test_any_error_can_have_anthropics_headers(api: Api) -> None:
    assert unified(api.ask(CHAT, code="1302", unified_headers=True)) == ("rejected", "60")
    assert unified(api.ask(CHAT, code="1302", unified_headers=True, retry_after=3)) == ("rejected", "3")
    assert unified(api.ask(CHAT, unified_headers=True)) == (None, None)


@pytest.mark.parametrize("status", [405, 502, 504])
def test_the_pages_of_waf_and_nginx_can_be_had(api: Api, status: int) -> None:
    response = api.ask(MESSAGES, envelope="html", status=status)

    assert response.status_code == status
    assert response.headers["content-type"] == "text/html"
    assert str(status) in response.text


def test_overload_is_a_529_on_the_anthropic_surface_alone(api: Api) -> None:
    anthropic, openai = api.ask(MESSAGES, code="1305"), api.ask(CHAT, code="1305")

    assert (anthropic.status_code, openai.status_code) == (529, 429)
    assert anthropic.json()["error"]["type"] == "overloaded_error"


@pytest.mark.parametrize("code", CODES)
def test_every_business_code_has_its_status_and_a_text_without_gaps(api: Api, code: str) -> None:
    response = api.ask(CHAT, code=code)

    assert response.status_code == CODES[code].status
    assert response.json()["error"]["code"] == code
    assert not re.search(r"[{}]", response.json()["error"]["message"])


@pytest.mark.parametrize("code", ["1308", "1310", "1316", "1317"])
def test_a_quota_error_names_its_reset(api: Api, code: str) -> None:
    assert RESET.search(api.ask(MESSAGES, code=code).json()["error"]["message"])


def test_an_unknown_code_is_sent_all_the_same(api: Api) -> None:
    response = api.ask(MESSAGES, code="9999", status=418, message="tea")

    assert response.status_code == 418
    assert "[9999][tea]" in response.json()["error"]["message"]


def test_a_status_alone_is_an_internal_error_of_that_status(api: Api) -> None:
    response = api.ask(CHAT, status=503)

    assert response.status_code == 503
    assert response.json()["error"]["code"] == "500"


def test_retry_advice_is_sent_only_when_asked_for(api: Api) -> None:
    plain = api.ask(MESSAGES, code="1302")
    advised = api.ask(MESSAGES, code="1302", retry_after=7, should_retry=False)

    assert "retry-after" not in plain.headers
    assert advised.headers["retry-after"] == "7"
    assert advised.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("path", SPOKEN)
def test_the_first_attempts_of_a_request_fail_and_the_next_succeeds(api: Api, path: str) -> None:
    api.http.headers["x-request-id"] = f"retried {path}"

    statuses = [api.ask(path, fail_first={"code": "1303", "times": 2}).status_code for _ in range(4)]

    assert statuses == [429, 429, 200, 200]
    assert [entry["attempt"] for entry in api.simulator.log()] == [1, 2, 3, 4]


def test_attempts_of_different_requests_are_counted_apart(api: Api) -> None:
    statuses = []
    for request_id in ("a", "b", "a", "b"):
        api.http.headers["x-request-id"] = request_id
        statuses.append(api.ask(MESSAGES, fail_first={"code": "1303"}).status_code)

    assert statuses == [429, 429, 200, 200]


def test_attempts_can_be_counted_by_a_key_across_requests(api: Api) -> None:
    scenario: dict[str, Any] = {"fail_first": {"status": 500, "times": 2, "key": "storm"}}

    assert [api.ask(MESSAGES, **scenario).status_code for _ in range(3)] == [500, 500, 200]


def test_without_an_id_the_sdks_retry_count_says_which_attempt_it_is(api: Api) -> None:
    api.http.headers["x-stainless-retry-count"] = "1"

    assert api.ask(MESSAGES, fail_first={"code": "1303"}).status_code == 200
    assert api.entry()["attempt"] == 2


def test_a_wrong_scenario_is_refused_whatever_the_path(api: Api) -> None:
    response = api.ask(MESSAGES, evnts=3)

    assert response.status_code == 400
    assert response.json() == {
        "error": {"code": "x-sim", "message": 'simulator: unknown key "evnts" (did you mean events?)'}
    }


def test_a_header_that_is_no_json_is_refused(api: Api) -> None:
    response = api.http.post(MESSAGES, headers={"x-sim": "{events: 3"})

    assert response.status_code == 400
    assert "not JSON" in response.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/", "/v1/messages", "/api/anthropic", "/api/paas/v4/nothing", "/api/mcp/other/mcp"])
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
def test_anything_else_is_nginxs_404(api: Api, method: str, path: str) -> None:
    response = api.http.request(method, path)

    assert response.status_code == 404
    assert response.headers["content-type"] == "text/html"
    assert "<center>nginx</center>" in response.text


def test_head_is_get_without_a_body(api: Api) -> None:
    found, missing = api.http.head("/api/anthropic/v1/models"), api.http.head("/")

    assert (found.status_code, missing.status_code) == (200, 404)
    assert int(found.headers["content-length"]) > 0
    assert found.content == missing.content == b""


def test_a_json_body_beyond_50_mb_is_too_large(api: Api) -> None:
    response = api.http.post(MESSAGES, content=b" " * (50 * 1024 * 1024 + 1))

    assert response.status_code == 413
    assert "<center>nginx</center>" in response.text
