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
    """How many requests of a model all replicas together `held` in flight; `started` of them are new, `retrying` wait
    to be sent again. `waiting` says whether work waits for a place of the model."""

    model: str
    held: int
    retrying: int
    waiting: bool
    started: int


@dataclass(frozen=True, slots=True)
class Counted:
    """What is in flight from the moment `at` on, of each model whose number has changed."""

    at: float
    counts: tuple[Count, ...]


Event: TypeAlias = Counted | RefusedAttempt


@dataclass(frozen=True, slots=True)
class Report:
    """What a replica tells the store: everything as it is now, so that the next report makes up for a lost one.

    `serial` grows with each report, so that the store can ignore one that comes late. `epoch` is the term in which the
    replica believes to lead, `read_to` the last event that it has read as the leader. `plan_limits` and `gate` are None
    unless they are news; the gate was changed from the version `gate_seen`. `probe` says that the replica wants to try
    a closed gate, or is trying it.
    """

    id: str
    serial: int
    demand: Demand
    refusals: tuple[RefusedAttempt, ...] = ()
    epoch: int = 0
    read_to: int = -1
    plan_limits: PlanLimits | None = None
    plan_limits_seen: int = -1
    gate: GateState | None = None
    gate_seen: int = 0
    probe: bool = False
    leaves: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What the store answers to a report.

    `settled` says that every replica has had the time to report, `up` that the shared limits hold. `held` and `waiting`
    count what all replicas have of each model with work; the `granted` places are this replica's from now on.
    `plan_limits` and `gate` are None unless they are newer than what the replica has seen. `busy` replicas have work.
    The leader also gets `events`, those up to `read_to`; `newest` is the last that there is.
    """

    now: float
    settled: bool
    up: bool
    leads: bool
    epoch: int
    replicas: int
    plan_limits_version: int
    plan_limits: PlanLimits | None
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
