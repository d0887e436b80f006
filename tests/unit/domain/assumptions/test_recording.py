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
