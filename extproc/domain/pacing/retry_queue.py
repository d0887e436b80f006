"""Requests that the upstream refused and that are sent again: here they wait for their next place before all others,
or in Envoy for a pause that is over by itself.

Pure: the caller brings the time.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from extproc.domain.pacing.clock import Steady
from extproc.domain.request.business_codes import ErrorClass
from extproc.domain.request.priority import Lane

# The news of a refusal comes up to half a second after it; whoever went before that would be refused as well.
_NEWS: Final = 1.0
# A rate that was far too high takes three steps down, five seconds each. Where it is learned elsewhere, a request that
# met it twice sits them out.
_SETTLING_OF_THE_RATE: Final = 15.0
# A request that was refused so often waits for what no place would cure.
_PATIENT_FROM: Final = 2
# At its deadline a request is refused here. So at last it takes whatever place there is: replicas are granted one twice
# a second. Before that its refusal is news.
_LAST_CALL: Final = 1.0
_SHORTEST: Final = _NEWS + _LAST_CALL
# Who was refused more often is not sent again beyond its time-out: each of those tries may take ten seconds, and no
# client waits for ever.
_MOST_BEYOND: Final = 3


@dataclass(frozen=True, slots=True)
class WaitingRetry:
    """A request that waits to be sent again: when it first came, since when it waits now, how often it was refused.

    It may go from `ready_at` on if there is a place, and at its `deadline` it is refused. From `takes_any_at` on it
    waits for nothing but a place.
    """

    id: str
    source: str
    lane: Lane
    arrived: float
    since: float
    deadline: float
    takes_any_at: float
    ready_at: float
    refusals: int
    asked: str
    model: str

    @property
    def is_patient(self) -> bool:
        """Whether it waits for more than a place, if no place would cure why it was refused."""
        return self.refusals >= _PATIENT_FROM


class RetryQueue:
    """Those that wait to be sent again, in their order; none longer than `timeout` since it first came, or than the two
    seconds that each may wait after its first refusals."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._waiting: dict[str, WaitingRetry] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, request_id: str) -> bool:
        return request_id in self._waiting

    def push(
        self,
        request_id: str,
        source: str,
        lane: Lane,
        arrived: float,
        t: Steady,
        refusals: int,
        cause: ErrorClass | None,
        *,
        limits_know: bool,
        asked: str,
        model: str,
    ) -> None:
        """Adds a request that first came at `arrived`. `limits_know` says whether the limits have heard of its refusal,
        and `cause` what it was, if that is known."""
        ready_at = _ready_at(t, refusals, cause, limits_know)
        deadline = max(arrived + self._timeout, t + (_SHORTEST if refusals <= _MOST_BEYOND else 0.0))
        has_time = deadline > t
        self._waiting[request_id] = WaitingRetry(
            request_id,
            source,
            lane,
            arrived,
            t,
            deadline,
            deadline - _LAST_CALL if has_time else math.inf,
            ready_at if has_time else math.inf,
            refusals,
            asked,
            model,
        )

    def tell(self, request_id: str, refusals: int, cause: ErrorClass, t: Steady, *, limits_know: bool) -> None:
        """Its refusal is known here; limits that are learned elsewhere have yet to hear of it."""
        ready_at = _ready_at(t, refusals, cause, limits_know)
        self._waiting[request_id] = replace(self._waiting[request_id], ready_at=ready_at, refusals=refusals)

    def get(self, request_id: str) -> WaitingRetry | None:
        """A request that waits; None if it does not."""
        return self._waiting.get(request_id)

    def cancel(self, request_id: str) -> WaitingRetry | None:
        """Takes a request out; None if it does not wait."""
        return self._waiting.pop(request_id, None)

    def expire(self, t: Steady) -> list[WaitingRetry]:
        """Takes out those that have waited too long."""
        expired = [retry for retry in self._waiting.values() if retry.deadline <= t]
        for retry in expired:
            del self._waiting[retry.id]
        return expired

    def rename(self, asked: str, model: str) -> None:
        """Those that asked for a name wait for another model from now on: that is the one that serves it."""
        for request_id, retry in self._waiting.items():
            if retry.asked == asked:
                self._waiting[request_id] = replace(retry, model=model)

    def waiting_for(self, model: str) -> int:
        """How many wait for a model."""
        return sum(retry.model == model for retry in self._waiting.values())

    def by_model(self) -> Counter[str]:
        """How many wait for each model."""
        return Counter(retry.model for retry in self._waiting.values())

    def ready(self, t: Steady) -> Iterator[WaitingRetry]:
        """Those that may go once there is a place, in their order."""
        return (retry for retry in self._waiting.values() if min(retry.ready_at, retry.takes_any_at) <= t)

    def in_lane(self, lane: Lane) -> int:
        """How many wait in a lane."""
        return sum(retry.lane is lane for retry in self._waiting.values())

    def sources(self) -> set[str]:
        """Whose requests wait."""
        return {retry.source for retry in self._waiting.values()}

    def next_changes(self, t: Steady) -> list[float]:
        """When one becomes ready, takes any place or reaches its deadline."""
        return [
            at
            for retry in self._waiting.values()
            for at in (retry.ready_at, retry.takes_any_at, retry.deadline)
            if at > t
        ]


