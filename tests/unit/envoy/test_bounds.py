"""Nothing that is large makes the readers large, and what is absurd is read the same however it is cut."""

import pytest

from tests.harness.answer_cases import (
    DONE,
    LAST_CHUNK,
    MESSAGE_STOP,
    OPENED,
    STOPPED,
    USAGE,
    chunk,
    event,
    message_delta,
)
from tests.unit.envoy.lua import answers, line
from tests.unit.envoy.reference import LARGEST_EVENT, read_answer

PIECE = 65536
FOR_64_MB, FOR_19_MB, FOR_4_MB = 1024, 300, 64  # pieces; 19 MB are beyond the bound of an event
ONE_MIB = 1024.0
OPENING = b"".join(OPENED)
CLOSING = message_delta(input_tokens=9, output_tokens=2) + MESSAGE_STOP
SPOKEN = "begun=true;first=good;kind=events;model=glm-5.3"
ENDED = "begun=true;final=true;first=good;input_tokens=9;kind=events;model=glm-5.3;output_tokens=2;stop=end_turn"
TEXT = b'a \\"word\\" [and] {another} \\\\ ' * (PIECE // 30)
DELTA = b'event: content_block_delta\ndata: {"type": "content_block_delta", "delta": {"text": "'


@pytest.mark.parametrize(
    ("head", "piece", "tail", "report"),
    [
        (OPENING + DELTA, TEXT, b'"}}\n\n' + CLOSING, f"{ENDED};unread=size"),
        (DELTA, TEXT, b'"}, "model": "glm-5.3"}\n\n', "first=good;kind=events;unread=size"),
        (OPENING + b'data: {"a": ', b"[" * PIECE, b"\n\n" + CLOSING, f"{ENDED};unread=size"),
        (OPENING + b'data: {"usage": {"input_tokens": ', b"1" * PIECE, b"}}\n\n" + CLOSING, f"{ENDED};unread=size"),
        (OPENING + b"data: ", b"x" * PIECE, b"\n\n" + CLOSING, ENDED),
        (OPENING, b"data:\n" * (PIECE // 6), b"\n" + CLOSING, ENDED),
        (OPENING + b": ", b"x" * PIECE, b"\n\n" + CLOSING, ENDED),
        (OPENING + b"event: ", b"x" * PIECE, b"\n\n" + CLOSING, ENDED),
        (OPENING, b"\r\n" * (PIECE // 2), CLOSING, ENDED),
        (b"", b"\n" * PIECE, OPENING, SPOKEN),
        (b"", b" " * PIECE, b"\n\n" + OPENING, SPOKEN),
    ],
    ids=[
        "a text",
        "a text in front of the model",
        "brackets",
        "a number",
        "data that is no JSON",
        "lines of data",
        "a comment",
        "a name",
        "line ends",
        "line ends at the start",
        "spaces at the start",
    ],
)
def test_megabytes_of_a_stream_take_no_memory(head: bytes, piece: bytes, tail: bytes, report: str) -> None:
    got, grown = answers().heap_of("events", head, piece, FOR_64_MB if piece is TEXT else FOR_19_MB, tail)
    assert sorted(got.split(";")) == sorted(report.split(";"))
    assert grown < ONE_MIB


@pytest.mark.parametrize(
    ("head", "piece", "tail"),
    [
        (b'{"content": [{"text": "', TEXT, b'"}], "model": "glm-5.3", "usage": {"output_tokens": 7}}'),
        (b'{"model": "', b"glm-5.3" * (PIECE // 7), b'", "usage": {"output_tokens": 7}}'),
        (b'{"content": [', b"[]," * (PIECE // 3), b'1], "usage": {"output_tokens": 7}, "model": "glm-5.3"}'),
        (b'{"', TEXT, b'": 1, "usage": {"output_tokens": 7}, "model": "glm-5.3"}'),
        (b'{"model": "glm-5.3", "usage": {"output_tokens": 7, "n": ', b"1" * PIECE, b"}}"),
    ],
    ids=["a text", "a model", "brackets", "a key", "a number"],
)
def test_megabytes_of_json_take_no_memory(head: bytes, piece: bytes, tail: bytes) -> None:
    got, grown = answers().heap_of("json", head, piece, FOR_64_MB if piece is TEXT else FOR_4_MB, tail)
    assert "final=true" in got
    assert "model=glm-5.3" in got
    assert "output_tokens=7" in got
    assert grown < ONE_MIB


def test_of_more_choices_than_anybody_asks_for_only_the_last_event_is_the_end() -> None:
    def finished(count: int) -> bytes:
        return b"".join(chunk(finish="stop", index=n) for n in range(count)) + event(None, {"usage": USAGE})

    for count in (128, 129, 5000):
        body = chunk("x") + finished(count)
        assert answers().ended("events", body) == line(read_answer("events", body).facts)
        assert ("final=true" in answers().ended("events", body)) == (count == 128)
        assert answers().ended("events", body + DONE) == line(STOPPED)


def test_an_event_of_10_mb_is_read_and_one_beyond_the_bound_is_not() -> None:
    def big(size: int) -> bytes:
        return event(None, b'{"delta": "' + b"x" * size + b'", "model": "glm-5.3"}')

    assert answers().in_pieces_of(PIECE, "events", big(10_000_000)) == "first=good;kind=events;model=glm-5.3"
    assert answers().in_pieces_of(PIECE, "events", big(LARGEST_EVENT)) == "first=good;kind=events;unread=size"
    assert answers().ended("events", big(LARGEST_EVENT)) == "first=good;kind=events;unread=size"


def test_the_answer_goes_on_behind_an_event_beyond_the_bound() -> None:
    body = event(None, b'{"delta": "' + b"x" * LARGEST_EVENT + b'"}') + chunk("x") + LAST_CHUNK + DONE
    assert answers().in_pieces_of(PIECE, "events", body) == line({**STOPPED, "unread": "size"})


def test_many_events_are_read_to_their_end() -> None:
    body = OPENING + DELTA.join([b""] + [b'word"}}\n\n'] * 70_000) + CLOSING
    assert answers().in_pieces_of(16_384, "events", body) == ENDED
    assert answers().in_pieces_of(101, "events", body) == ENDED


@pytest.mark.parametrize("opening", [b"", OPENING], ids=["at the start", "in passing"])
def test_nesting_has_no_bound(opening: bytes) -> None:
    deep = b'{"a": ' + b'[{"error":' * 50_000 + b"1" + b"}]" * 50_000 + b', "usage": {"output_tokens": 5}}'
    assert "output_tokens=5" in answers().in_pieces_of(4096, "events", opening + event(None, deep))
    assert "output_tokens=5" in answers().in_pieces_of(4096, "json", deep)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("events", b"data: " + b" " * 200 + b"[DONE]\n\n"),
        ("events", b"data: [DONE]" + b" " * 200 + b"\n\n"),
        ("events", b"data: [1305]" + b"x" * 300 + b"\n\n"),
        ("events", b" " * 300 + b'{"model": "glm-5.3"}'),
        ("events", b'data: {"code": "500", "msg": "' + b"x" * 3000 + b' NOT_FOUND"}\n\n'),
        ("events", b'data: {"error": {"type": "' + b"\\u0041" * 400 + b'"}}\n\n'),
        ("events", b'data: {"usage": {"output_tokens": 5' + b"0" * 70 + b"}}\n\n"),
        ("events", b'data: {"usage": {"output_tokens": 5' + b"0" * 58 + b".5}}\n\n"),
        ("events", b'data: {"usage": {"output_tokens": 5, "' + b"k" * 100 + b'": 1}}\n\n'),
        ("json", b'{"content": "' + b"x" * 9000 + b'", "error": {"code": "1305"}}'),
        ("json", b"[1305][" + b"x" * 9000 + b"]"),
        ("json", b'{"message": {"model": "a"}, "model": "b"}'),
        ("json", b'{"output": [], "error": {"code": "13'),
        ("json", b'{"error": {"code": "1305"}} {}'),
        ("text", b" " * 200 + b"[1305][busy][id]"),
        ("events", b"\n\xef\xbb\xbfdata: [DONE]\n\n"),
    ],
    ids=[
        "spaces before done",
        "spaces behind done",
        "a long message in brackets",
        "spaces before JSON",
        "a long message",
        "a long word",
        "a large number",
        "a long fraction",
        "a long key",
        "a late error",
        "a long text in brackets",
        "two models",
        "an error that is cut",
        "two objects",
        "spaces before a text",
        "a line before a mark",
    ],
)
def test_what_is_absurd_is_read_the_same_however_it_is_cut(kind: str, body: bytes) -> None:
    difference = answers().cut_that_matters(kind, body, answers().ended(kind, body))
    assert difference is None
    assert answers().in_pieces_of(1, kind, body) == answers().ended(kind, body)


def test_an_error_behind_a_long_answer_is_one() -> None:
    body = b'{"usage": {}, "log": "' + b"x" * 9000 + b'", "error": {"code": "1305"}}'
    expected = line(read_answer("json", body).facts)
    assert answers().ended("json", body) == expected
    assert answers().in_pieces_of(1000, "json", body) == expected
