"""The whole plan as one of its replicas sees it, and what that replica asks of it. Plain values.

Times are Unix seconds of the store's clock unless they are said to be a replica's own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from extproc.domain.pacing.learned_limits import Learned, read_learned
from extproc.domain.pacing.limits import MCP
from extproc.domain.pacing.plan_places import PlanPlaces, read_plan_places
from extproc.domain.pacing.records import GroupStatus, group_status
from extproc.domain.pacing.release_lag import LONGEST
from extproc.domain.request.business_codes import ErrorClass


@dataclass(frozen=True, slots=True)
class ModelDemand:
    """What a replica has in flight of a model, and how many more it could start now.

    Up to `retrying` of those in flight may wait to be sent again, and so not be at the upstream. `weight` is the number
    of sources that it works for; a source that uses several models counts in parts, one for each of them."""

    held: int = 0
    want: int = 0
    weight: float = 0.0
    retrying: int = 0


@dataclass(frozen=True, slots=True)
class Demand:
    """What a replica has and wants of each model that it knows, also of those that have no work now."""

    models: Mapping[str, ModelDemand] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PlanLimits:
    """What the leader has decided for the whole plan.

    Now `usable` requests of the account may be in flight (`places` says how many of each model), and `pace` a second
    may start, `burst` of them at once. `limit` and `rate` are the learned limits behind those; after an overload only
    `share_in_use` of them may be used. `read_to` is the last event that was taken into account.
    """

    usable: int
    pace: float
    burst: float
    limit: int
    rate: float
    share_in_use: float
    learned: Learned
    read_to: int
    places: PlanPlaces = field(default_factory=PlanPlaces)

    @property
    def account(self) -> int:
        """How many may be in flight of the account as a whole, as far as is learned."""
        return int(self.learned.concurrency.limit)

    def own_limit_of(self, model: str) -> int:
        """How many of a model may be in flight by its own limit."""
        known = self.places.models.get(model)
        if known is not None:
            return known.limit
        new = self.places.tools if model == MCP else self.places.new
        return self.account if new is None else new

    def limit_of(self, model: str) -> int:
        """How many of a model may be in flight, if no other is."""
        own = self.own_limit_of(model)
        if model == MCP:
            return own
        group = self.places.group_of(model)
        return min(own, self.account) if group is None else min(own, group.limit, self.account)

    def group_status(self, model: str, in_flight: Mapping[str, int]) -> GroupStatus | None:
        """The places that a model shares with others, if so many of each are in flight. What was learned names only
        those that surely share."""
        group = self.places.group_of(model)
        if group is None:
            return None
        members = self.places.members(model)
        known = next((each.models for each in self.learned.groups if model in each.models), ())
        return group_status(model, members, known, group.limit, sum(in_flight.get(each, 0) for each in members))

    def shifted(self, seconds: float) -> "PlanLimits":
        """The same by a clock that is ahead by so much."""
        return replace(self, learned=self.learned.shifted(seconds), places=self.places.shifted(seconds))

    def allows_the_same(self, other: "PlanLimits") -> bool:
        """Whether both let the same number of each model be in flight now."""
        return self.usable == other.usable and self.places.allow_the_same(other.places)

    def as_dict(self) -> dict[str, object]:
        """Plain values, fit for JSON. Replicas of older versions do not know `places`, and go by the other values."""
        return {
            "usable": self.usable,
            "pace": self.pace,
            "burst": self.burst,
            "limit": self.limit,
            "rate": self.rate,
            "breath": self.share_in_use,
            "learned": self.learned.as_dict(),
            "read_to": self.read_to,
            "places": self.places.as_dict(),
        }


def read_plan_limits(data: object) -> PlanLimits:
    """What `as_dict` wrote, also that of an older version. Raises ValueError for anything else."""
    if not isinstance(data, Mapping):
        raise ValueError("the limits of the plan: need an object")
    try:
        return PlanLimits(
            usable=int(data["usable"]),
            pace=float(data["pace"]),
            burst=float(data["burst"]),
            limit=int(data["limit"]),
            rate=float(data["rate"]),
            share_in_use=float(data["breath"]),
            learned=read_learned(data["learned"]),
            read_to=int(data["read_to"]),
            places=read_plan_places(data["places"]) if "places" in data else PlanPlaces(),
        )
    except (KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"the limits of the plan: {error!r}") from None


@dataclass(frozen=True, slots=True)
class PlanView:
    """The whole plan as one replica sees it: its `limits`, how many are in flight and wait of each model in all, how
    many replicas there are and how many of them have work."""

    limits: PlanLimits
    held: Mapping[str, int]
    waiting: Mapping[str, int]
    replicas: int
    busy: int

    @property
    def part(self) -> int:
        """About how many places one of the replicas that have work can have; 1 at least."""
        return max(1, self.limits.limit // max(1, self.busy))

    def left(self, model: str) -> int:
        """How many more of a model may be in flight; 0 at least."""
        left = [self.limits.own_limit_of(model) - self.held.get(model, 0)]
        if model != MCP:
            left.append(self.limits.account - _in_all(self.held))
            if (group := self.limits.places.group_of(model)) is not None:
                left.append(group.limit - self._in_group(model, self.held))
        return max(0, min(left))

    def waiting_with(self, model: str) -> int:
        """How many wait for what those of a model wait for: for places of the model, or if those are not full, for
        those that it shares with some, or with all of the account."""
        if model == MCP or self.held.get(model, 0) >= self.limits.own_limit_of(model):
            return self.waiting.get(model, 0)
        group = self.limits.places.group_of(model)
        if group is not None and self._in_group(model, self.held) >= group.limit:
            return self._in_group(model, self.waiting)
        if _in_all(self.held) >= self.limits.account:
            return _in_all(self.waiting)
        return self.waiting.get(model, 0)

    def is_calm(self, model: str) -> bool:
        """Whether nothing but the number of places may be why one more of a model is refused, as far as is known."""
        places = self.limits.places
        known = places.models.get(model)
        if known is not None and (known.share_in_use < 1.0 or known.lag >= LONGEST):
            return False
        return model == MCP or places.rate_is_proven

    def _in_group(self, model: str, counts: Mapping[str, int]) -> int:
        return sum(counts.get(each, 0) for each in self.limits.places.members(model))


def _in_all(counts: Mapping[str, int]) -> int:
    return sum(count for model, count in counts.items() if model != MCP)


@dataclass(frozen=True, slots=True)
class RefusedAttempt:
    """An attempt that the upstream refused, as told at `at`; `retry_after` are the seconds that the answer named."""

    at: float
    error_class: ErrorClass
    code: str
    started: float
    ended: float
    retry_after: float | None = None
    model: str = ""

    def shifted(self, seconds: float) -> "RefusedAttempt":
        """The same by a clock that is ahead by so much."""
        moved = self.at + seconds, self.started + seconds, self.ended + seconds
        return replace(self, at=moved[0], started=moved[1], ended=moved[2])
