"""The HorizontalPodAutoscaler's published algorithm, in virtual time. Pure: the caller brings time and readings.

Source: Kubernetes, "Horizontal Pod Autoscaling" (algorithm details, configurable scaling behavior) for autoscaling/v2.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

TOLERANCE: Final = 0.1


class Target(Enum):
    PER_POD = "per pod"
    """Pods and Resource metrics: the mean over the pods is held at the target."""

    SUM = "sum"
    """An Object or External metric with a plain `Value` target: one number for all pods together."""


@dataclass(frozen=True)
class Metric:
    """What is held where."""

    name: str
    target: float
    kind: Target = Target.PER_POD


@dataclass(frozen=True)
class Policy:
    """At most so many percent, or so many pods, within `period` seconds; the more generous counts. 0 allows nothing."""

    percent: float = 0.0
    pods: int = 0
    period: float = 60.0


@dataclass(frozen=True)
class Behavior:
    """`stabilization` in seconds: the cautious one of all recommendations of that time counts."""

    up: Policy = Policy(percent=100, pods=2, period=30)
    up_stabilization: float = 30.0
    down: Policy = Policy(percent=25, period=60)
    down_stabilization: float = 300.0


Reading = Sequence[float | None] | float | None
"""Of a per-pod metric one value a pod, None where it has none; of a sum one value, or None if there is no metric."""


@dataclass
class Autoscaler:
    """One HPA. Raises ValueError for bounds that leave no room."""

    metrics: Sequence[Metric]
    least: int
    most: int
    behavior: Behavior = Behavior()
    _recommended: list[tuple[float, int]] = field(default_factory=list)
    _changes: list[tuple[float, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.most:
            raise ValueError(f"need 1 <= least <= most, not {self.least} and {self.most}")

    def scale(self, now: float, replicas: int, readings: Mapping[str, Reading]) -> int:
        """The number of replicas from now on."""
        wanted = self._wanted(replicas, readings)
        self._recommended.append((now, wanted))
        stable = self._stabilized(now, replicas, wanted)
        scaled = self._limited(now, replicas, stable)
        if scaled != replicas:
            self._changes.append((now, scaled - replicas))
        return scaled

    def _wanted(self, replicas: int, readings: Mapping[str, Reading]) -> int:
        """The largest of what the metrics ask for. A metric that is missing asks for nothing, and forbids to shrink."""
        asked = [desired(metric, replicas, readings.get(metric.name)) for metric in self.metrics]
        known = [each for each in asked if each is not None]
        if not known:
            return replicas
        largest = max(known)
        return replicas if len(known) < len(asked) and largest < replicas else largest

    def _stabilized(self, now: float, replicas: int, wanted: int) -> int:
        """Up to the least that was asked for in the window of scaling up, down to the most in that of scaling down."""
        behavior = self.behavior
        longest = max(behavior.up_stabilization, behavior.down_stabilization)
        self._recommended = [(at, count) for at, count in self._recommended if at > now - longest or at == now]
        up = [count for at, count in self._recommended if at > now - behavior.up_stabilization]
        down = [count for at, count in self._recommended if at > now - behavior.down_stabilization]
        return min(max(replicas, min([wanted, *up])), max([wanted, *down]))

    def _limited(self, now: float, replicas: int, wanted: int) -> int:
        """Keeps to the policies, counted from the replicas at the start of each period, and to the bounds."""
        up, down = self.behavior.up, self.behavior.down
        if wanted > replicas:
            start = replicas - self._changed(now, up.period)
            allowed = max(start + up.pods, math.ceil(start * (1 + up.percent / 100)))
            wanted = min(wanted, max(allowed, replicas))
        elif wanted < replicas:
            start = replicas - self._changed(now, down.period)
            allowed = min(start - down.pods, int(start * (1 - down.percent / 100)))
            wanted = max(wanted, min(allowed, replicas))
        return max(self.least, min(self.most, wanted))

    def _changed(self, now: float, period: float) -> int:
        """Replicas added less replicas taken away within the period."""
        return sum(change for at, change in self._changes if at > now - period)


def desired(metric: Metric, replicas: int, reading: Reading) -> int | None:
    """Replicas that one metric asks for; None where there is no reading at all.

    Pods without a reading are taken to be at the target when that would shrink the set, and at 0 when it would grow;
    if the ratio then changes sides, or comes within the tolerance, nothing changes.
    """
    if reading is None:
        return None
    if isinstance(reading, int | float):
        ratio = reading / metric.target
        return replicas if abs(ratio - 1) <= TOLERANCE else math.ceil(_exact(replicas * ratio))
    known = [value for value in reading if value is not None]
    if not known:
        return None
    ratio = sum(known) / len(known) / metric.target
    missing = len(reading) - len(known)
    if missing == 0:
        return replicas if abs(ratio - 1) <= TOLERANCE else math.ceil(_exact(len(known) * ratio))
    filled = sum(known) + (missing * metric.target if ratio < 1 else 0.0)
    again = filled / len(reading) / metric.target
    if abs(again - 1) <= TOLERANCE or (again > 1) != (ratio > 1):
        return replicas
    return math.ceil(_exact(len(reading) * again))


def _exact(value: float) -> float:
    """Without the last digits, so that 3 pods at exactly the target aren't 3.0000000001."""
    return round(value, 9)
