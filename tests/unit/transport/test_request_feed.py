"""What a reader of the feed is told: what it missed, what is new, and that it may be too slow."""

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from extproc.domain.usage.outcome import Outcome, interpret
from extproc.domain.usage.price_file import packaged_prices, parse_price_table
from extproc.domain.usage.request_ring import RequestRing
from extproc.domain.usage.token_estimates import TokenEstimator
from extproc.transport import request_feed
from extproc.transport.request_feed import RequestFeed, TooManyReadersError
from tests.unit.domain.usage.test_outcome import FINISHED

PRICES = parse_price_table(packaged_prices())
SOON = 10.0


class Event(NamedTuple):
    """A server-sent event; all empty for a comment."""

    id: str
    name: str
    data: Any


def read(text: str) -> Event:
    lines = dict(line.split(": ", 1) for line in text.strip().splitlines() if not line.startswith(":"))
    return Event(lines.get("id", ""), lines.get("event", ""), json.loads(lines.get("data", "null")))


def outcome(request_id: str) -> Outcome:
    return interpret(replace(FINISHED, request_id=request_id), TokenEstimator(), PRICES)


def feed_of(*request_ids: str, capacity: int = 2000) -> RequestFeed:
    feed = RequestFeed("run", RequestRing(capacity))
    for request_id in request_ids:
        feed.add(outcome(request_id))
    return feed


async def take(events: AsyncGenerator[str], count: int) -> list[Event]:
    """The next so many events."""
    return [read(await asyncio.wait_for(anext(events), SOON)) for _ in range(count)]


def ids(events: list[Event]) -> list[str]:
    return [event.data["request_id"] for event in events]


async def test_a_new_reader_is_told_what_is_held_and_then_what_is_new() -> None:
    feed = feed_of("a", "b")
    events = feed.events("")
    feed.add(outcome("c"))

    told = await take(events, 3)

    assert ids(told) == ["a", "b", "c"]
    assert [event.id for event in told] == ["run-1", "run-2", "run-3"]
    assert {event.name for event in told} == {"request"}


async def test_who_comes_back_is_told_only_what_it_missed() -> None:
    feed = feed_of("a", "b", "c")

    assert ids(await take(feed.events("run-2"), 1)) == ["c"]


async def test_who_missed_more_than_is_held_is_told_how_much() -> None:
    feed = feed_of("a", "b", "c", "d", capacity=2)

    gap, *rest = await take(feed.events("run-1"), 3)

    assert (gap.name, gap.data) == ("gap", {"lost": 1})
    assert ids(rest) == ["c", "d"]


@pytest.mark.parametrize("last_id", ["another-2", "run-two", "-", "2"])
async def test_of_another_run_nobody_knows_how_much_was_lost(last_id: str) -> None:
    gap, first = await take(feed_of("a").events(last_id), 2)

    assert (gap.name, gap.data) == ("gap", {"lost": None})
    assert ids([first]) == ["a"]


async def test_every_reader_is_told() -> None:
    feed = feed_of()
    readers = [feed.events("") for _ in range(3)]
    feed.add(outcome("a"))

    assert [ids(await take(reader, 1)) for reader in readers] == [["a"]] * 3


async def test_silence_is_filled_with_a_sign_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_feed, "HEARTBEAT_SECONDS", 0.001)
    events = feed_of().events("")

    assert await asyncio.wait_for(anext(events), SOON) == ": alive\n\n"


async def test_a_reader_that_is_too_far_behind_is_cut_off_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_feed, "_MOST_UNREAD", 2)
    feed = feed_of()
    slow, quick = feed.events(""), feed.events("")
    heard = []
    for request_id in ("a", "b", "c"):
        feed.add(outcome(request_id))
        heard += ids(await take(quick, 1))

    assert heard == ["a", "b", "c"]
    assert [text async for text in slow] == []
    assert ids(await take(feed.events(""), 3)) == ["a", "b", "c"]  # it can come back and replay


async def test_there_are_so_many_readers_at_most_and_one_that_leaves_makes_room() -> None:
    feed = feed_of("a")
    readers = [feed.events("") for _ in range(32)]
    with pytest.raises(TooManyReadersError):
        feed.events("")

    await take(readers[0], 1)
    await readers[0].aclose()

    assert ids(await take(feed.events(""), 1)) == ["a"]


async def test_at_the_end_readers_hear_what_is_left_and_no_more() -> None:
    feed = feed_of()
    events = feed.events("")
    feed.add(outcome("a"))
    feed.close()

    assert ids([read(text) async for text in events]) == ["a"]
    assert ids([read(text) async for text in feed.events("")]) == ["a"]  # who comes later gets the replay
