"""A recording keeps the form and the protocol's own words, and nothing of anybody."""

import json
from dataclasses import replace
from typing import Any

import pytest

from extproc.domain.assumptions.exchange import Exchange
from extproc.domain.assumptions.recording import record, redacted_text, without_key
from simulator.scenario.parsing import scenario_from

AT = 1_788_678_000.0
AT_TOLD = 1_788_678_400.0  # 07:06:40 on 6 September 2026
KEY = "0123456789abcdef0123456789abcdef.ABCDEFGHIJKLMNOP"


def recorded(body: bytes, **headers: str) -> str:
    exchange = Exchange(
        "t", "POST", "/p", "m", 200, {"content-type": "application/json", **headers}, ((0.1, body),), 0.1
    )
    return json.dumps(record(exchange, KEY), ensure_ascii=False)


def test_the_form_codes_and_figures_stay() -> None:
    body = {
        "type": "message",
        "id": "msg_2026",
        "model": "glm-5.3",
        "content": [{"type": "text", "text": "Dear Ms Smith"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 23},
    }

    assert json.loads(redacted_text(json.dumps(body))) == {
        **body,
        "id": "00000000000000",
        "content": [{"type": "text", "text": "…"}],
    }


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        (
            "[1308][Usage limit reached for 5 hour. Your limit will reset at 2026-07-03 11:11:54][20260703110251]",
            "[1308][Usage limit reached for 5 hour. Your limit will reset at 2026-07-03 11:11:54][00000000000000]",
        ),
        ("Unknown Model, please check", "Unknown Model, please check"),
        ("account 12345678 since 11:11:54.", "account … since 11:11:54."),
        ("account a7f33b of smith@example.org is locked", "account … of … is locked"),
        ("account 138 123 456 has no balance; order (123, 456)", "account … … … has no balance; order … …"),
        ("call 555 - 123 - 456 for help", "call … … … … … for help"),
        ("wait 5 to 10 seconds", "wait 5 to 10 seconds"),
    ],
)
def test_of_a_message_the_plain_words_stay(message: str, kept: str) -> None:
    assert json.loads(redacted_text(json.dumps({"error": {"message": message}}))) == {"error": {"message": kept}}


@pytest.mark.parametrize("name", ["usage", "number", "status", "index", "total_tokens"])
def test_a_figure_larger_than_its_name_makes_it_is_gone(name: str) -> None:
    assert json.loads(redacted_text(json.dumps({name: 13912345678}))) == {name: 0}
    assert json.loads(redacted_text(json.dumps({name: 4_200}))) == {name: 4_200}


@pytest.mark.parametrize("name", ["phone", "customerNumber", "uid", "userid", "user_id", "ids", "total", "balance"])
def test_numbers_that_are_no_known_figures_are_gone(name: str) -> None:
    for value in (13912345678, 139123.45678, [13912345678, 7], {"": 13912345678}):
        assert "139" not in redacted_text(json.dumps({name: value, "usage": {name: value}}))


@pytest.mark.parametrize("name", ["type", "object", "role", "model", "status", "level", "modelCode", "reason", "code"])
@pytest.mark.parametrize("value", ["xiaoming", "wang.xiaoming", "WANG", "wang_xiaoming", "glm-wang", "Wang Xiaoming"])
def test_words_that_are_not_the_protocols_are_gone_where_such_are_expected(name: str, value: str) -> None:
    assert redacted_text(json.dumps({name: value, "list": [{name: value}]})).lower().count("ming") == 0
    assert "wang" not in redacted_text(json.dumps({name: value})).lower()
    assert value not in recorded(f"event: {value}\ndata: {{}}\n\n".encode(), **{"content-type": "text/event-stream"})


@pytest.mark.parametrize(
    ("name", "is_kept"),
    [
        *((name, True) for name in ("request_id", "requestId", "usageDetails", "_meta", "x", "userID", "cache_read")),
        *((name, False) for name in ("mallory@example.org", "sess-77aa88", "user42", "QWxhZGRpbjpvcGVu", "WANGXIAO")),
    ],
)
def test_of_the_names_of_fields_those_stay_that_are_plain_words(name: str, is_kept: bool) -> None:
    assert (name in redacted_text(json.dumps({name: 1}))) is is_kept


@pytest.mark.parametrize("name", ["x-ratelimit-user", "x-ratelimit-remaining", "retry-after", "server", "ratelimit-id"])
@pytest.mark.parametrize("value", ["Wang Xiaoming", "xiaoming", "nginx, Wang", "sess-1"])
def test_headers_keep_no_words_but_known_ones(name: str, value: str) -> None:
    written = recorded(b"{}", **{name: value})

    assert value not in written
    assert name in written


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"Rosebud said yes", "text/plain"),
        (b'{"text": "Rosebud said yes', "application/json"),  # broke off
        (b"data: Rosebud said yes\n\n", "text/event-stream"),
        (b'data: {"text":\ndata: "Dear Rosebud it is"}\n\n', "text/event-stream"),
        (b'data: {"text": "Rosebud said yes', "text/event-stream"),
    ],
)
def test_an_answer_that_is_no_json_keeps_no_words(body: bytes, kind: str) -> None:
    assert "Rosebud" not in recorded(body, **{"content-type": kind})


