"""What a log entry of Envoy's becomes: above all what the reader of answers has noted in it."""

from typing import Any

import pytest

from extproc.domain.request.trace_context import Trace
from extproc.domain.usage.log_entry import NOTHING_READ, Ending, EntryKind, ReadAnswer
from extproc.domain.usage.streamed_tokens import NO_EVENTS, Events
from extproc.domain.usage.tokens import TokenCounts
from extproc.transport.access_log import read_entry
from extproc.transport.pb import access_log_pb2 as pb


def entry(read: dict[str, Any] | None = None, **headers: str) -> pb.HTTPAccessLogEntry:
    """The entry of a finished request; `headers` are those of the answer, with underscores for hyphens."""
    entry = pb.HTTPAccessLogEntry()
    common = entry.common_properties
    common.access_log_type = pb.DOWNSTREAM_END
    common.start_time.FromMilliseconds(1_795_417_200_500)
    common.time_to_last_upstream_tx_byte.FromMilliseconds(20)
    for name, value in {"id": "x-1", "path": "/v1/messages", "source": "source-07", "waited": "0.0500"}.items():
        common.metadata.filter_metadata["zai"].fields[name].string_value = value
    if read is not None:
        fields = common.metadata.filter_metadata["zai.answer"].fields["read"].struct_value
        fields.update(read)
    entry.request.request_method = 3
    entry.response.response_code.value = 200
    for name, value in headers.items():
        entry.response.response_headers[name.replace("_", "-")] = value
    return entry


def test_all_that_was_read_of_an_answer_comes_along() -> None:
    read = read_entry(
        entry(
            {
                "kind": "events",
                "model": "glm-5.3",
                "input_tokens": 1053,
                "output_tokens": 7,
                "cache_read_input_tokens": 17,
                "begun": True,
                "final": True,
                "first": "good",
                "stop": "end_turn",
            }
        )
    )

    assert read.answer == ReadAnswer("events", "glm-5.3", TokenCounts(1053, 7, 17), True, True, "end_turn")
    assert read.streamed
    assert (read.method, read.status, read.exchange_id, read.waited) == ("POST", 200, "x-1", 0.05)
    assert (read.started, read.sent_upstream, read.first_byte) == (1_795_417_200.5, 0.02, None)


def test_the_events_that_had_passed_stand_for_all_of_their_size() -> None:
    told = entry({"kind": "events", "events": 100, "bytes": 13_000, "apart": 400})
    told.response.response_body_bytes = 400 + 14_300

    assert read_entry(told).events == Events(110, 14_300)
    assert read_entry(entry({"kind": "json"})).events == NO_EVENTS
    assert read_entry(entry({"kind": "events", "events": 0, "bytes": 0, "apart": 400})).events == NO_EVENTS


def test_an_error_within_a_stream_is_the_requests_code() -> None:
    read = read_entry(entry({"kind": "events", "code": "1305", "late": True, "unread": "size"}))

    assert (read.business_code, read.answer.late, read.answer.unread) == ("1305", True, "size")


@pytest.mark.parametrize("read", [None, {}])
def test_where_nobody_has_read_nothing_is_known(read: dict[str, Any] | None) -> None:
    assert read_entry(entry(read)).answer == NOTHING_READ


@pytest.mark.parametrize(
    "odd",
    [
        {"input_tokens": float("nan"), "output_tokens": -1, "cached_tokens": 1e300},
        {"input_tokens": "12", "begun": "yes", "final": 1, "model": 7, "kind": None, "code": True},
        {"a": [1], "b": {"c": 2}},
    ],
)
def test_values_of_other_kinds_are_as_if_they_were_not_there(odd: dict[str, Any]) -> None:
    assert read_entry(entry(odd)).answer == NOTHING_READ


def test_what_is_no_struct_is_as_if_it_were_not_there() -> None:
    odd = entry()
    odd.common_properties.metadata.filter_metadata["zai.answer"].fields["read"].string_value = "glm-5.3"

    assert read_entry(odd).answer == NOTHING_READ


def test_reading_adds_nothing_to_the_entry() -> None:
    read = entry({"kind": "json"})
    before = read.SerializeToString(deterministic=True)

    read_entry(read)

    assert read.SerializeToString(deterministic=True) == before


def test_a_failed_attempt_says_in_its_head_whose_it_was_and_what_it_got() -> None:
    attempt = entry(x_zai_exchange="x-9", x_zai_code="1302", x_zai_retry_after="1800", retry_after="5")
    attempt.common_properties.access_log_type = pb.UPSTREAM_END
    attempt.common_properties.metadata.Clear()

    read = read_entry(attempt)

    assert read.kind is EntryKind.FAILED_ATTEMPT
    assert (read.exchange_id, read.business_code, read.retry_after) == ("x-9", "1302", 1800.0)


def test_an_attempt_that_was_not_made_as_nothing_answers_is_none() -> None:
    given_up = entry(None)
    given_up.response.response_code.value = 503
    given_up.response.response_code_details = "lua_response"
    given_up.common_properties.upstream_request_attempt_count = 2

    read = read_entry(given_up)

    assert (read.ending, read.details, read.attempts) == (Ending.CONNECT_FAILED, "connection_timeout", 1)


def test_a_failed_attempt_that_met_no_connection_says_why_in_the_words_of_a_request() -> None:
    attempt = entry(None)
    attempt.common_properties.access_log_type = pb.UPSTREAM_END
    attempt.response.Clear()
    attempt.common_properties.response_flags.upstream_connection_failure = True
    attempt.common_properties.upstream_transport_failure_reason = "TLS_error:|268:SSL routines:VERIFY_FAILED"

    assert read_entry(attempt).details == (
        "upstream_reset_before_response_started{connection_failure|TLS_error:|268:SSL_routines:VERIFY_FAILED}"
    )


