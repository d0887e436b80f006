"""What a proxy says of itself at /status: what runs, what waits, what it has learned.

A part that is missing, or of another shape, is left out: an older proxy may not know of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from dashboard.domain.cache import SAYS_NOTHING, CacheStatus, read_cache
from dashboard.domain.lenient import mapping, moment, number, objects, text, texts, whole

_MOST_REQUESTS: Final = 2000
_MOST_LIMITS: Final = 20
_MOST_MODELS: Final = 60
_MOST_MOVES: Final = 16
_MOST_WINDOWS: Final = 32
_MOST_IDENTITIES: Final = 20

IN_FLIGHT: Final = "in flight"
"""The name of the limit that says how many requests may run at once."""


@dataclass(frozen=True, slots=True)
class Running:
    """A request that holds a place, or waits for one. `age` is how long it has been doing so, in seconds. `model` is
    what answers, or has answered the name that it asks for before, `program` what its user agent is known as."""

    id: str
    request_id: str | None
    method: str | None
    path: str | None
    client: str | None
    program: str | None
    session: str | None
    agent: str | None
    lane: str | None
    model: str | None
    model_asked: str | None
    age: float
    request_bytes: int | None
    response_bytes: int | None


@dataclass(frozen=True, slots=True)
class Move:
    """A change of a learned limit in words, and when (Unix time)."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit that the proxy has learned. `used` is None for those that are no number of requests; `moves` are the
    latest ones, newest first."""

    name: str
    value: float | None
    ceiling: float | None
    used: float | None
    moves: tuple[Move, ...]


@dataclass(frozen=True, slots=True)
class SharedPlaces:
    """So many places (`value`) that a model has together with others: it surely shares them with those in `models`,
    and with those in `maybe` as far as is tried."""

    models: tuple[str, ...]
    maybe: tuple[str, ...]
    value: float | None


@dataclass(frozen=True, slots=True)
class ModelLimit:
    """The places of one model: how many of it may run (`value`), how many do, and how many wait for one. `model` is
    `mcp` for calls of MCP tools, `unknown` where the proxy could not read it. `shares` is None where it has all that
    it may use to itself, and for proxies that tell nothing of that."""

    model: str
    value: float | None
    ceiling: float | None
    in_flight: int
    waiting: int
    moves: tuple[Move, ...]
    shares: SharedPlaces | None = None


@dataclass(frozen=True, slots=True)
class QuotaWindow:
    """A window of the plan. Times are Unix seconds, `used` and `unused_at_reset` shares of the allowance. `seconds` is
    how long it lasts."""

    window: str
    limit_type: str
    used: float | None
    resets_at: float | None
    runs_out_at: float | None = None
    unused_at_reset: float | None = None
    gate_closed: bool = False
    sample_age: float | None = None
    text: str | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class RefusedIdentity:
    """A client that Z.AI refuses while it answers others: `refusals` of them so far. `user_agent` is what its program
    calls itself, without the version."""

    client: str
    user_agent: str | None
    code: str | None
    refusals: int


@dataclass(frozen=True, slots=True)
class ProxyStatus:
    """One answer of /status.

    `limit` is what may run here, within `wall`. While the limits are `shared`, those in `limits` are the whole plan's,
    the same at every replica; the one that `leads` has learned them, and only its moves are theirs.
    """

    busy: int | None = None
    limit: int | None = None
    wall: int | None = None
    draining: bool = False
    running: tuple[Running, ...] = ()
    waiting: tuple[Running, ...] = ()
    limits: tuple[Limit, ...] = ()
    model_limits: tuple[ModelLimit, ...] = ()
    shared: bool = False
    leads: bool = False
    quota: tuple[QuotaWindow, ...] = ()
    refused_identities: tuple[RefusedIdentity, ...] = ()
    cache: CacheStatus = SAYS_NOTHING
    plan: str | None = None
    version: str | None = None
    variant: str | None = None

    @property
    def in_flight(self) -> float | None:
        """How many may run at once by the limit alone, of the whole plan while it is shared; None without pacing."""
        return next((limit.value for limit in self.limits if limit.name == IN_FLIGHT), None)


def read_status(data: object) -> ProxyStatus:
    """Never raises: what can't be read is left out."""
    status = mapping(data)
    workers, quota, sharing = (mapping(status.get(part)) for part in ("workers", "quota", "shared_limits"))
    return ProxyStatus(
        busy=whole(workers.get("in_flight")),
        limit=whole(workers.get("limit")),
        wall=whole(workers.get("max")),
        draining=workers.get("draining") is True,
        running=_requests(status.get("requests"), "age_seconds"),
        waiting=_requests(status.get("waiting"), "waited_seconds"),
        limits=tuple(_limit(each) for each in objects(status.get("limits"), _MOST_LIMITS)),
        model_limits=tuple(_model_limit(each) for each in objects(status.get("model_limits"), _MOST_MODELS)),
        shared=sharing.get("up") is True,
        leads=sharing.get("leads") is True,
        quota=_quota(quota),
        refused_identities=_refused(status.get("refused_identities")),
        cache=read_cache(status.get("cache")),
        plan=text(quota.get("plan")),
        version=text(status.get("version")),
        variant=text(status.get("variant")),
    )


