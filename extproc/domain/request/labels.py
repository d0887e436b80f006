"""Metric label values, bounded whatever a caller or an upstream sends."""

import re
import zlib
from collections.abc import Iterable
from typing import Final

OTHER: Final = "other"
UNKNOWN: Final = "unknown"

# RFC 9110 section 9, and PATCH of RFC 5789. Methods are case-sensitive: "get" is none of them.
_METHODS: Final = {m: m for m in ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")}

_STATUSES: Final = {code: str(code) for code in range(100, 600)}

_BUCKETS: Final = tuple(f"source-{number:02d}" for number in range(64))
_SOURCE_LENGTH: Final = 256

_MODEL_LENGTH: Final = 64
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._:/\[\]-]")


def method_label(method: str) -> str:
    """The method itself if it is a standard one, else `OTHER`."""
    return _METHODS.get(method, "OTHER")


def status_label(code: int) -> str:
    """`100` to `599`, anything else is `other`; what a missing status means is the caller's to say."""
    return _STATUSES.get(code, OTHER)


def client_bucket(source: str | bytes) -> str:
    """One of `source-00` to `source-63`: the same for the same source in every process and after every restart."""
    cut = source[:_SOURCE_LENGTH]
    # Header values can hold lone surrogates, which no stricter handler encodes.
    raw = cut.encode("utf-8", "surrogatepass") if isinstance(cut, str) else cut
    return _BUCKETS[zlib.crc32(raw) & 63]


class ModelLabels:
    """Turns reported model names into at most `limit` distinct labels; later names become `other`.

    A label is the name's first 64 characters, each one outside `A-Z a-z 0-9 . _ : / - [ ]` replaced by `_`; no name
    is `unknown`. Neither `unknown` nor `other` counts towards the limit. The `known` names have their place for good,
    so that a run of odd names cannot push a real model into `other`.
    """

    __slots__ = ("_by_name", "_labels", "_limit", "_most_names")

    def __init__(self, known: Iterable[str] = (), limit: int = 50) -> None:
        self._limit = limit
        # Several names can share a label ("a b" and "a_b"), so the names remembered need a bound of their own.
        self._most_names = 8 * limit
        self._labels: set[str] = set()
        self._by_name: dict[str, str] = {}
        for name in known:
            self.label(name)

    def label(self, model: str | None) -> str:
        """The label of a model name as the upstream reported it."""
        if not model:
            return UNKNOWN
        name = model[:_MODEL_LENGTH]
        return self._by_name.get(name) or self._admit(name)

    def _admit(self, name: str) -> str:
        label = _UNSAFE.sub("_", name.strip()) or UNKNOWN
        if label not in self._labels and label not in (UNKNOWN, OTHER):
            if len(self._labels) >= self._limit:
                return OTHER
            self._labels.add(label)
        if len(self._by_name) < self._most_names:
            self._by_name[name] = label
        return label
