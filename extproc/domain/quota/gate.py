"""Whether new work may go upstream, or a used-up window refuses it until it resets. Pure: the caller brings the time.

Two things close the gate: Z.AI refuses an attempt with a quota code, or a report says that a window is used up. The
first weighs more. The code names no time here (bodies stay in Envoy), so the reset comes from the reports, or from a
`retry-after` where no report tells it.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from math import inf
from typing import Final

from extproc.domain.quota.gate_state import Cause, Closure, GateState
from extproc.domain.quota.probe import LONGEST_BLIND_SECONDS, LONGEST_SECONDS, Prober
from extproc.domain.quota.refusal import QuotaRefusal, refuse_held_back, refuse_used_up
from extproc.domain.quota.windows import SAME_RESET_SECONDS, WINDOWS, QuotaReport, QuotaWindow
from extproc.domain.request.priority import Lane

_FRESH: Final = 0.5
# A report has whole percents, rounded down: it can say 99 % of a window that has nothing left. Only a window that is
# used less than this surely has room.
_ROOM: Final = 0.98
_MOST_EVENTS: Final = 100
# If a request was refused within this time, there is somebody who could send a probe.
_ASKED_LATELY: Final = 2.0
_ROUNDING: Final = 1e-9
# No window is used up again so soon after its reset. If Z.AI refuses a request by then, the reset that it had named was
# wrong.
_SHORTEST_PERIOD: Final = 600.0


class EventKind(StrEnum):
    CLOSED = "closed"
    OPEN_AGAIN = "open_again"


@dataclass(frozen=True, slots=True)
class GateEvent:
    """A window closed the gate, or the last one that kept it closed is over."""

    kind: EventKind
    window: str
    at: float
    resets_at: float | None


class QuotaGate:
    """Refuses while a window is used up; `reserve` (0.0 to 1.0) is the last share that only the main lane may use."""

    def __init__(self, reserve: float = 0.0) -> None:
        self._reserve = reserve
        self._closures: dict[str, Closure] = {}
        self._windows: Mapping[str, QuotaWindow] = {}
        self._disproved: dict[str, float | None] = {}
        # The resets that refusals have told, by window.
        self._told: dict[str, float] = {}
        self._prober = Prober()
        self._opened_at = -inf
        self._events: deque[GateEvent] = deque(maxlen=_MOST_EVENTS)
        self._asked_at = -inf
        self.may_probe = True
        """Whether a request may be the probe: among replicas only one at a time may try."""

    def decide(self, exchange_id: str, lane: Lane, now: float) -> QuotaRefusal | None:
        """None lets the request go upstream, perhaps as the probe that may open the gate; call `release` when its
        exchange ends, however it ends."""
        self._expire(now)
        if not self._closures:
            return self._held_back(lane, now)
        if self._prober.is_trying(exchange_id):
            return None
        if self.may_probe and self._prober.may_try(now):
            self._prober.begin(exchange_id, now)
            return None
        self._asked_at = now
        known = [closure.resets_at for closure in self._closures.values()]
        told = max(self._closures.values(), key=lambda closure: closure.resets_at or 0.0)
        return refuse_used_up(told.window, told.resets_at, now, is_last=None not in known)

    def release(self, exchange_id: str) -> None:
        """The exchange has ended. Its verdict may follow; if none does, the next probe goes after the same interval."""
        self._prober.end(exchange_id)

    def take_refusal(
        self, code: str, exchange_id: str, started: float, now: float, resets_at: float | None = None
    ) -> bool:
        """Z.AI refused an attempt of a request that began at `started`. Returns whether the gate has closed anew, so
        that a report is wanted at once. Codes that do not speak of quotas change nothing. `resets_at` is when the
        refusal itself said to come back."""
        self._expire(now)
        name = self._window_of(code)
        # A request that began before the gate opened was refused by the period before, so it says nothing about this
        # one (unless the clock has been put back since).
        if name is None or started < self._opened_at <= now:
            return False
        self._disproved.pop(name, None)
        closes = name not in self._closures
        closure = self._closures.get(name) or Closure(name, Cause.REFUSED, now, self._reset_of(name, now))
        closure = replace(closure, cause=Cause.REFUSED, code=code)
        if closure.resets_at is None and (told := self._believable(name, resets_at, now)) is not None:
            closure = replace(closure, resets_at=told, reset_is_guess=True)
        if closes:
            self._close(closure, now)
        else:
            self._closures[name] = closure
        self._prober.fail(exchange_id, now, LONGEST_SECONDS if self._knows_a_reset else LONGEST_BLIND_SECONDS)
        return closes

    def take_answer(self, exchange_id: str, now: float) -> None:
        """Z.AI answered this request as asked. If it was the probe, the gate opens, whatever a report says."""
        self._expire(now)
        if self._prober.succeed(exchange_id) and self._closures:
            for name, closure in self._closures.items():
                self._disproved[name] = closure.known_reset
            self._open(list(self._closures), now)

    def take_report(self, report: QuotaReport, asked_at: float, now: float) -> None:
        """A report that was asked for at `asked_at`: closes what is used up, corrects resets, opens what has reset."""
        self._expire(now)
        self._windows = report.model_windows
        for name, window in self._windows.items():
            closure = self._closures.get(name)
            if closure is not None:
                self._review(closure, window, asked_at, now)
            elif not window.is_used_up:
                self._disproved.pop(name, None)
            elif not window.is_over(now) and not self._is_disproved(window):
                self._close(Closure(name, Cause.REPORTED, now, window.resets_at), now)

    def closures(self, now: float) -> list[Closure]:
        """The windows that refuse new work now."""
        self._expire(now)
        return list(self._closures.values())

    def wants_probe(self, now: float) -> bool:
        """Whether a probe is on its way, or is due and somebody has asked lately who could be it."""
        self._expire(now)
        if not self._closures:
            return False
        is_asked = 0.0 <= now - self._asked_at < _ASKED_LATELY
        return self._prober.is_busy or (is_asked and self._prober.may_try(now))

    def state(self, now: float) -> GateState:
        """The state of the gate, which another replica can `adopt`."""
        self._expire(now)
        return GateState(
            tuple(self._closures.values()), tuple(self._disproved.items()), self._opened_at, *self._prober.schedule
        )

    def adopt(self, state: GateState, now: float) -> None:
        """Takes over the state of another replica's gate."""
        self._expire(now)
        was_closed = list(self._closures)
        self._closures = {closure.window: closure for closure in state.closures}
        self._disproved = dict(state.disproved)
        self._opened_at = state.opened_at
        self._prober.adopt(state.probe_interval, state.probe_due)
        for closure in state.closures:
            if closure.window not in was_closed:
                self._events.append(GateEvent(EventKind.CLOSED, closure.window, now, closure.resets_at))
        if was_closed and not self._closures:
            self._events.append(GateEvent(EventKind.OPEN_AGAIN, was_closed[-1], now, None))

    def take_events(self, now: float) -> list[GateEvent]:
        """What has happened since the last call, oldest first."""
        self._expire(now)
        events = list(self._events)
        self._events.clear()
        return events

    def _review(self, closure: Closure, window: QuotaWindow, asked_at: float, now: float) -> None:
        ahead = window.resets_at if window.resets_at is not None and not window.is_over(now) else None
        if window.is_used_up or asked_at < closure.since:
            self._closures[closure.window] = closure.with_reset(ahead)
        elif closure.cause is Cause.REPORTED or _has_moved_on(closure, window):
            self._open([closure.window], now)
        else:
            self._closures[closure.window] = closure.with_reset(closure.known_reset or ahead)
            # Z.AI has refused a request, but its monitor reports room: either the monitor lags or the limit was lifted.
            # A probe will tell.
            if (window.used_ratio or 0.0) < _ROOM:
                self._prober.hurry(now)

    def _held_back(self, lane: Lane, now: float) -> QuotaRefusal | None:
        if lane is Lane.MAIN or not self._reserve:
            return None
        least = 1.0 - self._reserve - _ROUNDING
        held = [w for w in self._windows.values() if (w.used_ratio or 0.0) >= least and not w.is_over(now)]
        if not held:
            return None
        last = max(held, key=lambda window: window.resets_at or 0.0)
        return refuse_held_back(last.name, last.resets_at, self._reserve, now)

    def _window_of(self, code: str) -> str | None:
        """The window that a code speaks of; of several the one that was reported as used most."""
        names = [window.name for window in WINDOWS.values() if code in window.codes]
        return max(names, key=self._reported_use, default=None)

    def _reported_use(self, name: str) -> float:
        window = self._windows.get(name)
        return -1.0 if window is None else window.used_ratio or 0.0

    def _reset_of(self, name: str, now: float) -> float | None:
        window = self._windows.get(name)
        return None if window is None or window.is_over(now) else window.resets_at

    def _believable(self, name: str, told: float | None, now: float) -> float | None:
        """The reset that a refusal told; None if this window can't have it, or if the one told before proved wrong."""
        if told is None or not now < told <= now + WINDOWS[name].seconds:
            return None
        last = self._told.get(name, -inf)
        is_wrong = last <= now < last + _SHORTEST_PERIOD
        self._told[name] = now if is_wrong else told
        return None if is_wrong else told

    def _is_disproved(self, window: QuotaWindow) -> bool:
        if window.name not in self._disproved:
            return False
        reset = self._disproved[window.name]
        return reset is None or window.resets_at is None or window.resets_at <= reset + SAME_RESET_SECONDS

    @property
    def _knows_a_reset(self) -> bool:
        return any(closure.resets_at is not None for closure in self._closures.values())

    def _close(self, closure: Closure, now: float) -> None:
        if not self._closures:
            self._prober.start(now)
        self._closures[closure.window] = closure
        self._events.append(GateEvent(EventKind.CLOSED, closure.window, now, closure.resets_at))

    def _expire(self, now: float) -> None:
        over = [closure for closure in self._closures.values() if closure.latest_end <= now]
        if over:
            last = max(over, key=lambda closure: closure.latest_end)
            self._open([*(closure.window for closure in over if closure is not last), last.window], last.latest_end)

    def _open(self, names: list[str], at: float) -> None:
        for name in names:
            del self._closures[name]
        if not self._closures:
            self._opened_at = at
            self._events.append(GateEvent(EventKind.OPEN_AGAIN, names[-1], at, None))


def _has_moved_on(closure: Closure, window: QuotaWindow) -> bool:
    """Whether a report of a window that is not used up tells of the next period, and not of the one that closed the
    gate."""
    if window.resets_at is None:
        return (window.used_ratio or 0.0) < _FRESH
    known = closure.known_reset
    return known is not None and window.resets_at > known + SAME_RESET_SECONDS
