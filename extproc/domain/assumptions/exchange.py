"""One request to the upstream and what came of it."""

import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Final

from extproc.domain.request.error_bodies import error_object, extract_code

_BEIJING: Final = timezone(timedelta(hours=8))
_LARGEST_BODY: Final = 1 << 20
_GZIP: Final = 16 + zlib.MAX_WBITS
_GAP: Final = re.compile(rb"\r?\n\r?\n")
_LONGEST_GAP: Final = 4


@dataclass(frozen=True, slots=True)
class Event:
    """An event of a stream: its text, what its data holds if that is a JSON object, and when it was whole."""

    text: str
    fields: Mapping[str, object]
    at: float

    @property
    def data(self) -> str:
        lines = (line[5:].strip() for line in self.text.split("\n") if line.startswith("data:"))
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Exchange:
    """`trial` is the name of the trial that it belongs to. Without an answer `status` is 0 and `failure` the kind of
    the error. `headers` have names in lower case. `pieces` are the body as it came, each with the seconds since the
    request went out; `ended` is when the body ended, in the same seconds. `began` is a Unix time,
    `has_key` whether the request had the right key."""

    trial: str
    method: str
    path: str
    model: str = ""
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    pieces: tuple[tuple[float, bytes], ...] = ()
    ended: float = 0.0
    began: float = 0.0
    failure: str = ""
    has_key: bool = True

    @property
    def is_answered(self) -> bool:
        """Whether it was answered as asked, and to the end."""
        return self.status == 200 and not self.failure and not self.has_error

    @property
    def has_error(self) -> bool:
        """Whether its body tells of an error, whatever the status: Z.AI puts some into a 200."""
        return self.code is not None or error_object(self.body) is not None

    @property
    def code(self) -> str | None:
        """The code of the error in its body; None if there is none."""
        return extract_code(self.body).code

    @property
    def is_compressed(self) -> bool:
        return self.headers.get("content-encoding", "identity").lower() not in ("", "identity")

    @property
    def body(self) -> bytes:
        """The body, without its gzip if it has one; at most 1 MiB of it."""
        raw = b"".join(data for _, data in self.pieces)
        if self.headers.get("content-encoding", "").lower() != "gzip":
            return raw
        try:
            return zlib.decompressobj(_GZIP).decompress(raw, _LARGEST_BODY)
        except zlib.error:
            return raw

    @property
    def fields(self) -> Mapping[str, object]:
        """What a JSON body holds; nothing if it is none."""
        return json_object(self.body.decode("utf-8", "replace"))

    @property
    def date_ahead(self) -> float | None:
        """The seconds by which its date is ahead of our clock; None where it has none that can be read."""
        try:
            theirs = parsedate_to_datetime(self.headers["date"]).timestamp()
        except (KeyError, ValueError, OverflowError):
            return None
        return theirs - self.began - (self.pieces[0][0] if self.pieces else self.ended)

    @property
    def log_id_ahead(self) -> float | None:
        """The same for the time that x-log-id begins with, read as UTC+8."""
        try:
            theirs = datetime.strptime(self.headers.get("x-log-id", "")[:14], "%Y%m%d%H%M%S").replace(tzinfo=_BEIJING)
        except ValueError:
            return None
        return (theirs - datetime.fromtimestamp(self.began, UTC)).total_seconds()

    @property
    def is_stream(self) -> bool:
        return self.headers.get("content-type", "").startswith("text/event-stream")

    def events(self) -> list[Event]:
        """The events of a stream. Those of a compressed one all came at its end."""
        pieces = ((self.ended, self.body),) if self.is_compressed else self.pieces
        return list(_events(pieces))

    def tokens(self) -> int | None:
        """All tokens that it took, as the answer says; None if that does not say."""
        figures = usage_of(self.fields)
        if self.is_stream:
            for event in self.events():
                figures |= {name: value for name, value in usage_of(event.fields).items() if value}
        if not figures:
            return None
        if "prompt_tokens" in figures:
            return figures["prompt_tokens"] + figures.get("completion_tokens", 0)
        if "total_tokens" in figures:
            return figures["total_tokens"]
        names = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
        return sum(figures.get(name, 0) for name in names)


def json_object(text: str) -> Mapping[str, object]:
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def usage_of(fields: Mapping[str, object]) -> dict[str, int]:
    """The figures of a usage object, wherever a dialect puts it; `cached_tokens` is lifted out of its details."""
    inner: object = fields
    for holder in (None, "message", "response"):
        inner = fields if holder is None else fields.get(holder)
        if isinstance(inner, dict) and isinstance(usage := inner.get("usage"), dict):
            return _figures(usage)
    return {}


def _figures(usage: Mapping[str, object]) -> dict[str, int]:
    details = (usage.get("prompt_tokens_details"), usage.get("input_tokens_details"))
    cached = next((each.get("cached_tokens") for each in details if isinstance(each, dict)), None)
    figures = {**usage, "cached_tokens": cached}
    return {name: value for name, value in figures.items() if type(value) is int and 0 <= value < 10**12}


def _events(pieces: tuple[tuple[float, bytes], ...]) -> Iterator[Event]:
    rest = bytearray()
    for at, data in pieces:
        begun = max(0, len(rest) - _LONGEST_GAP)
        rest += data
        done = 0
        for gap in _GAP.finditer(rest, begun):
            yield from _event(bytes(rest[done : gap.start()]), at)
            done = gap.end()
        del rest[:done]
    yield from _event(bytes(rest), pieces[-1][0] if pieces else 0.0)


def _event(raw: bytes, at: float) -> Iterator[Event]:
    text = raw.decode("utf-8", "replace").replace("\r\n", "\n")
    if text.strip():
        event = Event(text, {}, at)
        yield Event(text, json_object(event.data), at)
