"""Rows of samples and how they add up: over time into coarser ones, over targets into those of all together.

Every scrape is folded into a row of each tier at once. So no tier lags behind another, a clock that goes back adds to
rows that are there already, and there is no roll-up job that could be interrupted.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

_LATE_SCRAPES: Final = 3.5


class Tier(Enum):
    """How finely time is kept; the value is a row's seconds."""

    FIVE_SECONDS = 5
    MINUTE = 60
    TEN_MINUTES = 600
    HOUR = 3600

    def begin(self, at: float) -> int:
        """The Unix time at which the row that holds this moment begins."""
        return int(at // self.value) * self.value

    def can_tell(self, span: float | None, interval: float) -> bool:
        """Whether an increase that happened within the last `span` seconds belongs into a row of this tier.

        One that may have happened long before would be a peak that never was. It shows only in coarser tiers.
        """
        return span is not None and span <= max(float(self.value), _LATE_SCRAPES * interval)


@dataclass(slots=True)
class Row:
    """Samples of one stretch of time, by the ids of their series. A series that did not grow has no counter here.

    `looks` is how many moments the row holds whose increase is known. A gauge is (how many values, their sum).
    """

    looks: int = 0
    counters: dict[int, float] = field(default_factory=dict)
    gauges: dict[int, tuple[int, float]] = field(default_factory=dict)


def fold(into: Row, row: Row) -> None:
    """Adds a row to one of the same target, at the same or another time."""
    into.looks += row.looks
    for key, amount in row.counters.items():
        into.counters[key] = into.counters.get(key, 0.0) + amount
    for key, (count, total) in row.gauges.items():
        known = into.gauges.get(key, (0, 0.0))
        into.gauges[key] = (known[0] + count, known[1] + total)


def together(rows: Iterable[Row], adds_up: Callable[[int, Row], bool]) -> Row:
    """All targets at one moment as if they were one.

    `adds_up` tells for a gauge's id and a target's row whether the value comes on top of the others'. Of those that
    do not, the largest counts.
    """
    whole = Row()
    largest: dict[int, float] = {}
    for row in rows:
        whole.looks = max(whole.looks, row.looks)
        for key, amount in row.counters.items():
            whole.counters[key] = whole.counters.get(key, 0.0) + amount
        for key, (count, total) in row.gauges.items():
            value = total / count
            if adds_up(key, row):
                whole.gauges[key] = (1, value + whole.gauges.get(key, (1, 0.0))[1])
            else:
                largest[key] = max(value, largest.get(key, value))
    for key, value in largest.items():
        whole.gauges[key] = (1, value + whole.gauges.get(key, (1, 0.0))[1])
    return whole
