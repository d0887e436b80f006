"""Pods, clients and an autoscaler over a day, in virtual time.

A pod has `max_workers` slots; a request that finds none free is refused with 503 at once, and its client comes again.
The Service picks a ready pod at random. The utilization of a pod is its requests over its slots, scraped every 15 s and
averaged over 2 min, which is what the autoscaler is given.
"""

import heapq
import random
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from bench.autoscale_day import DAY, Arrival
from bench.autoscale_hpa import Autoscaler, Metric, Reading, Target

SYNC: Final = 15.0
SCRAPES: Final = 8
"""Samples in the average: two minutes of one every 15 s."""
START_SECONDS: Final = 25.0
"""From the decision to a ready pod: scheduling, pulling a cached image, Envoy and processor up."""
BACKOFF: Final = (1.0, 2.0, 4.0, 8.0, 8.0, 8.0)
"""Seconds until a refused client comes again; then it gives up."""

UTILIZATION: Final = "zai_proxy_worker_utilization_ratio"
METRICS: Final = (Metric("cpu", 0.7), Metric("memory", 0.8), Metric(UTILIZATION, 0.8))
SUM_METRICS: Final = (Metric("cpu", 0.7), Metric("memory", 0.8), Metric(UTILIZATION, 0.8, Target.SUM))


@dataclass(frozen=True)
class Strategy:
    """`least` equal to `most` is a fixed pool."""

    name: str
    max_workers: int
    least: int
    most: int
    metrics: Sequence[Metric] = METRICS


@dataclass
class Pod:
    """`busy` slots, and what the last scrapes saw of them."""

    ready_at: float
    busy: int = 0
    samples: deque[float] = field(default_factory=lambda: deque(maxlen=SCRAPES))


@dataclass
class Outcome:
    """What a day was like. `replicas` and `running` are (second, number), once a sync."""

    strategy: Strategy
    requests: int = 0
    refusals: int = 0
    given_up: int = 0
    waits: list[float] = field(default_factory=list)
    pod_seconds: float = 0.0
    changes: int = 0
    replicas: list[tuple[float, int]] = field(default_factory=list)
    running: list[tuple[float, int]] = field(default_factory=list)
    refused_at: list[float] = field(default_factory=list)

    @property
    def pod_hours(self) -> float:
        return self.pod_seconds / 3600.0

    def wait_quantile(self, share: float) -> float:
        """Seconds that an admitted request waited, at that quantile."""
        return sorted(self.waits)[min(len(self.waits) - 1, int(share * len(self.waits)))]


class _Kind(IntEnum):
    END = 0
    SYNC = 1
    TRY = 2


@dataclass(order=True)
class _Event:
    at: float
    kind: _Kind
    order: int
    pod: Pod | None = field(default=None, compare=False)
    arrival: Arrival | None = field(default=None, compare=False)
    tries: int = field(default=0, compare=False)


def run_day(strategy: Strategy, day: Iterable[Arrival], seed: int) -> Outcome:
    """A day under a strategy."""
    return _Cluster(strategy, seed).run(iter(day))


class _Cluster:
    def __init__(self, strategy: Strategy, seed: int) -> None:
        self._chance = random.Random(seed)
        self._strategy = strategy
        self._hpa = Autoscaler(strategy.metrics, strategy.least, strategy.most)
        self._pods = [Pod(0.0) for _ in range(strategy.least)]
        self._draining: list[Pod] = []
        self._events: list[_Event] = []
        self._order = 0
        self._outcome = Outcome(strategy)

    def run(self, day: Iterator[Arrival]) -> Outcome:
        self._push(_Event(0.0, _Kind.SYNC, 0))
        self._next_arrival(day)
        while self._events:
            event = heapq.heappop(self._events)
            if event.kind is _Kind.SYNC:
                self._sync(event.at)
            elif event.kind is _Kind.END and event.pod is not None:
                event.pod.busy -= 1
            elif event.arrival is not None:
                if event.tries == 0:
                    self._next_arrival(day)
                self._try(event, event.arrival)
        return self._outcome

    def _push(self, event: _Event) -> None:
        self._order += 1
        event.order = self._order
        heapq.heappush(self._events, event)

    def _next_arrival(self, day: Iterator[Arrival]) -> None:
        if (arrival := next(day, None)) is not None:
            self._push(_Event(arrival.at, _Kind.TRY, 0, arrival=arrival))

    def _try(self, event: _Event, arrival: Arrival) -> None:
        outcome = self._outcome
        outcome.requests += event.tries == 0
        pod = self._chance.choice([pod for pod in self._pods if pod.ready_at <= event.at])
        if pod.busy < self._strategy.max_workers:
            pod.busy += 1
            outcome.waits.append(event.at - arrival.at)
            self._push(_Event(event.at + arrival.seconds, _Kind.END, 0, pod=pod))
            return
        outcome.refusals += 1
        outcome.refused_at.append(event.at)
        if event.tries == len(BACKOFF):
            outcome.given_up += 1
            return
        pause = BACKOFF[event.tries] * self._chance.uniform(0.5, 1.5)
        self._push(_Event(event.at + pause, _Kind.TRY, 0, arrival=arrival, tries=event.tries + 1))

    def _sync(self, now: float) -> None:
        self._draining = [pod for pod in self._draining if pod.busy > 0]
        for pod in self._pods:
            if pod.ready_at < now:
                pod.samples.append(pod.busy / self._strategy.max_workers)
        replicas = self._hpa.scale(now, len(self._pods), self._readings(now))
        self._resize(now, replicas)
        outcome = self._outcome
        outcome.pod_seconds += SYNC * (len(self._pods) + len(self._draining))
        outcome.replicas.append((now, replicas))
        outcome.running.append((now, sum(pod.busy for pod in (*self._pods, *self._draining))))
        if now + SYNC < DAY:
            self._push(_Event(now + SYNC, _Kind.SYNC, 0))

    def _resize(self, now: float, replicas: int) -> None:
        """New pods take their time; the youngest end first, and let their requests finish."""
        self._outcome.changes += replicas != len(self._pods)
        while len(self._pods) < replicas:
            self._pods.append(Pod(now + START_SECONDS))
        while len(self._pods) > replicas:
            self._draining.append(self._pods.pop())

    def _readings(self, now: float) -> dict[str, Reading]:
        """Envoy carries a stream almost for nothing: CPU and memory follow the requests, far below their targets."""
        average = [sum(pod.samples) / len(pod.samples) if pod.samples else None for pod in self._pods]
        busy = [pod.busy if pod.ready_at <= now else None for pod in self._pods]
        utilization: Reading = average
        if self._strategy.metrics is SUM_METRICS:
            utilization = sum(each for each in average if each is not None) if self._pods[0].samples else None
        return {
            "cpu": [None if each is None else 0.04 + 0.004 * each for each in busy],
            "memory": [None if each is None else 0.35 + 0.002 * each for each in busy],
            UTILIZATION: utilization,
        }
