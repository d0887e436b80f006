"""What the books say of answers that were once counted wrongly, by what their reader found: a row for each."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from extproc.domain.usage.log_entry import Ending, EntryKind, LogEntry, ReadAnswer
from extproc.domain.usage.outcome import Outcome, UsageRecord, interpret
from extproc.domain.usage.price_file import packaged_prices, parse_price_table
from extproc.domain.usage.token_estimates import TokenEstimator
from extproc.domain.usage.tokens import NO_TOKENS, TokenCounts

PRICES = parse_price_table(packaged_prices())
MESSAGES, CHAT, RESPONSES = "/v1/messages", "/v1/chat/completions", "/v1/responses"
LEFT, RESET, ENDED = Ending.CLIENT_LEFT, Ending.BROKEN_RESPONSE, Ending.COMPLETE

OPENED = ReadAnswer("events", "glm-5.3")
SPOKE = replace(OPENED, begun=True)
CHATTED = replace(SPOKE, model="glm-5.2")
OF_CHAT = TokenCounts(3816, 14, 43)
OF_RESPONSE = TokenCounts(1500, 60, 11000)
CHAT_OVER = replace(CHATTED, tokens=OF_CHAT, final=True, stop="stop")
MESSAGE_OVER = replace(SPOKE, final=True, stop="end_turn")


def failed(answer: ReadAnswer, code: str) -> ReadAnswer:
    return replace(answer, code=code, late=True)


@dataclass(frozen=True)
class Row:
    """`tokens` None: some, which were estimated."""

    name: str
    path: str
    answer: ReadAnswer
    ending: Ending = ENDED
    status: int = 200
    error: str | None = None
    tokens: TokenCounts | None = NO_TOKENS
    late: tuple[str, str] | None = None
    changes: dict[str, Any] = field(default_factory=dict)


ROWS = [
    Row("sdk_hangs_up_after_done", CHAT, CHAT_OVER, LEFT, tokens=OF_CHAT),
    Row("codex_hangs_up_after_completed", RESPONSES, replace(OPENED, tokens=OF_RESPONSE, final=True), LEFT,
        tokens=OF_RESPONSE),
    Row("client_leaves_in_mid_stream", MESSAGES, SPOKE, LEFT, 499, "write_error", None),
    Row("error_without_a_code", MESSAGES, failed(OPENED, "overloaded_error"), error="529", late=("overload", "other")),
    Row("code_only_in_the_message", MESSAGES, failed(OPENED, "1308"), error="429", late=("quota", "1308")),
    Row("code_as_type", MESSAGES, failed(OPENED, "1305"), error="529", late=("overload", "1305")),
    Row("gateway_form", CHAT, failed(CHATTED, "1305"), error="529", tokens=None, late=("overload", "1305")),
    Row("brace_in_the_message", CHAT, failed(CHATTED, "1302"), error="429", tokens=None, late=("concurrency", "1302")),
    Row("response_failed_with_a_word", RESPONSES, failed(replace(OPENED, final=True), "1302"), error="429",
        late=("concurrency", "1302")),
    Row("a_failed_response_that_names_its_tokens", RESPONSES,
        failed(replace(OPENED, final=True, tokens=TokenCounts(100)), "server_error"), error="500",
        tokens=TokenCounts(100), late=("internal", "other")),
    Row("error_event_in_two_pieces", MESSAGES, failed(OPENED, "1305"), error="529", late=("overload", "1305")),
    Row("error_behind_a_long_delta", MESSAGES, failed(SPOKE, "1305"), error="529", tokens=None,
        late=("overload", "1305")),
    Row("error_is_the_first_event_and_the_guard_showed_it", MESSAGES, failed(ReadAnswer("events"), "1305"), status=529,
        error="529", changes={"business_code": "1305"}),
    Row("tool_result_with_an_error_object", MESSAGES, replace(MESSAGE_OVER, tokens=TokenCounts(20, 5)),
        tokens=TokenCounts(20, 5)),
    Row("mcp_call_with_an_error_object", RESPONSES, replace(SPOKE, tokens=OF_RESPONSE, final=True), tokens=OF_RESPONSE),
    Row("later_zero_erases_nothing", MESSAGES, replace(MESSAGE_OVER, tokens=TokenCounts(50, 64, 2400)),
        tokens=TokenCounts(50, 64, 2400)),
    Row("second_delta_all_zero", MESSAGES, replace(MESSAGE_OVER, tokens=TokenCounts(1053, 7, 17)),
        tokens=TokenCounts(1053, 7, 17)),
    Row("usage_then_a_chunk_of_zeros", CHAT, CHAT_OVER, tokens=OF_CHAT),
    Row("start_and_delta_both_tell_the_cache", MESSAGES, replace(MESSAGE_OVER, tokens=TokenCounts(18, 426, 8831)),
        tokens=TokenCounts(18, 426, 8831)),
    Row("first_chunk_with_an_empty_model", CHAT, CHATTED, RESET, error="read_error", tokens=None),
    Row("no_blank_line_at_the_end", MESSAGES, replace(SPOKE, tokens=TokenCounts(1053, 7, 17)), error="read_error",
        tokens=TokenCounts(1053, 7, 17)),
    Row("breaks_off_while_its_head_is_held", MESSAGES, SPOKE, RESET, status=502, error="read_error", tokens=None),
    Row("ends_without_a_final_event", MESSAGES, SPOKE, error="read_error", tokens=None),
    Row("empty_stream", CHAT, ReadAnswer("empty"), error="read_error", changes={"response_bytes": 0}),
    Row("empty_body", MESSAGES, ReadAnswer("empty"), error="read_error", changes={"response_bytes": 0}),
    Row("page_of_a_firewall", MESSAGES, ReadAnswer("text"), error="read_error", changes={"response_bytes": 898}),
    Row("a_client_leaves_a_page", MESSAGES, ReadAnswer("text"), LEFT, 499, "write_error"),
    Row("a_client_leaves_what_is_no_text", MESSAGES, ReadAnswer("other"), LEFT, 499, "write_error"),
    Row("page_of_a_firewall_named_json", MESSAGES, ReadAnswer("json", unread="json"), error="read_error"),
    Row("json_error_in_a_200_whose_head_told", MESSAGES, ReadAnswer("json", code="1305", final=True), error="529",
        changes={"business_code": "1305"}),
    Row("json_error_in_a_200_that_nobody_held", MESSAGES, failed(ReadAnswer("json", final=True), "1305"), error="529",
        late=("overload", "1305")),
    Row("problem_json_429", MESSAGES, ReadAnswer("json", code="1302", final=True), status=429, error="429"),
    Row("wrong_path_in_the_clothes_of_a_500", CHAT, ReadAnswer("json", code="404", final=True), status=500,
        error="500"),
    Row("finish_reason_network_error", CHAT, replace(CHAT_OVER, stop="network_error"), error="read_error",
        tokens=OF_CHAT, late=("internal", "other")),
    Row("a_client_leaves_after_an_error_event", MESSAGES, failed(SPOKE, "1305"), LEFT, error="529", tokens=None,
        late=("overload", "1305")),
    Row("an_unknown_error", MESSAGES, failed(OPENED, "unknown"), error="read_error", late=("unknown", "other")),
    Row("a_reset_behind_the_final_event", MESSAGES, replace(MESSAGE_OVER, tokens=TokenCounts(9, 2)), RESET,
        tokens=TokenCounts(9, 2)),
    Row("a_time_out_behind_the_final_event", MESSAGES, replace(MESSAGE_OVER, tokens=TokenCounts(9, 2)), Ending.TIMEOUT,
        tokens=TokenCounts(9, 2)),
    Row("a_client_leaves_a_thinking_model", MESSAGES, OPENED, LEFT, 499, "write_error", None),
    Row("a_time_out_cuts_a_thinking_model", MESSAGES, OPENED, Ending.TIMEOUT, error="timeout", tokens=None),
    Row("a_reset_before_anything_was_generated", MESSAGES, OPENED, RESET, error="read_error"),
    Row("a_compressed_answer", MESSAGES, ReadAnswer("json", unread="encoding"), tokens=None),
    Row("a_compressed_answer_that_broke_off", MESSAGES, ReadAnswer("events", unread="encoding"), RESET,
        error="read_error", tokens=None),
    Row("an_event_beyond_the_bound", RESPONSES, replace(SPOKE, unread="size"), tokens=None),
    Row("an_answer_that_nobody_read", MESSAGES, ReadAnswer(), tokens=None),
    Row("nothing_but_done", CHAT, ReadAnswer("events", final=True)),
]  # fmt: skip


def entry_of(row: Row) -> LogEntry:
    answer = row.answer
    told = {"business_code": answer.code, "status": 200 if row.status == 499 else row.status, **row.changes}
    return LogEntry(
        EntryKind.REQUEST, "POST", f"/somewhere{row.path}", "r-1", started=1_795_417_200.0, ending=row.ending,
        details="via_upstream", exchange_id="x-1", path_label=row.path, source="source-07", duration=3.0,
        sent_upstream=0.5, first_byte=1.0, last_byte=3.0, attempts=1, streamed=answer.kind == "events", answer=answer,
        request_bytes=told.pop("request_bytes", 40_000), response_bytes=told.pop("response_bytes", 4000), **told,
    )  # fmt: skip


def outcome_of(row: Row) -> Outcome:
    return interpret(entry_of(row), TokenEstimator(), PRICES)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_books_are_right(row: Row) -> None:
    outcome = outcome_of(row)

    assert (outcome.status, outcome.error) == (row.status, row.error)
    late = outcome.late_error
    assert (None if late is None else (late.error_class.value, late.code)) == row.late
    usage = outcome.usage
    if row.tokens is None:
        assert usage is not None
        assert usage.record is UsageRecord.ESTIMATED
        assert usage.estimated == usage.tokens
        assert usage.tokens.input > 0
        assert usage.tokens.output > 0
    else:
        assert (NO_TOKENS if usage is None else usage.tokens) == row.tokens
        assert usage is None or usage.estimated == NO_TOKENS


def test_what_was_reported_of_a_broken_answer_counts_as_a_part() -> None:
    broken = next(row for row in ROWS if row.name == "no_blank_line_at_the_end")

    usage = outcome_of(broken).usage

    assert usage is not None
    assert usage.record == "partial"


def test_the_output_that_a_cut_answer_did_not_live_to_report_is_estimated() -> None:
    cut = Row("", MESSAGES, replace(SPOKE, tokens=TokenCounts(8834, 0, 7)), LEFT)

    usage = outcome_of(cut).usage

    assert usage is not None
    assert (usage.record, usage.tokens.input, usage.tokens.cache_read) == ("partial", 8834, 7)
    assert usage.tokens.output == usage.estimated.output > 0
    assert usage.estimated.input == 0


def test_a_client_that_got_no_head_has_left_whatever_came_behind_it() -> None:
    outcome = outcome_of(Row("", MESSAGES, replace(MESSAGE_OVER, tokens=TokenCounts(9, 2)), LEFT, status=0))

    assert (outcome.status, outcome.error) == (499, "write_error")
    assert outcome.usage is not None
    assert outcome.usage.tokens == TokenCounts(9, 2)


@pytest.mark.parametrize("path", ["/api/mcp/zread/mcp", "/v1/models"])
def test_where_no_model_answers_only_a_code_of_z_ai_is_an_error(path: str) -> None:
    of_a_tool = outcome_of(Row("", path, failed(ReadAnswer("json", final=True), "unknown")))
    of_the_gate = outcome_of(Row("", path, failed(ReadAnswer("json", final=True), "1302")))

    assert (of_a_tool.error, of_a_tool.late_error) == (None, None)
    assert of_the_gate.error == "429"
    assert of_the_gate.late_error is not None
    assert of_the_gate.late_error.code == "1302"


def test_a_refused_attempt_generated_nothing_although_its_client_left_before_the_next() -> None:
    refused = replace(OPENED, model="", code="1302")
    row = Row("", MESSAGES, refused, LEFT, 0, "write_error", changes={"business_code": "1302"})

    outcome = outcome_of(row)

    assert outcome.status == 499
    assert outcome.usage is None or outcome.usage.tokens == NO_TOKENS
