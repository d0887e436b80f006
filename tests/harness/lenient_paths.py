"""The ways in which servers are known to read a path. Pure.

Some decode once, some twice; some drop `;parameters` from each segment (Tomcat, Jetty), some take a backslash for a
slash (IIS), some ignore letter case. A path that must not be reached must not be reached in any of these readings.
"""

import re
from collections.abc import Iterator
from itertools import product
from urllib.parse import unquote_to_bytes

_MOST_DECODINGS = 3
_PARAMETERS = re.compile(r";[^/]*")
_CONTROLS = re.compile(r"[\x00-\x20]+")


def readings(path: str) -> set[str]:
    """Every reading of a path, in lower case, with `.` and `..` resolved and slashes merged."""
    return {_resolved(_flattened(text)) for text in _decodings(path) for text in _variants(text)}


def _decodings(path: str) -> Iterator[str]:
    text = path
    for _ in range(_MOST_DECODINGS + 1):
        yield text
        decoded = unquote_to_bytes(text.encode("utf-8", "surrogateescape")).decode("latin-1")
        if decoded == text:
            return
        text = decoded


def _variants(text: str) -> Iterator[str]:
    for drop_parameters, backslash_is_slash in product((False, True), repeat=2):
        variant = text.replace("\\", "/") if backslash_is_slash else text
        yield _PARAMETERS.sub("", variant) if drop_parameters else variant


def _flattened(text: str) -> str:
    # A NUL ends the path for a server written in C; other controls and blanks are trimmed by some.
    before_nul = text.partition("\x00")[0]
    return _CONTROLS.sub("", before_nul.partition("?")[0].partition("#")[0]).lower()


def _resolved(path: str) -> str:
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del segments[-1:]
        elif segment not in ("", "."):
            segments.append(segment)
    return "/" + "/".join(segments)
