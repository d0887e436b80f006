"""What a request asks for stands anywhere at its top: never within a message or the schema of a tool."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.envoy.lua import line, requests
from tests.unit.envoy.reference import read_request
from tests.unit.envoy.streams import asked, damaged, written

pytestmark = pytest.mark.slow

bounded = settings(derandomize=True, deadline=None, max_examples=200)
BODIES = st.builds(
    lambda mark, body: mark + body, st.sampled_from([b"", b"", b"\xef\xbb\xbf", b"\n "]), written(asked())
)


ENDS = st.integers(1, 3000)


def with_all_three(fields: dict[str, object]) -> dict[str, object]:
    """One of each: two names of the most tokens are like two equal keys."""
    others = {name: value for name, value in fields.items() if not name.endswith("_tokens")}
    return {**others, "model": "glm-5.3", "stream": True, "max_tokens": 7}


@bounded
@given(body=BODIES, first=ENDS, last=st.lists(ENDS, max_size=3))
def test_a_request_says_the_same_to_both_readers(body: bytes, first: int, last: list[int]) -> None:
    expected = line(read_request(body).facts)
    assert requests().read(body) == expected
    assert requests().read(body, first, last) == expected


@bounded
@given(body=damaged(BODIES), first=ENDS, last=st.lists(ENDS, max_size=3))
def test_a_damaged_request_is_read_or_said_to_be_unread(body: bytes, first: int, last: list[int]) -> None:
    expected = read_request(body)
    if expected.is_clear:
        assert requests().read(body) == line(expected.facts)
    requests().read(body, first, last)


@settings(bounded, max_examples=20)
@given(body=written(asked().map(with_all_three)).filter(lambda body: len(body) < 400))
def test_what_stands_at_the_ends_is_what_stands_in_the_whole(body: bytes) -> None:
    difference = requests().ends_that_matter(body, line(read_request(body).facts))
    assert difference is None


MODEL_BEHIND = [
    b'"model": "a", "stream": false, "max_tokens": 7}',
    b'"model":"a\\\\\\"\\\\","stream":true,"max_tokens":7, "system": "\\\\\\\\", "user": "\\"}]"} \r\n\t',
    b'"max_tokens": 7, "stream": true, "model": "a", "tools": [{"model": "no", "a": [{"b,": "}{[\\","}, 1]}], "n": -1}',
    b'"stream": true, "model": "a", "max_tokens": 7, "x": {"n": 1, "model": "no", "stream": false, "max_tokens": 1}}',
]


@pytest.mark.parametrize("end", MODEL_BEHIND, ids=["plain", "backslashes", "brackets", "the same within"])
def test_of_a_long_body_the_ends_are_enough(end: bytes) -> None:
    start = b'{"messages": [{"model": "no", "text": "\\"\\\\"}, '
    body = start + b'"[", {"stream": 1},' * 100 + b' "x"], ' + end
    expected = line(read_request(body).facts)
    assert requests().read(body, 20, [len(end) + 4]) == expected
    assert requests().bytes_read(body, 20, [len(end) + 4]) == 20 + len(end) + 4
    assert requests().bytes_read(body, 20, [4, len(end) + 4]) == 20 + 4 + len(end) + 4


@pytest.mark.parametrize("end", MODEL_BEHIND, ids=["plain", "backslashes", "brackets", "the same within"])
def test_where_the_ends_end_does_not_matter(end: bytes) -> None:
    body = b'{"messages": [{"model": "no", "stream": false, "max_tokens": 1}, "\\", {\\"a\\": [", "\\\\"], ' + end
    difference = requests().ends_that_matter(body, line(read_request(body).facts))
    assert difference is None


def test_of_two_equal_keys_the_last_one_counts() -> None:
    """As in most parsers; the middle of a long body is not looked at once both ends have said everything."""
    first, last = (
        b'{"model": "a", "stream": true, "max_tokens": 1, ',
        b'"model": "b", "stream": false, "max_tokens": 2}',
    )
    body = first + b'"messages": ["' + b"x" * 100 + b'"], ' + last
    assert requests().read(body) == "max_tokens=2;model=b;stream=false"
    assert requests().read(body, len(first), [len(last) + 10]) == "max_tokens=2;model=b;stream=false"


def test_what_is_not_at_the_ends_is_looked_for_between_them() -> None:
    body = b'{"messages": ["' + b"x" * 100 + b'"], "model": "a", "input": ["' + b"y" * 100 + b'"], "stream": true}'
    assert requests().read(body, 50, [20, 60]) == "model=a;stream=true"


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
    assert requests().read(text) == told
    difference = requests().ends_that_matter(text, told)
    assert difference is None


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"7", b"model=glm-5.3", b"", b'{"model": "glm-5.3"', b"{]"])
def test_what_is_no_json_object_says_nothing(body: bytes) -> None:
    assert requests().read(body) == "unread=json"


@pytest.mark.parametrize(
    "body",
    [
        b'x{"text": "xxxxxxxxxxxxxxxxxxxx", "model": "a", "stream": true, "max_tokens": 7}',
        b'[{"text": "xxxxxxxxxxxxxxxxxxxx", "model": "a", "stream": true, "max_tokens": 7}]',
        b'{"text": "xxxxxxxxxxxxxxxxxxxx", "model": "a", "stream": true, "max_tokens": 7 7}',
    ],
)
def test_an_end_that_looks_like_an_objects_says_nothing_of_what_is_none(body: bytes) -> None:
    assert requests().read(body, 10, [60]) == "unread=json"


def test_an_object_behind_the_first_says_nothing() -> None:
    body = b'{"model": "a"} {"text": "", "model": "b", "stream": true, "max_tokens": 7}'
    assert requests().read(body, 1, [len(body) - 2]) == "model=a"


def test_nesting_has_no_bound() -> None:
    deep = b'{"tools": ' + b'[{"a":' * 100_000 + b"1" + b"}]" * 100_000 + b', "model": "glm-5.3"}'
    assert requests().read(deep) == "model=glm-5.3"
    assert requests().read(deep, 16384, [8192]) == "model=glm-5.3"


def test_a_long_prompt_takes_no_memory() -> None:
    head, piece, tail = b'{"messages": [{"content": "', b'\\"model\\": x ' * 5400, b'"}], "model": "glm-5.3"}'
    report, grown = requests().heap_of(head, piece, 300, tail)
    assert report == "model=glm-5.3"
    assert grown < 1024
