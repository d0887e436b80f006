"""Where the places come from: the limits that are learned here, or what is granted of a plan that replicas share.

Pure: the caller brings the time, in steady seconds. Whoever schedules asks one interface and need not know which it is.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from extproc.domain.pacing.clock import Steady
from extproc.domain.pacing.limits import Limits
from extproc.domain.pacing.plan_view import RefusedAttempt
from extproc.domain.pacing.records import LimitsStatus


@dataclass(frozen=True, slots=True)
class Refusal:
    """An attempt that the upstream refused: by steady seconds when it began and ended, and as others are to be told."""

    model: str
    started: Steady
    ended: Steady
    told: RefusedAttempt


class Places(Protocol):
    """What may start now, of each model, and what has to be told of what starts, ends and is refused."""

    teaches_at_once: bool
    """Whether the limits have heard of a refusal when `refused` returns."""

    def is_free(self, model: str, t: Steady) -> bool:
        """Whether a request of a model may start now."""

    def rivals(self, waiting: Mapping[str, int], t: Steady) -> Collection[str]:
        """Which of some models that are free, and of which so many wait, take places from one another: not all of
        them can start what they could each alone."""

    def hardly_waits(self, model: str, t: Steady) -> bool:
        """Whether a request of a model that came now would hardly wait."""

    def is_calm(self, model: str, t: Steady) -> bool:
        """Whether nothing but the number of places may be why one more of a model is refused, as far as is known."""

    def may_be_late(self, model: str, t: Steady) -> bool:
        """Whether a place that became free for a model may still be taken at the upstream, as far as is known."""

    def start(self, model: str, retrying: Mapping[str, int], t: Steady) -> None:
        """A request has started. `retrying` says how many of those in flight, by model, may not be at the upstream."""

    def end(self, model: str, t: Steady, *, refused: bool) -> None:
        """One has ended, by being refused or not."""

    def move(self, before: str, after: str, count: int, t: Steady) -> None:
        """`count` of those in flight turn out to be of another model."""

    def refused(self, refusal: Refusal, t: Steady) -> None:
        """The upstream has refused an attempt."""

    def advance(self, t: Steady) -> None:
        """Time has passed."""

    def set_demand(self, waiting: Mapping[str, int], t: Steady) -> None:
        """Says how many requests of each model nothing but the limits holds back."""

    def next_changes(self, waiting: Mapping[str, int], t: Steady) -> list[float]:
        """When more may start if nothing but time goes by."""

    def limit(self, model: str | None) -> int:
        """How many of a model may be in flight, or of all."""

    @property
    def rate(self) -> float:
        """How many a second may start."""

    def left(self, model: str, in_flight: int) -> int:
        """How many more of a model may be in flight when this many of it are in flight here; 0 at least."""

    def ahead(self, model: str, waiting: Mapping[str, int], t: Steady) -> int:
        """How many wait for what a model's requests wait for, a place of the model or of the account, when so many of
        each model wait here."""

    def pause_left(self, model: str, t: Steady) -> float:
        """Seconds until anything of a model may start."""

    def share_in_use(self, t: Steady) -> float:
        """The smallest share of a limit that may be used: 1.0 except after overloads."""

    def status(
        self,
        in_flight: Mapping[str, int],
        waiting: Mapping[str, int],
        outside: Callable[[float], float],
        now: float,
        t: Steady,
    ) -> LimitsStatus:
        """What there is to see, if so many of each model are in flight and wait here. `now` is the `outside` time."""


class OwnPlaces:
    """The limits are learned here."""

    teaches_at_once = True

    def __init__(self, limits: Limits) -> None:
        self.limits = limits

    def is_free(self, model: str, t: Steady) -> bool:
        return self.limits.is_free(model, t)

    def rivals(self, waiting: Mapping[str, int], t: Steady) -> Collection[str]:
        return self.limits.rivals(waiting, t)

    def hardly_waits(self, model: str, t: Steady) -> bool:
        return self.limits.is_free(model, t)

    def is_calm(self, model: str, t: Steady) -> bool:
        return self.limits.is_calm(model, t)

    def may_be_late(self, model: str, t: Steady) -> bool:
        return self.limits.may_be_late(model, t)

    def start(self, model: str, retrying: Mapping[str, int], t: Steady) -> None:
        self.limits.start(model, retrying, t)

    def end(self, model: str, t: Steady, *, refused: bool) -> None:
        self.limits.end(model, t, refused=refused)

    def move(self, before: str, after: str, count: int, t: Steady) -> None:
        self.limits.move(before, after, count, t)

    def refused(self, refusal: Refusal, t: Steady) -> None:
        told = refusal.told
        self.limits.refused(
            refusal.model, told.error_class, told.code, refusal.started, refusal.ended, t, told.retry_after
        )

    def advance(self, t: Steady) -> None:
        self.limits.advance(t)

    def set_demand(self, waiting: Mapping[str, int], t: Steady) -> None:
        self.limits.set_demand(waiting, t)

    def next_changes(self, waiting: Mapping[str, int], t: Steady) -> list[float]:
        return self.limits.next_changes(waiting, t)

    def limit(self, model: str | None) -> int:
        return self.limits.limit if model is None else self.limits.limit_of(model)

    @property
    def rate(self) -> float:
        return self.limits.rate.rate

    def left(self, model: str, in_flight: int) -> int:
        return max(0, min(self.limits.limit_of(model) - in_flight, self.limits.left(model)))

    def ahead(self, model: str, waiting: Mapping[str, int], t: Steady) -> int:
        return sum(waiting.get(each, 0) for each in self.limits.waiting_with(model, t))

    def pause_left(self, model: str, t: Steady) -> float:
        return self.limits.pause_left(model, t)

    def share_in_use(self, t: Steady) -> float:
        return self.limits.share_in_use(t)

    def status(
        self,
        in_flight: Mapping[str, int],
        waiting: Mapping[str, int],
        outside: Callable[[float], float],
        now: float,
        t: Steady,
    ) -> LimitsStatus:
        return self.limits.status(waiting, outside, now, t)
