"""How pacing is set up."""

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

TRIES_FOR_A_PLACE: Final = 12
"""So many times as often as after another transient error a paced request is sent again that the plan's limits refused.
It waits for its turn in between, so these tries are no load, and what bounds them in the end is `queue_timeout`."""

_LEAST_RATE: Final = 0.001


class PacingMode(StrEnum):
    """Who decides about the limits."""

    ADAPTIVE = "on"  # found out from what the upstream refuses
    FIXED = "fixed"  # the initial values, for good
    OFF = "off"  # no limits but the workers, and no queue


@dataclass(frozen=True, slots=True)
class PacingConfig:
    """Settings of pacing. Rates are in requests a second, times in seconds.

    `max_workers` bounds what runs and waits together. `concurrency_max` of None is `max_workers`. `max_retries` is how
    often a request is sent again that the plan's limits have refused. The limits are the whole plan's; `replicas` is
    how many share it that don't know of each other. Raises ValueError with the first value that is wrong.
    """

    mode: PacingMode = PacingMode.ADAPTIVE
    max_workers: int = 20
    concurrency_initial: int = 3
    concurrency_max: int | None = None
    rate_initial: float = 5.0
    rate_min: float = 0.1
    rate_max: float = 100.0
    rate_burst: float = 5.0
    queue_timeout: float = 60.0
    max_retries: int = 3 * TRIES_FOR_A_PLACE
    replicas: int = 1

    def __post_init__(self) -> None:
        _check("max_workers", self.max_workers, 1, math.inf)
        _check("concurrency_initial", self.concurrency_initial, 1, math.inf)
        if self.concurrency_max is not None:
            _check("concurrency_max", self.concurrency_max, 1, math.inf)
        _check("rate_min", self.rate_min, _LEAST_RATE, math.inf)
        _check("rate_max", self.rate_max, self.rate_min, math.inf)
        _check("rate_initial", self.rate_initial, self.rate_min, self.rate_max)
        _check("rate_burst", self.rate_burst, 1, math.inf)
        _check("queue_timeout", self.queue_timeout, 0, math.inf)
        _check("max_retries", self.max_retries, 0, math.inf)
        _check("replicas", self.replicas, 1, math.inf)

    @property
    def most_in_flight(self) -> int:
        """What the limit of requests in flight may grow to."""
        return self.max_workers if self.concurrency_max is None else min(self.concurrency_max, self.max_workers)

    def share_of(self, replicas: int) -> "PacingConfig":
        """What one of so many replicas may use of the plan without asking the others: at least one request at once."""
        if replicas == 1:
            return self
        return replace(
            self,
            concurrency_initial=max(1, self.concurrency_initial // replicas),
            concurrency_max=None if self.concurrency_max is None else max(1, self.concurrency_max // replicas),
            rate_initial=max(_LEAST_RATE, self.rate_initial / replicas),
            rate_min=max(_LEAST_RATE, self.rate_min / replicas),
            rate_max=max(_LEAST_RATE, self.rate_max / replicas),
            rate_burst=max(1.0, self.rate_burst / replicas),
        )


def _check(name: str, value: float, least: float, most: float) -> None:
    if not (least <= value <= most and math.isfinite(value)):
        bound = f"at least {least:g}" if math.isinf(most) else f"from {least:g} to {most:g}"
        raise ValueError(f"{name}={value}: need a number of {bound}")
