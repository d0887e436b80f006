"""What goes on at this moment, over all proxies: the object that the page shows first. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pydantic import TypeAdapter

from dashboard.domain import proxy_status
from dashboard.domain.cache import cache_of_all
from dashboard.domain.proxy_status import IN_FLIGHT, ProxyStatus
from dashboard.records.alerts import Alert, Severity
from dashboard.records.snapshot import (
    Health,
    Lane,
    Level,
    Limit,
    ModelLimit,
    Move,
    PerMinute,
    QuotaWindow,
    Running,
    SharedPlaces,
    Snapshot,
    TargetHealth,
    TargetState,
    Trouble,
    Waiting,
    Workers,
)

_MOST_LISTED: Final = 200
# There may be hundreds of these, each second: made all at once they cost a quarter less.
_ALL_RUNNING: Final = TypeAdapter(list[Running])
_ALL_WAITING: Final = TypeAdapter(list[Waiting])
_NO_LANE: Final = "unknown"
_LANE_ORDER: Final = {"main": 0, "subagent": 1, "background": 2}


@dataclass(frozen=True, slots=True)
class TargetView:
    """A proxy as it was last heard of, `status_age` seconds ago. `silent` tells for a running request's id for how many
    seconds its answer has not grown. `gauge` reads a gauge of its metrics, for what the status does not say."""

    id: int
    name: str
    health: TargetHealth
    status: ProxyStatus | None
    status_age: float
    silent: Callable[[str], float | None]
    gauge: Callable[[str], float | None]

    @property
    def is_heard(self) -> bool:
        return self.health in (TargetHealth.UP, TargetHealth.LATE)

    @property
    def is_sharing(self) -> bool:
        """Whether its limits are the whole plan's, and not those of its own share."""
        return self.gauge("zai_proxy_shared_limits_up") == 1.0 if self.status is None else self.status.shared


@dataclass(frozen=True, slots=True)
class Figures:
    """What was counted lately, worked out once a round."""

    per_minute: PerMinute
    errors: Sequence[Trouble] = ()


def workers(targets: Sequence[TargetView]) -> Workers:
    heard = [target for target in targets if target.is_heard]
    return Workers(
        busy=_sum(_of(target, "busy", "zai_proxy_concurrent_requests") for target in heard),
        limit=_limit_of_all(heard),
        wall=_sum(map(_wall, heard)),
        draining=any(target.status is not None and target.status.draining for target in heard),
    )


def build(
    at: float,
    targets: Sequence[TargetView],
    quota: Sequence[proxy_status.QuotaWindow],
    figures: Figures,
    alerts: Sequence[Alert],
    guess_tokens: Callable[[str | None, int | None], int | None],
) -> Snapshot:
    """Everything of /api/now that comes from the proxies. `alerts` are those that stand, the worst first."""
    heard = [target for target in targets if target.is_heard and target.status is not None]
    running = _ALL_RUNNING.validate_python(
        [_running(target, each, guess_tokens) for target in heard for each in _status(target).running]
    )
    waiting = _ALL_WAITING.validate_python(
        [_waiting(target, each) for target in heard for each in _status(target).waiting]
    )
    running.sort(key=lambda each: -each.age)
    waiting.sort(key=lambda each: -each.waited)
    places = workers(targets)
    # A gauge is as old as the last look: it counts only where no list does.
    mute = [target for target in targets if target.is_heard and target.status is None]
    queued = len(waiting) + (_sum(target.gauge("zai_proxy_rate_limit_queued_requests") for target in mute) or 0)
    return Snapshot(
        at=at,
        health=_health(targets, places, len(running), queued, alerts),
        workers=places,
        running=running[:_MOST_LISTED],
        running_total=len(running),
        waiting=waiting[:_MOST_LISTED],
        waiting_total=queued,
        lanes=_lanes(running, waiting),
        limits=[*_shared_limits(heard), *_own_limits(heard)],
        model_limits=[*_shared_model_limits(heard), *_own_model_limits(heard)],
        plan=next((target.status.plan for target in heard if target.status and target.status.plan), None),
        quota=[_window(window) for window in quota],
        per_minute=figures.per_minute,
        cache=cache_of_all((target.id, _status(target).cache) for target in heard),
        errors=list(figures.errors),
        alerts=list(alerts),
        targets=[TargetState(id=target.id, name=target.name, state=target.health) for target in targets],
    )


