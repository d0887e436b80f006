"""Reading server-sent events."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.domain.event_stream import Event, EventReader, OversizedEventError

STREAM = (
    'retry: 2000\n\n: alive\n\nid: a-1\nevent: request\ndata: {"x":\ndata: 1}\n\n'
    "event: gap\r\ndata: {}\r\n\r\ndata: ü\rid: a-2\r\revent: empty\n\ndata: cut"
)
EVENTS = [Event("a-1", "request", '{"x":\n1}'), Event("a-1", "gap", "{}"), Event("a-2", "message", "ü")]


@given(cuts=st.lists(st.integers(0, len(STREAM.encode())), max_size=20))
def test_events_are_the_same_however_the_stream_is_cut_into_chunks(cuts: list[int]) -> None:
    data, reader, found = STREAM.encode(), EventReader(), []
    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(data)], strict=True):
        found += reader.feed(data[begin:end])

    assert found == EVENTS


def test_an_event_without_an_end_is_an_error_before_it_fills_the_memory() -> None:
    for chunk in (b"x" * 50, b"data: " + b"x" * 50 + b"\n"):
        reader = EventReader(longest=1000)
        for _ in range(17):
            assert reader.feed(chunk) == []
        with pytest.raises(OversizedEventError):
            reader.feed(chunk * 4)


def test_many_events_may_be_longer_together_than_one_may_be() -> None:
    reader = EventReader(longest=100)

    assert len(reader.feed(b"data: 1\n\n" * 1000)) == 1000
