"""HTTP/2 as no client should speak it: broken headers, broken frames, and floods of what is cheap to send."""

import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from tests.harness.raw_http2 import Header, Http2Answer, Http2Connection, http2_connection, request_headers
from tests.harness.stack import Stack
from tests.harness.vitals import next_answer
from tests.harness.waiting import eventually

KIB = 1024
POST = request_headers(b"/v1/messages", b"POST")


def replaced(name: bytes, value: bytes | None) -> list[Header]:
    """The headers of a request with one pseudo-header changed, or left out."""
    return [
        (each, old if each != name else value or b"")
        for each, old in request_headers()
        if (each, value) != (name, None)
    ]


BROKEN_HEADERS: dict[str, list[Header]] = {
    "a name in upper case": request_headers(extra=[(b"X-Upper", b"a")]),
    "connection": request_headers(extra=[(b"connection", b"close")]),
    "te: gzip": request_headers(extra=[(b"te", b"gzip")]),
    "transfer-encoding": request_headers(extra=[(b"transfer-encoding", b"chunked")]),
    "upgrade": request_headers(extra=[(b"upgrade", b"websocket")]),
    "a content-length without a body": request_headers(method=b"POST", extra=[(b"content-length", b"5")]),
    "two content-lengths": request_headers(
        method=b"POST", extra=[(b"content-length", b"0"), (b"content-length", b"5")]
    ),
    "a NUL in a value": request_headers(extra=[(b"x-a", b"a\x00b")]),
    "a line break in a value": request_headers(extra=[(b"x-a", b"a\r\nx-zai-admitted: 1")]),
    "a line break in a name": request_headers(extra=[(b"x-a\r\nx-zai-admitted", b"1")]),
    "a blank in a name": request_headers(extra=[(b"x a", b"1")]),
    "a colon in a name": request_headers(extra=[(b"x:a", b"1")]),
    "an empty name": request_headers(extra=[(b"", b"1")]),
    "no path": replaced(b":path", None),
    "no method": replaced(b":method", None),
    "no scheme": replaced(b":scheme", None),
    "no authority": replaced(b":authority", None),
    "an empty path": replaced(b":path", b""),
    "the path *": replaced(b":path", b"*"),
    "a relative path": replaced(b":path", b"v1/models"),
    "an absolute path": replaced(b":path", b"http://proxy/v1/models"),
    "a blank in the path": replaced(b":path", b"/v1/models /x"),
    "a line break in the path": replaced(b":path", b"/v1/models HTTP/1.1\r\nx-zai-admitted: 1"),
    "a NUL in the path": replaced(b":path", b"/v1/models\x00"),
    "a path that is not UTF-8": replaced(b":path", b"/v1/\xff\xfe"),
    "a fragment": replaced(b":path", b"/v1/models#fragment"),
    "two paths": [*request_headers(), (b":path", b"/api/monitor")],
    "a pseudo-header after the others": [(b"x-a", b"1"), *request_headers()],
    "an unknown pseudo-header": [*request_headers(), (b":grant", b"1")],
    "a response's pseudo-header": [(b":status", b"200"), *request_headers()],
    "a user in the authority": replaced(b":authority", b"user:secret@proxy"),
    "a slash in the authority": replaced(b":authority", b"proxy/api"),
    "a method in two words": replaced(b":method", b"G T"),
    "an empty method": replaced(b":method", b""),
    "a quoted method": replaced(b":method", b'"GET"'),
    "a method that is not ASCII": replaced(b":method", b"G\xffT"),
    "an unknown method": replaced(b":method", b"FOO"),
    "a method in lower case": replaced(b":method", b"get"),
    "a method of 1 KB": replaced(b":method", b"A" * KIB),
    "a method of 50 KB": replaced(b":method", b"A" * 50 * KIB),
    "TRACE": replaced(b":method", b"TRACE"),
    "1000 headers": request_headers(extra=[(b"x-%d" % n, b"a") for n in range(1000)]),
    "105 KiB of headers": request_headers(extra=[(b"x-%d" % n, b"a" * 15 * KIB) for n in range(7)]),
}


def ask(stack: Stack, headers: list[Header]) -> Http2Answer:
    with http2_connection(stack) as connection:
        return connection.answer(connection.request(headers))


