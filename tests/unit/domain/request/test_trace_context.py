"""What a client says of its trace, and what the proxy hands on and remembers."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from extproc.domain.request.trace_context import Parent, Trace, noted, parent_of

TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE_ID}-{SPAN_ID}-01"


def an_id(length: int) -> st.SearchStrategy[str]:
    return st.text("0123456789abcdef", min_size=length, max_size=length)


traces = st.builds(
    Trace,
    trace_id=an_id(32),
    span_id=an_id(16),
    parent_id=st.just("") | an_id(16),
    upstream_id=an_id(16),
    is_sampled=st.booleans(),
    arrived=st.none() | st.integers(1, 10**13).map(lambda milliseconds: milliseconds / 1000),
    state=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=512),
)


def test_a_traceparent_names_the_span_above() -> None:
    assert parent_of(TRACEPARENT) == Parent(TRACE_ID, SPAN_ID, is_sampled=True)


@pytest.mark.parametrize(("flags", "is_sampled"), [("00", False), ("01", True), ("02", False), ("03", True)])
def test_the_last_bit_of_the_flags_says_whether_it_is_recorded(flags: str, is_sampled: bool) -> None:
    parent = parent_of(f"00-{TRACE_ID}-{SPAN_ID}-{flags}")

    assert parent is not None
    assert parent.is_sampled is is_sampled


def test_what_a_later_version_adds_is_passed_over() -> None:
    assert parent_of(f"cc-{TRACE_ID}-{SPAN_ID}-01-more-of-it") == Parent(TRACE_ID, SPAN_ID, is_sampled=True)


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "00",
        f"00-{TRACE_ID}-{SPAN_ID}",
        f"00-{TRACE_ID}-{SPAN_ID}-01-more",
        f"ff-{TRACE_ID}-{SPAN_ID}-01",
        f"00-{'0' * 32}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        TRACEPARENT.upper(),
        f"00-{TRACE_ID}-{SPAN_ID}-0x",
        TRACEPARENT.replace("-", "_"),
    ],
)
def test_what_is_no_traceparent_names_nothing(traceparent: str) -> None:
    assert parent_of(traceparent, "a=b") is None


@pytest.mark.parametrize(("state", "taken"), [("a=b,c=d", "a=b,c=d"), ("x" * 513, ""), ("a=\x01", ""), ("ä=b", "")])
def test_a_tracestate_comes_along_if_it_can_be_handed_on(state: str, taken: str) -> None:
    parent = parent_of(TRACEPARENT, state)

    assert parent is not None
    assert parent.state == taken


def test_upstream_hears_of_the_trace_with_our_span_as_parent() -> None:
    trace = Trace(TRACE_ID, SPAN_ID, "", "00f067aa0ba902b7", is_sampled=True)

    assert trace.traceparent == f"00-{TRACE_ID}-00f067aa0ba902b7-01"
    unrecorded = Trace(TRACE_ID, SPAN_ID, "", "00f067aa0ba902b7", is_sampled=False)
    assert unrecorded.traceparent.endswith("-00")


@given(traces)
@example(Trace(TRACE_ID, SPAN_ID, "", "00f067aa0ba902b7", is_sampled=True, arrived=2097.151))
def test_what_was_noted_is_what_comes_back(trace: Trace) -> None:
    assert noted(trace.note()) == trace


@given(st.text())
def test_any_other_text_is_no_note_or_one_that_says_the_same(text: str) -> None:
    trace = noted(text)

    assert trace is None or noted(trace.note()) == trace
