from dataclasses import replace

import pytest

from extproc.domain.usage.log_entry import NOTHING_READ, Ending, EntryKind, LogEntry, ReadAnswer
from extproc.domain.usage.outcome import Outcome, UsageRecord, interpret, teaches
from extproc.domain.usage.price_file import packaged_prices, parse_price_table
from extproc.domain.usage.streamed_tokens import Events
from extproc.domain.usage.token_estimates import TokenEstimator
from extproc.domain.usage.tokens import TokenCounts

PRICES = parse_price_table(packaged_prices())
TOKENS = TokenCounts(input=100, output=50, cache_read=20, cache_write=0, reasoning=10)
REPORTED = ReadAnswer("events", "glm-5.3", TOKENS, begun=True, final=True, stop="end_turn")
BEGUN = ReadAnswer("events", "glm-5.3", begun=True)
# Monday, 2026-11-23, 15:00 in UTC+8.
PEAK = 1795417200.0

FINISHED = LogEntry(
    kind=EntryKind.REQUEST,
    method="POST",
    path="/api/anthropic/v1/messages",
    request_id="r-1",
    started=PEAK,
    status=200,
    details="via_upstream",
    exchange_id="x-1",
    path_label="/v1/messages",
    source="source-07",
    request_bytes=1000,
    response_bytes=2000,
    duration=3.0,
    sent_upstream=0.5,
    first_byte=1.0,
    last_byte=3.0,
    attempts=1,
    streamed=True,
    answer=REPORTED,
)


def outcome_of(**changes: object) -> Outcome:
    return interpret(replace(FINISHED, **changes), TokenEstimator(), PRICES)  # type: ignore[arg-type]


def test_a_finished_request_has_its_status_tokens_and_price_and_no_error() -> None:
    outcome = outcome_of()

    assert (outcome.status, outcome.error) == (200, None)
    assert outcome.route.label == "/v1/messages"
    assert outcome.usage is not None
    assert (outcome.usage.record, outcome.usage.model, outcome.usage.tokens) == ("complete", "glm-5.3", TOKENS)
    assert outcome.usage.tier == "peak"
    assert outcome.usage.cost is not None
    assert outcome.usage.cost.output == pytest.approx(50 * 4.40 / 1e6)
    assert outcome.usage.credits == pytest.approx((100 * 6.9 + 20 * 1.7 + 50 * 24) / 10_000)


def test_a_client_that_left_before_any_status_is_a_499() -> None:
    outcome = outcome_of(status=0, ending=Ending.CLIENT_LEFT, answer=NOTHING_READ, response_bytes=0, first_byte=None)

    assert (outcome.status, outcome.error) == (499, "write_error")
    assert outcome.usage is not None
    assert outcome.usage.record is UsageRecord.ESTIMATED
    assert outcome.usage.tokens.output == 0
    assert outcome.usage.tokens.input > 0


def test_a_client_that_left_in_mid_stream_is_a_499_too_with_estimated_tokens() -> None:
    outcome = outcome_of(ending=Ending.CLIENT_LEFT, answer=replace(BEGUN, model="glm-5.2"))

    assert (outcome.status, outcome.error) == (499, "write_error")
    assert outcome.usage is not None
    assert (outcome.usage.record, outcome.usage.model) == (UsageRecord.ESTIMATED, "glm-5.2")
    assert outcome.usage.tokens.output > 0


def test_the_output_told_at_the_beginning_is_not_taken_for_all_that_was_generated() -> None:
    told = replace(BEGUN, tokens=TokenCounts(input=100, output=1), events=Events(count=60, size=9000))
    outcome = outcome_of(ending=Ending.BROKEN_RESPONSE, answer=told, response_bytes=9000)

    assert outcome.usage is not None
    assert outcome.usage.record is UsageRecord.PARTIAL
    assert outcome.usage.tokens.input == 100
    assert outcome.usage.tokens.output > 30
    assert outcome.usage.estimated.output == outcome.usage.tokens.output - 1


def test_the_output_told_on_the_way_is_believed_where_it_can_be_all_of_it() -> None:
    told = replace(BEGUN, tokens=TokenCounts(input=100, output=70), events=Events(count=60, size=9000))
    outcome = outcome_of(ending=Ending.BROKEN_RESPONSE, answer=told, response_bytes=9000)

    assert outcome.usage is not None
    assert (outcome.usage.tokens.output, outcome.usage.estimated.total) == (70, 0)


def test_a_client_that_left_while_an_error_was_told_keeps_the_errors_status() -> None:
    outcome = outcome_of(status=429, ending=Ending.CLIENT_LEFT, answer=NOTHING_READ)

    assert outcome.status == 429
    assert outcome.usage is None


@pytest.mark.parametrize(
    ("ending", "status", "error"),
    [
        (Ending.TIMEOUT, 504, "timeout"),
        (Ending.NO_UPSTREAM_REQUEST, 503, "request_creation"),
        (Ending.CONNECT_FAILED, 503, "upstream_connection"),
        (Ending.BROKEN_RESPONSE, 503, "read_error"),
        (Ending.BROKEN_RESPONSE, 200, "read_error"),
    ],
)
def test_what_broke_on_the_way_is_named(ending: Ending, status: int, error: str) -> None:
    outcome = outcome_of(ending=ending, status=status, answer=BEGUN, details="local")

    assert (outcome.status, outcome.error) == (status, error)


