"""A finished request as a proxy's feed tells of it. What a proxy does not say is None."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from dashboard.domain.lenient import mapping, number, text, whole
from dashboard.records.requests import COLUMNS, TOKEN_KINDS, Kind, Outcome, columns_of

_LONGEST_TEXT: Final = 200
_CLIENT_LEFT: Final = 499

_TEXTS: Final = columns_of(Kind.TEXT)
_NUMBERS: Final = columns_of(Kind.NUMBER)
_WHOLE: Final = columns_of(Kind.WHOLE)


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
    said = {name: data.get(column.feed_name or name) for name, column in COLUMNS.items()}
    texts = {name: text(said[name]) for name in _TEXTS}
    numbers = {name: number(said[name]) for name in _NUMBERS} | {name: whole(said[name]) for name in _WHOLE}
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
