"""Once an answer has begun its reader passes over what says nothing: it must never pass over what says something."""

import json
import re
from collections.abc import Iterator

import pytest

from tests.unit.readers.lua import answers, event_pieces, line
from tests.unit.readers.reference import read_answer
from tests.unit.readers.streams import DULL, NAMELESS, ODD_DATA, OPENING, SINGLE_WORDS

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
