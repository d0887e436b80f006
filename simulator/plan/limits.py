"""The limits of a plan: requests at once, requests a second, and windows of credits that reset. Pure: the caller
brings the time, as Unix seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from simulator.plan.places import Places, ToolGate

UNLIMITED_CREDITS = 1_000_000_000.0
MCP_RECOVERY_SECONDS = 1200.0


class WindowName(StrEnum):
    FIVE_HOUR = "five_hour"  # credits
    WEEKLY = "weekly"  # credits
    MONTHLY = "monthly"  # calls of MCP tools


@dataclass(frozen=True, slots=True)
class WindowLimit:
    """What one window allows, and how many seconds it lasts."""

    allowance: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Limits:
    """All limits of a plan. `concurrency`, `mcp_concurrency` and `requests_per_second` of None do not limit.

    `model_concurrency` is for the models that serve, beside the account's `concurrency`; those of one of the
    `shared_pools` have their places together. A place is free again `release_seconds` after its answer has ended.
    `refused_identities` are parts of a user-agent, in any letter case.
    """

    five_hour: WindowLimit
    weekly: WindowLimit
    monthly: WindowLimit
    concurrency: int | None = None
    requests_per_second: float | None = None
    model_concurrency: Mapping[str, int] = field(default_factory=dict)
    shared_pools: tuple[tuple[str, ...], ...] = ()
    mcp_concurrency: int | None = None
    mcp_recovery_seconds: float = MCP_RECOVERY_SECONDS
    release_seconds: float = 0.0
    refused_identities: tuple[str, ...] = ()

    def window(self, name: WindowName) -> WindowLimit:
        return {
            WindowName.FIVE_HOUR: self.five_hour,
            WindowName.WEEKLY: self.weekly,
            WindowName.MONTHLY: self.monthly,
        }[name]


@dataclass(frozen=True, slots=True)
class LimitRefusal:
    """Why a request was refused: the business code and, for a window, when it resets (Unix time)."""

    code: str
    resets_at: float | None = None


@dataclass(frozen=True, slots=True)
class WindowState:
    """A window as the monitor API reports it; `resets_at` is None while it is not open."""

    name: WindowName
    allowance: float
    used: float
    resets_at: float | None


class Window:
    """A window opens with the first use after the last one ended, and forgets its use when it ends."""

    def __init__(self, limit: WindowLimit) -> None:
        self.limit = limit
        self._used = 0.0
        self._ends = 0.0

    def resets_at(self, now: float) -> float | None:
        return self._ends if now < self._ends else None

    def used(self, now: float) -> float:
        return self._used if now < self._ends else 0.0

    def open(self, now: float) -> None:
        """Starts the window unless it runs."""
        if now >= self._ends:
            self._used = 0.0
            self._ends = now + self.limit.seconds

    def use(self, amount: float, now: float) -> None:
        self.open(now)
        self._used += amount

    def set_used(self, amount: float, now: float) -> None:
        """Puts the use of the running window to `amount`."""
        self.open(now)
        self._used = amount

    def close(self) -> None:
        """Ends the window; the next use opens a fresh one."""
        self._used = 0.0
        self._ends = 0.0

    def is_used_up(self, now: float) -> bool:
        return self.used(now) >= self.limit.allowance


class TokenBucket:
    """`rate` requests a second; after a pause up to one second's worth at once, at least one."""

    def __init__(self, rate: float) -> None:
        if rate <= 0:
            raise ValueError(f"a rate of {rate}: need more than 0")
        self._rate = rate
        self._size = max(1.0, rate)
        self._tokens = self._size
        self._filled_at: float | None = None

    def take(self, now: float) -> bool:
        if self._filled_at is not None:
            self._tokens = min(self._size, self._tokens + max(0.0, now - self._filled_at) * self._rate)
        self._filled_at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