def test_an_error_in_a_stream_that_is_no_json_keeps_its_code() -> None:
    written = recorded(b"data: [1308][Usage limit reached][2026]\n\n", **{"content-type": "text/event-stream"})

    assert "[1308][Usage limit reached][00000000000000]" in written


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("x-ratelimit-remaining-requests", "3", True),
        ("anthropic-ratelimit-unified-status", "rejected", True),
        ("retry-after", "30", True),
        ("server", "nginx", True),
        ("cache-control", "no-cache, no-store", True),
        ("x-ratelimit-account", "13912345678", False),
    ],
)
def test_headers_keep_figures_under_names_that_have_some(name: str, value: str, kept: bool) -> None:
    assert (f'"{name}": "{value}"' in recorded(b"{}", **{name: value})) is kept


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"text": KEY}),
        json.dumps({"error": {"message": f"bad key {KEY}"}}),
        json.dumps({"type": KEY}),
        json.dumps({KEY: 1}),
        f"no JSON, {KEY}",
        f"<html>{KEY}</html>",
    ],
)
def test_the_key_is_nowhere(body: str) -> None:
    written = recorded(body.encode(), **{"x-account": KEY, "retry-after": KEY, "set-cookie": KEY})

    assert not any(part in written for part in KEY.split("."))


def test_nested_beyond_reason_is_no_error() -> None:
    assert recorded(b"[" * 100_000)
    assert recorded(b'{"a":' * 200 + b"1" + b"}" * 200)


def answer(**fields: Any) -> dict[str, Any]:
    exchange = Exchange("t", "POST", "/p", "m", 200, {}, ((0.5, b"{}"),), 0.5, AT)
    found: Any = record(replace(exchange, **fields), KEY)["answer"]
    assert isinstance(found, dict)
    return found


def test_times_are_kept_by_how_far_they_are_from_our_clock() -> None:
    headers = {"date": "Sun, 06 Sep 2026 07:06:40 GMT", "x-log-id": "20260906150650aa77bb88", "server": "nginx"}

    found = answer(headers=headers)

    assert found["date_ahead"] == AT_TOLD - AT - 0.5
    assert found["log_id_ahead"] == AT_TOLD + 10 - AT
    assert found["headers"] == {"server": "nginx"}
    assert "aa77bb88" not in json.dumps(found)


@pytest.mark.parametrize("date", ["Mon, 01 Jan 0001 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "Wang", ""])
def test_a_date_beyond_reason_can_be_played(date: str) -> None:
    found = answer(headers={"date": date, "x-log-id": "00010101000000"})

    assert scenario_from(found)


def test_headers_come_again_but_for_those_of_the_connection_and_what_is_somebodys() -> None:
    headers = {
        "server": "Wang",
        "cache-control": "no-cache",
        "x-process-time": "0.035",
        "connection": "close",
        "transfer-encoding": "chunked",
        "x-ratelimit-user": "Wang",
        "retry-after": "3",
    }

    assert answer(headers=headers)["headers"] == {
        "cache-control": "no-cache",
        "x-process-time": "0.035",
        "x-ratelimit-user": "-",
        "retry-after": "3",
    }


@pytest.mark.parametrize(
    ("headers", "failure", "framing"),
    [
        ({"content-length": "2"}, "", "length"),
        ({"transfer-encoding": "chunked"}, "", "chunked"),
        ({}, "", "close"),
        ({"content-length": "20"}, "ReadError", "chunked"),
    ],
)
def test_the_end_of_a_body_is_told_as_it_was(headers: dict[str, str], failure: str, framing: str) -> None:
    found = answer(headers=headers, failure=failure)

    assert found["framing"] == framing
    assert found["play"] == ["{}", "<reset>"] if failure else ["{}"]


def test_a_request_with_a_wrong_key_is_known_by_it() -> None:
    exchange = Exchange("wrong key", "POST", "/p", "m", 401, has_key=False)

    assert record(exchange, KEY)["match"] == {"method": "POST", "path": "/p", "model": "m", "key": "wrong"}


def test_a_connection_that_was_not_kept_is_not_kept_again() -> None:
    exchange = Exchange("models", "GET", "/p", status=200, headers={"content-length": "0"})
    found: Any = record(exchange, KEY, closes=True)["answer"]

    assert found["framing"] == "close"


def test_a_key_that_json_writes_otherwise_is_gone_too() -> None:
    odd = 'quoted"key\\of.somebody"else'

    assert "somebody" not in without_key(json.dumps({"a": f"{odd} is wrong"}), odd)


@pytest.mark.parametrize(
    "name", ["x-ratelimit-user-13912345678", "ratelimit-mallory@example.org", "retry-after-7f3a9c21"]
)
def test_the_name_of_a_header_holds_nobody(name: str) -> None:
    written = recorded(b"{}", **{name: "3"})

    assert name not in written
    assert written.count("-other") == 2  # as it came, and as it is played


@pytest.mark.parametrize(
    "name", ["anthropic-ratelimit-unified-5h-reset", "x-ratelimit-remaining-requests", "retry-after-ms"]
)
def test_the_name_of_a_known_header_stays(name: str) -> None:
    assert name in recorded(b"{}", **{name: "3"})
