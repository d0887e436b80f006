"""A recording keeps the form and the protocol's own words, and nothing of anybody."""

import json

import pytest

from extproc.domain.assumptions.exchange import Exchange
from extproc.domain.assumptions.recording import record, redacted_text

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
        ("account a7f33b of smith@example.org is locked", "account … of … is locked"),
    ],
)
def test_of_a_message_the_plain_words_stay(message: str, kept: str) -> None:
    assert json.loads(redacted_text(json.dumps({"error": {"message": message}}))) == {"error": {"message": kept}}


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