@pytest.mark.parametrize("status", [400, 401, 429, 500, 529])
def test_an_upstream_error_is_named_by_its_status_and_has_no_tokens(status: int) -> None:
    outcome = outcome_of(status=status, answer=NOTHING_READ)

    assert outcome.error == str(status)
    assert outcome.usage is None


def test_the_proxys_own_answers_are_no_upstream_errors() -> None:
    assert outcome_of(status=503, refused="capacity", details="refused_capacity", answer=NOTHING_READ).error is None
    assert outcome_of(status=404, exchange_id="", path_label="", path="/x", details="direct_response").error is None


def test_a_request_that_found_no_processor_counts_as_never_made() -> None:
    outcome = outcome_of(
        status=503, exchange_id="", path_label="", route_name="no_processor", details="direct_response"
    )

    assert outcome.error == "request_creation"


def test_an_error_inside_a_200_has_no_tokens() -> None:
    assert outcome_of(business_code="1305", answer=ReadAnswer("json", code="1305")).usage is None


@pytest.mark.parametrize("path", ["/v1/messages/count_tokens", "/v1/models", "/api/paas/v4/files", "/health"])
def test_surfaces_that_generate_nothing_have_no_usage(path: str) -> None:
    assert outcome_of(path_label=path).usage is None


def test_an_answer_without_usage_is_estimated_from_its_bytes() -> None:
    outcome = outcome_of(answer=replace(BEGUN, final=True))

    assert outcome.usage is not None
    assert outcome.usage.record is UsageRecord.ESTIMATED
    assert outcome.usage.output_rate is None


@pytest.mark.parametrize(
    ("answer", "record"),
    [
        (REPORTED, "complete"),
        (replace(REPORTED, tokens=TokenCounts(output=5)), "partial"),
        (replace(REPORTED, final=False), "partial"),
        (replace(BEGUN, final=True), "estimated"),
        (ReadAnswer("text"), "missing"),
        (ReadAnswer("json", unread="json"), "failed"),
    ],
)
def test_each_answer_says_how_its_tokens_became_known(answer: ReadAnswer, record: str) -> None:
    usage = outcome_of(answer=answer).usage

    assert usage is not None
    assert usage.record == record


def test_embeddings_have_no_output_to_report() -> None:
    vectors = ReadAnswer("json", "embedding-3", TokenCounts(8), begun=True, final=True)

    usage = outcome_of(path_label="/v1/embeddings", answer=vectors, streamed=False).usage

    assert usage is not None
    assert usage.record is UsageRecord.COMPLETE


def test_the_output_rate_of_a_stream_is_over_the_time_that_it_streamed() -> None:
    streamed, whole = outcome_of(), outcome_of(streamed=False)

    assert streamed.usage is not None
    assert streamed.usage.output_rate == pytest.approx(50 / 2.0)
    assert whole.usage is not None
    assert whole.usage.output_rate == pytest.approx(50 / 2.5)


def test_an_unknown_model_costs_nobody_knows_what() -> None:
    outcome = outcome_of(answer=replace(REPORTED, model="glm-99"))

    assert outcome.usage is not None
    assert (outcome.usage.cost, outcome.usage.credits) == (None, None)


@pytest.mark.parametrize(
    ("changes", "are_true"),
    [
        ({}, True),
        ({"ending": Ending.CLIENT_LEFT}, True),
        ({"ending": Ending.BROKEN_RESPONSE}, True),
        ({"ending": Ending.CLIENT_LEFT, "streamed": False}, False),
        ({"answer": replace(REPORTED, final=False)}, False),
        ({"answer": replace(REPORTED, stop="network_error")}, False),
        ({"answer": replace(REPORTED, code="1305", late=True), "business_code": "1305"}, False),
        ({"answer": replace(BEGUN, final=True)}, False),
        ({"answer": ReadAnswer("events", unread="encoding")}, False),
    ],
    ids=[
        "whole",
        "a client that hung up behind the final event",
        "a reset behind it",
        "nobody knows how much of the JSON it got",
        "no final event",
        "a failure within",
        "an error within",
        "nothing reported",
        "nothing read",
    ],
)
def test_only_what_ended_whole_and_reported_its_usage_teaches(changes: dict[str, object], are_true: bool) -> None:
    assert teaches(outcome_of(**changes)) is are_true


def test_only_what_z_ai_answers_as_asked_counts_as_answered() -> None:
    assert outcome_of().entry.is_answered
    assert replace(FINISHED, kind=EntryKind.PROGRESS, answer=BEGUN).is_answered
    for answer in (ReadAnswer("text"), ReadAnswer("empty"), ReadAnswer("events", "glm-5.3")):
        assert not replace(FINISHED, answer=answer).is_answered
    assert not replace(FINISHED, business_code="1305").is_answered
    assert not replace(FINISHED, status=429).is_answered


@pytest.mark.parametrize(("size", "is_answered"), [(100, False), (5000, True)])
def test_what_is_not_read_has_to_be_longer_than_an_error_until_it_has_ended(size: int, is_answered: bool) -> None:
    compressed = replace(FINISHED, answer=ReadAnswer("json", unread="encoding"), response_bytes=size)

    assert replace(compressed, kind=EntryKind.PROGRESS).is_answered is is_answered
    assert compressed.is_answered
