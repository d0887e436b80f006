"""What a proxy says of itself at /status: what runs, what waits, what it has learned. Every part may be missing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from dashboard.domain.tolerant import first, mapping, moment, number, objects, text, whole

_MOST_REQUESTS: Final = 2000
_MOST_LIMITS: Final = 20
_MOST_MOVES: Final = 16
_MOST_WINDOWS: Final = 32


@dataclass(frozen=True, slots=True)
class Running:
    """A request that holds a place, or waits for one. `age` is how long it has been doing so, in seconds."""

    id: str
    request_id: str | None
    method: str | None
    path: str | None
    client: str | None
    session: str | None
    agent: str | None
    lane: str | None
    model: str | None
    age: float
    request_bytes: int | None
    response_bytes: int | None


@dataclass(frozen=True, slots=True)
class Move:
    """A change of a learned limit in words, and when (Unix time) if that is known."""

    at: float | None
    text: str


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit that the proxy has learned. `moves` are the latest ones, newest first."""

    name: str
    value: float | None
    ceiling: float | None
    used: float | None
    moves: tuple[Move, ...]


@dataclass(frozen=True, slots=True)
class QuotaWindow:
    """A window of the plan. Times are Unix seconds, `used` and `unused_at_reset` shares of the allowance."""

    window: str
    limit_type: str
    used: float | None
    resets_at: float | None
    runs_out_at: float | None = None
    unused_at_reset: float | None = None
    gate_closed: bool = False
    sample_age: float | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class ProxyStatus:
    """One answer of /status."""

    busy: int | None = None
    limit: int | None = None
    wall: int | None = None
    draining: bool = False
    running: tuple[Running, ...] = ()
    waiting: tuple[Running, ...] = ()
    limits: tuple[Limit, ...] = ()
    quota: tuple[QuotaWindow, ...] = ()
    plan: str | None = None
    version: str | None = None
    variant: str | None = None


def read_status(data: object) -> ProxyStatus:
    """Never raises: what can't be read is left out."""
    status = mapping(data)
    workers = mapping(status.get("workers"))
    limits = tuple(_limit(each) for each in objects(status.get("limits"), _MOST_LIMITS))
    return ProxyStatus(
        busy=whole(first(workers, "in_flight", "busy")),
        limit=whole(first(workers, "limit", "learned")) or _limit_in_flight(limits),
        wall=whole(first(workers, "max", "wall")),
        draining=workers.get("draining") is True,
        running=_running(status.get("requests")),
        waiting=_running(status.get("waiting")),
        limits=limits,
        quota=_quota(status.get("quota")),
        plan=text(mapping(status.get("quota")).get("plan")),
        version=text(status.get("version")),
        variant=text(status.get("variant")),
    )


def _running(value: object) -> tuple[Running, ...]:
    found = (_request(each) for each in objects(value, _MOST_REQUESTS))
    return tuple(each for each in found if each is not None)


def _request(data: Mapping[str, Any]) -> Running | None:
    identity = text(data.get("id")) or text(data.get("request_id"))
    if identity is None:
        return None
    return Running(
        id=identity,
        request_id=text(data.get("request_id")),
        method=text(data.get("method")),
        path=text(data.get("path")),
        client=text(data.get("client")),
        session=text(data.get("session")),
        agent=text(data.get("agent")),
        lane=text(data.get("lane")),
        model=text(data.get("model")),
        age=number(first(data, "waited_seconds", "waited", "age_seconds", "age")) or 0.0,
        request_bytes=whole(data.get("request_bytes")),
        response_bytes=whole(data.get("response_bytes")),
    )


def _limit(data: Mapping[str, Any]) -> Limit:
    moves = data.get("moves")
    listed = list(moves)[-_MOST_MOVES:] if isinstance(moves, list | tuple) else []
    read = [move for each in listed if (move := _move(each)) is not None]
    ceiling = data.get("ceiling")
    if isinstance(ceiling, Mapping):
        ceiling = first(ceiling, "level", "value")
    return Limit(
        name=(text(data.get("name")) or "limit").replace("_", " "),
        value=number(first(data, "limit", "value", "rate")),
        ceiling=number(ceiling),
        used=number(first(data, "used", "in_flight", "busy")),
        moves=tuple(sorted(read, key=lambda move: -(move.at or 0.0))),
    )


def _move(value: object) -> Move | None:
    data = mapping(value)
    words = text(value) or text(first(data, "text", "move"))
    if words is None and data:
        cause, before, after = (text(data.get("cause")), *(number(data.get(name)) for name in ("before", "after")))
        if before is None or after is None:
            return None
        unit = text(data.get("unit")) or ""
        words = f"{cause or 'changed'}: {before:.3g} → {after:.3g} {unit}".rstrip()
    return None if words is None else Move(moment(data.get("at")), words)


def _limit_in_flight(limits: tuple[Limit, ...]) -> int | None:
    found = next((each.value for each in limits if each.name in ("in flight", "concurrency", "workers")), None)
    return None if found is None else int(found)


def _quota(value: object) -> tuple[QuotaWindow, ...]:
    """The windows, with those that refuse new work, which may be none that a report tells of."""
    quota = mapping(value)
    age = number(quota.get("sample_age_seconds"))
    closed = {text(each.get("window")) or "other": each for each in objects(quota.get("gate"), _MOST_WINDOWS)}
    windows = [_window(each, age, closed) for each in objects(quota.get("windows", value), _MOST_WINDOWS)]
    told = {window.window for window in windows}
    untold = (
        QuotaWindow(name, "", None, moment(each.get("resets_at")), gate_closed=True, sample_age=age)
        for name, each in closed.items()
        if name not in told
    )
    return (*windows, *untold)


def _window(data: Mapping[str, Any], age: float | None, closed: Mapping[str, Any]) -> QuotaWindow:
    name = text(first(data, "window", "name")) or "other"
    return QuotaWindow(
        window=name,
        limit_type=text(data.get("limit_type")) or "",
        used=number(first(data, "used", "used_ratio")),
        resets_at=moment(data.get("resets_at")),
        runs_out_at=moment(first(data, "exhausted_at", "runs_out_at")),
        unused_at_reset=number(data.get("unused_at_reset")),
        gate_closed=name in closed or data.get("gate_closed") is True,
        sample_age=number(data.get("sample_age_seconds")) or age,
        text=text(first(data, "outlook", "text")),
    )
