"""Status and headers of an answer, as api.z.ai sends them. Pure."""

from __future__ import annotations

from email.utils import formatdate
from functools import lru_cache

from simulator.api.call import Reply
from simulator.connection.wire import Head
from simulator.plan.models import beijing_text
from simulator.scenario.model import Framing, Scenario

_ALWAYS = (
    ("strict-transport-security", "max-age=31536000; includeSubDomains"),
    ("vary", "Accept-Encoding, Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
)
_ONLY_ONCE = frozenset({"date", "x-log-id"})
_STREAM = (("cache-control", "no-cache"), ("access-control-allow-origin", "*"))
_OWN = _ONLY_ONCE | {"server", "x-process-time", "set-cookie", *(name for name, _ in (*_ALWAYS, *_STREAM))}
_LOG_ID_TIME = "%Y%m%d%H%M%S"
_LOG_ID_TIME_LENGTH = 14


def head_of(reply: Reply, scenario: Scenario, *, log_id: str, now: float, took: float, compress: bool) -> Head:
    """The head of a reply. `took` is the seconds since the request came, which Z.AI tells in x-process-time."""
    content_type = reply.content_type if scenario.content_type is None else scenario.content_type
    headers = [("Server", "nginx"), ("Date", _http_date(int(now + (scenario.date_ahead or 0.0))))]
    if content_type:
        headers.append(("Content-Type", content_type))
    if reply.is_stream:
        headers += _STREAM
    if compress:
        headers.append(("content-encoding", "gzip"))
    headers += [
        ("X-LOG-ID", _log_id(log_id, scenario.log_id_ahead, now)),
        ("x-process-time", f"{took:.3f}"),
        ("set-cookie", f"acw_tc={log_id[14:]};path=/;HttpOnly;Max-Age=1800"),
        *_ALWAYS,
    ]
    left_out = _left_out(scenario)
    headers = [(name, value) for name, value in headers if name.lower() not in left_out]
    headers += [*reply.headers, *scenario.headers.items()]
    return Head(reply.status, headers, _framing(reply, scenario), scenario.trailers)


def _left_out(scenario: Scenario) -> frozenset[str]:
    """Which of the simulator's own headers are left out: those that the scenario does not want, and those that it sets
    itself and that may be there only once."""
    replaced = _ONLY_ONCE & scenario.headers.keys()
    if scenario.own_headers:
        return replaced
    times = {"date": scenario.date_ahead, "x-log-id": scenario.log_id_ahead}
    return replaced | (_OWN - {name for name, ahead in times.items() if ahead is not None})


def _log_id(log_id: str, ahead: float | None, now: float) -> str:
    """The id for the header, which begins with the scenario's time if it states one. In the body of an error the id
    keeps the true time."""
    if ahead is None:
        return log_id
    return beijing_text(now + ahead, _LOG_ID_TIME) + log_id[_LOG_ID_TIME_LENGTH:]


def _framing(reply: Reply, scenario: Scenario) -> Framing:
    if reply.frames is not None or scenario.trailers:
        return Framing.CHUNKED
    return scenario.framing or (Framing.CHUNKED if reply.is_played else Framing.LENGTH)


@lru_cache(maxsize=4)
def _http_date(second: int) -> str:
    return formatdate(second, usegmt=True)
