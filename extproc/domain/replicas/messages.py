"""What replicas of one plan tell each other, and what they make of it. Plain values.

Times are Unix seconds of the store's clock unless they are said to be a replica's own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from extproc.domain.pacing.plan_view import Demand, PlanLimits, RefusedAttempt
from extproc.domain.quota.gate_state import GateState


@dataclass(frozen=True, slots=True)
class SharedStatus:
    """How sharing goes. `replicas` is 0 and `round_trip` (seconds, of the latest report) None while nobody has
    answered; `losses` counts how often sharing came to an end."""

    up: bool
    leads: bool
    replicas: int
    losses: int
    round_trip: float | None


@dataclass(frozen=True, slots=True)
class Count:
    """So many of a model are in flight in all, `started` of them anew; `waiting` says whether work waits for it."""

    model: str
    held: int
    retrying: int
    waiting: bool
    started: int


@dataclass(frozen=True, slots=True)
class Counted:
    """What is in flight from this moment on, of each model of which it is news."""

    at: float
    counts: tuple[Count, ...]


Event: TypeAlias = Counted | RefusedAttempt


@dataclass(frozen=True, slots=True)
class Report:
    """What a replica tells, all of it as it is now: a report that is lost is made good by the next.

    `serial` grows with each, so that one that comes late counts for nothing. `epoch` and `read_to` are of the reign in
    which the replica believes to lead. `ruling` is None unless it has a new one; `gate` likewise, made from the version
    `gate_seen`. `probe` says that it wants to try a closed gate, or does.
    """

    id: str
    serial: int
    demand: Demand
    refusals: tuple[RefusedAttempt, ...] = ()
    epoch: int = 0
    read_to: int = -1
    ruling: PlanLimits | None = None
    ruling_seen: int = -1
    gate: GateState | None = None
    gate_seen: int = 0
    probe: bool = False
    leaves: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What a replica is told.

    `settled` says that all replicas that there are have had the time to report, `up` that the shared limits hold.
    `held` and `waiting` are of each model that has work, in all; the `granted` places of each are its own from now on.
    `ruling` and `gate` are None unless they are newer than what it has seen. `busy` replicas have work. `events` are
    for the leader, up to `read_to` of the `newest`.
    """

    now: float
    settled: bool
    up: bool
    leads: bool
    epoch: int
    replicas: int
    ruling_version: int
    ruling: PlanLimits | None
    gate_version: int
    gate: GateState | None
    may_probe: bool
    read_to: int
    newest: int
    busy: int
    held: Mapping[str, int]
    waiting: Mapping[str, int]
    granted: Mapping[str, int]
    events: tuple[Event, ...]
