from dataclasses import replace

import pytest

from extproc.domain.log_entry import Ending, EntryKind, LogEntry, ReportedUsage, UsageStatus
from extproc.domain.outcome import Outcome, UsageRecord, interpret, teaches
from extproc.domain.price_file import packaged_prices, parse_price_table
from extproc.domain.token_estimates import TokenEstimator
from extproc.domain.tokens import TokenCounts

PRICES = parse_price_table(packaged_prices())
TOKENS = TokenCounts(input=100, output=50, cache_read=20, cache_write=0, reasoning=10)
REPORTED = ReportedUsage(UsageStatus.COMPLETE, "glm-5.3", TOKENS)
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
    usage=REPORTED,
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
    outcome = outcome_of(status=0, ending=Ending.CLIENT_LEFT, usage=None, response_bytes=0, first_byte=None)

    assert (outcome.status, outcome.error) == (499, "write_error")
    assert outcome.usage is not None
    assert outcome.usage.is_estimated
    assert outcome.usage.tokens.output == 0
    assert outcome.usage.tokens.input > 0


def test_a_client_that_left_in_mid_stream_is_a_499_too_with_estimated_tokens() -> None:
    outcome = outcome_of(ending=Ending.CLIENT_LEFT, usage=None, model="glm-5.2")

    assert (outcome.status, outcome.error) == (499, "write_error")
    assert outcome.usage is not None
    assert (outcome.usage.record, outcome.usage.model) == (UsageRecord.ESTIMATED, "glm-5.2")
    assert outcome.usage.tokens.output > 0


def test_a_client_that_left_while_an_error_was_told_keeps_the_errors_status() -> None:
    outcome = outcome_of(status=429, ending=Ending.CLIENT_LEFT, usage=None)

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
    outcome = outcome_of(ending=ending, status=status, usage=None, details="local")

    assert (outcome.status, outcome.error) == (status, error)


@pytest.mark.parametrize("status", [400, 401, 429, 500, 529])
def test_an_upstream_error_is_named_by_its_status_and_has_no_tokens(status: int) -> None:
    outcome = outcome_of(status=status, usage=None)

    assert outcome.error == str(status)
    assert outcome.usage is None


def test_the_proxys_own_answers_are_no_upstream_errors() -> None:
    assert outcome_of(status=503, refused="capacity", details="refused_capacity", usage=None).error is None
    assert outcome_of(status=404, exchange_id="", path_label="", path="/x", details="direct_response").error is None


def test_a_request_that_found_no_processor_counts_as_never_made() -> None:
    outcome = outcome_of(
        status=503, exchange_id="", path_label="", route_name="no_processor", details="direct_response"
    )

    assert outcome.error == "request_creation"


def test_an_error_inside_a_200_has_no_tokens() -> None:
    assert outcome_of(business_code="1305", usage=None).usage is None


@pytest.mark.parametrize("path", ["/v1/messages/count_tokens", "/v1/models", "/api/paas/v4/files", "/health"])
def test_surfaces_that_generate_nothing_have_no_usage(path: str) -> None:
    assert outcome_of(path_label=path).usage is None


def test_an_answer_without_usage_is_estimated_from_its_bytes() -> None:
    outcome = outcome_of(usage=None, model="glm-5.3")

    assert outcome.usage is not None
    assert outcome.usage.record is UsageRecord.ESTIMATED
    assert outcome.usage.output_rate is None


def test_failed_extraction_is_estimated_and_an_empty_answer_is_missing() -> None:
    failed = ReportedUsage(UsageStatus.FAILED, "", TokenCounts())

    estimated, missing = outcome_of(usage=failed), outcome_of(usage=None, request_bytes=0, response_bytes=0)

    assert estimated.usage is not None
    assert estimated.usage.record is UsageRecord.ESTIMATED
    assert missing.usage is not None
    assert missing.usage.record is UsageRecord.MISSING


def test_the_output_rate_of_a_stream_is_over_the_time_that_it_streamed() -> None:
    streamed, whole = outcome_of(), outcome_of(streamed=False)

    assert streamed.usage is not None
    assert streamed.usage.output_rate == pytest.approx(50 / 2.0)
    assert whole.usage is not None
    assert whole.usage.output_rate == pytest.approx(50 / 2.5)


def test_an_unknown_model_costs_nobody_knows_what() -> None:
    outcome = outcome_of(usage=ReportedUsage(UsageStatus.COMPLETE, "glm-99", TOKENS))

    assert outcome.usage is not None
    assert (outcome.usage.cost, outcome.usage.credits) == (None, None)


def test_only_requests_that_ended_whole_and_reported_their_usage_teach() -> None:
    assert teaches(outcome_of())
    assert not teaches(outcome_of(usage=None))
    assert not teaches(outcome_of(ending=Ending.BROKEN_RESPONSE))
