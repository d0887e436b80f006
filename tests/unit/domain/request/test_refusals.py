import json

from extproc.domain.request import refusals
from extproc.domain.request.refusals import Refusal, RefusalReason, UsedUp
from extproc.domain.request.routes import Dialect


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
    assert dict(refusals.headers(refusals.at_capacity(3), Dialect.ANTHROPIC)) == {
        "content-type": "application/json",
        "retry-after": "2",
        "x-should-retry": "true",
    }


def test_a_refusal_that_no_retry_cures_says_so_and_names_no_time() -> None:
    refusal = Refusal(RefusalReason.QUOTA, 429, "Used up.", retry_after=None)

    assert dict(refusals.headers(refusal, Dialect.ANTHROPIC)) == {
        "content-type": "application/json",
        "x-should-retry": "false",
    }
    assert json.loads(refusals.body(refusal, Dialect.ANTHROPIC, ""))["error"]["type"] == "rate_limit_error"


def test_an_anthropic_caller_is_told_of_a_used_up_plan_in_the_words_that_claude_code_stops_on() -> None:
    refusal = Refusal(RefusalReason.QUOTA, 429, "Used up.", retry_after=None, used_up=UsedUp(1_800_007_200, 7200))

    assert dict(refusals.headers(refusal, Dialect.ANTHROPIC)) == {
        "content-type": "application/json",
        "x-should-retry": "false",
        "anthropic-ratelimit-unified-status": "rejected",
        "anthropic-ratelimit-unified-reset": "1800007200",
        "retry-after": "7200",
    }


def test_a_reset_that_nobody_knows_is_not_made_up() -> None:
    refusal = Refusal(RefusalReason.QUOTA, 429, "Used up.", retry_after=None, used_up=UsedUp())

    assert dict(refusals.headers(refusal, Dialect.ANTHROPIC)) == {
        "content-type": "application/json",
        "x-should-retry": "false",
        "anthropic-ratelimit-unified-status": "rejected",
    }


def test_an_openai_caller_is_told_no_time_that_it_would_sleep_for() -> None:
    refusal = Refusal(RefusalReason.QUOTA, 429, "Used up.", retry_after=None, used_up=UsedUp(1_800_007_200, 7200))

    assert dict(refusals.headers(refusal, Dialect.OPENAI)) == {
        "content-type": "application/json",
        "x-should-retry": "false",
    }


def test_a_refusal_that_waiting_cures_stops_nobody_for_good() -> None:
    for refusal in (
        refusals.at_capacity(3),
        refusals.waited_too_long(60.0, 5),
        refusals.draining(),
        refusals.client_at_capacity("anna", 2),
        Refusal(RefusalReason.QUOTA, 429, "Nearly over.", retry_after=40, used_up=UsedUp(1_800_000_040, 40)),
    ):
        assert not any("unified" in name for name, _ in refusals.headers(refusal, Dialect.ANTHROPIC))


def test_a_hostile_request_id_stays_inside_its_json_string() -> None:
    body = json.loads(refusals.body(refusals.draining(), Dialect.OPENAI, '"},"x":{"'))

    assert body["request_id"] == '"},"x":{"'
