"""One replica among those that share a plan: what it reports, and what it makes of the answer. Pure: no clock, no I/O.

Each report says how things are, not what has changed, so one that is lost harms nothing. The replica that leads learns
the limits for all; if it dies, the next one goes on from the limits that it announced last.
"""

from dataclasses import replace
from typing import Final

from extproc.domain.pacing.plan_view import Demand, PlanLimits, PlanView
from extproc.domain.pacing.scheduler import Pacing
from extproc.domain.quota.gate_state import GateState
from extproc.domain.quota.quota import Quota
from extproc.domain.replicas.leader import PlanLearner
from extproc.domain.replicas.messages import Answer, Report

# The longest time between two reports. A store that is gone is noticed after this and the time-out of one report.
_HEARTBEAT: Final = 0.4
# The time between two reports while a request waits: so late it is seen that another replica has given a place back.
_WAITING: Final = 0.05
# How often the leader looks while work waits anywhere: limits that rise by steps of seconds need no more.
_LEADING: Final = 0.1
# Times of two replicas that differ by less are the same time: their clocks agree to much less than that, and a change
# of a probe's schedule moves it by half a minute at least.
_SAME_TIME: Final = 0.5


class Replica:
    """Joins one replica's pacing and quota with those of the others. Every `now` is this replica's own Unix time."""

    def __init__(self, replica_id: str, pacing: Pacing, quota: Quota) -> None:
        self.id = replica_id
        self._pacing = pacing
        self._quota = quota
        self._serial = 0
        self._ahead = 0.0
        self._epoch = 0
        self._learner: PlanLearner | None = None
        self._read_to = -1
        self._plan_limits: PlanLimits | None = None
        self._plan_limits_version = -1
        self._reported_limits: PlanLimits | None = None
        self._gate: GateState = GateState()
        self._gate_version = 0
        self._answer: Answer | None = None

    @property
    def is_up(self) -> bool:
        """Whether the shared limits hold here."""
        return self._pacing.is_shared

    @property
    def leads(self) -> bool:
        """Whether it is this replica that learns for all."""
        return self._learner is not None

    @property
    def replicas(self) -> int:
        """How many replicas there are, this one included, by the store's last answer; 0 before the first."""
        return self._answer.replicas if self._answer is not None else 0

    def pause(self) -> float:
        """Seconds until the next report is due, if nothing happens before; 0.0 if there is news already."""
        led = self._answer if self._learner is not None else None
        if led is not None and (self._limits_are_news() or self._read_to < led.newest):
            return 0.0
        if self._pacing.is_shared and (self._pacing.is_waiting or self._pacing.is_late):
            return _WAITING
        return _LEADING if led is not None and led.waiting else _HEARTBEAT

    def report(self, now: float) -> Report:
        """What this replica tells the store: everything as it is now."""
        self._serial += 1
        gate = self._gate_news(now)
        self._reported_limits = self._plan_limits if self._learner is not None else None
        return Report(
            id=self.id,
            serial=self._serial,
            demand=self._pacing.demand(now),
            refusals=tuple(each.shifted(self._ahead) for each in self._pacing.take_refusals()),
            epoch=self._epoch,
            read_to=self._read_to,
            plan_limits=self._reported_limits,
            plan_limits_seen=self._plan_limits_version,
            gate=gate,
            gate_seen=self._gate_version,
            probe=self._quota.wants_probe(now),
        )

    def leave(self, now: float) -> Report:
        """The report with which it leaves: it holds no place any more."""
        return replace(self.report(now), demand=Demand(), probe=False, leaves=True)

    def take(self, answer: Answer, asked_at: float, now: float) -> None:
        """What the store has answered to the report that was made at `asked_at`."""
        self._ahead = answer.now - (asked_at + now) / 2
        self._answer = answer
        if answer.plan_limits is not None:
            self._plan_limits_version = answer.plan_limits_version
        self._take_gate(answer, now)
        if answer.settled and answer.leads:
            self._lead(answer, now)
        else:
            self._learner = None
            self._read_to = -1
            self._plan_limits = answer.plan_limits or self._plan_limits
        self._epoch = answer.epoch
        if answer.up and self._plan_limits is not None:
            own = self._plan_limits.shifted(-self._ahead)
            view = PlanView(own, answer.held, answer.waiting, answer.replicas, answer.busy)
            self._pacing.join(view, answer.granted, self._learner.limits if self._learner else None, now)
        else:
            self._pacing.go_alone(now)

    def lose(self, now: float) -> None:
        """The store can't be reached: every replica keeps to its share."""
        self._learner = None
        self._read_to = -1
        self._plan_limits_version = -1
        self._answer = None
        self._pacing.go_alone(now)
        self._quota.allow_probe(True)

    def _lead(self, answer: Answer, now: float) -> None:
        if self._learner is None or answer.epoch != self._epoch:
            known = answer.plan_limits or self._plan_limits
            learned = self._pacing.learned(now).shifted(self._ahead) if known is None else known.learned
            self._learner = PlanLearner(self._pacing.config, learned, answer.now)
        for event in answer.events:
            self._learner.take(event)
        if answer.read_to >= answer.newest:
            self._learner.correct(answer.held, answer.now)
        self._read_to = answer.read_to
        self._plan_limits = self._learner.plan_limits(answer.read_to, answer.now)

    def _limits_are_news(self) -> bool:
        """Whether the limits have changed so much that the others have to know at once."""
        if self._learner is None or self._plan_limits is None:
            return False
        return self._reported_limits is None or not self._reported_limits.allows_the_same(self._plan_limits)

    def _gate_news(self, now: float) -> GateState | None:
        state = self._quota.gate_state(now)
        if state is None:
            return None
        state = state.shifted(self._ahead)
        return state if _differs(state, self._gate) else None

    def _take_gate(self, answer: Answer, now: float) -> None:
        self._quota.allow_probe(answer.may_probe or not answer.up)
        state = self._quota.gate_state(now)
        if state is None or answer.gate_version == self._gate_version:
            return
        self._gate_version = answer.gate_version
        theirs = answer.gate or GateState()
        mine = state.shifted(self._ahead)
        if answer.gate is None:  # the store has forgotten: what is known here is told again
            self._gate = theirs
            return
        merged = theirs.merged(self._gate, mine) if _differs(mine, self._gate) else theirs
        self._gate = theirs
        self._quota.adopt_gate(merged.shifted(-self._ahead), now)


def _differs(one: GateState, other: GateState) -> bool:
    """Whether they say different things; the clocks that they were told by need not agree to the second."""
    if [(each.window, each.cause, each.resets_at) for each in one.closures] != [
        (each.window, each.cause, each.resets_at) for each in other.closures
    ]:
        return True
    if one.disproved != other.disproved:
        return True
    if not one.closures and not other.closures:
        return False
    return abs(one.probe_due - other.probe_due) > _SAME_TIME
