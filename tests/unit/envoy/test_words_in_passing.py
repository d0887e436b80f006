"""Once an answer has begun its reader passes over what says nothing: it must never pass over what says something."""

import json
import re
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.envoy.lua import answers, event_pieces, line
from tests.unit.envoy.reference import read_answer
from tests.unit.envoy.streams import DULL, NAMELESS, ODD_DATA, OPENING, SINGLE_WORDS

DATA = [json.dumps(value).encode() for value in SINGLE_WORDS] + ODD_DATA
NAMES = (b"", b"event: message\n", b"event: error\n", b"event:error\n", b"event:  error\n", b"event: error_\n")
SPACES = (b"", b" ", b"  ", b"\t", b" \t ")
LINE_ENDS = (b"\n", b"\r\n", b"\r")


def silence(line_end: bytes = b"\n") -> bytes:
    events = b"".join(b"data: " + json.dumps(value).encode() + b"\n\n" for value in DULL)
    return events.replace(b"\n", line_end)


def forms(data: bytes) -> Iterator[bytes]:
    """The event, in all its forms."""
    data = data.replace(b"\n", b"\ndata:")
    yield from (name + b"data:" + space + data + b"\n\n" for name in NAMES for space in SPACES)
    yield b"data: " + data.replace(b": ", b":").replace(b", ", b",") + b"\n\n"
    yield b"data: " + data.replace(b": ", b" : ") + b"\n\n"
    yield b"data: " + data.replace(b": ", b":\t") + b"\n\n"
    yield b"data: " + data + b"\nevent: error\n\n"
    yield b"data: " + data.replace(b": ", b":\ndata: ").replace(b", ", b",\ndata:") + b"\n\n"
    yield b"data:\ndata: " + data + b"\n: comment\n\n"
    if b"\\" not in data:
        yield b"data: " + re.sub(rb'"[^"]*"', needlessly_escaped, data) + b"\n\n"


def needlessly_escaped(text: re.Match[bytes]) -> bytes:
    """The same text, with one of its letters as an escape that JSON does not need."""
    return re.sub(rb"[a-z]|_", lambda letter: b"\\u%04x" % ord(letter[0]), text[0], count=1)


@pytest.mark.parametrize("opening", [OPENING, NAMELESS], ids=["the model is known", "the model is not known"])
@pytest.mark.parametrize("data", DATA, ids=lambda data: data.decode()[:40] or "nothing")
def test_a_word_is_found_among_events_that_say_nothing(data: bytes, opening: bytes) -> None:
    for event in forms(data):
        expected = line(read_answer("events", opening + silence() + event + silence()).facts)
        for end in LINE_ENDS:
            said = silence(end) + event.replace(b"\n", end) + silence(end)
            assert answers().ended("events", opening, said) == expected, said
            assert answers().ended("events", opening, *event_pieces(said)) == expected, said


@pytest.mark.parametrize("data", DATA, ids=lambda data: data.decode()[:40] or "nothing")
def test_a_word_is_found_however_its_event_is_cut(data: bytes) -> None:
    event = b"event: error\nid: 7\ndata: " + data.replace(b"\n", b"\ndata:") + b"\n\n"
    expected = line(read_answer("events", OPENING + event).facts)
    for end in LINE_ENDS:
        body = silence(end) + event.replace(b"\n", end) + silence(end)
        difference = answers().cut_that_matters("events", OPENING + body, expected)
        assert difference is None


FRAMES = st.sampled_from(
    [
        (b'event: content_block_delta\ndata: {"type": "content_block_delta", "delta": {"text": "', b'"}}\n\n'),
        (b'data: {"choices":[{"index":0,"delta":{"content":"', b'"}}]}\n\n'),
        (b'data: {"choices":[{"index":0,"delta":{"content":"', b'"},"finish_reason":null}]}\n\n'),
        (b'data: {"type":"response.output_text.delta","sequence_number":7,"delta":"', b'"}\n\n'),
        (b'data: {"x":"\\"text\\": \\"y", "text": "', b'"}\n\n'),
    ]
)
# What breaks out of a text, and what looks as if it did.
WITHIN = st.lists(
    st.sampled_from(
        [
            b"word",
            b"[DONE]",
            b"usage",
            b"\\",
            b'"',
            b'\\"',
            b"\n",
            b"\r",
            b"\n\n",
            b"data: [DONE]\n\n",
            b'","usage":{"output_tokens":7},"y":"',
            b'"}}\n\nevent: error\ndata: {"error":{"message":"',
            b'"}}]}\n\ndata: [1305][busy]\n\ndata: {"x":"',
            b"\\u0022,\\u0065rror",
        ]
    ),
    max_size=4,
).map(b"".join)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(
    frame=FRAMES,
    texts=st.lists(WITHIN, min_size=1, max_size=8),
    opening=st.sampled_from([OPENING, NAMELESS]),
    last=st.sampled_from([b"", b"data: [DONE]\n\n", b'data: {"error": {"code": "1305"}}\n\n']),
)
def test_what_breaks_out_of_a_text_is_found_among_events_that_differ_in_it_alone(
    frame: tuple[bytes, bytes], texts: list[bytes], opening: bytes, last: bytes
) -> None:
    head, tail = frame
    told = [head + text + tail for text in [b"a", b"word", *texts, b"b"]] + [last]
    body = opening + b"".join(told)

    report = answers().ended("events", opening, *told)

    assert report == answers().in_pieces_of(1, "events", body)
    expected = read_answer("events", body)
    assert report == line(expected.facts) or not expected.is_clear
    if expected.is_clear:
        assert answers().told_sizes("events", [opening, *told])[-1].events == expected.events


@pytest.mark.parametrize("line_end", LINE_ENDS, ids=["lf", "crlf", "cr"])
@pytest.mark.parametrize("behind", [b"\n", b"\n\n", b" trailing\n"], ids=["a line", "an event", "a line with more"])
def test_an_error_without_a_field_is_found_among_events_that_say_nothing(behind: bytes, line_end: bytes) -> None:
    for value in SINGLE_WORDS:
        for text in (json.dumps(value), json.dumps(value, indent=2)):
            event = text.encode() + behind
            expected = line(read_answer("events", OPENING + silence() + event + silence()).facts)
            said = (silence() + event + silence()).replace(b"\n", line_end)
            assert answers().ended("events", OPENING, said) == expected, said
            assert answers().ended("events", OPENING, *event_pieces(said)) == expected, said
            assert answers().in_pieces_of(1, "events", OPENING + said) == expected, said


def test_json_without_a_field_is_no_error_where_it_says_nothing_of_one() -> None:
    for bare in (b'{"choices": [{"delta": {"content": "x"}}]}', b'{"text": {"error": {"code": "1308"}}}', b'{"error'):
        assert "code=" not in answers().ended("events", OPENING + bare + b"\n\n" + silence())
