"""What is known of a plan's quota: windows of time, each with an allowance that is used up and then resets; and how
windows, moments and lengths of time are said in a sentence.

Plain records. All times are Unix times in seconds, all ratios shares of a window's allowance (1.0 is all of it).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from math import ceil
from typing import Final

from extproc.domain.request.labels import OTHER

FIVE_HOUR: Final = "five_hour"
WEEKLY: Final = "weekly"
MONTHLY: Final = "monthly"
DAILY: Final = "daily"

_HOUR: Final = 3600.0
_DAY: Final = 24 * _HOUR

TOKENS_LIMIT: Final = "TOKENS_LIMIT"
CREDIT_LIMIT: Final = "CREDIT_LIMIT"
TIME_LIMIT: Final = "TIME_LIMIT"


@dataclass(frozen=True, slots=True)
class Window:
    """A kind of window that Z.AI has, and all that is known of it.

    `name` is what labels, /status and events call it, `spoken` what stands before "window" or "quota" in a sentence.
    `seconds` is how long it lasts, at most. `codes` are the business codes of refusals that say that it is used up.
    `reported_as` are the types of limit, units and numbers of them by which the monitor API calls it; a type of None
    is any. `is_usual` is true for the windows that plans have, so that one can rely on their series.
    """

    name: str
    spoken: str
    seconds: float
    codes: tuple[str, ...]
    reported_as: tuple[tuple[str | None, int, int], ...]
    is_usual: bool = True


WINDOWS: Final[Mapping[str, Window]] = {
    window.name: window
    for window in (
        Window(FIVE_HOUR, "five-hour", 5 * _HOUR, ("1308", "1316"), ((None, 3, 5),)),
        Window(DAILY, "daily", _DAY, ("1304",), ((None, 1, 1),), is_usual=False),
        Window(WEEKLY, "weekly", 7 * _DAY, ("1310", "1317"), ((None, 1, 7), (None, 6, 1), (None, 6, 7))),
        Window(MONTHLY, "monthly", 31 * _DAY, ("1310",), ((TIME_LIMIT, 5, 1),)),
    )
}
"""The windows that have a name of their own. Two can share a code: of these the one is meant that is used more, else
the first. All that the proxy does with a window it does for each one here."""

USUAL_SECONDS: Final = WINDOWS[FIVE_HOUR].seconds
"""How long a window is taken to last of which nobody says it."""

SAME_RESET_SECONDS: Final = 60.0
"""Two moments of a reset that are no further apart are the same one."""

LONGEST_SECONDS: Final = max(window.seconds for window in WINDOWS.values())

_TYPES: Final = frozenset({TOKENS_LIMIT, CREDIT_LIMIT, TIME_LIMIT})
# TIME_LIMIT counts the month's calls of MCP tools; a model answers without them.
_MODEL_TYPES: Final = frozenset({TOKENS_LIMIT, CREDIT_LIMIT})
_CORRECTION: Final = 0.02


@dataclass(frozen=True, slots=True)
class QuotaWindow:
    """One window as the monitor API reports it. What it did not say is None.

    `name` is one of the names above, else like `minute-5`, `unit9-3` or `other`. `limit_type` is Z.AI's word for what
    is counted. `total`, `used` and `remaining` are tokens, credits or calls. `step` is the smallest change that
    `used_ratio` can show. `resets_at` is None while the window is not open; `seconds` is how long it lasts.
    """

    name: str
    limit_type: str
    used_ratio: float | None
    resets_at: float | None = None
    seconds: float | None = None
    step: float = 0.01
    total: float | None = None
    used: float | None = None
    remaining: float | None = None

    @property
    def label(self) -> str:
        """The name as a bounded metric label."""
        return label_of(self.name)

    @property
    def type_label(self) -> str:
        """The limit's type as a bounded metric label."""
        return self.limit_type if self.limit_type in _TYPES else OTHER

    @property
    def limits_models(self) -> bool:
        """Whether Z.AI answers no model request once this window is used up."""
        return self.limit_type in _MODEL_TYPES

    @property
    def remaining_ratio(self) -> float | None:
        return None if self.used_ratio is None else max(0.0, 1.0 - self.used_ratio)

    @property
    def is_used_up(self) -> bool:
        return self.used_ratio is not None and self.used_ratio >= 1.0

    def is_over(self, now: float) -> bool:
        """Whether its reset has passed, so that its figures are about the past."""
        return self.resets_at is not None and self.resets_at <= now

    def is_followed_by(self, later: "QuotaWindow") -> bool:
        """Whether a later report of this window tells of a new period: it has reset, or Z.AI has corrected it."""
        if self.resets_at is not None and later.resets_at is not None:
            least = max(SAME_RESET_SECONDS, (self.seconds or 0.0) / 20)
            if later.resets_at - self.resets_at > least:
                return True
        if self.used_ratio is None or later.used_ratio is None:
            return False
        return later.used_ratio < self.used_ratio - max(2 * self.step, _CORRECTION)


