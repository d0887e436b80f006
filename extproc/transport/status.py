"""The parts of /status: what runs, what waits, the limits. Times are seconds, moments Unix times, sizes bytes."""

from extproc.domain.pacing.config import PacingMode
from extproc.domain.pacing.learned_limits import ACCOUNT
from extproc.domain.pacing.limits import MCP
from extproc.domain.pacing.records import GroupStatus, LimitStatus, PacingStatus
from extproc.domain.request.exchange import Exchange
from extproc.domain.request.model_names import ModelNames


def describe(exchange: Exchange, now: float, models: ModelNames) -> dict[str, object]:
    """A request that runs."""
    return {
        **_who(exchange, models),
        "age_seconds": round(now - exchange.started, 3),
        "waited_before_seconds": round(exchange.waited, 3),
        "request_bytes": exchange.request_bytes,
        "response_bytes": exchange.response_bytes,
    }


def describe_waiting(exchange: Exchange, now: float, models: ModelNames) -> dict[str, object]:
    """A request in the queue."""
    return {**_who(exchange, models), "waited_seconds": round(now - exchange.started, 3)}


def describe_models(models: ModelNames) -> list[dict[str, str]]:
    """Which model has served each name that was asked for."""
    return [{"asked": asked, "served": served} for asked, served in models.pairs()]


def is_paced(pace: PacingStatus) -> bool:
    return pace.mode is not PacingMode.OFF


def describe_pacing(pace: PacingStatus) -> dict[str, object]:
    """The state of pacing as a whole."""
    return {
        "mode": pace.mode.value,
        "waiting": {lane.value: waiting for lane, waiting in pace.waiting.items()},
        "expected_wait_seconds": round(pace.expected_wait, 3),
        "limits_in_use": round(pace.share_in_use, 3),
    }


def describe_limits(pace: PacingStatus) -> list[dict[str, object]]:
    """The account's limits that hold requests back, with their latest moves; none without pacing."""
    if not is_paced(pace):
        return []
    return [
        # MCP tools are beside that limit.
        {
            **_describe_limit("in flight", pace.concurrency),
            "used": sum(each.in_flight for each in pace.models if each.model != MCP),
        },
        _describe_limit("requests/s", pace.rate),
    ]


def describe_model_limits(pace: PacingStatus) -> list[dict[str, object]]:
    """The places of each model of the account; none without pacing."""
    if not is_paced(pace):
        return []
    return [
        {
            **_describe_limit(each.model, each.limit),
            "in_flight": each.in_flight,
            "waiting": each.waiting,
            "in_use": round(each.share_in_use, 3),
            "shares": None if each.group is None else _describe_group(each.group),
        }
        for each in pace.models
    ]


def _describe_group(group: GroupStatus) -> dict[str, object]:
    """The places that a model has together with others, beside its own limit."""
    return {
        "with": list(group.known),
        "maybe_with": list(group.on_trial),
        "limit": group.limit,
        "in_flight": group.in_flight,
    }


def _describe_limit(name: str, limit: LimitStatus) -> dict[str, object]:
    return {
        "name": name,
        "account": ACCOUNT,
        "limit": round(limit.limit, 3),
        "ceiling": None if limit.ceiling is None else round(limit.ceiling, 3),
        "confidence": round(limit.confidence, 3),
        "moves": [{"at": move.at, "direction": move.direction.value, "text": str(move)} for move in limit.moves],
    }


def _who(exchange: Exchange, models: ModelNames) -> dict[str, object]:
    return {
        "id": exchange.id,
        "request_id": exchange.request_id,
        "method": exchange.method,
        "path": exchange.path,
        "client": exchange.client or exchange.source,
        "program": exchange.program or None,
        "session": exchange.session or None,
        "agent": exchange.agent or None,
        "lane": exchange.lane.value,
        "model_asked": exchange.asked or None,
        "model": exchange.model or models.serves(exchange.asked) or None,
    }