def _ready_at(t: Steady, refusals: int, cause: ErrorClass | None, limits_know: bool) -> float:
    if limits_know:
        return t
    return t + (_SETTLING_OF_THE_RATE * (refusals - 1) if cause is ErrorClass.FREQUENCY and refusals > 1 else _NEWS)


# Envoy sends a refused request again after a random part of 0.5 s, 1.5 s, 3.5 s and so on, of 8 s at most; the news
# of a refusal comes up to half a second after it, and to connect takes time too.
_BASE: Final = 0.5
_LONGEST: Final = 8.0
_ON_THE_WAY: Final = 0.8


class Retries:
    """Remembers requests that were refused lately. Only these can be waiting in Envoy to be sent again, though not all
    of them are.

    `most` is how often a request is sent again.
    """

    __slots__ = ("_asked", "_most", "_refusals", "_until")

    def __init__(self, most: int) -> None:
        self._most = most
        self._until: dict[str, tuple[float, str]] = {}
        self._refusals: dict[str, int] = {}
        self._asked: dict[str, int] = {}

    def refused(self, request_id: str, model: str, ended_at: float) -> None:
        """An attempt of a running request was refused."""
        refusals = self._refusals.get(request_id, 0)
        self._refusals[request_id] = refusals + 1
        pause = min(_LONGEST, _BASE * (2.0 ** min(refusals + 1, 16) - 1.0)) if refusals < self._most else 0.0
        self._until[request_id] = (ended_at + pause + _ON_THE_WAY, model)

    def times(self, request_id: str) -> int:
        """How often a request was refused."""
        return self._refusals.get(request_id, 0)

    def asks_again(self, request_id: str) -> int:
        """A request asks for its next turn, whether or not it is known why; returns how often it has."""
        self._asked[request_id] = self._asked.get(request_id, 0) + 1
        return self._asked[request_id]

    def waits_here(self, request_id: str) -> None:
        """The request has given its place back: it is not in flight here either."""
        self._until.pop(request_id, None)

    def left(self, request_id: str) -> None:
        """The request runs no more."""
        self._until.pop(request_id, None)
        self._refusals.pop(request_id, None)
        self._asked.pop(request_id, None)

    def count(self, t: Steady) -> Counter[str]:
        """How many may be waiting, by model."""
        if not self._until:
            return Counter()
        for request_id in [each for each, (until, _) in self._until.items() if until <= t]:
            del self._until[request_id]
        return Counter(model for _, model in self._until.values())
