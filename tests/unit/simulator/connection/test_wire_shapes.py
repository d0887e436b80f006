"""What the bytes look like: packets, line ends, compression, framing, trailers, sizes, times."""

import gzip
import hashlib
import json
import re
import socket
import time
import zlib
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from simulator.plan.keys import NOBODYS_KEY
from tests.unit.simulator.talk import (
    BODIES,
    CHAT,
    MESSAGES,
    RESPONSES,
    SPOKEN,
    Api,
    dechunked,
    events,
    read_all,
    read_until,
)

CLOSE = "connection: close\r\n"
PAUSE = 1.0
"""Seconds: long enough that a busy machine sees what stands before it and what stands behind it apart."""


def body_of(api: Api, path: str, stream: bool, headers: str = CLOSE, **scenario: Any) -> tuple[str, bytes]:
    """Head and raw body of an answer, read to the end of the connection."""
    with api.raw(path, stream, headers, **scenario) as connection:
        head, _, body = read_all(connection).partition(b"\r\n\r\n")
    return head.decode().lower(), body


def chunk_sizes(body: bytes) -> list[int]:
    sizes = []
    while body:
        size, _, body = body.partition(b"\r\n")
        sizes.append(int(size, 16))
        body = body[sizes[-1] + 2 :]
    return sizes


@pytest.mark.parametrize("path", SPOKEN)
@pytest.mark.parametrize("pieces", ["byte", "utf8", "batch"])
def test_the_same_bytes_come_in_whatever_pieces(api: Api, path: str, pieces: str) -> None:
    plain = api.ask(path, stream=True, text="naïve 明白 🙂").text
    cut = api.ask(path, stream=True, text="naïve 明白 🙂", pieces=pieces).text

    assert without_ids(cut) == without_ids(plain)


def without_ids(text: str) -> str:
    """The same without what differs from one answer to the next."""
    return re.sub(r"\d{10}[0-9a-f]{,20}", "", text)


def test_one_byte_a_packet_is_one_byte_a_chunk(api: Api) -> None:
    _, body = body_of(api, MESSAGES, stream=True, pieces="byte", events=1)

    assert set(chunk_sizes(body)) == {1, 0}


def test_characters_are_split_between_packets(api: Api) -> None:
    _, body = body_of(api, CHAT, stream=True, pieces="utf8", text="明白", thinking=0)

    assert b"\xe6\r\n" in body
    assert "明白" in dechunked(body)[0].decode()


def test_a_batch_holds_many_events(api: Api) -> None:
    _, body = body_of(api, MESSAGES, stream=True, pieces="batch", events=500)

    sizes = chunk_sizes(body)
    assert len(sizes) < 10
    assert max(sizes) > 16_000


def test_an_event_is_a_packet_by_default(api: Api) -> None:
    _, body = body_of(api, CHAT, stream=True, thinking=0, events=5)

    assert len(chunk_sizes(body)) == 5 + 1 + 1 + 1


@pytest.mark.parametrize(("line_end", "characters"), [("lf", "\n"), ("crlf", "\r\n"), ("cr", "\r")])
def test_lines_end_as_asked(api: Api, line_end: str, characters: str) -> None:
    text = api.ask(MESSAGES, stream=True, line_end=line_end, comments=2).text

    assert text.startswith(f"event: message_start{characters}data: ")
    assert text.endswith(characters * 2)
    assert set(text) & {"\r", "\n"} == set(characters)


def test_comments_come_between_events(api: Api) -> None:
    text = api.ask(CHAT, stream=True, thinking=0, events=6, comments=2).text

    assert text.count("\n: keep-alive\n\n") == 3
    assert len(events(text)) == 7


def test_json_is_compressed_for_those_who_offer_it(api: Api) -> None:
    response = api.http.post(
        MESSAGES,
        json={"model": "glm-5.2", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]},
        headers={"accept-encoding": "gzip, br"},
    )

    assert response.headers["content-encoding"] == "gzip"
    assert response.json()["type"] == "message"


def test_streams_and_those_who_offer_nothing_get_plain_bytes(api: Api) -> None:
    assert "content-encoding" not in api.ask(MESSAGES).headers
    api.http.headers["accept-encoding"] = "gzip"
    assert "content-encoding" not in api.ask(MESSAGES, stream=True).headers
    assert "content-encoding" not in api.ask(MESSAGES, gzip="never").headers


