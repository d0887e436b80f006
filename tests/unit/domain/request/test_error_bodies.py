"""Every envelope in which Z.AI is known to wrap an error, and everything else that may arrive in its place."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.domain.request.business_codes import TABLE
from extproc.domain.request.error_bodies import ExtractedError, extract_code

REQUEST_ID = "20260703110251648ad94226c14a7e"
QUOTA_TEXT = "Usage limit reached for 5 hour. Your limit will reset at 2026-07-03 11:11:54"

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["error", "code", "type", "message", "msg", "request_id", "x"]), inner)
    ),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(
            '{"error":{"code":"1302","message":"Rate limit reached for requests"}}',
            ExtractedError("1302", "Rate limit reached for requests", None),
            id="chat completions",
        ),
        pytest.param(
            '{"type":"error","error":{"type":"rate_limit_error","code":"1308",'
            f'"message":"[1308][{QUOTA_TEXT}][{REQUEST_ID}]"}},"request_id":"{REQUEST_ID}"}}',
            ExtractedError("1308", QUOTA_TEXT, REQUEST_ID),
            id="messages",
        ),
        pytest.param(
            '{"type":"error","error":{"type":"1210","message":"Invalid API parameter"}}',
            ExtractedError("1210", "Invalid API parameter", None),
            id="messages, code as type",
        ),
        pytest.param(
            '{"error":{"message":"token expired or incorrect","type":"401"}}',
            ExtractedError("401", "token expired or incorrect", None),
            id="messages, status as type",
        ),
        pytest.param(
            f'{{"error":{{"code":"1302","message":"slow down"}},"request_id":"{REQUEST_ID}"}}',
            ExtractedError("1302", "slow down", REQUEST_ID),
            id="messages, old",
        ),
        pytest.param(
            '{"code":500,"msg":"internal error","success":false}',
            ExtractedError("500", "internal error", None),
            id="gateway layer",
        ),
        pytest.param(
            '{"code":2007,"msg":"upstream temporarily unavailable"}',
            ExtractedError("2007", "upstream temporarily unavailable", None),
            id="gateway layer, short",
        ),
        pytest.param(
            '{"code":1001,"msg":"Authentication parameter not received in Header","success":false}',
            ExtractedError("1001", "Authentication parameter not received in Header", None),
            id="monitor",
        ),
        pytest.param(
            f"[1305][The service may be temporarily overloaded][{REQUEST_ID}]",
            ExtractedError("1305", "The service may be temporarily overloaded", REQUEST_ID),
            id="bare message",
        ),
        pytest.param(
            f'"[1305][busy][{REQUEST_ID}]"',
            ExtractedError("1305", "busy", REQUEST_ID),
            id="bare message as JSON string",
        ),
        pytest.param(
            f'{{"error":"[1305][busy][{REQUEST_ID}]"}}',
            ExtractedError("1305", "busy", REQUEST_ID),
            id="error is a string",
        ),
        pytest.param(
            'event: error\ndata: {"type": "error", "error": {"code": "1305", "message": "busy"}}\n\n',
            ExtractedError("1305", "busy", None),
            id="event",
        ),
        pytest.param(
            'data: {"choices":[]}\r\n\r\ndata: {"error":{"code":1234,"message":"network"}}\r\n\r\ndata: [DONE]\r\n\r\n',
            ExtractedError("1234", "network", None),
            id="event behind others, CRLF",
        ),
        pytest.param(
            f"data: [1305][busy][{REQUEST_ID}]\n\n",
            ExtractedError("1305", "busy", REQUEST_ID),
            id="event of a bare message",
        ),
        pytest.param(
            'data: {"choices":[{"finish_reason":"network_error"}]}\n\n', ExtractedError(), id="event that says no more"
        ),
        pytest.param(
            ': wait\n\n{"code":1305,"msg":"busy","success":false}\n',
            ExtractedError("1305", "busy", None),
            id="JSON in a stream without a field",
        ),
        pytest.param(
            f'{{"error":true,"message":"[1305][busy][{REQUEST_ID}]"}}',
            ExtractedError("1305", "busy", REQUEST_ID),
            id="error is true",
        ),
        pytest.param(
            '{"error":{"message":"upstream","error":{"code":"1302","message":"[1302][slow down]"}}}',
            ExtractedError("1302", "slow down", None),
            id="an error within an error",
        ),
        pytest.param(
            '{"detail":{"error":{"code":"1302","message":"slow down"}}}',
            ExtractedError("1302", "slow down", None),
            id="an error in a detail",
        ),
        pytest.param('\ufeff{"code":2007}', ExtractedError("2007", None, None), id="byte order mark"),
        pytest.param("[1305]", ExtractedError("1305", None, None), id="only a bracketed code"),
        pytest.param("context too long", ExtractedError(None, "context too long", None), id="plain text"),
        pytest.param("<html>405 Not Allowed</html>", ExtractedError(), id="HTML"),
        pytest.param("", ExtractedError(), id="nothing"),
    ],
)
def test_an_envelope_is_read(body: str, expected: ExtractedError) -> None:
    assert extract_code(body.encode()) == expected


@pytest.mark.parametrize(
    ("envelope", "code"),
    [
        ({"error": {"code": "1302", "type": "1210", "message": "[1305][x]"}, "code": 500}, "1302"),
        ({"error": {"type": "1210", "message": "[1305][x]"}, "code": 500}, "1210"),
        ({"error": {"type": "overloaded_error", "message": "[1305][x]"}, "code": 500}, "1305"),
        ({"error": {"code": 429, "message": "[1308][x]"}}, "1308"),
        ({"error": {"code": 429, "message": "slow"}}, "429"),
        ({"error": [{"code": "1305"}]}, "1305"),
        ([{"error": {"code": 503}}], "503"),
        ({"errors": [{"code": "1305"}]}, "1305"),
        ({"error": {"code": 500, "error": {"error": {"type": "1305"}}}}, "1305"),
        ({"error": {"error": "[1305][x]"}}, "1305"),
        ({"error": "1305"}, "1305"),
        ({"error": 1305, "message": "busy"}, "1305"),
        ({"detail": {"code": 1302, "msg": "wait"}}, "1302"),
        ({"error": "rate limit"}, None),
        ({"code": "1302", "msg": "wait", "success": False}, "1302"),
        ({"code": 201, "msg": "created"}, None),
        ({"error": {"type": "overloaded_error", "message": "[1305][x]"}, "code": 200}, "1305"),
        ({"error": {"type": "overloaded_error", "message": "[1305][x]"}, "code": 0}, "1305"),
        ({"error": {"code": "rate_limit_exceeded", "type": "1302"}}, "1302"),
        ({"error": {"code": True, "message": "x"}, "code": 13.02}, None),
        ({"error": {"code": "１３０２"}}, None),
        ({"code": 200, "msg": "Operation successful", "success": True}, None),
        ({"code": -500}, None),
    ],
)
def test_the_nearest_code_wins_and_words_and_successes_are_none(envelope: object, code: str | None) -> None:
    assert extract_code(json.dumps(envelope).encode()).code == code


def test_a_request_id_is_never_made_of_prose() -> None:
    assert extract_code(b"[1308][Usage limit reached]").request_id is None
    assert extract_code(b'{"error":{"code":"1302"},"request_id":"<script>alert(1)</script>"}').request_id is None


def test_the_message_is_one_bounded_printable_line() -> None:
    body = json.dumps({"error": {"code": "1302", "message": "first\nsecond\x1b[2J \ud800" + "x" * 5000}})
    message = extract_code(body.encode()).message
    assert message is not None
    assert message.startswith("first second [2J x")
    assert len(message) == 1000
    assert message.isprintable()


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 65_536,
        b'{"a":' * 13_000,
        b'{"code":' + b"1" * 5000 + b"}",
        b'{"error":{"code":"1302","message":"' + b"x" * 70_000 + b'"}}',
        b"\xff\xfe\x00",
        b'{"error":{"code":"1302"',
    ],
    ids=["nested lists", "nested objects", "huge number", "too long", "no UTF-8", "truncated"],
)
def test_what_cannot_be_read_has_no_code(body: bytes) -> None:
    assert extract_code(body).code is None


@given(st.binary(max_size=300))
def test_any_bytes_can_be_read(body: bytes) -> None:
    _assert_harmless(extract_code(body))


@given(JSON_VALUES)
def test_any_json_can_be_read(value: object) -> None:
    _assert_harmless(extract_code(json.dumps(value).encode()))


@given(st.sampled_from(sorted(TABLE)), st.text(max_size=50))
def test_a_code_is_found_whatever_the_message(code: str, message: str) -> None:
    assert extract_code(json.dumps({"error": {"code": code, "message": message}}).encode()).code == code


def _assert_harmless(error: ExtractedError) -> None:
    assert error.code is None or (error.code.isascii() and error.code.isdigit() and 3 <= len(error.code) <= 4)
    assert error.message is None or (error.message.isprintable() and 1 <= len(error.message) <= 1000)
    assert error.request_id is None or error.request_id.isascii()