def _requests(value: object, age: str) -> tuple[Running, ...]:
    found = (_request(each, age) for each in objects(value, _MOST_REQUESTS))
    return tuple(each for each in found if each is not None)


def _request(data: Mapping[str, Any], age: str) -> Running | None:
    identity = text(data.get("id"))
    if identity is None:
        return None
    return Running(
        id=identity,
        request_id=text(data.get("request_id")),
        method=text(data.get("method")),
        path=text(data.get("path")),
        client=text(data.get("client")),
        program=text(data.get("program")),
        session=text(data.get("session")),
        agent=text(data.get("agent")),
        lane=text(data.get("lane")),
        model=text(data.get("model")),
        model_asked=text(data.get("model_asked")),
        age=number(data.get(age)) or 0.0,
        request_bytes=whole(data.get("request_bytes")),
        response_bytes=whole(data.get("response_bytes")),
    )


def _limit(data: Mapping[str, Any]) -> Limit:
    return Limit(
        name=text(data.get("name")) or "limit",
        value=number(data.get("limit")),
        ceiling=number(data.get("ceiling")),
        used=number(data.get("used")),
        moves=_moves(data),
    )


def _model_limit(data: Mapping[str, Any]) -> ModelLimit:
    return ModelLimit(
        model=text(data.get("name")) or "unknown",
        value=number(data.get("limit")),
        ceiling=number(data.get("ceiling")),
        in_flight=whole(data.get("in_flight")) or 0,
        waiting=whole(data.get("waiting")) or 0,
        moves=_moves(data),
        shares=_shared_places(mapping(data.get("shares"))),
    )


def _shared_places(data: Mapping[str, Any]) -> SharedPlaces | None:
    models, maybe = (texts(data.get(those), _MOST_MODELS) for those in ("with", "maybe_with"))
    return SharedPlaces(models, maybe, number(data.get("limit"))) if models or maybe else None


def _moves(data: Mapping[str, Any]) -> tuple[Move, ...]:
    read = [_move(each) for each in objects(data.get("moves"), _MOST_MOVES)]
    return tuple(sorted((move for move in read if move is not None), key=lambda move: -move.at))


def _move(data: Mapping[str, Any]) -> Move | None:
    at, words = number(data.get("at")), text(data.get("text"))
    return None if at is None or words is None else Move(at, words)


def _quota(quota: Mapping[str, Any]) -> tuple[QuotaWindow, ...]:
    """The windows, with those that refuse new work, which may be none that a report tells of."""
    age = number(quota.get("sample_age_seconds"))
    closed = {text(each.get("window")) or "other": each for each in objects(quota.get("gate"), _MOST_WINDOWS)}
    windows = [_window(each, age, closed) for each in objects(quota.get("windows"), _MOST_WINDOWS)]
    told = {window.window for window in windows}
    untold = (
        QuotaWindow(
            name,
            "",
            None,
            moment(each.get("resets_at")),
            gate_closed=True,
            sample_age=age,
            seconds=number(each.get("seconds")),
        )
        for name, each in closed.items()
        if name not in told
    )
    return (*windows, *untold)


def _refused(value: object) -> tuple[RefusedIdentity, ...]:
    read = ((text(each.get("client")), each) for each in objects(value, _MOST_IDENTITIES))
    return tuple(
        RefusedIdentity(client, text(each.get("user_agent")), text(each.get("code")), whole(each.get("refusals")) or 0)
        for client, each in read
        if client is not None
    )


def _window(data: Mapping[str, Any], age: float | None, closed: Mapping[str, Any]) -> QuotaWindow:
    name = text(data.get("window")) or "other"
    return QuotaWindow(
        window=name,
        limit_type=text(data.get("limit_type")) or "",
        used=number(data.get("used")),
        resets_at=moment(data.get("resets_at")),
        runs_out_at=moment(data.get("exhausted_at")),
        unused_at_reset=number(data.get("unused_at_reset")),
        gate_closed=name in closed,
        sample_age=age,
        text=text(data.get("outlook")),
        seconds=number(data.get("seconds")),
    )
