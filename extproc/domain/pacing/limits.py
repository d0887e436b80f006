"""What may go upstream at once and in a second, and everything that teaches it. Pure: the caller brings the time."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from extproc.domain.pacing.ceiling import Ceiling
from extproc.domain.pacing.concurrency_limit import ConcurrencyLimit
from extproc.domain.pacing.config import PacingConfig, PacingMode
from extproc.domain.pacing.in_flight_history import InFlightHistory
from extproc.domain.pacing.learned_limits import Learned, LearnedLimit
from extproc.domain.pacing.overload_backoff import OverloadBackoff
from extproc.domain.pacing.probing import ProbeBudget
from extproc.domain.pacing.rate_limit import RateLimit
from extproc.domain.pacing.records import LimitStatus
from extproc.domain.request.business_codes import ErrorClass

_BREATHING: Final = 0.5
# What asks for more is no pause but a limit of another kind, or an error; the limits find out what it is.
_LONGEST_PAUSE: Final = 3600.0


class Limits:
    """Both limits, what scales them, and what their lessons are judged by. Times are steady seconds.

    Whoever holds them tells of every start, end and refusal, and whether work waits.
    """

    def __init__(self, config: PacingConfig) -> None:
        self._mode = config.mode
        self._budget = ProbeBudget()
        self.concurrency = ConcurrencyLimit(config.concurrency_initial, config.most_in_flight, self._budget)
        self.rate = RateLimit(config.rate_initial, config.rate_min, config.rate_max, config.rate_burst, self._budget)
        self._overload_backoff = OverloadBackoff()
        self._history = InFlightHistory()

    def breath(self, t: float) -> float:
        """The share of both limits in use: 1.0 but after overloads."""
        return self._overload_backoff.share(t)

    def usable(self, t: float) -> int:
        """How many may be in flight now; 0 during a pause."""
        share = self._overload_backoff.share(t)
        self.rate.breathe(share, t)
        return self.concurrency.usable(share, t)

    def places(self, t: float) -> int:
        """How many more may be in flight now."""
        return self.usable(t) - self.concurrency.in_flight

    def is_free(self, t: float) -> bool:
        """Whether one may start now."""
        return self.places(t) > 0 and self.rate.wait(t) <= 0.0

    def is_proven(self, t: float) -> bool:
        """Whether one more would be nothing new to the upstream, as far as is known."""
        one_more = self.concurrency.in_flight + 1
        return (
            self.concurrency.is_proven(one_more) and self.rate.is_proven(t) and self._overload_backoff.share(t) >= 1.0
        )

    def expect_change(self, t: float) -> None:
        """The plan may have changed just now: what it allowed before is worth a probe."""
        self.concurrency.expect_change(t)
        self.rate.expect_change(t)

    def advance(self, t: float) -> None:
        """Lets the number in flight rise as far as it may by now; the rate rises in `set_demand`."""
        self.concurrency.advance(t)

    def start(self, retrying: int, t: float) -> None:
        """One has started; `retrying` of those in flight may not be at the upstream."""
        level = self.concurrency.start(retrying, t)
        self.rate.start(t)
        self._budget.earn()
        self._history.note(level, t)

    def end(self, t: float) -> None:
        """One has ended."""
        self.concurrency.end()
        self._history.note(self.concurrency.in_flight, t)

    def correct(self, in_flight: int, t: float) -> None:
        """So many are in flight, whatever was counted."""
        if in_flight != self.concurrency.in_flight:
            self.concurrency.correct(in_flight)
            self._history.note(in_flight, t)

    def refused(
        self,
        error_class: ErrorClass,
        code: str,
        started: float,
        ended: float,
        t: float,
        retry_after: float | None = None,
    ) -> None:
        """The upstream refused an attempt that began and ended then; other classes than the plan's teach nothing.

        If it asked to be left alone for up to an hour, nothing new starts for so many seconds since.
        """
        is_pause = retry_after is not None and 0.0 < retry_after <= _LONGEST_PAUSE
        until = ended + retry_after if is_pause and retry_after is not None else None
        if error_class is ErrorClass.CONCURRENCY:
            self._budget.pay()
            level = self._history.highest(started, ended)
            if level is not None:
                self.concurrency.refused(level, started, f"upstream {code}", t, until)
            elif until is not None:
                self.concurrency.pause(until)
        elif error_class is ErrorClass.FREQUENCY:
            self._budget.pay()
            self.rate.refused(started, f"upstream {code}", t)
            if until is not None:
                self.concurrency.pause(until)
        elif error_class is ErrorClass.OVERLOAD:
            self._overload_backoff.overloaded(started, t)
            self.concurrency.overloaded(f"upstream {code}", t)

    def set_demand(self, wanted: bool, t: float) -> None:
        """Says whether work waits that nothing but the limits holds back; only then they rise."""
        if self._mode is not PacingMode.ADAPTIVE:
            return
        full = wanted and self.places(t) <= 0
        self.concurrency.set_demand(full and self._overload_backoff.share(t) >= 1.0, t)
        self.rate.set_demand(wanted and not full, t)

    def next_changes(self, wanted: bool, t: float) -> list[float]:
        """When more may start, as far as time alone does it; `wanted` is whether work waits for that."""
        times = []
        if (change := self.concurrency.next_change(t)) is not None:
            times.append(change)
        if self.places(t) > 0:
            if wanted:
                times.append(t + self.rate.wait(t))
        elif self._overload_backoff.share(t) < 1.0:
            times.append(t + _BREATHING)
        return times

    def learned(self, outside: Callable[[float], float], now: float) -> Learned:
        """What is known of the plan at the outside time `now`; `outside` turns a steady time into one of those."""
        return Learned(now, self.concurrency.learned(outside), self.rate.learned(outside))

    def restore(self, learned: Learned, past: Callable[[float], float], t: float) -> None:
        """Goes on from what was known, unless the limits are fixed; `past` turns an outside time into a steady one."""
        if self._mode is PacingMode.ADAPTIVE:
            self.concurrency.restore(learned.concurrency, past)
            self.rate.restore(learned.rate, past, t)


def limit_status(
    source: ConcurrencyLimit | RateLimit,
    limit: float,
    known: LearnedLimit,
    outside: Callable[[float], float],
    now: float,
) -> LimitStatus:
    """What there is to see of a limit; `outside` turns the times of its moves into the caller's."""
    confidence = 0.0
    if known.ceiling is not None and known.seen is not None and known.half_life is not None:
        confidence = Ceiling(known.ceiling, known.seen, known.half_life).confidence(now)
    return LimitStatus(
        limit=limit,
        ceiling=known.ceiling,
        confidence=confidence,
        adjustments=source.adjustments.counts,
        moves=tuple(replace(move, at=outside(move.at)) for move in source.adjustments.latest()),
    )
