"""Reads multipart/form-data bodies that are whole in memory, byte for byte. Pure. Source: RFC 7578."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

_BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,200})"|([^\s;]{1,200}))', re.IGNORECASE)
_NAME = re.compile(rb'[; ]name="([^"]*)"', re.IGNORECASE)
_FILE_NAME = re.compile(rb'[; ]filename="([^"]*)"', re.IGNORECASE)
_MAX_PARTS = 100


@dataclass(frozen=True, slots=True)
class Part:
    """One field of a form; `file_name` is None for a plain value."""

    name: str
    file_name: str | None
    data: bytes


def parts_of(body: bytes, content_type: str) -> list[Part]:
    """The parts of a body, in order. Raises ValueError when it is no complete multipart/form-data."""
    found = _BOUNDARY.search(content_type)
    if not content_type.lower().startswith("multipart/form-data") or found is None:
        raise ValueError("no multipart/form-data with a boundary")
    boundary = re.escape((found[1] or found[2]).encode())
    # A delimiter is a line of its own, and its line feeds belong to no part; the first one may open the body.
    delimiters = list(re.finditer(rb"(?:\A|\r\n)--" + boundary + rb"(--|[ \t]*(?=\r\n))", body))
    if not delimiters or delimiters[-1][1] != b"--":
        raise ValueError("the closing boundary is missing")
    if len(delimiters) > _MAX_PARTS:
        raise ValueError(f"more than {_MAX_PARTS} parts")
    return [_part(body[start.end() : end.start()]) for start, end in pairwise(delimiters)]


def _part(piece: bytes) -> Part:
    head, separator, data = piece.partition(b"\r\n\r\n")
    name = _NAME.search(head)
    if not separator or name is None:
        raise ValueError("a part without a name")
    file_name = _FILE_NAME.search(head)
    return Part(
        name=name[1].decode(errors="replace"),
        file_name=None if file_name is None else file_name[1].decode(errors="replace"),
        data=data,
    )
