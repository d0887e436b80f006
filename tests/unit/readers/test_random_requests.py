"""What a request asks for stands anywhere at its top: never within a message or the schema of a tool."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.readers.lua import line, pieces, requests
from tests.unit.readers.reference import read_request
from tests.unit.readers.streams import CUTS, asked, damaged, written

bounded = settings(derandomize=True, deadline=None, max_examples=200)
BODIES = st.builds(
    lambda mark, body: mark + body, st.sampled_from([b"", b"", b"\xef\xbb\xbf", b"\n "]), written(asked())
)


def read(body: bytes, cuts: list[int]) -> str:
    return requests().ended("", *pieces(body, cuts))


@bounded
@given(body=BODIES, cuts=CUTS)
def test_a_request_says_the_same_to_both_readers(body: bytes, cuts: list[int]) -> None:
    expected = line(read_request(body).facts)
    assert read(body, cuts) == expected
    assert requests().in_pieces_of(1, "", body) == expected


@bounded
@given(body=damaged(BODIES), cuts=CUTS)
def test_a_damaged_request_is_read_the_same_however_it_is_cut(body: bytes, cuts: list[int]) -> None:
    whole = read(body, [])
    assert read(body, cuts) == whole
    expected = read_request(body)
    if expected.is_clear:
        assert whole == line(expected.facts)


@pytest.mark.parametrize(
    ("body", "facts"),
    [
        ({"model": "glm-5.3", "max_tokens": 100, "stream": True, "messages": []}, ("glm-5.3", True, 100)),
        (
            {"messages": [{"role": "user", "content": '"model": "no", {"stream": true}'}], "model": "glm-5.2"},
            ("glm-5.2", None, None),
        ),
        (
            {"tools": [{"input_schema": {"model": "no", "max_tokens": 5}}], "stream": False, "model": "glm-5.2"},
            ("glm-5.2", False, None),
        ),
        ({"max_completion_tokens": 7, "model": None}, (None, None, 7)),
        ({"input": [{"model": "no"}], "max_output_tokens": 8.0, "stream": "yes"}, (None, None, 8)),
        ({"model": ["no"], "stream": 1, "max_tokens": "9"}, (None, None, None)),
        ({"model": "claude-opus-4-6[1m]", "max_tokens": 0}, ("claude-opus-4-6[1m]", None, None)),
    ],
    ids=["first", "behind messages", "behind tools", "chat", "responses", "other types", "a long context"],
)
def test_what_matters_stands_at_the_top(body: object, facts: tuple[str | None, bool | None, int | None]) -> None:
    expected = dict(zip(("model", "stream", "max_tokens"), facts, strict=True))
    text = json.dumps(body).encode()
    told = line({name: value for name, value in expected.items() if value is not None})
    assert read(text, []) == told
    difference = requests().cut_that_matters("", text, told)
    assert difference is None


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"7", b"model=glm-5.3", b"", b'{"model": "glm-5.3"', b"{]"])
def test_what_is_no_json_object_says_nothing(body: bytes) -> None:
    assert read(body, []) == "unread=json"


def test_nesting_has_no_bound() -> None:
    deep = b'{"tools": ' + b'[{"a":' * 100_000 + b"1" + b"}]" * 100_000 + b', "model": "glm-5.3"}'
    assert read(deep, [5, 300_000, 900_000]) == "model=glm-5.3"


def test_a_long_prompt_takes_no_memory() -> None:
    head, piece, tail = b'{"messages": [{"content": "', b'\\"model\\": x ' * 5400, b'"}], "model": "glm-5.3"}'
    report, grown = requests().heap_of("", head, piece, 300, tail)
    assert report == "model=glm-5.3"
    assert grown < 1024