@dataclass(frozen=True, slots=True)
class QuotaReport:
    """A plan's name, as far as it was told, and its windows in the order of the report."""

    plan: str
    windows: tuple[QuotaWindow, ...]

    @property
    def tightest(self) -> dict[tuple[str, str], QuotaWindow]:
        """The windows by name and type; of two that share both, the one that is used more."""
        found: dict[tuple[str, str], QuotaWindow] = {}
        for window in self.windows:
            known = found.get((window.name, window.limit_type))
            if known is None or (window.used_ratio or 0.0) > (known.used_ratio or 0.0):
                found[window.name, window.limit_type] = window
        return found

    @property
    def model_windows(self) -> dict[str, QuotaWindow]:
        """The windows by name that model requests depend on."""
        found: dict[str, QuotaWindow] = {}
        for window in self.tightest.values():
            known = found.get(window.name)
            if window.limits_models and (known is None or (window.used_ratio or 0.0) > (known.used_ratio or 0.0)):
                found[window.name] = window
        return found

    def is_older_than(self, known: "QuotaReport", now: float) -> bool:
        """Whether it tells of a period that a known report has already left behind, as a cache that lags does."""
        windows = self.model_windows
        for name, latest in known.model_windows.items():
            window = windows.get(name)
            if window is None or window.resets_at is None or latest.resets_at is None or latest.is_over(now):
                continue
            if window.resets_at < latest.resets_at - SAME_RESET_SECONDS:
                return True
        return False


@dataclass(frozen=True, slots=True)
class QuotaSample:
    """A report and when it was asked for: whatever happened later may not be in it."""

    report: QuotaReport
    asked_at: float

    def age(self, now: float) -> float:
        """Seconds since then; 0 when the clock has gone back."""
        return max(0.0, now - self.asked_at)


def label_of(name: str) -> str:
    """A window's name as a bounded metric label."""
    return name if name in WINDOWS else OTHER


def seconds_of(name: str) -> float | None:
    """How long a window lasts, at most; None where it has no name of its own."""
    return WINDOWS[name].seconds if name in WINDOWS else None


def spoken(name: str) -> str:
    """A window's name before the words "window" or "quota"."""
    return WINDOWS[name].spoken if name in WINDOWS else name


def moment(at: float, now: float, zone: tzinfo = UTC) -> str:
    """A Unix time as people say it: `16:40` within 20 hours, `Tue 16:40` within 6 days, else with its date."""
    local = datetime.fromtimestamp(at, zone)
    away = timedelta(seconds=abs(at - now))
    if away < timedelta(hours=20):
        return local.strftime("%H:%M")
    return local.strftime("%a %H:%M" if away < timedelta(days=6) else "%Y-%m-%d %H:%M")


def duration(seconds: float) -> str:
    """A length of time in its two largest units, rounded up: `45 s`, `13 min`, `2 h 13 min`, `3 d 4 h`."""
    whole = max(1, ceil(seconds))
    if whole <= 60:
        return f"{whole} s"
    minutes = ceil(whole / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 24 * 60:
        return _joined(minutes // 60, "h", minutes % 60, "min")
    hours = ceil(whole / 3600)
    return _joined(hours // 24, "d", hours % 24, "h")


def _joined(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large} {large_unit} {small} {small_unit}" if small else f"{large} {large_unit}"