class PlanLimits:
    """Admits requests as the plan allows, and counts what its windows have used."""

    def __init__(self, limits: Limits) -> None:
        self.overloaded = False
        self.places = Places()
        self.tools = ToolGate()
        self._in_flight = 0
        self._windows = {name: Window(limits.window(name)) for name in WindowName}
        self._apply(limits)

    @property
    def limits(self) -> Limits:
        return self._limits

    @property
    def in_flight(self) -> int:
        return self._in_flight

    @property
    def release_seconds(self) -> float:
        """How long after its answer has ended a place is free again: `leave` is to be called that much later."""
        return self._limits.release_seconds

    def change(self, limits: Limits) -> None:
        """Puts new limits in force; what is in flight and what was used stays."""
        for name, window in self._windows.items():
            window.limit = limits.window(name)
        self._apply(limits)

    def _apply(self, limits: Limits) -> None:
        self._limits = limits
        rate = limits.requests_per_second
        self._bucket = None if rate is None else TokenBucket(rate)

    def refuses(self, user_agent: str) -> bool:
        """Whether this client gets nothing, whatever is free."""
        return any(text.lower() in user_agent.lower() for text in self._limits.refused_identities)

    def enter(self, now: float, *, on_plan: bool, model: str | None = None) -> LimitRefusal | None:
        """Takes a place for a request that `model` serves, which `leave` gives back, or says why there is none.

        A request that is not `on_plan` is paid from the balance: it neither opens a window nor minds a full one.
        """
        refusal = self._refusal(now, model, on_plan=on_plan)
        if refusal is None:
            self._in_flight += 1
            if model is not None:
                self.places.enter(model, now)
            if on_plan:
                self._windows[WindowName.FIVE_HOUR].open(now)
                self._windows[WindowName.WEEKLY].open(now)
        return refusal

    def _refusal(self, now: float, model: str | None, *, on_plan: bool) -> LimitRefusal | None:
        if self.overloaded:
            return LimitRefusal("1305")
        for name, code in ((WindowName.WEEKLY, "1310"), (WindowName.FIVE_HOUR, "1308")):
            window = self._windows[name]
            if on_plan and window.is_used_up(now):
                return LimitRefusal(code, window.resets_at(now))
        if not self._has_room(model):
            return LimitRefusal("1302")
        if self._bucket is not None and not self._bucket.take(now):
            return LimitRefusal("1303")
        return None

    def _has_room(self, model: str | None) -> bool:
        limits = self._limits
        if limits.concurrency is not None and self._in_flight >= limits.concurrency:
            return False
        return model is None or self.places.has_room(model, limits.model_concurrency, limits.shared_pools)

    def leave(self, now: float, credits: float, model: str | None = None) -> None:
        """Ends a request that entered, with the same model, and charges what it cost the plan."""
        self._in_flight -= 1
        if model is not None:
            self.places.leave(model, now)
        if credits:
            self._windows[WindowName.FIVE_HOUR].use(credits, now)
            self._windows[WindowName.WEEKLY].use(credits, now)

    def call_tool(self, now: float) -> LimitRefusal | None:
        """Lets one call of an MCP tool in, which `tools.leave` ends, and counts it; or says why not."""
        window = self._windows[WindowName.MONTHLY]
        if window.is_used_up(now):
            return LimitRefusal("1310", window.resets_at(now))
        if not self.tools.enter(now, self._limits.mcp_concurrency, self._limits.mcp_recovery_seconds):
            return LimitRefusal("1302")
        window.use(1.0, now)
        return None

    def set_used(self, name: WindowName, amount: float, now: float) -> None:
        self._windows[name].set_used(amount, now)

    def reset(self) -> None:
        """Closes every window, ends an overload and opens the tools' gate; what is in flight stays."""
        self.overloaded = False
        self.tools.open()
        for window in self._windows.values():
            window.close()
        self._apply(self._limits)

    def windows(self, now: float) -> list[WindowState]:
        return [
            WindowState(name, window.limit.allowance, window.used(now), window.resets_at(now))
            for name, window in self._windows.items()
        ]
