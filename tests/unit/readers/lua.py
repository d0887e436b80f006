"""The readers of `envoy/` in LuaJIT, the engine that Envoy has too, and how a test asks them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from lupa.luajit21 import LuaRuntime

from extproc.launch.envoy_config import source

_DRIVER: Final = Path(__file__).parent / "cuts.lua"


@dataclass(frozen=True, slots=True)
class Report:
    """What a reader reports, in one line: `passed` with its last piece, `ended` once it knows that."""

    passed: str
    ended: str


def line(facts: Mapping[str, object]) -> str:
    """Facts in the form in which the readers' reports are compared."""
    return ";".join(sorted(f"{name}={_lua_text(value)}" for name, value in facts.items()))


def _lua_text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.17g}" if isinstance(value, (int, float)) else str(value)


class Reader:
    """One of the two readers. `kind` is the answer's, which the reader of requests takes no notice of."""

    def __init__(self, module: str) -> None:
        # A byte is a character: what comes back need not be UTF-8.
        runtime = LuaRuntime(encoding="latin-1", unpack_returned_tuples=True, register_eval=False)
        self._table: Any = runtime.table_from
        self._publishes = module == "answer"
        self._new = runtime.execute(_with_scan(module).encode())["new"]
        self._cuts: Any = runtime.execute(_DRIVER.read_bytes())

    def report(self, kind: str, *pieces: bytes) -> Report:
        """Reads a body in these pieces. A report that changed without a word is a LuaError."""
        return Report(*self._cuts.read(self._new, kind, self._publishes, self._table(pieces)))

    def ended(self, kind: str, *pieces: bytes) -> str:
        """The report at the end of a body in these pieces."""
        return self.report(kind, *pieces).ended

    def in_pieces_of(self, size: int, kind: str, body: bytes) -> str:
        """The report at the end of a body in pieces of one size."""
        return str(self._cuts.in_pieces_of(self._new, kind, body, size))

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


def _with_scan(module: str) -> str:
    """A reader finds the JSON scan as a local, as in the filter that it is rendered into."""
    return f"local json_scan = (function()\n{source('json_scan.lua')}end)()\n{source(f'{module}.lua')}"


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
def answers() -> Reader:
    """The reader of answers."""
    return Reader("answer")


@cache
def requests() -> Reader:
    """The reader of requests."""
    return Reader("request")
