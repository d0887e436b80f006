"""Answers that nobody thought of: always what the reference reads, however they are cut, and never an error in Lua."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.envoy.lua import answers, event_pieces, line, pieces
from tests.unit.envoy.reference import read_answer
from tests.unit.envoy.streams import CUTS, OPENING, chats, damaged, objects, streams, written

pytestmark = pytest.mark.slow

# The same examples each time: a failure is one for everybody.
bounded = settings(derandomize=True, deadline=None, max_examples=150)
KINDS = st.sampled_from(["events", "json", "text", "plain"])
JSON_BODIES = st.builds(
    lambda before, body, behind: before + body + behind,
    st.sampled_from([b"", b"", b" \n", b"\xef\xbb\xbf"]),
    written(objects()),
    st.sampled_from([b"", b"\n", b" \r\n\t"]),
)


@bounded
@given(body=streams(), cuts=CUTS, kind=st.sampled_from(["events", "events", "json", "plain"]))
def test_a_stream_says_the_same_to_both_readers(body: bytes, cuts: list[int], kind: str) -> None:
    expected = read_answer(kind, body)
    whole = answers().ended(kind, body)
    if expected.is_clear:
        assert whole == line(expected.facts)
    assert answers().ended(kind, *pieces(body, cuts)) == whole
    assert answers().ended(kind, *event_pieces(body)) == whole
    assert answers().in_pieces_of(1, kind, body) == whole


@bounded
@given(body=chats(), cuts=CUTS)
def test_a_chat_with_several_choices_ends_with_the_last_of_them(body: bytes, cuts: list[int]) -> None:
    expected = line(read_answer("events", body).facts)
    assert answers().ended("events", body) == expected
    assert answers().ended("events", *pieces(body, cuts)) == expected
    assert answers().ended("events", *event_pieces(body)) == expected


@bounded
@given(body=JSON_BODIES, cuts=CUTS, kind=st.sampled_from(["json", "json", "events", "plain"]))
def test_json_says_the_same_to_both_readers(body: bytes, cuts: list[int], kind: str) -> None:
    expected = line(read_answer(kind, body).facts)
    assert answers().ended(kind, *pieces(body, cuts)) == expected
    assert answers().in_pieces_of(1, kind, body) == expected


@bounded
@given(body=JSON_BODIES, kept=st.integers(0, 600), cuts=CUTS)
def test_json_that_breaks_off_says_what_had_passed(body: bytes, kept: int, cuts: list[int]) -> None:
    start = body[:kept]
    assert answers().ended("json", *pieces(start, cuts)) == line(read_answer("json", start).facts)


@bounded
@given(body=streams().map(lambda body: OPENING + body), size=st.integers(1, 400))
def test_an_event_that_has_passed_is_known_at_once(body: bytes, size: int) -> None:
    passed = body[: body.rfind(b"\n\n") + 2]
    expected = read_answer("events", passed)
    report = answers().report("events", *pieces(passed, list(range(size, len(passed), size))))
    assert report.passed == report.ended
    if expected.is_clear:
        assert report.passed == line(expected.facts)


@bounded
@given(body=damaged(streams()) | damaged(JSON_BODIES), kind=KINDS, cuts=CUTS)
def test_what_is_damaged_is_read_the_same_however_it_is_cut(body: bytes, kind: str, cuts: list[int]) -> None:
    whole = answers().ended(kind, body)
    assert answers().ended(kind, *pieces(body, cuts)) == whole
    assert answers().in_pieces_of(1, kind, body) == whole
    expected = read_answer(kind, body)
    if expected.is_clear:
        assert whole == line(expected.facts)


@bounded
@given(
    body=st.binary(max_size=60)
    | st.text(alphabet='datevn:[]{}"1305\\,\r\n\ufeff ', max_size=60).map(str.encode)
    | st.lists(st.sampled_from([b"data", b"event", b"id", b"retry", b":", b" ", b"\n", b"x", b"\v"]), max_size=8).map(
        b"".join
    ),
    kind=KINDS,
)
def test_garbage_is_read_the_same_however_it_is_cut(body: bytes, kind: str) -> None:
    difference = answers().cut_that_matters(kind, body, answers().ended(kind, body))
    assert difference is None
