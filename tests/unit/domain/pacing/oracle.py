"""Pacing that is told what nobody can know, what the plan allows at each moment: learning is measured by it."""

import math
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import accumulate, pairwise
from operator import itemgetter
from typing import TypeAlias

from extproc.domain.pacing.records import Admitted, Attempt, Decision, PacedRequest, Queued, Refused
from tests.unit.domain.pacing.plan_model import Changes, Plan
from tests.unit.domain.pacing.visits import Place

Span: TypeAlias = tuple[float, float]
"""From when to when, in seconds."""


def at(changes: Changes, moment: float) -> int:
    """The number that holds at a moment."""
    return changes[bisect_right(changes, moment, key=itemgetter(0)) - 1][1]


def what_visitors_leave(plan: Plan, places: Iterable[Place], patience: float) -> Plan:
    """The plan that is there for us beside visitors who ran what they did. A place that one of them leaves for no more
    than `patience` seconds between two requests is kept for it."""
    held = _held(places, patience)
    gates = [
        replace(gate, capacity=_less(gate.capacity, [span for model in gate.models for span in held.get(model, ())]))
        for gate in plan.gates
    ]
    capacity = _less(plan.capacity, [span for spans in held.values() for span in spans])
    return replace(plan, capacity=capacity, gates=gates, others=())


def _held(places: Iterable[Place], patience: float) -> dict[str, list[Span]]:
    """From when to when visitors hold places of each model."""
    held: defaultdict[str, list[Span]] = defaultdict(list)
    for place in places:
        spans: list[Span] = []
        for start, end in place.held:
            since = spans.pop()[0] if spans and start - spans[-1][1] <= patience else start
            spans.append((since, end))
        held[place.visit.model] += spans
    return held


def _less(capacity: Changes, spans: Iterable[Span]) -> Changes:
    """A number over time, less one for each of the spans that a moment is in."""
    steps: Counter[float] = Counter()
    for (_, before), (since, number) in pairwise([(0.0, 0), *capacity]):
        steps[since] += number - before
    for start, end in spans:
        steps[start] -= 1
        steps[end] += 1
    moments = sorted(steps)
    return list(zip(moments, accumulate(steps[moment] for moment in moments), strict=True))


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
        following = bisect_right(self._changes, now, key=lambda since: self._epoch + since)
        return self._epoch + self._changes[following] if self._waiting and following < len(self._changes) else None

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