@pytest.mark.parametrize(
    ("details", "namespace", "made"), [("lua_response", "zai.answer", 3), ("processor_unavailable", "zai", 4)]
)
def test_a_request_that_was_given_up_says_why_its_last_attempt_met_no_answer(
    details: str, namespace: str, made: int
) -> None:
    given_up = entry(None)
    given_up.response.response_code_details = details
    given_up.common_properties.upstream_request_attempt_count = 4
    given_up.common_properties.metadata.filter_metadata[namespace].update({"why": "connection_failure"})

    read = read_entry(given_up)

    assert (read.ending, read.details, read.attempts) == (Ending.CONNECT_FAILED, "connection_failure", made)


@pytest.mark.parametrize(("counted", "made"), [(0, 0), (2, 1)], ids=["in the queue", "to be sent again"])
def test_an_attempt_for_which_no_place_came_is_none(counted: int, made: int) -> None:
    refused = entry(None)
    refused.response.response_code.value = 429
    refused.response.response_code_details = "processor_rate"
    refused.common_properties.upstream_request_attempt_count = counted

    assert read_entry(refused).attempts == made


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("0", 0.0), ("", None), ("-1", None), ("1.5", None), ("1" * 400, None), ("٣", None),
     ("Mon, 23 Nov 2026 07:00:10 GMT", 9.5), ("Mon, 23 Nov 2020 07:00:10 GMT", 0.0),
     ("Mon, 99 Nov 2026 07:00:10", None), ("Mon, 23 Nov 2026 07:00:10 +" + "9" * 30, None)],
)  # fmt: skip
def test_a_retry_after_is_seconds_or_a_date_or_none(header: str, seconds: float | None) -> None:
    assert read_entry(entry(retry_after=header)).retry_after == seconds


@pytest.mark.parametrize(
    ("code", "told", "seconds"),
    [("1308", {}, 9.5), ("1302", {}, None), ("1308", {"retry_after": "7"}, 7.0)],
    ids=["the plan is used up", "what passes", "more than one word"],
)
def test_when_a_window_resets_says_how_long_to_wait(code: str, told: dict[str, str], seconds: float | None) -> None:
    headers = {"x_zai_code": code, "anthropic_ratelimit_unified_reset": "1795417210", **told}

    assert read_entry(entry(**headers)).retry_after == seconds


def test_json_under_the_head_of_a_stream_is_no_stream() -> None:
    assert not read_entry(entry({"kind": "json"}, content_type="text/event-stream")).streamed
    assert read_entry(entry(content_type="text/event-stream; charset=utf-8")).streamed
    assert read_entry(entry({"kind": "events"})).streamed


@pytest.mark.parametrize(
    ("flags", "ending"),
    [
        ((), Ending.COMPLETE),
        (("upstream_retry_limit_exceeded",), Ending.COMPLETE),
        (("downstream_remote_reset",), Ending.CLIENT_LEFT),
        (("downstream_connection_termination", "upstream_remote_reset"), Ending.CLIENT_LEFT),
        (("stream_idle_timeout",), Ending.TIMEOUT),
        (("no_route_found",), Ending.NO_UPSTREAM_REQUEST),
        (("upstream_connection_failure", "upstream_retry_limit_exceeded"), Ending.CONNECT_FAILED),
        (("upstream_connection_termination",), Ending.BROKEN_RESPONSE),
    ],
)
def test_the_flags_say_how_it_ended(flags: tuple[str, ...], ending: Ending) -> None:
    ended = entry()
    ended.common_properties.response_flags.SetInParent()
    for flag in flags:
        setattr(ended.common_properties.response_flags, flag, True)

    assert read_entry(ended).ending is ending


@pytest.mark.parametrize("details", ["via_upstream", "processor_guard"])
def test_a_retry_that_finds_no_place_leaves_the_answer_z_ais(details: str) -> None:
    ended = entry()
    ended.common_properties.response_flags.upstream_overflow = True
    assert read_entry(ended).ending is Ending.NO_UPSTREAM_REQUEST

    ended.response.response_code_details = details

    assert read_entry(ended).ending is Ending.COMPLETE


def test_a_trace_that_was_noted_comes_back_with_the_moment_at_which_the_answer_began() -> None:
    traced = entry({"kind": "events", "begun": True, "begun_at": 1_795_417_200_750})
    noted = Trace("a" * 32, "b" * 16, "", "c" * 16, is_sampled=True, arrived=1_795_417_200.5, state="a=b")
    traced.common_properties.metadata.filter_metadata["zai"].fields["trace"].string_value = noted.note()
    traced.common_properties.time_to_first_upstream_tx_byte.FromMilliseconds(15)

    read = read_entry(traced)

    assert (read.trace, read.traceparent, read.tracestate) == (noted, "", "")
    assert (read.first_token, read.sent_first) == (0.25, 0.015)


def test_of_a_request_that_the_processor_never_saw_the_clients_own_trace_is_there() -> None:
    unseen = entry()
    unseen.request.request_headers.update({"traceparent": "00-a-b-01", "tracestate": "a=b"})

    read = read_entry(unseen)

    assert (read.trace, read.traceparent, read.tracestate) == (None, "00-a-b-01", "a=b")


def test_a_note_of_a_trace_that_is_none_is_as_if_it_were_not_there() -> None:
    odd = entry({"begun_at": "soon"})
    odd.common_properties.metadata.filter_metadata["zai"].fields["trace"].string_value = "odd"

    assert (read_entry(odd).trace, read_entry(odd).first_token) == (None, None)
    assert read_entry(odd).answer == NOTHING_READ
