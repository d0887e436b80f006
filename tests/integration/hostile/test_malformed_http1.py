"""Requests that are no HTTP/1.1, or more of it than anybody needs."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.harness.raw_http import RawAnswer, connected, error_of, exchange, request_bytes
from tests.harness.stack import Stack
from tests.harness.vitals import assert_serves
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.slow

KIB = 1024

MALFORMED = {
    "no HTTP at all": b"\x00\x01\x02 what is this\r\n\r\n",
    "every byte": bytes(range(256)) * 4 + b"\r\n\r\n",
    "a TLS hello": bytes.fromhex("16030100a5010000a10303") + bytes(160),
    "a garbled HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
    "an HTTP/2 preface and garbage": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 100,
    "an empty method": request_bytes(method=b""),
    "a method in two words": request_bytes(method=b"G T"),
    "a method in lower case": request_bytes(method=b"get"),
    "an unknown method": request_bytes(method=b"FOO"),
    "a quoted method": request_bytes(method=b'"GET"'),
    "a NUL in the method": request_bytes(method=b"G\x00T"),
    "a method that is not ASCII": request_bytes(method=b"G\xffT"),
    "a method of 20 KB": request_bytes(method=b"A" * 20 * KIB),
    "a method of 100 KB": request_bytes(method=b"A" * 100 * KIB),
    "the method PRI": request_bytes(method=b"PRI"),
    "no target": request_bytes(target=b""),
    "a relative target": request_bytes(target=b"v1/models"),
    "the target *": request_bytes(target=b"*"),
    "a blank in the target": request_bytes(target=b"/v1/models /x"),
    "a tab in the target": request_bytes(target=b"/v1/models?a=b\tc"),
    "a NUL in the path": request_bytes(target=b"/v1/mod\x00els"),
    "a NUL in the query": request_bytes(target=b"/v1/models?a=\x00"),
    "a path that is not UTF-8": request_bytes(target=b"/v1/\xff\xfe"),
    "a query that is not UTF-8": request_bytes(target=b"/v1/models?\xff"),
    "a path in UTF-8, not escaped": request_bytes(target="/v1/é".encode()),
    "a target beyond 96 KiB": request_bytes(target=b"/v1/models?" + b"a" * 97 * KIB),
    "no host": b"GET /v1/models HTTP/1.1\r\n\r\n",
    "a blank in the host": request_bytes(host=b"a b"),
    "a slash in the host": request_bytes(host=b"a/b"),
    "a NUL in the host": request_bytes(host=b"a\x00"),
    "a header without a colon": request_bytes(headers=b"no-colon\r\n"),
    "a header without a name": request_bytes(headers=b": value\r\n"),
    "a blank in a header's name": request_bytes(headers=b"x a: b\r\n"),
    "a blank before a header's colon": request_bytes(headers=b"x-a : b\r\n"),
    "parentheses in a header's name": request_bytes(headers=b"(x): b\r\n"),
    "a NUL in a header's name": request_bytes(headers=b"x-\x00: b\r\n"),
    "a header's name that is not ASCII": request_bytes(headers=b"x-\xff: b\r\n"),
    "a NUL in a header's value": request_bytes(headers=b"x-a: b\x00c\r\n"),
    "a control character in a header's value": request_bytes(headers=b"x-a: b\x01c\r\n"),
    "a header of 97 KiB": request_bytes(headers=b"x-a: " + b"a" * 97 * KIB + b"\r\n"),
    "headers of 97 KiB together": request_bytes(headers=b"".join(b"x-%d: %b\r\n" % (n, b"a" * KIB) for n in range(97))),
    "201 headers": request_bytes(headers=b"".join(b"x-%d: a\r\n" % n for n in range(201))),
    "5000 headers": request_bytes(headers=b"".join(b"x-%d: a\r\n" % n for n in range(5000))),
    "HTTP/1.10": b"GET /v1/models HTTP/1.10\r\nhost: proxy\r\n\r\n",
    "http/1.1": b"GET /v1/models http/1.1\r\nhost: proxy\r\n\r\n",
    "another protocol": b"GET /v1/models HTTPS/1.1\r\nhost: proxy\r\n\r\n",
    "a fragment": request_bytes(target=b"/v1/models#fragment"),
    "CONNECT to another host": b"CONNECT internal:443 HTTP/1.1\r\nhost: internal:443\r\n\r\n",
    "CONNECT to a path": request_bytes(method=b"CONNECT"),
}
# They are turned away before Envoy knows enough of them for a message of its own.
WELL_FORMED_BUT_REFUSED = {
    "no host": MALFORMED["no host"],
    "a fragment": MALFORMED["a fragment"],
    "an escaped slash": request_bytes(target=b"/api/v1/..%2fmodels"),
    "an escaped backslash": request_bytes(target=b"/api/v1/..%5cmodels"),
    "an escaped NUL": request_bytes(target=b"/v1/models/%00"),
    "no path": request_bytes(method=b"OPTIONS", target=b"*"),
    "a CONNECT": MALFORMED["CONNECT to another host"],
}


def assert_refused(answer: RawAnswer) -> None:
    """A clear 4xx in JSON, or a closed connection."""
    assert not answer.silent
    assert not answer.came_from_upstream
    if answer.status:
        assert 400 <= answer.status < 500
        assert answer.headers["content-type"] == "application/json"
        assert error_of(answer)["message"]
        assert json.loads(answer.body)["request_id"] == answer.headers["x-request-id"] != ""


@pytest.mark.parametrize("what", MALFORMED)
async def test_what_is_malformed_is_refused_and_goes_nowhere(stack: Stack, what: str) -> None:
    assert_refused(exchange(stack, MALFORMED[what]))

    assert stack.simulator.log() == []


@pytest.mark.parametrize("what", WELL_FORMED_BUT_REFUSED)
async def test_a_refusal_says_what_is_wrong_and_has_an_id_that_stands_in_the_log(stack: Stack, what: str) -> None:
    answer = exchange(stack, WELL_FORMED_BUT_REFUSED[what])

    assert answer.status in (400, 404, 405)
    assert error_of(answer)["message"]
    request_id = json.loads(answer.body)["request_id"]
    assert request_id == answer.headers["x-request-id"]
    wait_until(lambda: request_id in stack.processor.output, "the log line has it")


@pytest.mark.parametrize("count", [150, 185, 190, 195, 199, 200])
async def test_many_headers_are_passed_on_or_refused_but_never_an_internal_error(stack: Stack, count: int) -> None:
    answer = exchange(stack, request_bytes(headers=b"".join(b"x-%d: a\r\n" % n for n in range(count - 1))))

    assert answer.status in (200, 431)
    assert answer.status == 200 or count > 180


@pytest.mark.parametrize("size", [64 * KIB, 90 * KIB, 96 * KIB - 600, 96 * KIB - 300, 96 * KIB - 100])
async def test_large_headers_are_passed_on_or_refused_but_never_an_internal_error(stack: Stack, size: int) -> None:
    answer = exchange(stack, request_bytes(headers=b"x-a: " + b"a" * size + b"\r\n"))

    assert answer.status in (200, 431)
    assert answer.status == 200 or size > 90 * KIB


async def test_trace_never_leaves_because_its_answer_would_show_the_key(stack: Stack) -> None:
    """RFC 9110, 9.3.8: the answer to TRACE repeats the request, headers included."""
    answer = exchange(stack, request_bytes(method=b"TRACE"))

    assert 400 <= answer.status < 500
    assert stack.simulator.log() == []


@pytest.mark.parametrize("method", [b"PURGE", b"PROPFIND", b"MKCOL", b"SEARCH", b"LINK"])
async def test_a_method_that_no_api_has_goes_nowhere(stack: Stack, method: bytes) -> None:
    assert_refused(exchange(stack, request_bytes(method=method)))

    assert stack.simulator.log() == []


async def test_half_a_head_waits_without_a_slot(stack: Stack) -> None:
    with connected(stack) as half, connected(stack) as bare_cr:
        half.send(b"POST /v1/messages HTTP/1.1\r\nhost: proxy\r\nx-api-k")
        bare_cr.send(b"POST /v1/messages HTTP/1.1\rhost: proxy\r\r")

        assert_serves(stack)
        wait_until(lambda: stack.metric("zai_proxy_concurrent_requests") == 0, "no slot is held")


@settings(max_examples=60)
@given(garbage=st.binary(max_size=400))
def test_no_bytes_whatever_harm_the_proxy(shared_stack: Stack, garbage: bytes) -> None:
    answer = exchange(shared_stack, garbage + b"\r\n\r\n", patience=0.2)

    assert answer.silent or answer.status == 0 or 400 <= answer.status < 500


PROMPT_BYTES = json.dumps(
    {"model": "glm-5.3", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}
).encode()
REQUEST = request_bytes(
    b"POST",
    b"/v1/messages",
    b"content-type: application/json\r\nx-api-key: client\r\ncontent-length: %d\r\n" % len(PROMPT_BYTES),
    PROMPT_BYTES,
)
EDITS = st.lists(
    st.tuples(st.integers(0, REQUEST.index(b"\r\n\r\n")), st.integers(0, 3), st.binary(min_size=1, max_size=4)),
    min_size=1,
    max_size=3,
)


@settings(max_examples=120)
@given(edits=EDITS)
def test_a_request_with_some_bytes_changed_is_answered_refused_or_awaited(
    shared_stack: Stack, edits: list[tuple[int, int, bytes]]
) -> None:
    request = bytearray(REQUEST)
    for place, removed, put in edits:
        request[place : place + removed] = put

    answer = exchange(shared_stack, bytes(request), patience=0.2)

    assert answer.silent or answer.status in (0, 200) or 400 <= answer.status < 500
