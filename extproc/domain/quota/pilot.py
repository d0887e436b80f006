"""Makes a window last for the main lane: what it will not need until the reset is what the other lanes may use. Pure.

The reports tell how much of a window is used, but not by whom; the proxy knows what each lane's requests cost. Together
they give each lane's pace in shares of the window. What is left, less what the main lane will use of it at its pace, is
the others' budget; sub-agents come first in it, background work gets the rest. A lane's share is its part of the budget
over what it would use if nothing held it back, which is its pace over the share that it had. So the pace that follows
from a share says nothing new, and the shares do not swing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import exp
from typing import Final

from extproc.domain.quota.windows import USUAL_SECONDS, QuotaReport, QuotaWindow
from extproc.domain.request.priority import Lane

# Parts of the window's length: how long each average remembers, and how long a share takes to follow.
_MAIN_MEMORY: Final = 4
_LANE_MEMORY: Final = 15
_PRICE_MEMORY: Final = 2
_SETTLING: Final = 75

_LEFT_OVER: Final = 0.015
_FEWEST_STEPS: Final = 2
# Early in a window there is time to make good what a burst took.
_CONCERN: Final = (0.03, 0.10)
# A main conversation may be waiting for its sub-agents, so no lane stands still.
_LEAST: Final = 0.01
_SETTLED: Final = 0.002


@dataclass(frozen=True, slots=True)
class LaneShares:
    """The share of its demand that each lane may use, where demand is what it would use if nothing held it back: 1.0
    is all of it."""

    main: float = 1.0
    subagent: float = 1.0
    background: float = 1.0

    def of(self, lane: Lane) -> float:
        return {Lane.SUBAGENT: self.subagent, Lane.BACKGROUND: self.background}.get(lane, self.main)


@dataclass(slots=True)
class _Pace:
    """An amount per second, averaged so that what is `memory` seconds back weighs 1/e of what is now."""

    memory: float
    amount: float = 0.0
    seconds: float = 0.0

    def add(self, amount: float, seconds: float) -> None:
        keep = exp(-seconds / self.memory)
        self.amount = self.amount * keep + amount
        self.seconds = self.seconds * keep + seconds

    @property
    def mean(self) -> float:
        return self.amount / self.seconds if self.seconds else 0.0

    @property
    def cautious(self) -> float:
        """The same, but what was done in a short time is not taken for a habit."""
        return self.amount / max(self.seconds, self.memory / 2)


@dataclass(slots=True)
class _Follower:
    """A lane that can be held back: its pace, the share that it had meanwhile, the share that it has."""

    pace: _Pace
    had: _Pace
    share: float = 1.0

    @property
    def demand(self) -> float:
        """Its pace if nothing had held it back."""
        return self.pace.cautious / self.had.mean if self.had.mean else 0.0


class WindowPilot:
    """Keeps one window. Amounts that lanes spend are in any one unit, like USD."""

    def __init__(self, seconds: float | None) -> None:
        self._length = seconds or USUAL_SECONDS
        memory = self._length / _LANE_MEMORY
        self._main = _Pace(self._length / _MAIN_MEMORY)
        self._subagent, self._background = (_Follower(_Pace(memory), _Pace(memory)) for _ in range(2))
        self._used = _Pace(self._length / _PRICE_MEMORY)
        self._spent = _Pace(self._length / _PRICE_MEMORY)
        self._since_step = 0.0
        self._last: tuple[QuotaWindow, float] | None = None

    @property
    def shares(self) -> LaneShares:
        return LaneShares(subagent=self._subagent.share, background=self._background.share)

    def observe(self, window: QuotaWindow, spent: Mapping[Lane, float], at: float) -> None:
        """Takes in a report, asked for at Unix time `at`, and what the lanes have spent since the one before."""
        last, self._last = self._last, (window, at)
        if last is None or at <= last[1]:
            return
        seconds = min(at - last[1], self._length)
        self._note_spending(spent, seconds)
        self._note_use(last[0], window, sum(spent.values()), at, seconds)
        keep = exp(-seconds * _SETTLING / self._length)
        subagent, background = self._wanted(window, at)
        self._subagent.share = _towards(self._subagent.share, subagent, keep)
        self._background.share = _towards(self._background.share, background, keep)

    def _note_spending(self, spent: Mapping[Lane, float], seconds: float) -> None:
        self._main.add(spent.get(Lane.MAIN, 0.0), seconds)
        for lane, follower in ((Lane.SUBAGENT, self._subagent), (Lane.BACKGROUND, self._background)):
            follower.pace.add(spent.get(lane, 0.0), seconds)
            follower.had.add(follower.share * seconds, seconds)

    def _note_use(self, before: QuotaWindow, window: QuotaWindow, spent: float, at: float, seconds: float) -> None:
        """Learns what a unit of spending takes of the window; a stretch with a reset in it teaches nothing."""
        if before.is_over(at) or before.is_followed_by(window):
            self._since_step = 0.0
            return
        used = (window.used_ratio or 0.0) - (before.used_ratio or 0.0)
        self._used.add(used, seconds)
        self._spent.add(spent, seconds)
        self._since_step = spent / 2 if used else self._since_step + spent

    def _wanted(self, window: QuotaWindow, at: float) -> tuple[float, float]:
        """The shares of sub-agents and background work, from 0.0 to 1.0, that make the window last."""
        used, resets_at = window.used_ratio, window.resets_at
        if used is None or resets_at is None or resets_at <= at:
            return 1.0, 1.0
        if self._used.amount < _FEWEST_STEPS * window.step or self._spent.amount <= 0:
            return 1.0, 1.0
        price = self._used.amount / self._spent.amount
        # A report has whole steps; what was spent since the last one is on its way to the next.
        hidden = min(window.step, price * self._since_step)
        rest = max(0.0, 1.0 - used - hidden - _LEFT_OVER)
        budget = max(0.0, rest / (resets_at - at) - price * self._main.cautious)
        subagent = _part(budget, price * self._subagent.demand)
        budget -= subagent * price * self._subagent.demand
        background = _part(budget, price * self._background.demand)
        low, high = _CONCERN
        concern = min(1.0, max(0.0, (used - low) / (high - low)))
        return 1.0 - concern * (1.0 - subagent), 1.0 - concern * (1.0 - background)


@dataclass(slots=True)
class QuotaPilot:
    """Keeps every window that model requests depend on; the tightest one decides about each lane."""

    _windows: dict[str, WindowPilot] = field(default_factory=dict)
    _spent: dict[Lane, float] = field(default_factory=dict)

    def spend(self, lane: Lane, amount: float) -> None:
        """A request of this lane has ended and cost so much, in the unit of all the others."""
        self._spent[lane] = self._spent.get(lane, 0.0) + amount

    def take_report(self, report: QuotaReport, asked_at: float) -> None:
        """A report has come. Windows that it leaves out no longer hold anything back."""
        windows = report.model_windows
        self._windows = {name: self._windows.get(name) or WindowPilot(w.seconds) for name, w in windows.items()}
        for name, window in windows.items():
            self._windows[name].observe(window, self._spent, asked_at)
        self._spent = {}

    @property
    def shares(self) -> LaneShares:
        shares = [pilot.shares for pilot in self._windows.values()]
        return LaneShares(
            subagent=min((share.subagent for share in shares), default=1.0),
            background=min((share.background for share in shares), default=1.0),
        )


def _part(budget: float, demand: float) -> float:
    return min(1.0, budget / demand) if demand > 0 else 1.0


def _towards(share: float, wanted: float, keep: float) -> float:
    target = max(_LEAST, wanted)
    moved = target + (share - target) * keep
    return target if abs(moved - target) < _SETTLED else moved
