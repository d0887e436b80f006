"""Handing events to readers."""

import asyncio
from functools import partial

import pytest

from dashboard.event_hub import (
    MOST_READERS,
    EventHub,
    EventKind,
    Reader,
    TooManyReadersError,
    message,
    parse_position,
)
from dashboard.records.base import Record


class Said(Record):
    """Any record."""

    text: str = "ü"


class Numbered(Record):
    id: int


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def reader_of(hub: EventHub, *wanted: EventKind) -> Reader:
    reader = hub.join(frozenset(wanted))
    reader.start([], hub.position)
    return reader


async def test_an_event_goes_over_the_wire_with_its_place_in_both_streams() -> None:
    hub = EventHub(Clock())
    reader = reader_of(hub)

    hub.publish_alert(3, Said())
    hub.publish_request(7, lambda: Numbered(id=7))

    assert await reader.take() == (
        'id: 0.3\nevent: alert\ndata: {"text":"ü"}\n\nid: 7.3\nevent: request\ndata: {"id":7}\n\n'.encode()
    )


async def test_of_the_pictures_of_now_only_the_latest_is_kept() -> None:
    hub = EventHub(Clock())
    reader = reader_of(hub)

    for number in range(3):
        hub.publish(message(EventKind.NOW, Numbered(id=number)))

    assert await reader.take() == b'event: now\ndata: {"id":2}\n\n'


async def test_a_reader_gets_only_what_it_asked_for_and_resets() -> None:
    hub = EventHub(Clock())
    reader = reader_of(hub, EventKind.ALERT)

    hub.publish_request(1, Said)
    hub.publish(message(EventKind.NOW, Said()))
    hub.reset()

    assert await reader.take() == b"id: 0.0\nevent: reset\ndata: {}\n\n"
    assert not hub.is_wanted(EventKind.NOW)
    assert hub.is_wanted(EventKind.ALERT)


def test_a_request_that_nobody_asked_for_is_not_even_described() -> None:
    hub = EventHub(Clock())
    reader_of(hub, EventKind.NOW)

    hub.publish_request(3, lambda: pytest.fail("described"))

    assert hub.position == (3, 0)


async def test_who_waits_for_a_reader_goes_on_when_one_comes_that_wants_the_same() -> None:
    hub = EventHub(Clock())
    waiting = asyncio.create_task(hub.until_wanted(EventKind.REQUEST, 60.0))
    await asyncio.sleep(0)
    reader_of(hub, EventKind.NOW)
    await asyncio.sleep(0)
    assert not waiting.done()

    reader_of(hub, EventKind.REQUEST)

    async with asyncio.timeout(60):
        await waiting


async def test_who_waits_for_a_reader_in_vain_goes_on_in_the_end() -> None:
    async with asyncio.timeout(60):
        await EventHub(Clock()).until_wanted(EventKind.REQUEST, 0.01)


async def test_what_happens_while_the_missed_is_looked_up_comes_once_and_in_order() -> None:
    hub = EventHub(Clock())
    reader = hub.join(frozenset())
    for number in (5, 6, 7):
        hub.publish_request(number, partial(Numbered, id=number))

    missed = [message(EventKind.REQUEST, Numbered(id=number), (number, 0)) for number in (4, 5, 6)]
    reader.start(missed, (6, 0))

    assert [line for line in (await reader.take()).decode().splitlines() if line.startswith("id")] == [
        "id: 4.0", "id: 5.0", "id: 6.0", "id: 7.0",
    ]  # fmt: skip


def test_a_reader_that_does_not_read_is_cut_when_too_much_waits_for_it() -> None:
    hub = EventHub(Clock())
    slow, other = reader_of(hub), reader_of(hub, EventKind.NOW)

    for number in range(1001):
        hub.publish_request(number, Said)

    assert slow.cut.is_set()
    assert not other.cut.is_set()


async def test_a_reader_that_does_not_read_is_cut_when_something_waits_too_long() -> None:
    clock = Clock()
    hub = EventHub(clock)
    slow, quick = reader_of(hub), reader_of(hub)

    for clock.now in range(0, 40, 5):
        hub.publish(message(EventKind.NOW, Said()))
        await quick.take()

    assert slow.cut.is_set()
    assert not quick.cut.is_set()


def test_readers_are_bounded() -> None:
    hub = EventHub(Clock())
    readers = [hub.join(frozenset()) for _ in range(MOST_READERS)]

    with pytest.raises(TooManyReadersError):
        hub.join(frozenset())
    hub.leave(readers[0])
    hub.join(frozenset())
    assert hub.readers == MOST_READERS


def test_when_the_service_ends_every_reader_is_cut() -> None:
    hub = EventHub(Clock())
    readers = [reader_of(hub) for _ in range(3)]

    hub.close()

    assert all(reader.cut.is_set() for reader in readers)


def test_a_place_in_the_streams_is_read_back() -> None:
    assert parse_position("12.3") == (12, 3)
    for text in ("", "12", "12.", ".3", "a.b", "1.2.3", "-1.2", "²." + "1", "9" * 50 + ".1"):
        assert parse_position(text) is None
