"""Events that differ from the one before in their text alone are passed over by their frame, and no others are."""

from typing import Final

import pytest

from tests.unit.envoy.lua import answers, event_pieces, line
from tests.unit.envoy.reference import read_answer
from tests.unit.envoy.streams import NAMELESS, OPENING

MESSAGES: Final = (
    b"event: content_block_delta\n"
    b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"%b"}}\n\n'
)
THINKING: Final = MESSAGES.replace(b"text_delta", b"thinking_delta").replace(b'"text"', b'"thinking"')
ARGUMENTS: Final = MESSAGES.replace(b"text_delta", b"input_json_delta").replace(b'"text"', b'"partial_json"')
CHAT: Final = (
    b'data: {"id":"1","model":"glm-4.6","choices":[{"index":0,"delta":{"role":"assistant","content":"%b"},'
    b'"finish_reason":null}]}\n\n'
)
REASONING: Final = CHAT.replace(b'"content"', b'"reasoning_content"')
SPACED: Final = CHAT.replace(b'":', b'": ').replace(b',"', b', "')
RESPONSES: Final = b'data: {"type":"response.output_text.delta","item_id":"m","output_index":0,"delta":"%b"}\n\n'
LAST_IS_MODEL: Final = b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}],"model":"glm-4.6"}\n\n'
FRAMES: Final = (MESSAGES, THINKING, ARGUMENTS, CHAT, REASONING, SPACED, RESPONSES, LAST_IS_MODEL)

TEXTS: Final = (
    b"",
    b" word",
    b"two\\nlines",
    b'a \\"quoted\\" word',
    b"ends with a backslash \\\\",
    b"never closes its quote \\",
    b"message_stop",
    b"message",
    b"usage",
    b"model",
    b"error",
    b"[DONE]",
    b"[1305][overloaded]",
    b"\\u0065rror",
    b"a raw \n line end",
    b"a raw\n\nevent end",
    b"a raw \r return",
    b'ends","usage":{"input_tokens":9,"output_tokens":77},"x":"early',
    b'ends"}},"usage":{"input_tokens":9,"output_tokens":77},"error":{"code":"1305","message":"early',
    b'ends"}\n\ndata: {"error":{"code":"1302","message":"refused',
    b'a \\" and then","usage":{"input_tokens":9,"output_tokens":78},"x":"',
)


@pytest.mark.parametrize("opening", [OPENING, NAMELESS], ids=["the model is known", "the model is not known"])
@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: frame.decode()[-60:].strip())
@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text.decode()[:30] or "nothing")
def test_an_event_a_piece_says_what_the_whole_says(text: bytes, frame: bytes, opening: bytes) -> None:
    events = [frame % each for each in (b"first", b"second", text, b"third", text, text, b"last")]
    whole = opening + b"".join(events)
    assert answers().ended("events", *event_pieces(opening), *events) == answers().ended("events", whole)
    expected = read_answer("events", whole)
    if expected.is_clear:
        assert answers().ended("events", *event_pieces(opening), *events) == line(expected.facts)


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: frame.decode()[-60:].strip())
@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text.decode()[:30] or "nothing")
def test_events_and_bytes_are_counted_as_in_the_whole(text: bytes, frame: bytes) -> None:
    events = [frame % each for each in (b"first", b"second", text, b"third", text, text, b"last")]
    whole = OPENING + b"".join(events)
    in_pieces = answers().told_sizes("events", [*event_pieces(OPENING), *events])[-1]
    at_once = answers().told_sizes("events", [whole])[-1]
    assert (in_pieces.events, in_pieces.bytes, in_pieces.apart) == (at_once.events, at_once.bytes, at_once.apart)


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: frame.decode()[-60:].strip())
@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text.decode()[:30] or "nothing")
def test_several_events_a_piece_say_what_the_whole_says(text: bytes, frame: bytes) -> None:
    """Once a frame is known; the pieces end with an event, or within one."""
    learned = [*event_pieces(OPENING), frame % b"first", frame % b"second"]
    rest = b"".join(frame % each for each in (b"third", b"fourth", text, b"fifth", text, b"sixth", b"last"))
    whole = b"".join(learned) + rest
    expected, sizes = answers().ended("events", whole), answers().told_sizes("events", [whole])[-1]
    for cut in (len(rest), *range(1, len(rest), 23)):
        pieces = [*learned, *filter(None, (rest[:cut], rest[cut:]))]
        assert answers().ended("events", *pieces) == expected, cut
        told = answers().told_sizes("events", pieces)[-1]
        assert (told.events, told.bytes, told.apart) == (sizes.events, sizes.bytes, sizes.apart), cut


def test_what_changes_the_end_of_a_frame_is_read() -> None:
    said = [
        MESSAGES % b"first",
        MESSAGES % b"second",
        (MESSAGES % b"third").replace(b"}}\n", b'},"usage":{"output_tokens":5}}\n'),
    ]
    expected = line(read_answer("events", OPENING + b"".join(said)).facts)
    assert "output_tokens=5" in expected
    assert answers().ended("events", *event_pieces(OPENING), *said) == expected
