"""The whole plan as one of its replicas sees it, and what that replica asks of it. Plain values.

Times are Unix seconds of the store's clock unless they are said to be a replica's own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from extproc.domain.pacing.learned_limits import Learned, read_learned
from extproc.domain.request.business_codes import ErrorClass


@dataclass(frozen=True, slots=True)
class Demand:
    """What a replica has in flight and what it could start now. `weight` is how many sources it works for, at least 1;
    `retrying` how many of those in flight may not be at the upstream."""

    held: int
    want: int
    weight: int
    retrying: int


@dataclass(frozen=True, slots=True)
class PlanLimits:
    """What the leader has decided for the whole plan.

    `usable` requests may be in flight and `pace` a second start now, `burst` at once. `limit` and `rate` are the limits
    behind those, of which `breath` is in use. `read_to` is the last event that was taken into account.
    """

    usable: int
    pace: float
    burst: float
    limit: int
    rate: float
    breath: float
    learned: Learned
    read_to: int

    def as_dict(self) -> dict[str, object]:
        """Plain values, fit for JSON."""
        return {
            "usable": self.usable,
            "pace": self.pace,
            "burst": self.burst,
            "limit": self.limit,
            "rate": self.rate,
            "breath": self.breath,
            "learned": self.learned.as_dict(),
            "read_to": self.read_to,
        }


def read_plan_limits(data: object) -> PlanLimits:
    """What `as_dict` wrote. Raises ValueError for anything else."""
    if not isinstance(data, Mapping):
        raise ValueError("the ruling: need an object")
    try:
        return PlanLimits(
            usable=int(data["usable"]),
            pace=float(data["pace"]),
            burst=float(data["burst"]),
            limit=int(data["limit"]),
            rate=float(data["rate"]),
            breath=float(data["breath"]),
            learned=read_learned(data["learned"]),
            read_to=int(data["read_to"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"the ruling: {error!r}") from None


@dataclass(frozen=True, slots=True)
class PlanView:
    """The whole plan as one replica sees it: the ruling, how many are in flight and wait in all, how many replicas
    there are and how many of them have work."""

    ruling: PlanLimits
    held: int
    waiting: int
    replicas: int
    busy: int

    @property
    def part(self) -> int:
        """About how many places one of the replicas that have work can have; 1 at least."""
        return max(1, self.ruling.limit // max(1, self.busy))


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
