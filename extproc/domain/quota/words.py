"""How windows, moments and lengths of time are said in a sentence."""

from datetime import UTC, datetime, timedelta, tzinfo
from math import ceil
from typing import Final

from extproc.domain.quota.windows import DAILY, FIVE_HOUR, MONTHLY, WEEKLY

_SPOKEN: Final = {FIVE_HOUR: "five-hour", DAILY: "daily", WEEKLY: "weekly", MONTHLY: "monthly"}


def spoken(window: str) -> str:
    """A window's name before the words "window" or "quota"."""
    return _SPOKEN.get(window, window)


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
