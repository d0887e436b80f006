"""Status and headers of an answer, as api.z.ai sends them. Pure."""

from __future__ import annotations

from email.utils import formatdate
from functools import lru_cache

from simulator.api.call import Reply
from simulator.connection.wire import Head
from simulator.scenario.model import Framing, Scenario

_ALWAYS = (
    ("strict-transport-security", "max-age=31536000; includeSubDomains"),
    ("vary", "Accept-Encoding, Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
)
_ONLY_ONCE = frozenset({"date", "x-log-id"})
_STREAM = (("cache-control", "no-cache"), ("access-control-allow-origin", "*"))


def head_of(reply: Reply, scenario: Scenario, *, log_id: str, now: float, took: float, compress: bool) -> Head:
    """The head of a reply. `took` is the seconds since the request came, which Z.AI tells in x-process-time."""
    content_type = reply.content_type if scenario.content_type is None else scenario.content_type
    headers = [("Server", "nginx"), ("Date", _http_date(int(now)))]
    if content_type:
        headers.append(("Content-Type", content_type))
    if reply.is_stream:
        headers += _STREAM
    if compress:
        headers.append(("content-encoding", "gzip"))
    headers += [
        ("X-LOG-ID", log_id),
        ("x-process-time", f"{took:.3f}"),
        ("set-cookie", f"acw_tc={log_id[14:]};path=/;HttpOnly;Max-Age=1800"),
        *_ALWAYS,
        *reply.headers,
    ]
    headers = [(name, value) for name, value in headers if name.lower() not in _replaced(scenario)]
    headers += scenario.headers.items()
    return Head(reply.status, headers, _framing(reply, scenario), scenario.trailers)


def _replaced(scenario: Scenario) -> frozenset[str]:
    """The headers that can be there only once and that the scenario has another value for."""
    return _ONLY_ONCE & scenario.headers.keys()


def _framing(reply: Reply, scenario: Scenario) -> Framing:
    if reply.frames is not None or scenario.trailers:
        return Framing.CHUNKED
    return scenario.framing or (Framing.CHUNKED if reply.is_played else Framing.LENGTH)


@lru_cache(maxsize=4)
def _http_date(second: int) -> str:
    return formatdate(second, usegmt=True)