async def test_broken_headers_are_refused_and_go_nowhere(stack: Stack) -> None:
    # All at once: Envoy takes a second to close a connection, so one after the other would take a minute.
    sent_before = stack.envoy_stat("cluster.zai.upstream_rq_total")
    with ThreadPoolExecutor(len(BROKEN_HEADERS)) as pool:
        answers = dict(
            zip(BROKEN_HEADERS, pool.map(lambda headers: ask(stack, headers), BROKEN_HEADERS.values()), strict=True)
        )

    accepted = {what: answer for what, answer in answers.items() if not (answer.refused or 400 <= answer.status < 500)}
    assert accepted == {}
    went_on = {what: answer for what, answer in answers.items() if "x-log-id" in answer.headers}
    assert went_on == {}
    # Also what the upstream's own parser refused (and so never journaled) would have been sent with the key in it.
    assert stack.envoy_stat("cluster.zai.upstream_rq_total") == sent_before


async def test_near_the_limit_of_headers_there_is_an_answer(stack: Stack) -> None:
    for count in (150, 185, 195):
        answer = ask(stack, request_headers(extra=[(b"x-%d" % n, b"a") for n in range(count)]))
        assert answer.refused or answer.status in (200, 431), count


def flood(frame: Frame | bytes, count: int) -> Iterator[bytes]:
    data = frame if isinstance(frame, bytes) else frame.serialize()
    yield from (data * 100 for _ in range(count // 100))


def empty_headers_flood(connection: Http2Connection) -> Iterator[bytes]:
    """A header block that goes on for ever in empty pieces (CVE-2024-27919 and its kin)."""
    yield HeadersFrame(1, connection.encoded(POST)).serialize()
    yield from flood(ContinuationFrame(1, b""), 20_000)


def endless_headers(connection: Http2Connection) -> Iterator[bytes]:
    yield HeadersFrame(1, connection.encoded(POST)).serialize()
    for number in range(200):
        yield ContinuationFrame(1, connection.encoded([(b"x-%d" % number, b"a" * 8000)])).serialize()


def compressed_bomb(connection: Http2Connection) -> Iterator[bytes]:
    """A few KB that unfold to megabytes: one indexed header, named thousands of times."""
    block = connection.encoded(request_headers(extra=[(b"x-bomb", b"b" * 4000)]))
    block += connection.encoded([(b"x-bomb", b"b" * 4000)]) * 5000
    yield HeadersFrame(1, block, flags=["END_HEADERS", "END_STREAM"]).serialize()


def empty_data_flood(connection: Http2Connection) -> Iterator[bytes]:
    yield HeadersFrame(1, connection.encoded(POST), flags=["END_HEADERS"]).serialize()
    yield from flood(DataFrame(1, b""), 30_000)


def too_many_streams(connection: Http2Connection) -> Iterator[bytes]:
    for number in range(300):
        yield HeadersFrame(1 + 2 * number, connection.encoded(POST), flags=["END_HEADERS"]).serialize()


def rapid_resets(connection: Http2Connection) -> Iterator[bytes]:
    for stream in range(1, 6000, 2):
        headers = HeadersFrame(stream, connection.encoded(POST), flags=["END_HEADERS", "END_STREAM"])
        yield headers.serialize() + RstStreamFrame(stream, 8).serialize()


FLOODS: dict[str, Callable[[Http2Connection], Iterator[bytes]]] = {
    "PING": lambda _: flood(PingFrame(0, b"12345678"), 60_000),
    "SETTINGS": lambda _: flood(SettingsFrame(0, {4: 65535}), 60_000),
    "PRIORITY": lambda _: flood(PriorityFrame(1, 0, 16, False), 60_000),
    "WINDOW_UPDATE": lambda _: flood(WindowUpdateFrame(0, window_increment=1), 60_000),
    "empty CONTINUATION": empty_headers_flood,
    "endless headers": endless_headers,
    "a compressed bomb": compressed_bomb,
    "empty DATA": empty_data_flood,
    "too many streams": too_many_streams,
}
BROKEN_FRAMES: dict[str, bytes] = {
    "DATA on no stream": b"\x00\x00\x01\x00\x00\x00\x00\x00\x00x",
    "DATA on an idle stream": DataFrame(7, b"x").serialize(),
    "a reset of an idle stream": RstStreamFrame(7, 8).serialize(),
    "HEADERS on an even stream": HeadersFrame(2, b"\x82", flags=["END_HEADERS", "END_STREAM"]).serialize(),
    "a header block that does not decode": HeadersFrame(1, b"\xff" * 40, flags=["END_HEADERS"]).serialize(),
    "a window that overflows": WindowUpdateFrame(0, window_increment=2**31 - 1).serialize() * 2,
    "a window that does not grow": WindowUpdateFrame(0, window_increment=1).serialize()[:-4] + bytes(4),
    "a frame that is too large": b"\xff\xff\xff\x00\x00\x00\x00\x00\x01" + b"a" * 1000,
    "a PING of the wrong size": b"\x00\x00\x03\x06\x00\x00\x00\x00\x00abc",
    "SETTINGS of the wrong size": b"\x00\x00\x05\x04\x00\x00\x00\x00\x00abcde",
    "a setting out of range": SettingsFrame(0, {5: 1}).serialize(),
    "CONTINUATION of nothing": ContinuationFrame(1, b"x").serialize(),
    "a push promise of a client": b"\x00\x00\x04\x05\x04\x00\x00\x00\x01\x00\x00\x00\x02",
}


def send_until_closed(connection: Http2Connection, pieces: Iterator[bytes]) -> None:
    try:
        for piece in pieces:
            connection.send_frames([piece])
    except ConnectionError:
        return  # the peer has had enough


@pytest.mark.parametrize("what", FLOODS)
async def test_a_flood_costs_the_connection_and_nobody_else(stack: Stack, what: str) -> None:
    began = time.monotonic()
    with http2_connection(stack) as connection:
        send_until_closed(connection, FLOODS[what](connection))
        # Streams that were opened before the limit may hold the slots for a moment, until Envoy has closed them.
        await eventually(lambda: next_answer(stack).status_code, lambda status: status == 200)

    assert time.monotonic() - began < 30
    assert stack.simulator.stats()["max_in_flight"] <= 20


async def test_broken_frames_end_the_connection(stack: Stack) -> None:
    def is_closed(frames: bytes) -> bool:
        with http2_connection(stack) as connection:
            send_until_closed(connection, iter([frames]))
            return connection.is_closed_by_peer(within=20)

    with ThreadPoolExecutor(len(BROKEN_FRAMES)) as pool:
        closed = dict(zip(BROKEN_FRAMES, pool.map(is_closed, BROKEN_FRAMES.values()), strict=True))

    assert [what for what, is_so in closed.items() if not is_so] == []


async def test_requests_taken_back_at_once_are_bounded_and_leave_no_slot_taken(stack: Stack) -> None:
    """The rapid reset (CVE-2023-44487): each request costs the client two small frames."""
    stack.simulator.use(delay=5)
    with http2_connection(stack) as connection:
        send_until_closed(connection, rapid_resets(connection))
        assert connection.is_closed_by_peer()

    await eventually(lambda: stack.metric("zai_proxy_concurrent_requests"), lambda slots: slots == 0)
    assert stack.simulator.stats()["max_in_flight"] <= 20


async def test_requests_taken_back_later_free_their_slots(stack: Stack) -> None:
    stack.simulator.use(delay=5)
    with http2_connection(stack) as connection:
        streams = [connection.request(POST, b'{"stream": true}') for _ in range(10)]
        await eventually(lambda: stack.metric("zai_proxy_concurrent_requests"), lambda slots: slots == 10)
        for stream in streams:
            connection.reset(stream)
        await eventually(lambda: stack.metric("zai_proxy_concurrent_requests"), lambda slots: slots == 0)


async def test_a_body_that_ignores_the_window_is_cut_off_and_takes_no_memory(stack: Stack) -> None:
    """Flow control bounds what a client can make the proxy hold while the upstream does not read."""
    memory = stack.envoy_stat("server.memory_allocated")
    stack.simulator.process.signal(signal.SIGSTOP)
    try:
        with http2_connection(stack) as connection:
            stream = connection.request(POST, None)
            send_until_closed(connection, flood(DataFrame(stream, b"x" * 16_384), 2_000))
            assert stack.envoy_stat("server.memory_allocated") - memory < 10_000_000
            assert connection.answer(stream).refused
    finally:
        stack.simulator.process.signal(signal.SIGCONT)


async def test_credentials_in_trailers_stay_here(stack: Stack) -> None:
    with http2_connection(stack) as connection:
        body = b'{"model": "glm-5.3", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}'
        headers = HeadersFrame(1, connection.encoded(POST), flags=["END_HEADERS"])
        trailers: list[Header] = [(b"x-api-key", b"client"), (b"x-zai-admitted", b"1")]
        ending = HeadersFrame(1, connection.encoded(trailers), flags=["END_HEADERS", "END_STREAM"])
        connection.send_frames([headers, DataFrame(1, body), ending])
        await eventually(stack.simulator.log, lambda log: bool(log) and log[-1]["status"] is not None)

    (entry,) = stack.simulator.log()
    assert entry["status"] == 200
    assert entry["key_seen_in"] == ["x-api-key"]
