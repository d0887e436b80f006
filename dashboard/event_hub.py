"""Handing events to whoever listens: each reader has a short queue, and one that does not read is cut off."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from dashboard.records.base import Record
from dashboard.records.events import Reset

Position: TypeAlias = tuple[int, int]
"""The newest request and the newest alert that a reader has: what comes after them is new to it."""

MOST_READERS: Final = 500
_MOST_UNREAD: Final = 1000
_LONGEST_UNREAD: Final = 30.0


class EventKind(StrEnum):
    NOW = "now"
    REQUEST = "request"
    ALERT = "alert"
    NAMES = "names"
    GAP = "gap"
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class Message:
    """An event as it goes over the wire. `position` is None for those that are not replayed."""

    kind: EventKind
    position: Position | None
    wire: bytes


class TooManyReadersError(Exception):
    """All places for readers are taken."""


def message(kind: EventKind, data: Record, position: Position | None = None) -> Message:
    """An event in its wire form."""
    identity = "" if position is None else f"id: {position[0]}.{position[1]}\n"
    return Message(kind, position, f"{identity}event: {kind.value}\ndata: {data.model_dump_json()}\n\n".encode())


def parse_position(text: str) -> Position | None:
    """From a Last-Event-ID; None if it is none of ours."""
    request, _, alert = text.partition(".")
    valid = request.isascii() and request.isdecimal() and alert.isascii() and alert.isdecimal() and len(text) < 40
    return (int(request), int(alert)) if valid else None


class Reader:
    """What one reader has not read yet: events in order, and of the many snapshots of now only the latest."""

    def __init__(self, wanted: frozenset[EventKind], clock: Callable[[], float]) -> None:
        self._wanted = wanted
        self._clock = clock
        self._unread: deque[bytes] = deque()
        self._now: bytes | None = None
        self._unread_since: float | None = None
        self._something = asyncio.Event()
        self._is_replaying = True
        self._held_back: list[Message] = []
        self.cut = asyncio.Event()
        """Set once the reader is too far behind, or the service ends."""

    def put(self, new: Message) -> None:
        """Takes in an event; a reader that has not read for too long, or too much, is cut."""
        if self._wanted and new.kind not in self._wanted and new.kind is not EventKind.RESET:
            return
        if self._is_replaying and new.kind is not EventKind.NOW:
            self._held_back.append(new)
        elif new.kind is EventKind.NOW:
            self._now = new.wire
        else:
            self._unread.append(new.wire)
        now = self._clock()
        self._unread_since = now if self._unread_since is None else self._unread_since
        is_late = now - self._unread_since > _LONGEST_UNREAD
        if is_late or len(self._unread) > _MOST_UNREAD or len(self._held_back) > _MOST_UNREAD:
            self.cut.set()
        self._something.set()

    def start(self, missed: Iterable[Message], position: Position) -> None:
        """Gives the reader what it missed, up to `position`, and then what came in while that was looked up."""
        self._is_replaying = False
        self._unread.extend(each.wire for each in missed if not self._wanted or each.kind in self._wanted)
        for each in self._held_back:
            if each.position is None or _is_after(each.kind, each.position, position):
                self._unread.append(each.wire)
        self._held_back.clear()
        self._something.set()

    async def take(self) -> bytes:
        """All that is unread, as soon as there is something."""
        await self._something.wait()
        self._something.clear()
        parts = [*self._unread, self._now] if self._now is not None else list(self._unread)
        self._unread.clear()
        self._now = None
        self._unread_since = None
        return b"".join(parts)

    def wants(self, kind: EventKind) -> bool:
        return not self._wanted or kind in self._wanted


class EventHub:
    """The readers of this moment."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._readers: set[Reader] = set()
        self._arrival = asyncio.Event()
        self.position: Position = (0, 0)
        """The newest request and alert that were published."""

    @property
    def readers(self) -> int:
        return len(self._readers)

    def is_wanted(self, kind: EventKind) -> bool:
        """Whether anybody would read such an event."""
        return any(reader.wants(kind) for reader in self._readers)

    async def until_wanted(self, kind: EventKind, within: float) -> None:
        """Returns as soon as somebody would read such an event, after `within` seconds at the latest."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                while not self.is_wanted(kind):
                    await self._arrival.wait()

    def join(self, wanted: frozenset[EventKind]) -> Reader:
        """A new reader of these kinds (none: of all). Raises TooManyReadersError."""
        if len(self._readers) >= MOST_READERS:
            raise TooManyReadersError
        reader = Reader(wanted, self._clock)
        self._readers.add(reader)
        self._arrival.set()
        self._arrival = asyncio.Event()
        return reader

    def leave(self, reader: Reader) -> None:
        self._readers.discard(reader)

    def publish(self, new: Message) -> None:
        for reader in self._readers:
            reader.put(new)

    def publish_request(self, number: int, describe: Callable[[], Record]) -> None:
        """`describe` is called only if there is somebody to tell."""
        self.position = (max(number, self.position[0]), self.position[1])
        if self.is_wanted(EventKind.REQUEST):
            self.publish(message(EventKind.REQUEST, describe(), (number, self.position[1])))

    def publish_alert(self, number: int, data: Record) -> None:
        self.position = (self.position[0], max(number, self.position[1]))
        self.publish(message(EventKind.ALERT, data, (self.position[0], number)))

    def reset(self) -> None:
        """The store was begun anew: so are the ids."""
        self.position = (0, 0)
        self.publish(message(EventKind.RESET, Reset(), (0, 0)))

    def close(self) -> None:
        """Cuts every reader."""
        for reader in self._readers:
            reader.cut.set()


def _is_after(kind: EventKind, position: Position, known: Position) -> bool:
    which = 1 if kind is EventKind.ALERT else 0
    return kind is EventKind.RESET or position[which] > known[which]