def test_a_stream_can_be_compressed_event_by_event(api: Api) -> None:
    head, body = body_of(api, MESSAGES, True, f"accept-encoding: gzip\r\n{CLOSE}", gzip="all", events=3)

    sizes = chunk_sizes(body)
    first = dechunked(body)[0][: sizes[0]]
    assert "content-encoding: gzip" in head
    assert b"message_start" in zlib.decompressobj(wbits=31).decompress(first)
    assert gzip.decompress(dechunked(body)[0]).endswith(b'data: {"type": "message_stop"}\n\n')


def test_compression_can_come_unasked(api: Api) -> None:
    head, body = body_of(api, MESSAGES, False, gzip="forced")

    assert "content-encoding: gzip" in head
    assert json.loads(gzip.decompress(body))["type"] == "message"


@pytest.mark.parametrize(("framing", "shown"), [("length", "content-length"), ("chunked", "transfer-encoding")])
def test_a_body_tells_its_end_as_asked(api: Api, framing: str, shown: str) -> None:
    response = api.ask(MESSAGES, framing=framing)

    assert shown in response.headers
    assert response.json()["type"] == "message"


def test_a_body_can_end_with_its_connection(api: Api) -> None:
    head, body = body_of(api, MESSAGES, False, "", framing="close")

    assert "content-length" not in head
    assert "transfer-encoding" not in head
    assert "connection: close" in head
    assert json.loads(body)["type"] == "message"


@pytest.mark.parametrize("stream", [False, True], ids=["json", "sse"])
def test_trailers_follow_the_last_chunk(api: Api, stream: bool) -> None:
    head, body = body_of(api, MESSAGES, stream, trailers={"x-sum": "abc", "x-more": "1"})

    assert "trailer: x-sum, x-more" in head
    assert dechunked(body)[1] == b"x-sum: abc\r\nx-more: 1\r\n\r\n"


def test_an_old_client_gets_no_chunks(api: Api) -> None:
    with api.raw(MESSAGES) as connection:
        read_until(connection, b"}}")
    request = f"GET /api/paas/v4/models HTTP/1.0\r\nauthorization: Bearer {api.key}\r\nx-sim: {{}}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", api.simulator.port), timeout=5) as connection:
        connection.sendall(request.replace("{}", '{"framing": "chunked"}').encode())
        head, _, body = read_all(connection).partition(b"\r\n\r\n")

    assert b"transfer-encoding" not in head.lower()
    assert json.loads(body)["object"] == "list"


@pytest.mark.parametrize("path", SPOKEN)
def test_an_answer_of_9_mb_arrives_whole(api: Api, path: str) -> None:
    response = api.ask(path, content_bytes=9_000_000)

    assert len(response.content) > 9_000_000
    assert hashlib.sha256(response.content).hexdigest() == api.settled()["response_sha256"]


@pytest.mark.parametrize("path", SPOKEN)
def test_an_event_can_be_huge(api: Api, path: str) -> None:
    response = api.ask(path, stream=True, event_bytes=3_000_000, events=2, thinking=0)

    assert max(len(line) for line in response.content.splitlines()) > 3_000_000
    assert hashlib.sha256(response.content).hexdigest() == api.settled()["response_sha256"]


@pytest.mark.parametrize("size", [1, 2, 3, 100, 1000])
def test_an_event_has_exactly_the_size_asked_for(api: Api, size: int) -> None:
    seen = events(api.ask(CHAT, stream=True, thinking=0, events=1, event_bytes=size).text)

    assert len(seen[0]["choices"][0]["delta"]["content"].encode()) == size


def test_content_is_spread_over_the_events(api: Api) -> None:
    seen = events(api.ask(CHAT, stream=True, thinking=0, events=7, content_bytes=100).text)

    texts = [event["choices"][0]["delta"]["content"] for event in seen]
    assert len(texts) == 7 + 1
    assert sum(len(text.encode()) for text in texts) == 100


def test_the_content_type_can_be_wrong_or_missing(api: Api) -> None:
    assert api.ask(MESSAGES, content_type="text/plain").headers["content-type"] == "text/plain"
    assert "content-type" not in api.ask(MESSAGES, content_type="").headers


def test_headers_can_be_added(api: Api) -> None:
    headers = {"anthropic-ratelimit-requests-remaining": "7", "X-Odd": "yes"}

    response = api.ask(MESSAGES, headers=headers)

    assert response.headers["anthropic-ratelimit-requests-remaining"] == "7"
    assert response.headers["x-odd"] == "yes"


