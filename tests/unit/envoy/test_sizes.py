"""How many events a stream has had, and in how many bytes, is told often enough to estimate tokens from, and seldom."""

import math
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.harness.answer_cases import CASES, AnswerCase, text_delta
from tests.unit.envoy.lua import answers, event_pieces, pieces
from tests.unit.envoy.reference import read_answer
from tests.unit.envoy.streams import CUTS, NAMELESS, OPENING, chats, streams

FRAME = 120  # as in envoy/answer.lua
bounded = settings(derandomize=True, deadline=None, max_examples=150)


def is_counted_right(body: bytes, cut: list[bytes]) -> bool:
    expected, told = read_answer("events", body), answers().told_sizes("events", cut)[-1]
    is_stream = expected.facts["kind"] == "events"
    right = (expected.events, len(body) - expected.apart, expected.apart) if is_stream else (0, 0, 0)
    return not expected.is_clear or (told.events, told.bytes, told.apart) == right


@bounded
@given(body=streams() | chats(), cuts=CUTS, opening=st.sampled_from([b"", OPENING, NAMELESS]))
def test_all_events_are_counted_however_they_are_cut(body: bytes, cuts: list[int], opening: bytes) -> None:
    body = opening + body
    for cut in (pieces(body, cuts), event_pieces(body), [body]):
        assert is_counted_right(body, cut)


@pytest.mark.parametrize("case", [each for each in CASES if each.read["kind"] == "events"], ids=lambda each: each.name)
def test_the_events_of_each_case_are_counted(case: AnswerCase) -> None:
    for size in (1, 50, len(case.seen)):
        assert is_counted_right(case.seen, pieces(case.seen, list(range(size, len(case.seen), size))))


def test_json_under_the_head_of_a_stream_has_no_events() -> None:
    body = b'{"error": "busy"}\n'

    for cut in ([body], pieces(body, [1, 5])):
        assert is_counted_right(body, cut)


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])
def test_events_that_say_nothing_are_counted(line_end: bytes) -> None:
    body = (OPENING + text_delta("word") * 5000 + b": comment\n\n\n").replace(b"\n", line_end)

    for size in (7, 1000, len(body)):
        cut = pieces(body, list(range(size, len(body), size)))
        assert answers().told_sizes("events", cut)[-1].events == 5002


@bounded
@given(words=st.lists(st.sampled_from([1, 1, 1, 2, 30, 2000]), min_size=1, max_size=200), packed=st.integers(1, 30))
def test_what_has_been_told_is_old_by_no_more_than_a_quarter(words: list[int], packed: int) -> None:
    events = [text_delta("word" * count) for count in words]
    body = [b"".join(events[at : at + packed]) for at in range(0, len(events), packed)]

    first, *told, _ = answers().told_sizes("events", [OPENING, *body])

    sizes = accumulate((len(each) for each in body), initial=first.bytes)
    counts = accumulate((each.count(b"\n\n") for each in body), initial=first.events)
    for known, size, count in zip([first, *told], sizes, counts, strict=True):
        assert known.events <= count <= max(known.events * 1.25, known.events + 1)
        assert size - FRAME * count <= max((known.bytes - FRAME * known.events) * 1.25, 1)


def test_a_long_stream_is_told_of_seldom() -> None:
    told = answers().told_sizes("events", [OPENING, *[text_delta("word")] * 100_000])

    assert told[-1].times < 2 * math.log(100_000, 1.25)
