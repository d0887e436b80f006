"""What was counted between two scrapes of a target, and how precisely anybody can say when."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dashboard.domain.samples import SeriesKey

# A process tells the moment of its start with each scrape. Rounding makes it differ by up to this, in seconds.
_SAME_START: Final = 0.05
# How far the clocks of two machines may be apart, in seconds.
_CLOCK_DIFFERENCE: Final = 10.0


class Continuity(StrEnum):
    """What became of a target since the last scrape."""

    FIRST = "first"  # there was none
    WENT_ON = "went_on"
    STARTED = "started"  # its process was started anew
    ANOTHER = "another"  # an older process answers: several share the address


@dataclass(frozen=True, slots=True)
class Reading:
    """What a target's counters stood at. `at` is Unix time; `steady` the monotonic time of this process, None if the
    scrape was another process's; `started` is when the target's process started, None if it does not say."""

    at: float
    steady: float | None
    started: float | None
    counters: Mapping[SeriesKey, float]


@dataclass(frozen=True, slots=True)
class Increase:
    """What the counters grew by, zeros left out. It happened within the last `span` seconds, None if nobody knows."""

    continuity: Continuity
    span: float | None
    amounts: Mapping[SeriesKey, float]


def increase(before: Reading | None, now: Reading) -> Increase:
    """Never negative: a counter that fell was reset and counts from 0; a process that started anew resets them all.

    At the first scrape of a process everything since its start is new.
    """
    if before is None:
        return _since_start(Continuity.FIRST, now, None)
    elapsed = _elapsed(before, now)
    if now.started is not None and before.started is not None and abs(now.started - before.started) > _SAME_START:
        if now.started < before.at - _CLOCK_DIFFERENCE:
            return Increase(Continuity.ANOTHER, None, {})
        return _since_start(Continuity.STARTED, now, elapsed)
    amounts = {}
    for key, value in now.counters.items():
        grown = value - before.counters.get(key, 0.0)
        grown = value if grown < 0 else grown
        if grown > 0:
            amounts[key] = grown
    return Increase(Continuity.WENT_ON, elapsed, amounts)


def _since_start(continuity: Continuity, now: Reading, elapsed: float | None) -> Increase:
    age = None if now.started is None else now.at - now.started
    if age is not None and age < -_CLOCK_DIFFERENCE:
        age = None
    spans = [max(0.0, span) for span in (age, elapsed) if span is not None]
    if not spans:
        return Increase(continuity, None, {})
    return Increase(continuity, min(spans), {key: value for key, value in now.counters.items() if value > 0})


def _elapsed(before: Reading, now: Reading) -> float:
    if before.steady is not None and now.steady is not None:
        return max(0.0, now.steady - before.steady)
    return max(0.0, now.at - before.at)
