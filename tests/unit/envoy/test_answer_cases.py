"""Every answer that was once read wrongly: read right, and the same however the network cuts it."""

import pytest

from tests.harness.answer_cases import CASES, AnswerCase
from tests.unit.envoy.lua import answers, line
from tests.unit.envoy.reference import read_answer

SHORT = 120
ALL_PAIRS, SOME_PAIRS = SHORT**2, 600
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
each_stream = pytest.mark.parametrize(
    "case", [case for case in CASES if case.read["kind"] == "events"], ids=lambda case: case.name
)


def kind_of(case: AnswerCase) -> str:
    """As envoy/upstream.lua tells them apart."""
    if case.content_type in ("", "text/event-stream"):
        return "events"
    if case.content_type.startswith("text/plain"):
        return "plain"
    return "json" if "json" in case.content_type else "text"


@each_case
def test_the_reference_reads_what_the_case_says(case: AnswerCase) -> None:
    assert read_answer(kind_of(case), case.seen).facts == dict(case.read)


@each_case
def test_it_reads_what_the_case_says(case: AnswerCase) -> None:
    assert answers().ended(kind_of(case), case.seen) == line(case.read)


@each_case
def test_it_reads_what_the_case_says_in_its_pieces(case: AnswerCase) -> None:
    pieces = [piece for piece in case.pieces if isinstance(piece, bytes)]
    assert answers().ended(kind_of(case), *pieces) == line(read_answer(kind_of(case), case.body).facts)


@each_case
def test_it_reads_the_same_a_byte_a_piece(case: AnswerCase) -> None:
    assert answers().in_pieces_of(1, kind_of(case), case.seen) == line(case.read)


@each_case
def test_a_cut_changes_nothing(case: AnswerCase) -> None:
    difference = answers().cut_that_matters(kind_of(case), case.seen, line(case.read))
    assert difference is None


@each_case
def test_two_cuts_change_nothing(case: AnswerCase) -> None:
    most = ALL_PAIRS if len(case.seen) <= SHORT else SOME_PAIRS
    difference = answers().pair_that_matters(kind_of(case), case.seen, line(case.read), most)
    assert difference is None


@each_stream
@pytest.mark.parametrize("line_end", [b"\r\n", b"\r"], ids=["crlf", "cr"])
def test_other_line_ends_change_nothing(case: AnswerCase, line_end: bytes) -> None:
    body = case.seen.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", line_end)
    difference = answers().cut_that_matters("events", body, line(case.read))
    assert difference is None
    assert answers().in_pieces_of(1, "events", body) == line(case.read)


@each_stream
def test_comments_between_change_nothing(case: AnswerCase) -> None:
    body = case.seen.replace(b"\n\n", b'\n: "error" [DONE]\n\n: data: {"error": "x"}\n\n:\nid: 7\n\n')
    difference = answers().cut_that_matters("events", b": hello\n\n" + body, line(case.read))
    assert difference is None
    assert answers().in_pieces_of(1, "events", body) == line(case.read)


@each_stream
def test_what_has_passed_is_known_at_once(case: AnswerCase) -> None:
    body = case.seen
    end = body.find(b"\n\n")
    while end >= 0:
        passed = body[: end + 2]
        assert answers().report("events", passed).passed == line(read_answer("events", passed).facts)
        end = body.find(b"\n\n", end + 2)


def test_the_names_of_cases_are_unique() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
