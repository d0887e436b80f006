"""Answers that the processor gives itself, as JSON in the dialect of the API that was called."""

import json
import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from extproc.domain.request.routes import Dialect

SHORTEST_WAIT: Final = 2
"""After so many seconds whoever is refused for something that passes may come back, where nobody knows better."""
# A wait that a client may be asked to sit out.
_NEAR_SECONDS: Final = 60
_LONGEST_ORIGIN: Final = 200


class RefusalReason(StrEnum):
    """Why a request was refused before it left, or ended by a person."""

    CAPACITY = "capacity"
    RATE = "rate"
    QUOTA = "quota"
    DRAINING = "draining"
    CANCELLED = "cancelled"
    UNAUTHORIZED = "unauthorized"
    CLIENT_LIMIT = "client_limit"
    ORIGIN = "origin"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class UsedUp:
    """That the plan has nothing left. `resets_at` is a Unix time in whole seconds, `seconds` the time until then; both
    None if nobody knows."""

    resets_at: int | None = None
    seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal. `retry_after` is in whole seconds; None where a retry cannot help."""

    reason: RefusalReason
    status: int
    message: str
    retry_after: int | None
    used_up: UsedUp | None = None


def at_capacity(max_workers: int) -> Refusal:
    """All worker slots are taken."""
    return Refusal(
        RefusalReason.CAPACITY,
        503,
        f"All {max_workers} workers of this proxy are busy: try again in a few seconds.",
        retry_after=2,
    )


def waited_too_long(waited: float, retry_after: int) -> Refusal:
    """A request had no turn in the time that it may wait; its turn would come in about `retry_after` seconds."""
    message = f"The plan has had no place for this request for {waited:.0f} s: try again in {retry_after} s."
    return Refusal(RefusalReason.RATE, 429, message, retry_after)


def draining() -> Refusal:
    """The proxy is shutting down."""
    return Refusal(
        RefusalReason.DRAINING, 503, "This proxy is shutting down: try again in a few seconds.", retry_after=5
    )


def unauthorized() -> Refusal:
    """The proxy asks for tokens of its own, and this is none of them."""
    return Refusal(RefusalReason.UNAUTHORIZED, 401, "This proxy does not know this token.", retry_after=None)


def too_many_wrong_tokens() -> Refusal:
    """The token is wrong, and as many wrong ones wait for their answer as may."""
    message = "This proxy does not know this token, and too many wrong ones are tried here: try again in a few seconds."
    return Refusal(RefusalReason.UNAUTHORIZED, 429, message, retry_after=5)


def foreign_page(origin: str) -> Refusal:
    """A web page asks that nobody has allowed to spend the key."""
    origin = origin[:_LONGEST_ORIGIN]
    message = f"Web pages of the origin {origin} may not use this proxy; CORS_ORIGINS={origin} lets them."
    return Refusal(RefusalReason.ORIGIN, 403, message, retry_after=None)


def client_at_capacity(name: str, max_in_flight: int) -> Refusal:
    """A client has as many requests under way as it may."""
    message = f"The client {name} has {max_in_flight} requests under way, as many as it may: try again soon."
    return Refusal(RefusalReason.CLIENT_LIMIT, 429, message, retry_after=2)


def client_used_up(name: str, daily_tokens: int, seconds_left: float) -> Refusal:
    """A client has used its tokens of the day."""
    hours = seconds_left / 3600
    message = f"The client {name} has used its {daily_tokens} tokens of today; the next day begins in {hours:.1f} h."
    near = math.ceil(seconds_left) if seconds_left <= _NEAR_SECONDS else None
    return Refusal(RefusalReason.CLIENT_LIMIT, 429, message, retry_after=near)


def cancelled() -> Refusal:
    """Whoever watches the proxy has ended the request. Not a status that clients send again."""
    return Refusal(
        RefusalReason.CANCELLED, 403, "This request was ended by the operator of the proxy.", retry_after=None
    )


def unavailable(message: str) -> Refusal:
    """No connection to the upstream comes about, as often as that was tried; `message` says why."""
    return Refusal(RefusalReason.UNAVAILABLE, 503, message, SHORTEST_WAIT)


_ANTHROPIC_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
    503: "overloaded_error",
}
_OPENAI_TYPES = {
    401: "invalid_request_error",
    403: "invalid_request_error",
    429: "rate_limit_error",
    503: "server_error",
}


_JSON = ("content-type", "application/json")


def body(refusal: Refusal, dialect: Dialect, request_id: str) -> bytes:
    """The JSON body of a refusal: the Anthropic error envelope or the OpenAI one."""
    return json.dumps(_envelope(refusal, dialect, request_id), ensure_ascii=False).encode()


def headers(refusal: Refusal, dialect: Dialect) -> list[tuple[str, str]]:
    """The response headers that tell a client whether and when to try again."""
    retry = refusal.retry_after
    if retry is not None:
        return [_JSON, ("retry-after", str(retry)), ("x-should-retry", "true")]
    if refusal.used_up is None or dialect is not Dialect.ANTHROPIC:
        return [_JSON, ("x-should-retry", "false")]
    return [_JSON, ("x-should-retry", "false"), *_limit_headers(refusal.used_up)]


def _limit_headers(used_up: UsedUp) -> list[tuple[str, str]]:
    """Anthropic's words for a plan that is used up. On a `retry-after` above 60 s Claude Code stops at once; `rejected`
    alone does not stop it."""
    rejected = ("anthropic-ratelimit-unified-status", "rejected")
    if used_up.resets_at is None:
        return [rejected]
    reset = ("anthropic-ratelimit-unified-reset", str(used_up.resets_at))
    return [rejected, reset, ("retry-after", str(used_up.seconds))]


def _envelope(refusal: Refusal, dialect: Dialect, request_id: str) -> dict[str, object]:
    if dialect is Dialect.ANTHROPIC:
        error = {"type": _ANTHROPIC_TYPES[refusal.status], "message": refusal.message}
        return {"type": "error", "error": error, "request_id": request_id}
    openai_error = {
        "message": refusal.message,
        "type": _OPENAI_TYPES[refusal.status],
        "code": refusal.reason.value,
        "param": None,
    }
    return {"error": openai_error, "request_id": request_id}
