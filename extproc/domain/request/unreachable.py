"""What clients are told where no connection to Z.AI comes about, in words that go by Envoy's own."""

import re
from collections.abc import Sequence
from typing import Final

from extproc.domain.request.way_up import ForwardProxy

CONNECT_SECONDS: Final = 10
"""For so long Envoy waits for a connection."""

_NO_WAY: Final = "Z.AI can't be reached%s%s. The log of this proxy and `zai-proxy doctor` say more."
_THROUGH: Final = " through %s (HTTPS_PROXY)"
_NOTHING_ANSWERS: Final = ": nothing has answered there within %s s"
_TLS_FAILED: Final = "connection_failure.*(CERTIFICATE|SSL_routines)"
_BROKEN_WAYS: Final = (
    (_TLS_FAILED, ": TLS with what answers there fails"),
    ("connection_timeout", _NOTHING_ANSWERS % CONNECT_SECONDS),
)
_BROKEN_WAYS_THROUGH: Final = (
    (_TLS_FAILED, ": that proxy opens a tunnel, but TLS behind it fails"),
    ("connection_timeout", _NOTHING_ANSWERS % CONNECT_SECONDS),
    ("connection_failure", ": that proxy does not answer, or refuses to open a tunnel"),
)


def broken_ways(proxy: ForwardProxy | None) -> Sequence[tuple[str, str]]:
    """How the way to Z.AI, or through a proxy, is known to end: patterns of Envoy's details, each with what it
    means."""
    ways = _BROKEN_WAYS if proxy is None else _BROKEN_WAYS_THROUGH
    return [(details, _NO_WAY % (_through(proxy), words)) for details, words in ways]


def no_connection(details: str, proxy: ForwardProxy | None) -> str:
    """What Envoy's details of an attempt that met no answer mean."""
    known = (words for pattern, words in broken_ways(proxy) if re.search(pattern, details))
    return next(known, _NO_WAY % (_through(proxy), ""))


def nothing_answers(proxy: ForwardProxy | None, seconds: str) -> str:
    """The same for a connection that was waited for in vain for so many seconds."""
    return _NO_WAY % (_through(proxy), _NOTHING_ANSWERS % seconds)


def _through(proxy: ForwardProxy | None) -> str:
    return "" if proxy is None else _THROUGH % proxy.address