def test_only_the_headers_that_are_stated_can_come(api: Api) -> None:
    response = api.ask(CHAT, own_headers=False, headers={"server": "other", "x-process-time": "9"})

    assert dict(response.headers) == {
        "server": "other",
        "x-process-time": "9",
        "content-type": "application/json; charset=utf-8",
        "content-length": response.headers["content-length"],
        "connection": "keep-alive",
    }


@pytest.mark.parametrize("own_headers", [True, False])
def test_the_clock_can_be_wrong_and_the_zone_another(api: Api, own_headers: bool) -> None:
    response = api.ask(CHAT, own_headers=own_headers, date_ahead=-3600, log_id_ahead=-8 * 3600)

    date = parsedate_to_datetime(response.headers["date"]).timestamp()
    stamp = datetime.strptime(response.headers["x-log-id"][:14], "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp()
    assert abs(time.time() - 3600 - date) < 60
    assert abs(time.time() - stamp) < 60
    assert len(response.headers["x-log-id"]) == 30


@pytest.mark.parametrize("ahead", ["1", True, 1e9])
def test_a_clock_is_wrong_by_a_number_of_seconds(api: Api, ahead: object) -> None:
    assert "date_ahead: " in api.ask(CHAT, date_ahead=ahead).text


def test_a_rule_for_wrong_keys_decides_what_they_get(api: Api) -> None:
    rule = {"match": {"key": "wrong"}, "answer": {"code": "1000", "status": 403}}
    api.simulator.set_default_scenario({"rules": [rule]})
    bodies = {"json": BODIES[CHAT], "headers": {"authorization": f"Bearer {NOBODYS_KEY}"}}

    assert api.ask(CHAT).status_code == 200
    assert api.http.post(CHAT, **bodies).status_code == 403


@pytest.mark.parametrize("stream", [False, True], ids=["json", "sse"])
def test_an_answer_can_start_slowly(api: Api, stream: bool) -> None:
    started = time.monotonic()
    with api.raw(MESSAGES, stream, delay=0.15) as connection:
        read_until(connection, b"HTTP/1.1 200")

    assert time.monotonic() - started >= 0.15


def test_the_first_event_can_come_long_after_the_headers(api: Api) -> None:
    started = time.monotonic()
    with api.raw(MESSAGES, True, first_event_delay=PAUSE) as connection:
        head = read_until(connection, b"\r\n\r\n")
        read_until(connection, b"message_start")

    assert head.endswith(b"\r\n\r\n")
    assert time.monotonic() - started >= PAUSE


def test_a_pause_lies_between_two_events(api: Api) -> None:
    started = time.monotonic()

    api.ask(CHAT, stream=True, thinking=0, events=5, pause=0.05)

    assert time.monotonic() - started >= 0.2


def test_thinking_can_fall_silent_in_the_middle(api: Api) -> None:
    started = time.monotonic()
    with api.raw(CHAT, True, thinking=4, events=2, gap=PAUSE, gap_after=2) as connection:
        before = read_until(connection, b"me ")
        read_until(connection, b"[DONE]")

    assert b"[DONE]" not in before
    assert time.monotonic() - started >= PAUSE


def test_nothing_is_held_back_between_events(api: Api) -> None:
    with api.raw(RESPONSES, True, thinking=0, events=3, pause=PAUSE) as connection:
        first = read_until(connection, b"output_text.delta")

    assert first.count(b"event: response.output_text.delta") == 1


@pytest.mark.parametrize(
    "nonsense", [b"GARBAGE\r\n\r\n", b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"]
)
def test_what_is_no_http_gets_a_400_and_one_line_in_the_log(
    api: Api, nonsense: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_connection(("127.0.0.1", api.simulator.port), timeout=5) as connection:
        connection.sendall(nonsense)
        assert b" 400 Bad Request\r\n" in read_all(connection)

    assert all(record.exc_info is None for record in caplog.records)
    assert api.ask(MESSAGES).status_code == 200


def test_thousands_of_events_a_second(api: Api) -> None:
    def seconds_of_a_stream() -> float:
        started = time.monotonic()
        api.ask(MESSAGES, stream=True, events=5000)
        return time.monotonic() - started

    assert any(seconds_of_a_stream() < 2 for _ in range(5))
    assert api.settled()["events_sent"] == 5000
