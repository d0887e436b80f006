"""Reading server-sent events as their bytes come in. Source: WHATWG HTML, section 9.2."""

import re
from dataclasses import dataclass
from typing import Final

_LINE_END: Final = re.compile(rb"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `id` is the last id that the stream gave, empty if it gave none."""

    id: str
    name: str
    data: str


class OversizedEventError(ValueError):
    """An event is longer than anybody would send."""


class EventReader:
    """Cuts a stream of bytes into events. Holds at most `longest` bytes of an unfinished one."""

    def __init__(self, longest: int = 256 * 1024) -> None:
        self._longest = longest
        self._rest = b""
        self._id = ""
        self._name = ""
        self._data: list[str] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that this chunk completes. Raises OversizedEventError."""
        buffer = self._rest + chunk
        # A CR at the end may be the first half of a CRLF.
        held_back = buffer[-1:] if buffer.endswith(b"\r") else b""
        *lines, self._rest = _LINE_END.split(buffer[: len(buffer) - len(held_back)])
        self._rest += held_back
        events = [event for line in lines if (event := self._take(line.decode("utf-8", "replace")))]
        if len(self._rest) + self._size > self._longest:
            raise OversizedEventError(f"an event of more than {self._longest} bytes")
        return events

    def _take(self, line: str) -> Event | None:
        if not line:
            return self._finish()
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
            self._size += len(value) + 1
        elif field == "event":
            self._name = value
        elif field == "id" and "\0" not in value:
            self._id = value
        return None

    def _finish(self) -> Event | None:
        data, name = self._data, self._name
        self._data, self._name, self._size = [], "", 0
        return Event(self._id, name or "message", "\n".join(data)) if data else None