def _health(
    targets: Sequence[TargetView], places: Workers, running: int, waiting: int, alerts: Sequence[Alert]
) -> Health:
    worst = next((alert for alert in alerts if alert.severity is not Severity.INFO), None)
    if worst is not None:
        return Health(level=Level(worst.severity.value), headline=worst.title, since=worst.since)
    if not any(target.is_heard for target in targets):
        return Health(level=Level.UNKNOWN, headline="Waiting for the first answer of a proxy.", since=None)
    return Health(level=Level.OK, headline=_headline(places, running, waiting), since=None)


def _headline(places: Workers, running: int, waiting: int) -> str:
    # Whoever waits for its turn holds a place too: what is busy beyond that is what runs.
    busy = running or max(0, (places.busy or 0) - waiting)
    if not busy and not waiting:
        return "Ready: nothing runs at the moment."
    most = places.limit if places.limit is not None else places.wall
    said = f"{busy} of {most} places busy" if most is not None else f"{busy} running"
    return f"Working: {said}, {waiting} waiting." if waiting else f"Working: {said}."


def _running(
    target: TargetView, each: proxy_status.Running, guess_tokens: Callable[[str | None, int | None], int | None]
) -> dict[str, Any]:
    return {
        **_identity(target, each),
        "age": round(each.age + target.status_age, 1),
        "silent": _rounded(target.silent(each.id)),
        "request_bytes": each.request_bytes,
        "response_bytes": each.response_bytes,
        "tokens_estimated": guess_tokens(each.model, each.response_bytes),
    }


def _waiting(target: TargetView, each: proxy_status.Running) -> dict[str, Any]:
    return {**_identity(target, each), "waited": round(each.age + target.status_age, 1)}


def _identity(target: TargetView, each: proxy_status.Running) -> dict[str, Any]:
    return {
        "id": each.id,
        "target": target.id,
        "request_id": each.request_id,
        "method": each.method,
        "path": each.path,
        "client": each.client,
        "program": each.program,
        "session": each.session,
        "agent": each.agent,
        "lane": each.lane,
        "model": each.model,
        "model_asked": each.model_asked,
    }


def _lanes(running: Sequence[Running], waiting: Sequence[Waiting]) -> list[Lane]:
    runs = Counter(each.lane or _NO_LANE for each in running)
    waits = Counter(each.lane or _NO_LANE for each in waiting)
    longest: dict[str, float] = {}
    for each in waiting:
        name = each.lane or _NO_LANE
        longest[name] = max(longest.get(name, 0.0), each.waited)
    names = sorted(runs | waits, key=lambda name: (_LANE_ORDER.get(name, len(_LANE_ORDER)), name))
    return [Lane(lane=name, running=runs[name], waiting=waits[name], longest_wait=longest.get(name)) for name in names]


def _own_limits(targets: Sequence[TargetView]) -> list[Limit]:
    own = [target for target in targets if not target.is_sharing]
    return [_limit(target, limit, 1) for target in own for limit in _status(target).limits]


def _shared_limits(targets: Sequence[TargetView]) -> list[Limit]:
    """The plan's limits once, as the proxy tells of them that has learned them."""
    sharing = [target for target in targets if target.is_sharing]
    teller = _teller(sharing)
    if teller is None:
        return []
    used = _sum(limit.used for target in sharing for limit in _status(target).limits if limit.name == IN_FLIGHT)
    return [
        _limit(teller, replace(limit, used=used) if limit.name == IN_FLIGHT else limit, len(sharing))
        for limit in _status(teller).limits
    ]


