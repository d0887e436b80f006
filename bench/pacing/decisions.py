"""What a decision of the scheduler costs while many wait: the CPU time of one request's end and of all that follows."""

import time
from collections import deque
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Final

from extproc.domain.pacing.config import PacingConfig
from extproc.domain.pacing.records import Admitted, Decision, PacedRequest
from extproc.domain.pacing.scheduler import Pacing
from extproc.domain.request.priority import Lane

WAITING: Final = 500
MODELS: Final = (1, 3, 10, 50)
_SOURCES: Final = 20
_STEP: Final = 0.01


@dataclass(frozen=True, slots=True)
class DecisionCost:
    """Milliseconds of CPU for each decision while 500 requests wait for so many models."""

    models: int
    median_ms: float
    p99_ms: float


def measure(decisions: int) -> list[DecisionCost]:
    """The costs by the number of models, of so many decisions each."""
    return [_cost(models, decisions) for models in MODELS]


def as_markdown(costs: list[DecisionCost]) -> str:
    rows = "".join(f"| {each.models} | {each.median_ms:.2f} ms | {each.p99_ms:.2f} ms |\n" for each in costs)
    return (
        f"A decision with {WAITING} waiting (one has ended: who goes, and when to look again):\n\n"
        f"| models | median | p99 |\n| ---: | ---: | ---: |\n{rows}"
    )


def _cost(models: int, decisions: int) -> DecisionCost:
    crowd = _Crowd(models)
    spent = [1000 * crowd.decide() for _ in range(decisions)]
    return DecisionCost(models, median(spent), quantiles(spent, n=100)[-1])


class _Crowd:
    """As many requests wait as are to, and a new one comes for each that goes."""

    def __init__(self, models: int) -> None:
        config = PacingConfig(max_workers=10 * WAITING, queue_timeout=3600.0, rate_initial=100.0, rate_burst=20.0)
        self._pacing = Pacing(config)
        self._models = models
        self._now = 1.8e9
        self._came = self._waiting = 0
        self._running: deque[str] = deque()
        self._fill()

    def decide(self) -> float:
        """One request ends. Returns the seconds of CPU that it takes to say what follows from that."""
        self._now += _STEP
        ended = self._running.popleft()
        began = time.process_time()
        self._pacing.leave(ended, self._now)
        decisions = self._pacing.due(self._now)
        self._pacing.next_due(self._now)
        spent = time.process_time() - began
        self._note(decisions)
        self._fill()
        return spent

    def _fill(self) -> None:
        while self._waiting < WAITING:
            self._came += 1
            model, source = f"model {self._came % self._models}", f"source {self._came % _SOURCES}"
            request = PacedRequest(f"{self._came}", source, Lane.MAIN, cost=1.0, asked=model, model=model)
            if isinstance(self._pacing.arrive(request, self._now), Admitted):
                self._running.append(request.id)
            else:
                self._waiting += 1
            self._note(self._pacing.due(self._now))

    def _note(self, decisions: list[Decision]) -> None:
        self._waiting -= len(decisions)
        self._running += [each.id for each in decisions if isinstance(each.answer, Admitted)]
