"""Requests whose end can be read in two ways: two readers must never see two different things.

Envoy writes every request anew before it goes upstream. So what it takes in spite of an oddity has to be one request,
with one body, and nothing of the rest may count as a request of its own.
"""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.harness.raw_http import connected, exchange, request_bytes
from tests.harness.stack import PROMPT, Stack
from tests.harness.waiting import wait_until

BODY = json.dumps(PROMPT).encode()
LENGTH = b"content-length: %d\r\n" % len(BODY)
CHUNKED = b"transfer-encoding: chunked\r\n"
FOLDED_CHUNKED = b"transfer-encoding:\r\n chunked\r\n"
CHUNKED_BODY = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
# If anybody took this for a request, it would show: in the simulator's journal or as a second answer.
SMUGGLED = b"GET /api/paas/v4/files HTTP/1.1\r\nhost: proxy\r\n\r\n"


def post(headers: bytes, body: bytes = BODY) -> bytes:
    return request_bytes(b"POST", b"/v1/messages", headers, body)


AMBIGUOUS = {
    "content-length, then transfer-encoding": post(LENGTH + CHUNKED, CHUNKED_BODY + SMUGGLED),
    "transfer-encoding, then content-length": post(CHUNKED + LENGTH, b"0\r\n\r\n" + SMUGGLED),
    "content-length 0 and transfer-encoding": post(b"content-length: 0\r\n" + CHUNKED, CHUNKED_BODY + SMUGGLED),
    "two different content-lengths": post(b"content-length: 0\r\n" + LENGTH, BODY + SMUGGLED),
    "the same content-length twice": post(LENGTH + LENGTH, BODY + SMUGGLED),
    "a list of content-lengths": post(b"content-length: 5, 5\r\n", b"hello" + SMUGGLED),
    "a content-length with a plus": post(b"content-length: +5\r\n", b"hello" + SMUGGLED),
    "a negative content-length": post(b"content-length: -5\r\n", SMUGGLED),
    "a hexadecimal content-length": post(b"content-length: 0x5\r\n", b"hello" + SMUGGLED),
    "a content-length of two words": post(b"content-length: 5 5\r\n", b"hello" + SMUGGLED),
    "a content-length beyond 64 bits": post(b"content-length: 99999999999999999999999\r\n", SMUGGLED),
    "an empty content-length": post(b"content-length:\r\n", SMUGGLED),
    "a blank before the colon of content-length": post(b"content-length : 5\r\n", b"hello" + SMUGGLED),
    "a blank before the colon of transfer-encoding": post(b"transfer-encoding : chunked\r\n", b"0\r\n\r\n" + SMUGGLED),
    "a vertical tab before chunked": post(b"transfer-encoding: \x0bchunked\r\n", CHUNKED_BODY + SMUGGLED),
    "content-lengths folded into one": post(b"content-length: 5\r\n 5\r\n", b"hello" + SMUGGLED),
    "digits folded onto a content-length": post(b"content-length: %d\r\n 0\r\n" % len(BODY), BODY + SMUGGLED),
    "a folded chunked and a content-length": post(FOLDED_CHUNKED + LENGTH, CHUNKED_BODY + SMUGGLED),
    "chunked and identity folded into one": post(
        b"transfer-encoding: chunked\r\n , identity\r\n", CHUNKED_BODY + SMUGGLED
    ),
    "chunked folded behind another word": post(b"transfer-encoding: x\r\n chunked\r\n", CHUNKED_BODY + SMUGGLED),
    "a folded host": b"GET /v1/models HTTP/1.1\r\nhost: proxy\r\n evil\r\n\r\n" + SMUGGLED,
    "a folded first header": b"GET /v1/models HTTP/1.1\r\n host: proxy\r\n\r\n" + SMUGGLED,
    "chunked in HTTP/1.0": post(CHUNKED, CHUNKED_BODY).replace(b"HTTP/1.1", b"HTTP/1.0", 1) + SMUGGLED,
    **{
        f"transfer-encoding {value!r}": post(b"transfer-encoding: %b\r\n" % value, CHUNKED_BODY + SMUGGLED)
        for value in (
            b"xchunked",
            b"chunked, identity",
            b"identity",
            b"gzip, chunked",
            b"chunked, chunked",
            b'"chunked"',
        )
    },
    **{
        f"transfer-encoding {value!r}": post(b"transfer-encoding: %b\r\n" % value, CHUNKED_BODY + SMUGGLED)
        for value in (b"chunked;q=1", b"", b"chunke", b"chunked\x00", b"\xffchunked")
    },
    "chunked and identity in two headers": post(CHUNKED + b"transfer-encoding: identity\r\n", b"0\r\n\r\n" + SMUGGLED),
    **{
        f"chunk size {size!r}": post(CHUNKED, b"%b\r\n%b\r\n0\r\n\r\n" % (size, BODY) + SMUGGLED)
        for size in (b"zz", b"-1", b"+5", b"0x5", b" 5", b"", b"ffffffffffffffffff", b"5\x00", b"5 5")
    },
    "a chunk longer than its size": post(CHUNKED, b"4\r\n%b\r\n0\r\n\r\n" % BODY + SMUGGLED),
    "a carriage return within a chunk extension": post(
        CHUNKED, b"%x;a\rb\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY) + SMUGGLED
    ),
}
# Envoy's parser always unfolds (RFC 9112, 5.2, allows it). What a folded value is then, on its one line.
FOLDED = {
    b"a\r\n b": "a b",
    b"a\r\n\tb": "a\tb",
    b"a\n b": "a b",
    b"a\r\n b\r\n c": "a b c",
    b"a\r\n ": "a",
    b"a\r\n content-length: 0": "a content-length: 0",
    b"a\r\n transfer-encoding: chunked": "a transfer-encoding: chunked",
    b"a\r\n x-zai-admitted: 1": "a x-zai-admitted: 1",
}
TOLERATED = {
    "Chunked": post(b"transfer-encoding: Chunked\r\n", CHUNKED_BODY),
    "CHUNKED": post(b"transfer-encoding: CHUNKED\r\n", CHUNKED_BODY),
    "blanks around chunked": post(b"transfer-encoding:  \t chunked \t \r\n", CHUNKED_BODY),
    "a chunk extension": post(CHUNKED, b"%x;name=value\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)),
    "trailers": post(CHUNKED, CHUNKED_BODY[:-2] + b"x-api-key: client\r\n\r\n"),
    "a folded content-length": post(b"content-length:\r\n %d\r\n" % len(BODY)),
    "a folded transfer-encoding": post(FOLDED_CHUNKED, CHUNKED_BODY),
    "bare line feeds": post(LENGTH).replace(b"\r\n", b"\n"),
    "a bare line feed within the head": post(b"x-odd: a\nx-even: b\r\n" + LENGTH),
    "a carriage return within a value": post(b"x-odd: a\rb\r\n" + LENGTH),
    "blank lines before the request": b"\r\n" * 20 + post(LENGTH),
}


@pytest.mark.parametrize("what", AMBIGUOUS)
async def test_what_can_be_read_in_two_ways_is_refused_and_its_connection_closed(stack: Stack, what: str) -> None:
    answer = exchange(stack, AMBIGUOUS[what])

    assert not answer.silent
    assert not answer.came_from_upstream
    if answer.status:
        assert 400 <= answer.status < 500
        assert answer.headers["connection"] == "close"
    assert completed_requests(stack) == []


async def test_nothing_after_an_ambiguous_request_is_answered(stack: Stack) -> None:
    with connected(stack) as connection:
        connection.send(AMBIGUOUS["content-length, then transfer-encoding"])
        refusal, rest = connection.answer(), connection.answer()

    assert refusal.status == 400
    assert rest.status == 0
    assert not rest.silent


@pytest.mark.parametrize("what", TOLERATED)
async def test_what_is_odd_but_clear_arrives_as_one_plain_request(stack: Stack, what: str) -> None:
    answer = exchange(stack, TOLERATED[what])

    assert answer.status == 200
    (entry,) = stack.simulator.log()
    assert (entry["method"], entry["path"]) == ("POST", "/api/anthropic/v1/messages")
    assert entry["request_bytes"] == len(BODY)
    odd = entry["headers"].get("x-odd", "")
    assert "\r" not in odd
    assert "\n" not in odd


@pytest.mark.parametrize("folded", FOLDED)
async def test_a_folded_header_arrives_as_one_line_and_adds_no_header(stack: Stack, folded: bytes) -> None:
    answer = exchange(stack, post(b"x-odd: %b\r\n" % folded + LENGTH))

    assert answer.status == 200
    (entry,) = stack.simulator.log()
    assert entry["headers"]["x-odd"] == FOLDED[folded]
    assert entry["headers"]["content-length"] == str(entry["request_bytes"]) == str(len(BODY))
    assert "transfer-encoding" not in entry["headers"]


async def test_pipelined_requests_are_answered_one_by_one(stack: Stack) -> None:
    with connected(stack) as connection:
        connection.send(post(LENGTH) * 3)
        answers = [connection.answer() for _ in range(3)]

    assert [answer.status for answer in answers] == [200, 200, 200]
    assert len({answer.headers["x-request-id"] for answer in answers}) == 3


async def test_what_follows_a_body_is_a_request_with_a_grant_of_its_own(stack: Stack) -> None:
    with connected(stack) as connection:
        connection.send(post(LENGTH) + SMUGGLED + request_bytes(target=b"/api/monitor/usage"))
        answers = [connection.answer() for _ in range(3)]

    assert [answer.status for answer in answers] == [200, 200, 403]
    assert len(stack.simulator.log()) == 2


def completed_requests(stack: Stack) -> list[dict[str, object]]:
    """What reached the simulator whole: of a chunked body that goes wrong it may see the beginning."""
    wait_until(lambda: stack.simulator.stats()["in_flight"] == 0, "the simulator is done")
    return [entry for entry in stack.simulator.log() if entry["status"] is not None]


SIZES = st.one_of(
    st.just(b"%x" % len(BODY)),
    st.integers(0, 200).map(lambda size: b"%x" % size),
    st.text("0123456789abcdefABCDEFxX+- \t;", max_size=6).map(str.encode),
    st.binary(max_size=4),
)
ENDS = st.sampled_from([b"\r\n", b"\n", b"\r", b"", b"\r\r\n", b"\n\r\n", b" \r\n"])


@settings(max_examples=80)
@given(size=SIZES, ends=st.lists(ENDS, min_size=4, max_size=4), extra=st.binary(max_size=6))
def test_no_chunk_garbage_yields_a_second_request(
    shared_stack: Stack, size: bytes, ends: list[bytes], extra: bytes
) -> None:
    before = len(shared_stack.simulator.log())
    body = size + ends[0] + BODY + extra + ends[1] + b"0" + ends[2] + ends[3]

    exchange(shared_stack, post(CHUNKED, body) + SMUGGLED, patience=0.2)

    new = shared_stack.simulator.log()[before:]
    assert [entry["path"] for entry in new if entry["method"] == "POST"] in ([], ["/api/anthropic/v1/messages"])
    # The bytes after a well-formed end are the next request, and nothing else may be one.
    gets = [entry["path"] for entry in new if entry["method"] != "POST"]
    assert gets in ([], ["/api/paas/v4/files"])
