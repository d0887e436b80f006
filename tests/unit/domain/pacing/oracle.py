"""Pacing that is told what nobody can know, what the plan allows at each moment: learning is measured by it."""

import math
from collections import Counter
from collections.abc import Iterator

from extproc.domain.pacing.records import Admitted, Attempt, Decision, PacedRequest, Queued, Refused
from tests.unit.domain.pacing.plan_model import Changes, Plan


def at(changes: Changes, moment: float) -> int:
    """The number that holds at a moment."""
    return [number for since, number in changes if since <= moment][-1]


class Oracle:
    """Lets a request go when every gate on its way has room; the first that came goes first."""

    def __init__(self, plan: Plan, epoch: float) -> None:
        self._plan, self._epoch = plan, epoch
        self._models: dict[str, str] = {}
        self._waiting: dict[str, str] = {}
        self._running: Counter[str] = Counter()
        gates = (plan.capacity, *(gate.capacity for gate in plan.gates))
        self._changes = sorted({since for changes in gates for since, _ in changes})

    def arrive(self, request: PacedRequest, now: float) -> Admitted | Queued | Refused:
        self._models[request.id] = request.model
        if self._is_free(request.model, now):
            self._running[request.model] += 1
            return Admitted()
        self._waiting[request.id] = request.model
        return Queued(len(self._waiting))

    def leave(self, request_id: str, now: float) -> None:
        self._running[self._models.pop(request_id)] -= 1

    def retry(self, request_id: str, now: float) -> Admitted | Queued:
        self._running[self._models[request_id]] -= 1
        self._waiting[request_id] = self._models[request_id]
        return Queued(len(self._waiting))

    def serves(self, asked: str, model: str, now: float) -> None:
        """Knows it already."""

    def observe(self, attempt: Attempt, now: float) -> None:
        """Knows it already."""

    def due(self, now: float) -> list[Decision]:
        return list(self._go(now))

    def next_due(self, now: float) -> float | None:
        after = (self._epoch + since for since in self._changes)
        due = min((moment for moment in after if moment > now), default=math.inf)
        return due if math.isfinite(due) and self._waiting else None

    @property
    def limits(self) -> tuple[int, float]:
        return 0, math.inf

    def _go(self, now: float) -> Iterator[Decision]:
        closed: set[str] = set()
        for request_id, model in list(self._waiting.items()):
            if model not in closed and self._is_free(model, now):
                del self._waiting[request_id]
                self._running[model] += 1
                yield Decision(request_id, Admitted())
            else:
                closed.add(model)

    def _is_free(self, model: str, now: float) -> bool:
        moment = now - self._epoch
        if self._running.total() >= at(self._plan.capacity, moment):
            return False
        return all(
            sum(self._running[each] for each in gate.models) < at(gate.capacity, moment)
            for gate in self._plan.gates
            if model in gate.models
        )
