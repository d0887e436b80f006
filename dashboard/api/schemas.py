"""The shapes of the API's answers, as JSON Schema."""

from typing import Any, Final, TypeAlias

Schema: TypeAlias = dict[str, Any]


def _of(kind: str, meaning: str = "", **more: Any) -> Schema:
    return {"type": kind, **({"description": meaning} if meaning else {}), **more}


def _maybe(kind: str, meaning: str = "") -> Schema:
    return {"type": [kind, "null"], **({"description": meaning} if meaning else {})}


def _list(items: Schema, meaning: str = "") -> Schema:
    return _of("array", meaning, items=items)


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}


def ref(name: str) -> Schema:
    """One of the shapes below."""
    return {"$ref": f"#/components/schemas/{name}"}


_TEXT: Final = _of("string")
_MAYBE_TEXT: Final = _maybe("string")
_NUMBER: Final = _of("number")
_MAYBE_NUMBER: Final = _maybe("number")
_WHOLE: Final = _of("integer")
_MAYBE_WHOLE: Final = _maybe("integer")
_TIME: Final = _of("number", "Unix time")
_MAYBE_TIME: Final = _maybe("number", "Unix time")
_FLAG: Final = _of("boolean")
_COUNTS: Final[Schema] = {"type": "object", "additionalProperties": {"type": "integer"}}
_TOKEN_KINDS: Final = ("input", "output", "cache_read", "cache_write", "reasoning")
_TOKENS: Final = _object(**dict.fromkeys(_TOKEN_KINDS, _WHOLE))
_RATES: Final = _object(**dict.fromkeys(_TOKEN_KINDS[:4], _MAYBE_NUMBER))

_IDENTITY: Final[dict[str, Schema]] = {
    "id": _of("string", "What to end it by"),
    "target": _WHOLE,
    "request_id": _MAYBE_TEXT,
    "method": _MAYBE_TEXT,
    "path": _MAYBE_TEXT,
    "client": _MAYBE_TEXT,
    "session": _MAYBE_TEXT,
    "agent": _MAYBE_TEXT,
    "lane": _MAYBE_TEXT,
    "model": _maybe("string", "What answers, or has answered this name before"),
    "model_asked": _maybe("string", "What it asks for"),
}
_USED: Final = _object(
    key={"type": ["string", "integer", "null"]},
    requests=_WHOLE,
    ok=_WHOLE,
    failed=_WHOLE,
    aborted=_WHOLE,
    refused=_WHOLE,
    retries=_WHOLE,
    tokens=_TOKENS,
    cost_usd=_NUMBER,
    credits=_NUMBER,
    request_bytes=_WHOLE,
    response_bytes=_WHOLE,
    mean_duration=_MAYBE_NUMBER,
    wasted=_object(requests=_WHOLE, tokens=_WHOLE, cost_usd=_NUMBER),
)
_LINK: Final = _object(state=_TEXT, error=_MAYBE_TEXT)

