"""What a user of each SDK sees when something goes wrong: the right exception, what happened, and the request's id."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import httpx
import openai
import pytest
import zai.core

from tests.e2e.callers import ANTHROPIC, OPENAI, RESPONSES, ZAI, Caller
from tests.harness.readings import Readings
from tests.harness.stack import PROMPT, Stack, running_stack
from tests.harness.waiting import eventually

CALLERS = (ANTHROPIC, OPENAI, RESPONSES, ZAI)
# Each SDK's exceptions for an HTTP status.
EXCEPTIONS: dict[str, dict[int, type[Exception]]] = {
    "anthropic": {
        400: anthropic.BadRequestError,
        401: anthropic.AuthenticationError,
        403: anthropic.PermissionDeniedError,
        404: anthropic.NotFoundError,
        429: anthropic.RateLimitError,
        503: anthropic.InternalServerError,
        529: anthropic.InternalServerError,
    },
    "openai": {
        400: openai.BadRequestError,
        401: openai.AuthenticationError,
        403: openai.PermissionDeniedError,
        404: openai.NotFoundError,
        429: openai.RateLimitError,
        503: openai.InternalServerError,
    },
    "zai-sdk": {
        400: zai.core.APIRequestFailedError,
        401: zai.core.APIAuthenticationError,
        403: zai.core.APIStatusError,
        404: zai.core.APIStatusError,
        429: zai.core.APIReachLimitError,
        503: zai.core.APIServerFlowExceedError,
    },
}
EXCEPTIONS["openai-responses"] = EXCEPTIONS["openai"]
callers = pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: caller.name)


@pytest.fixture(scope="module")
def shared_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with one worker, and one retry so that giving up is quick."""
    with running_stack(tmp_path_factory.mktemp("errors"), MAX_WORKERS="1", MAX_RETRIES="1") as stack:
        yield stack


def failure(ask: Callable[[], object]) -> Any:
    """The exception that the SDK raises."""
    with pytest.raises((anthropic.APIError, openai.APIError, zai.core.ZaiError)) as raised:
        ask()
    return raised.value


def assert_tells(error: Any, caller: Caller, status: int, text: str) -> None:
    """The error is of the SDK's class for this status, says this text, and carries a request id."""
    exception = EXCEPTIONS[caller.name][status]
    assert issubclass(type(error), exception)
    assert error.status_code == status
    assert text in str(error)
    assert error.response.headers["x-request-id"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@callers
@pytest.mark.parametrize(
    ("code", "status", "text"),
    [
        ("1210", 400, "Invalid API parameter"),
        ("401", 401, "token expired or incorrect"),
        ("1308", 429, "Usage limit reached for 5 hour"),
    ],
)
async def test_an_upstream_error_that_no_retry_cures_goes_straight_to_the_caller(
    stack: Stack, caller: Caller, code: str, status: int, text: str, stream: bool
) -> None:
    stack.simulator.use(code=code)

    error = failure(lambda: list(caller.stream(stack)) if stream else caller.ask(stack, 0))

    assert_tells(error, caller, status, text)
    entry = stack.simulator.log()[-1]
    assert entry["attempt"] == 1
    assert entry["request_id"] == error.response.headers["x-request-id"]
    assert entry["log_id"] == error.response.headers["x-log-id"]


@callers
@pytest.mark.parametrize(
    ("code", "text"), [("1302", "Rate limit reached"), ("1305", "temporarily overloaded")], ids=["1302", "1305"]
)
async def test_a_transient_upstream_error_reaches_the_caller_after_the_retries(
    stack: Stack, caller: Caller, code: str, text: str
) -> None:
    stack.simulator.use(code=code)

    error = failure(lambda: caller.ask(stack, 0))

    assert_tells(error, caller, 529 if code == "1305" and caller is ANTHROPIC else 429, text)
    assert [entry["attempt"] for entry in stack.simulator.log()] == [1, 2]


async def test_every_attempt_and_the_request_are_counted(stack: Stack, before: Readings) -> None:
    stack.simulator.use(code="1302")

    failure(lambda: ZAI.ask(stack, 0))

    counted = await eventually(
        lambda: stack.metrics() - before,
        lambda d: d.value("zai_proxy_requests_total", path=ZAI.path, status_code="429") == 1,
    )
    assert counted.value("zai_proxy_zai_errors_total", **{"class": "concurrency", "code": "1302"}) == 2
    assert counted.value("zai_proxy_upstream_errors_total", error_type="429") == 1
    assert counted.value("zai_proxy_retry_attempts_total", reason="429") == 1


@callers
async def test_at_capacity_the_caller_hears_so_in_its_own_dialect(stack: Stack, caller: Caller) -> None:
    headers = {"x-sim": json.dumps({"events": 1000, "pause": 0.05})}
    with httpx.stream("POST", f"{stack.url}/v1/messages", json={**PROMPT, "stream": True}, headers=headers):
        error = failure(lambda: caller.ask(stack, 0))

    assert_tells(error, caller, 503, "All 1 workers of this proxy are busy")
    assert error.response.headers["retry-after"] == "2"
    assert error.response.json()["request_id"] == error.response.headers["x-request-id"]
    assert len(stack.simulator.log()) == 1
    await eventually(lambda: stack.metric("zai_proxy_concurrent_requests"), lambda slots: slots == 0)


@callers
async def test_a_path_that_is_no_api_is_not_found(stack: Stack, caller: Caller) -> None:
    error = failure(lambda: caller.post(stack, "/no/such/path"))

    assert_tells(error, caller, 404, "No such path on this proxy")
    assert error.response.json()["request_id"] == error.response.headers["x-request-id"]
    assert stack.simulator.log() == []


@callers
@pytest.mark.parametrize("path", ["/api/monitor/usage/quota/limit", "/api/biz/subscription/list"])
async def test_the_owners_account_is_forbidden(stack: Stack, caller: Caller, path: str) -> None:
    error = failure(lambda: caller.post(stack, path))

    assert_tells(error, caller, 403, "belongs to the owner of the key")
    assert stack.simulator.log() == []


async def test_an_anthropic_error_is_a_whole_envelope(stack: Stack) -> None:
    error = failure(lambda: ANTHROPIC.post(stack, "/no/such/path"))

    assert error.type == "not_found_error"
    assert error.api_message == "No such path on this proxy."


async def test_an_openai_error_has_its_type_code_and_id(stack: Stack) -> None:
    error = failure(lambda: OPENAI.post(stack, "/no/such/path"))

    assert error.type == "invalid_request_error"
    assert error.code
    assert error.request_id == error.response.json()["request_id"]


@callers
async def test_an_upstream_that_breaks_off_before_it_answers_is_an_error_with_a_reason(
    stack: Stack, caller: Caller
) -> None:
    stack.simulator.use(fault="close")

    error = failure(lambda: caller.ask(stack, 0))

    assert_tells(error, caller, 503, "connection termination")


async def test_an_upstream_page_of_html_is_passed_on_as_it_is(stack: Stack) -> None:
    stack.simulator.use(status=502, envelope="html")

    error = failure(lambda: ANTHROPIC.ask(stack, 0))

    assert error.status_code == 502
    assert "502 Bad Gateway" in str(error)
