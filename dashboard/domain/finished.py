"""A finished request as a proxy's feed tells of it. What a proxy does not say is None."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dashboard.domain.lenient import mapping, number, text

_LONGEST_TEXT: Final = 200
_CLIENT_LEFT: Final = 499

TOKEN_KINDS: Final = ("input", "output", "cache_read", "cache_write", "reasoning")
_TEXTS: Final = (
    "request_id", "client", "session", "agent", "lane", "method", "path", "model", "model_asked", "error", "refused",
    "code", "tokens_are", "running_id",
)  # fmt: skip
_NUMBERS: Final = ("waited", "first_byte", "cost_usd", "credits")
_WHOLE: Final = ("status", "request_bytes", "response_bytes", "attempts")


class Outcome(StrEnum):
    """How a request ended, for whoever counts."""

    OK = "ok"
    FAILED = "failed"
    ABORTED = "aborted"  # the client left
    REFUSED = "refused"  # by the proxy


@dataclass(frozen=True, slots=True)
class Finished:
    """One finished request. `feed_id` is its id in the proxy's feed, the text `running_id` the one that it had while it
    ran; `started` and `ended` are Unix time."""

    feed_id: str
    started: float
    ended: float
    outcome: Outcome
    duration: float
    texts: Mapping[str, str | None]
    numbers: Mapping[str, float | None]
    tokens: Mapping[str, int]

    @property
    def is_wasted(self) -> bool:
        """Whether what it used was for nothing."""
        return self.outcome in (Outcome.FAILED, Outcome.ABORTED)


class UnreadableRequestError(ValueError):
    """This is no finished request."""


def read_finished(feed_id: str, data: object) -> Finished:
    """From the feed's JSON. Raises UnreadableRequestError unless it says at least when the request started."""
    if not isinstance(data, Mapping):
        raise UnreadableRequestError("not an object")
    started = number(data.get("started"))
    if started is None:
        raise UnreadableRequestError("does not say when it started")
    duration = number(data.get("duration")) or 0.0
    texts = {name: text(data.get("id" if name == "running_id" else name)) for name in _TEXTS}
    numbers = {name: number(data.get(name)) for name in (*_NUMBERS, *_WHOLE)}
    given = mapping(data.get("tokens"))
    tokens = {kind: int(number(given.get(kind)) or 0) for kind in TOKEN_KINDS}
    return Finished(
        feed_id[:_LONGEST_TEXT],
        started,
        started + duration,
        _outcome(texts, numbers["status"]),
        duration,
        texts,
        numbers,
        tokens,
    )


def _outcome(texts: Mapping[str, str | None], status: float | None) -> Outcome:
    if texts["refused"]:
        return Outcome.REFUSED
    if status == _CLIENT_LEFT or texts["error"] == "write_error":
        return Outcome.ABORTED
    if texts["error"] or (status is not None and status >= 400):
        return Outcome.FAILED
    return Outcome.OK