SCHEMAS: Final[dict[str, Schema]] = {
    "Now": _object(
        at=_TIME,
        version=_TEXT,
        health=_object(
            level=_of("string", enum=["ok", "warning", "critical", "unknown"]), headline=_TEXT, since=_MAYBE_TIME
        ),
        workers=_object(busy=_MAYBE_WHOLE, limit=_MAYBE_WHOLE, wall=_MAYBE_WHOLE, draining=_FLAG),
        running=_list(ref("Running")),
        running_total=_WHOLE,
        waiting=_list(ref("Waiting")),
        waiting_total=_WHOLE,
        lanes=_list(_object(lane=_TEXT, running=_WHOLE, waiting=_WHOLE, longest_wait=_MAYBE_NUMBER)),
        limits=_list(ref("Limit")),
        plan=_maybe("string", "The plan's name"),
        quota=_list(ref("QuotaWindow")),
        per_minute=_object(
            requests=_MAYBE_NUMBER,
            failed=_MAYBE_NUMBER,
            tokens=_RATES,
            cost_usd=_MAYBE_NUMBER,
            credits=_MAYBE_NUMBER,
            seconds=_NUMBER,
        ),
        errors=_list(ref("Trouble")),
        alerts=_list(ref("Alert")),
        targets=_list(_object(id=_WHOLE, name=_TEXT, state=_TEXT)),
        scrape_interval=_NUMBER,
        can_cancel=_FLAG,
        cancel_hint=_MAYBE_TEXT,
    ),
    "Running": _object(
        **_IDENTITY,
        age=_NUMBER,
        silent=_maybe("number", "Seconds since its answer last grew"),
        request_bytes=_MAYBE_WHOLE,
        response_bytes=_MAYBE_WHOLE,
        tokens_estimated=_MAYBE_WHOLE,
    ),
    "Waiting": _object(**_IDENTITY, waited=_NUMBER),
    "Limit": _object(
        target=_WHOLE,
        replicas=_of("integer", "How many of the targets share it"),
        name=_TEXT,
        value=_MAYBE_NUMBER,
        ceiling=_MAYBE_NUMBER,
        used=_MAYBE_NUMBER,
        moves=_list(_object(at=_TIME, text=_TEXT), "The latest, newest first"),
    ),
    "QuotaWindow": _object(
        window=_TEXT,
        limit_type=_TEXT,
        used=_maybe("number", "Share of the allowance"),
        resets_at=_MAYBE_TIME,
        runs_out_at=_MAYBE_TIME,
        unused_at_reset=_MAYBE_NUMBER,
        gate_closed=_of("boolean", "New requests are refused until the reset"),
        sample_age=_MAYBE_NUMBER,
        text=_MAYBE_TEXT,
    ),
    "Trouble": {
        **_object(
            source=_of("string", enum=["zai", "way", "proxy"]),
            count=_WHOLE,
            codes=_COUNTS,
            title=_TEXT,
            advice=_TEXT,
            seconds=_WHOLE,
            **{"class": _TEXT},
        )
    },
    "Alert": _object(
        id=_TEXT, severity=_of("string", enum=["info", "warning", "critical"]), title=_TEXT, advice=_TEXT, since=_TIME
    ),
    "AlertChange": _object(
        id=_TEXT,
        state=_of("string", enum=["raised", "cleared"]),
        severity=_of("string", enum=["info", "warning", "critical"]),
        title=_TEXT,
        advice=_TEXT,
        at=_TIME,
    ),
    "Series": {
        **_object(
            to=_WHOLE,
            step=_WHOLE,
            points=_WHOLE,
            last_is_partial=_FLAG,
            charts=_list(ref("Chart")),
            marks=_list(_object(at=_TIME, kind=_TEXT, target=_MAYBE_WHOLE, text=_TEXT)),
            **{"from": _WHOLE},
        )
    },
    "Chart": _object(
        name=_TEXT,
        title=_TEXT,
        kind=_of("string", enum=["sum", "mean", "quantile"]),
        unit=_TEXT,
        lines=_list(
            _object(
                label=_TEXT,
                labels={"type": "object", "additionalProperties": _TEXT},
                values=_list(_MAYBE_NUMBER, "One for each point; null is a gap"),
                total=_MAYBE_NUMBER,
            )
        ),
    ),
    "Requests": _object(
        requests=_list(ref("Request")),
        next=_MAYBE_TEXT,
        total=_WHOLE,
        total_is_exact=_FLAG,
        lost=_object(requests=_WHOLE, unknown_gaps=_WHOLE),
    ),
    "Request": _object(
        id=_WHOLE,
        target=_WHOLE,
        feed_id=_TEXT,
        running_id=_MAYBE_TEXT,
        request_id=_MAYBE_TEXT,
        started=_TIME,
        ended=_TIME,
        client=_MAYBE_TEXT,
        session=_MAYBE_TEXT,
        agent=_MAYBE_TEXT,
        lane=_MAYBE_TEXT,
        method=_MAYBE_TEXT,
        path=_MAYBE_TEXT,
        model=_maybe("string", "What answered"),
        model_asked=_maybe("string", "What it asked for"),
        status=_MAYBE_WHOLE,
        outcome=_of("string", enum=["ok", "failed", "aborted", "refused"]),
        error=_MAYBE_TEXT,
        refused=_MAYBE_TEXT,
        code=_MAYBE_TEXT,
        waited=_MAYBE_NUMBER,
        first_byte=_MAYBE_NUMBER,
        duration=_NUMBER,
        request_bytes=_MAYBE_WHOLE,
        response_bytes=_MAYBE_WHOLE,
        tokens=_TOKENS,
        tokens_are=_MAYBE_TEXT,
        cost_usd=_MAYBE_NUMBER,
        credits=_MAYBE_NUMBER,
        attempts=_MAYBE_WHOLE,
    ),
    "Breakdown": {
        **_object(
            by=_TEXT,
            to=_NUMBER,
            resolution=_of("integer", "Seconds that the window was widened to whole ones of; 0: not at all"),
            rows=_list(ref("Used")),
            other={"anyOf": [ref("Used"), {"type": "null"}]},
            total=ref("Used"),
            **{"from": _NUMBER},
        )
    },
    "Used": _USED,
    "Targets": _object(
        targets=_list(
            _object(
                id=_WHOLE,
                name=_TEXT,
                url=_TEXT,
                state=_of("string", enum=["new", "up", "late", "stale"]),
                error=_MAYBE_TEXT,
                last_answer=_MAYBE_TIME,
                age=_MAYBE_NUMBER,
                misses=_WHOLE,
                scrape_seconds=_MAYBE_NUMBER,
                series=_WHOLE,
                started=_MAYBE_TIME,
                version=_MAYBE_TEXT,
                variant=_MAYBE_TEXT,
                status=_LINK,
                feed=_object(
                    state=_of("string", enum=["connecting", "up", "down", "denied", "absent"]),
                    error=_MAYBE_TEXT,
                    received=_WHOLE,
                    lost=_WHOLE,
                    unknown_gaps=_WHOLE,
                ),
            )
        ),
        store=_object(
            path=_TEXT,
            bytes=_WHOLE,
            error=_MAYBE_TEXT,
            requests=_WHOLE,
            oldest_request=_MAYBE_TIME,
            set_aside=_MAYBE_TEXT,
        ),
        names=_list(_object(source=_TEXT, addresses=_WHOLE, error=_MAYBE_TEXT)),
    ),
    "Problem": _object(error=_TEXT),
}
