"""The reader of prompts: how a test asks it, and what it should say, worked out the plain way from the whole body."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from lupa.luajit21 import LuaRuntime

from extproc.launch.envoy_config import source

_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^{}\[\],:" \t\r\n\x00-\x20]+', re.DOTALL)
_SECTIONS: Final = {b"system": "s", b"instructions": "i", b"tools": "t", b"messages": "m", b"input": "m"}
_MASK: Final = 0xFFFFFFFF
_READ: Final = """
function(reader, body, salt)
  local function bytes(from, length) return body:sub(from + 1, from + length) end
  return reader.read(#body, bytes, salt)
end
"""
_PIECES: Final = """
function(reader, body)
  local ends = {}
  local function bytes(from, length)
    ends[#ends + 1] = from + length
    return body:sub(from + 1, from + length)
  end
  reader.read(#body, bytes, 1)
  return table.concat(ends, " ")
end
"""
_HEAP: Final = """
function(reader, body)
  reader.begin(1)
  collectgarbage()
  local before = collectgarbage("count")
  for from = 1, #body, 8192 do reader.feed(body:sub(from, from + 8191)) end
  collectgarbage()
  return collectgarbage("count") - before
end
"""


class PromptReader:
    """The reader in LuaJIT, the engine that Envoy has too."""

    def __init__(self) -> None:
        runtime = LuaRuntime(encoding="latin-1", unpack_returned_tuples=True)
        self._reader: Any = runtime.execute(source("prompt.lua").encode())
        self._read: Any = runtime.eval(_READ)
        self._pieces: Any = runtime.eval(_PIECES)
        self._heap: Any = runtime.eval(_HEAP)

    def read(self, body: bytes, salt: int = 1) -> str:
        """What it says of a body."""
        return str(self._read(self._reader, body, salt))

    def piece_ends(self, body: bytes) -> list[int]:
        """Where each of the pieces ends that it takes of a body."""
        return [int(end) for end in str(self._pieces(self._reader, body)).split()]

    def heap_of(self, body: bytes) -> float:
        """Reads a body, and returns the KiB that the heap has grown, garbage aside."""
        return float(self._heap(self._reader, body))

    def in_pieces(self, pieces: Sequence[bytes], salt: int = 1) -> str:
        """What it says of a body that comes in these pieces. What it wants to have again comes with the next one."""
        self._reader.begin(salt)
        rest = b""
        for piece in pieces:
            rest += piece
            back = self._reader.feed(rest)
            if back is True:
                rest = b""
                break
            rest = b"" if back is None else rest[int(back) :]
        if rest:
            self._reader.feed(rest)
        return str(self._reader.told())


@cache
def prompts() -> PromptReader:
    """The reader of prompts."""
    return PromptReader()


@dataclass
class _Value:
    """A value as it is written: `raw` is all of it, `texts` its strings, numbers and words without what is left out."""

    raw: bytes
    items: "list[_Value] | None" = None
    fields: "list[tuple[bytes, _Value]] | None" = None

    @property
    def is_text(self) -> bool:
        return self.raw.startswith(b'"')

    def texts(self) -> Iterator[bytes]:
        if self.items is not None:
            for item in self.items:
                yield from item.texts()
        elif self.fields is not None:
            for key, value in self.fields:
                if key not in (b"type", b"cache_control"):
                    yield from value.texts()
        else:
            yield self.raw[1:-1] if self.is_text else self.raw

    def is_marked(self) -> bool:
        """Whether a mark for the cache stands in it, and not in what is left out."""
        if self.items is not None:
            return any(item.is_marked() for item in self.items)
        return any(
            key == b"cache_control" or (key != b"type" and value.is_marked()) for key, value in self.fields or ()
        )


def _parse(body: bytes) -> _Value:
    tokens = list(_TOKEN.finditer(body))
    value, _ = _value(body, tokens, 0)
    return value


def _value(body: bytes, tokens: Sequence["re.Match[bytes]"], at: int) -> tuple[_Value, int]:
    start, opening = tokens[at].start(), tokens[at][0]
    if opening not in (b"{", b"["):
        return _Value(tokens[at][0]), at + 1
    items: list[_Value] = []
    keys: list[bytes] = []
    at += 1
    while tokens[at][0] not in (b"}", b"]"):
        if opening == b"{":
            keys.append(tokens[at][0][1:-1])
            at += 2
        value, at = _value(body, tokens, at)
        items.append(value)
        at += tokens[at][0] == b","
    raw = body[start : tokens[at].end()]
    if opening == b"{":
        return _Value(raw, fields=list(zip(keys, items, strict=True))), at + 1
    return _Value(raw, items=items), at + 1


def _mixed(h: int, word: int) -> int:
    h ^= word & _MASK
    return (_rotated(h, 11) + 0x9E3779B9) & _MASK


def _rotated(h: int, by: int) -> int:
    return ((h << by) | (h >> (32 - by))) & _MASK


def _without_digits(text: bytes) -> bytes:
    return bytes(byte & 0xF0 if byte >> 4 == 3 else byte for byte in text)


def _word(text: bytes) -> int:
    return int.from_bytes(text, "little")


@dataclass
class _Hash:
    """Four lanes for whole groups of 16 bytes; what is left of a text goes into the first of them, and its length."""

    salt: int
    size: int = 0
    lanes: list[int] = field(default_factory=list)
    loose: int = 0

    def __post_init__(self) -> None:
        self.lanes = [self.salt ^ each for each in (0, 0x3C6EF372, 0x510E527F, 0x1F83D9AB)]
        self.loose = self.salt

    def add(self, text: bytes, *, ends: bool = True) -> None:
        self.size += len(text)
        whole = len(text) // 16 * 16
        turns, constants = (11, 13, 15, 17), (0x9E3779B9, 0x7F4A7C15, 0x6A09E667, 0x3BA7CA84)
        for start in range(0, whole, 16):
            for lane in range(4):
                word = text[start + 4 * lane : start + 4 * lane + 4]
                turned = _rotated(self.lanes[lane] ^ _word(word), turns[lane])
                self.lanes[lane] = (turned + constants[lane]) & _MASK
                self.loose = _mixed(self.loose, _word(_without_digits(word)))
        rest = text[whole:]
        if rest or ends:
            for start in range(0, len(rest), 4):
                self.lanes[0] = _mixed(self.lanes[0], _word(rest[start : start + 4]))
                self.loose = _mixed(self.loose, _word(_without_digits(rest[start : start + 4])))
            self.lanes[0], self.loose = _mixed(self.lanes[0], len(rest)), _mixed(self.loose, len(rest))

    def value(self) -> int:
        h = self.lanes[0]
        for lane in self.lanes[1:]:
            h = _mixed(h, lane)
        return _mixed(h ^ (h >> 15), self.size)


def read_prompt(body: bytes, salt: int = 1) -> str:
    """What the reader should say of a body that is JSON."""
    blocks: list[tuple[str, _Hash]] = []
    tools: list[_Hash] = []
    messages: list[_Hash] = []
    is_marked = False
    for key, value in _parse(body).fields or ():
        is_marked = is_marked or key == b"cache_control"
        section = _SECTIONS.get(key)
        if section is None or value.fields is not None or not (value.is_text or value.items is not None):
            continue
        for part in [value] if value.items is None else value.items:
            hashed = _Hash(salt)
            is_raw = section == "t" and (part.items is not None or part.fields is not None)
            for text in [part.raw] if is_raw else part.texts():
                hashed.add(text, ends=not is_raw)
            marks = [name for name, _ in part.fields or () if name == b"cache_control"]
            is_marked = is_marked or bool(marks) or (not is_raw and part.is_marked())
            if section == "t":
                tools.append(hashed)
            elif section == "m":
                messages.append(hashed)
            else:
                is_line = section == "s" and next(part.texts(), b"").startswith(b"x-anthropic-billing-header")
                blocks.append(("sa" if is_line else section, hashed))
    words = [name + _told(hashed, has_loose=True) for name, hashed in blocks[:5]]
    if len(blocks) >= 6:
        rest = salt
        for _, hashed in blocks[5:]:
            rest = _mixed(rest, hashed.value())
        words.append(f"sr{sum(hashed.size for _, hashed in blocks[5:])}:{rest:08x}")
    if is_marked:
        words.append("c")
    if tools:
        in_order, as_set = salt, 0
        for hashed in tools:
            in_order = _mixed(in_order, hashed.value())
            as_set = (as_set + (hashed.value() ^ (hashed.value() >> 13))) & _MASK
        words.append(f"t{len(tools)}:{sum(hashed.size for hashed in tools)}:{in_order:08x}:{as_set:08x}")
    chain = salt
    for number, hashed in enumerate(messages, 1):
        chain = _mixed(chain, hashed.value())
        if number <= 12:
            words.append("m" + _told(hashed, has_loose=number <= 2))
        elif number > len(messages) - 12:
            words.append(f"e{number}:{chain:08x}:{hashed.size}")
    return " ".join(words)


def _told(hashed: _Hash, *, has_loose: bool) -> str:
    word = f"{hashed.size}:{hashed.value():08x}"
    return f"{word}:{hashed.loose:08x}" if has_loose and hashed.size <= 65536 else word
