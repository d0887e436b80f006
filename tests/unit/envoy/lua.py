"""The readers of `envoy/` in LuaJIT, the engine that Envoy has too, and how a test asks them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from lupa.luajit21 import LuaRuntime

from extproc.domain.request.business_codes import KNOWN_NAMES, SPOKEN_NAMES, TELLING_CODES
from extproc.launch.envoy_config import lua_set, source

_CUTS: Final = Path(__file__).parent / "cuts.lua"
_ENDS: Final = Path(__file__).parent / "ends.lua"


@dataclass(frozen=True, slots=True)
class Report:
    """What a reader reports, in one line: `passed` with its last piece, `ended` once it knows that."""

    passed: str
    ended: str


@dataclass(frozen=True, slots=True)
class Sizes:
    """Events and their bytes, the bytes that are apart, and in how many times all that has been told."""

    events: int
    bytes: int
    apart: int
    times: int


def line(facts: Mapping[str, object]) -> str:
    """Facts in the form in which the readers' reports are compared."""
    return ";".join(sorted(f"{name}={_lua_text(value)}" for name, value in facts.items()))


def _lua_text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.17g}" if isinstance(value, (int, float)) else str(value)


class AnswerReader:
    """The reader of answers. `kind` is what the content-type says."""

    def __init__(self) -> None:
        runtime = _runtime()
        self._table: Any = runtime.table_from
        self._new = runtime.execute(_with_scan("answer"))["new"]
        self._cuts: Any = runtime.execute(_CUTS.read_bytes())

    def report(self, kind: str, *pieces: bytes) -> Report:
        """Reads a body in these pieces. A report that changed without a word is a LuaError."""
        return Report(*self._cuts.read(self._new, kind, self._table(pieces)))

    def ended(self, kind: str, *pieces: bytes) -> str:
        """The report at the end of a body in these pieces."""
        return self.report(kind, *pieces).ended

    def in_pieces_of(self, size: int, kind: str, body: bytes) -> str:
        """The report at the end of a body in pieces of one size."""
        return str(self._cuts.in_pieces_of(self._new, kind, body, size))

    def told_sizes(self, kind: str, pieces: Sequence[bytes]) -> list[Sizes]:
        """What has been told of a stream's size after each piece and at the end."""
        lines = str(self._cuts.told_sizes(self._new, kind, self._table(pieces))).split("\n")
        return [Sizes(*map(int, each.split())) for each in lines]

    def cut_that_matters(self, kind: str, body: bytes, expected: str) -> str | None:
        """Cuts a body in two, everywhere. None if each time the report is the expected one."""
        return _told(body, self._cuts.first_cut_that_matters(self._new, kind, body, expected))

    def pair_that_matters(self, kind: str, body: bytes, expected: str, most: int) -> str | None:
        """Cuts a body in three, in all ways or, if there are more, in `most` that are spread over it."""
        return _told(body, self._cuts.first_pair_that_matters(self._new, kind, body, expected, most))

    def heap_of(self, kind: str, head: bytes, piece: bytes, count: int, tail: bytes) -> tuple[str, float]:
        """Reads a body with `count` equal pieces in its middle. Returns the report, and the KiB that the heap grew."""
        report, grown = self._cuts.heap_of(self._new, kind, head, piece, count, tail)
        return str(report), float(grown)


class RequestReader:
    """The reader of requests. Its ends are the bytes at the start and, in each try, at the end that it reads first."""

    def __init__(self) -> None:
        runtime = _runtime()
        self._table: Any = runtime.table_from
        self._reader = runtime.execute(_with_scan("request"))
        self._ends: Any = runtime.execute(_ENDS.read_bytes(), runtime.execute(_CUTS.read_bytes()))

    def read(self, body: bytes, first: int | None = None, last: Sequence[int] = ()) -> str:
        """The report. Without ends the whole body is read."""
        return str(self._read(body, len(body) if first is None else first, last)[0])

    def bytes_read(self, body: bytes, first: int, last: Sequence[int]) -> int:
        """How many bytes of a body it takes to read it."""
        return int(self._read(body, first, last)[1])

    def ends_that_matter(self, body: bytes, expected: str) -> str | None:
        """Reads a body with ends of all sizes. None if each time the report is the expected one."""
        found = self._ends.ends_that_matter(self._reader, body, expected)
        return None if found is None else f"{found[0]} and {found[1]} bytes: {found[2]}"

    def heap_of(self, head: bytes, piece: bytes, count: int, tail: bytes) -> tuple[str, float]:
        """Reads a body with `count` equal pieces in its middle. Returns the report, and the KiB that the heap grew."""
        report, grown = self._ends.heap_of(self._reader, head, piece, count, tail)
        return str(report), float(grown)

    def _read(self, body: bytes, first: int, last: Sequence[int]) -> Any:
        return self._ends.read(self._reader, body, first, self._table(last))


def _runtime() -> LuaRuntime:
    """A byte is a character: what comes back need not be UTF-8."""
    return LuaRuntime(encoding="latin-1", unpack_returned_tuples=True, register_eval=False)


def _with_scan(module: str) -> bytes:
    """A reader finds the JSON scan as a local, as in the filter that it is rendered into."""
    text = f"local json_scan = (function()\n{source('json_scan.lua')}end)()\n{source(f'{module}.lua')}"
    names = {"KNOWN_NAMES": KNOWN_NAMES, "SPOKEN_NAMES": SPOKEN_NAMES, "TELLING_CODES": TELLING_CODES}
    for name, members in names.items():
        text = text.replace(f"${{{name}}}", lua_set(members))
    return text.encode()


def _told(body: bytes, found: tuple[int, int, str] | None) -> str | None:
    if found is None:
        return None
    first, last, report = found
    return f"…{body[:first][-40:]!r} {body[first:last]!r} {body[last:][:40]!r}…: {report}"


def pieces(body: bytes, cuts: list[int]) -> list[bytes]:
    """The body, cut at these places."""
    places = sorted({0, *(min(cut, len(body)) for cut in cuts), len(body)})
    return [body[start:end] for start, end in pairwise(places)]


def event_pieces(body: bytes) -> list[bytes]:
    """The body, each event in a piece of its own."""
    return re.findall(rb".+?(?:\n\n|\r\n\r\n|\r\r|\Z)", body, re.DOTALL)


@cache
def answers() -> AnswerReader:
    """The reader of answers."""
    return AnswerReader()


@cache
def requests() -> RequestReader:
    """The reader of requests."""
    return RequestReader()