def _teller(sharing: Sequence[TargetView]) -> TargetView | None:
    return next((target for target in sharing if _status(target).leads), next(iter(sharing), None))


def _own_model_limits(targets: Sequence[TargetView]) -> list[ModelLimit]:
    own = [target for target in targets if not target.is_sharing]
    return [each for target in own for each in _model_limits(target, [target])]


def _shared_model_limits(targets: Sequence[TargetView]) -> list[ModelLimit]:
    """The plan's places by model once, with what runs and waits at all who share them."""
    sharing = [target for target in targets if target.is_sharing]
    teller = _teller(sharing)
    return [] if teller is None else _model_limits(teller, sharing)


def _model_limits(teller: TargetView, sharing: Sequence[TargetView]) -> list[ModelLimit]:
    running, waiting = Counter[str](), Counter[str]()
    for target in sharing:
        for limit in _status(target).model_limits:
            running[limit.model] += limit.in_flight
            waiting[limit.model] += limit.waiting
    return [
        ModelLimit(
            target=teller.id,
            replicas=len(sharing),
            model=limit.model,
            value=limit.value,
            ceiling=limit.ceiling,
            in_flight=running[limit.model],
            waiting=waiting[limit.model],
            moves=[Move(at=move.at, text=move.text) for move in limit.moves],
            shares=None if limit.shares is None else _shared_places(limit.model, limit.shares, running),
        )
        for limit in _status(teller).model_limits
    ]


def _shared_places(model: str, shares: proxy_status.SharedPlaces, running: Mapping[str, int]) -> SharedPlaces:
    return SharedPlaces(
        with_=list(shares.models),
        maybe_with=list(shares.maybe),
        value=shares.value,
        in_flight=sum(running[each] for each in (model, *shares.models, *shares.maybe)),
    )


def _limit(target: TargetView, limit: proxy_status.Limit, replicas: int) -> Limit:
    return Limit(
        target=target.id,
        replicas=replicas,
        name=limit.name,
        value=limit.value,
        ceiling=limit.ceiling,
        used=limit.used,
        moves=[Move(at=move.at, text=move.text) for move in limit.moves],
    )


def _window(window: proxy_status.QuotaWindow) -> QuotaWindow:
    return QuotaWindow(
        window=window.window,
        limit_type=window.limit_type,
        used=window.used,
        resets_at=window.resets_at,
        runs_out_at=window.runs_out_at,
        unused_at_reset=window.unused_at_reset,
        gate_closed=window.gate_closed,
        sample_age=window.sample_age,
        text=window.text,
    )


def _limit_of_all(targets: Sequence[TargetView]) -> int | None:
    """How many may run now: a plan that is shared counts once, however many share it, and what others have learned of
    their own share comes on top."""
    sharing = [target for target in targets if target.is_sharing]
    plan = max((limit for target in sharing if (limit := _in_flight(target)) is not None), default=None)
    return _sum(
        (
            _least(plan, _sum(map(_wall, sharing))),
            *(_own_limit(target) for target in targets if not target.is_sharing),
        )
    )


def _own_limit(target: TargetView) -> float | None:
    return _least(_in_flight(target), _wall(target)) if target.status is None else target.status.limit


def _in_flight(target: TargetView) -> float | None:
    return target.gauge("zai_proxy_concurrency_limit_requests") if target.status is None else target.status.in_flight


def _wall(target: TargetView) -> int | None:
    return _of(target, "wall", "zai_proxy_max_workers")


def _of(target: TargetView, name: str, gauge: str) -> int | None:
    said: int | None = None if target.status is None else getattr(target.status, name)
    measured = target.gauge(gauge) if said is None else None
    return said if measured is None else int(measured)


def _status(target: TargetView) -> ProxyStatus:
    return target.status or ProxyStatus()


def _sum(values: Iterable[float | None]) -> int | None:
    known = [value for value in values if value is not None]
    return int(sum(known)) if known else None


def _least(*values: float | None) -> float | None:
    return min((value for value in values if value is not None), default=None)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
