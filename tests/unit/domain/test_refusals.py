import json

from extproc.domain import refusals
from extproc.domain.refusals import Refusal, RefusalReason
from extproc.domain.routes import Dialect


def test_an_anthropic_caller_reads_an_anthropic_error() -> None:
    body = json.loads(refusals.body(refusals.at_capacity(3), Dialect.ANTHROPIC, "req-1"))

    assert body == {
        "type": "error",
        "error": {
            "type": "overloaded_error",
            "message": "All 3 workers of this proxy are busy: try again in a few seconds.",
        },
        "request_id": "req-1",
    }


def test_an_openai_caller_reads_an_openai_error() -> None:
    body = json.loads(refusals.body(refusals.draining(), Dialect.OPENAI, "req-1"))

    assert body["error"]["type"] == "server_error"
    assert body["error"]["code"] == "draining"
    assert body["request_id"] == "req-1"


def test_a_refusal_that_a_retry_cures_says_when_to_try_again() -> None:
    assert dict(refusals.headers(refusals.at_capacity(3))) == {
        "content-type": "application/json",
        "retry-after": "2",
        "x-should-retry": "true",
    }


def test_a_refusal_that_no_retry_cures_says_so_and_names_no_time() -> None:
    refusal = Refusal(RefusalReason.QUOTA, 429, "Used up.", retry_after=None)

    assert dict(refusals.headers(refusal)) == {"content-type": "application/json", "x-should-retry": "false"}
    assert json.loads(refusals.body(refusal, Dialect.ANTHROPIC, ""))["error"]["type"] == "rate_limit_error"


def test_a_hostile_request_id_stays_inside_its_json_string() -> None:
    body = json.loads(refusals.body(refusals.draining(), Dialect.OPENAI, '"},"x":{"'))

    assert body["request_id"] == '"},"x":{"'
