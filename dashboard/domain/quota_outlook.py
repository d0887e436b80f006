"""The plan's windows: what the proxies say of them, and if they only give figures, how long the rest will last.

Pure: the caller brings the time. Times are Unix seconds, shares those of a window's allowance.
"""

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from dashboard.domain.proxy_status import QuotaWindow
from dashboard.domain.samples import Kind, Page, SeriesKey

_USED: Final = "zai_proxy_quota_usage_ratio"
_RESET: Final = "zai_proxy_quota_reset_time_seconds"
_GATE: Final = "zai_proxy_quota_gate_open"
_AGE: Final = "zai_proxy_quota_sample_age_seconds"
_MEMORY: Final = 3600.0
_SHORTEST: Final = 300.0
_MOST_POINTS: Final = 20_000
_FURTHEST: Final = 400 * 86400.0
_SAME_DAY: Final = 20 * 3600.0


def from_page(page: Page) -> list[QuotaWindow]:
    """The windows as a proxy's metrics give them."""
    age = page.gauge(_AGE)
    found = []
    for key, used in page.gauges.items():
        if key.name == _USED:
            resets_at = page.facts.get(SeriesKey(Kind.FACT, _RESET, key.labels))
            gate = page.gauges.get(SeriesKey(Kind.GAUGE, _GATE, (("window", key.label("window")),)))
            window = QuotaWindow(key.label("window"), key.label("limit_type"), used, resets_at or None)
            found.append(replace(window, gate_closed=bool(gate), sample_age=age))
    return found


def merged(windows: Sequence[QuotaWindow]) -> list[QuotaWindow]:
    """Each window once, as the proxy with the freshest figures tells it: they all share one plan. The shortest comes
    first, and last what nobody says the length of."""
    best: dict[tuple[str, str], QuotaWindow] = {}
    for window in windows:
        key = (window.window, window.limit_type)
        known = best.get(key)
        if known is None or (window.sample_age or 0.0) < (known.sample_age or 0.0):
            best[key] = (
                window if known is None else replace(window, gate_closed=window.gate_closed or known.gate_closed)
            )
    return sorted(best.values(), key=_place)


class BurnRates:
    """Follows how fast each window is used, over the last hour, and forecasts those that nobody else forecasts."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], deque[tuple[float, float]]] = {}

    def observe(self, windows: Iterable[QuotaWindow], now: float) -> list[QuotaWindow]:
        """Takes in the windows at this time. Returns those that began anew since the last time."""
        begun, seen = [], {}
        for window in windows:
            if window.used is None:
                continue
            key = (window.window, window.limit_type)
            points = self._seen.get(key) or deque(maxlen=_MOST_POINTS)
            if points and (window.used < points[-1][1] - 0.005 or now < points[-1][0]):
                if window.used < points[-1][1]:
                    begun.append(window)
                points.clear()
            points.append((now, window.used))
            while points[0][0] < now - _MEMORY:
                points.popleft()
            seen[key] = points
        self._seen = seen
        return begun

    def forecast(self, window: QuotaWindow, now: float) -> QuotaWindow:
        """The window with what it comes to if work goes on as it did, and in words, unless the proxy said so itself."""
        if window.text is not None:
            return window
        if window.used is not None and window.runs_out_at is None and window.unused_at_reset is None:
            window = self._forecast(window, window.used, now)
        return replace(window, text=f"{spoken(window.window)} window: {_words(window, now)}")

    def _forecast(self, window: QuotaWindow, used: float, now: float) -> QuotaWindow:
        points = self._seen.get((window.window, window.limit_type))
        if used >= 1.0:
            return replace(window, runs_out_at=now, unused_at_reset=0.0)
        if not points or points[-1][0] - points[0][0] < _SHORTEST:
            return window
        (begin, before), (end, after) = points[0], points[-1]
        rate = max(0.0, (after - before) / (end - begin))
        runs_out_at = now + (1.0 - used) / rate if rate * _FURTHEST > 1.0 - used else None
        unused = None
        if window.resets_at is not None:
            unused = max(0.0, 1.0 - used - rate * max(0.0, window.resets_at - now))
            if runs_out_at is not None and runs_out_at >= window.resets_at:
                runs_out_at = None
        return replace(window, runs_out_at=runs_out_at, unused_at_reset=unused)


def _words(window: QuotaWindow, now: float) -> str:
    if window.used is None:
        return "no figures"
    resets = "" if window.resets_at is None else f"resets {_moment(window.resets_at, now)}"
    if window.used >= 1.0:
        return f"used up, {resets or 'its reset is not known'}"
    parts = [f"{window.used * 100:.0f} % used"]
    if window.runs_out_at is not None:
        parts.append(f"lasts until {_moment(window.runs_out_at, now)}")
    if resets:
        parts.append(resets)
    if window.runs_out_at is None and window.unused_at_reset is not None:
        parts[-1] += f" with about {window.unused_at_reset * 100:.0f} % left unused"
    return ", ".join(parts)


def _moment(at: float, now: float) -> str:
    when = datetime.fromtimestamp(at, UTC)
    if abs(at - now) < _SAME_DAY:
        return when.strftime("%H:%M")
    return when.strftime("%a %H:%M" if abs(at - now) < 6 * 86400 else "%Y-%m-%d %H:%M")


def spoken(name: str) -> str:
    """A window's name as it stands before "quota" or "window" in a sentence."""
    return name.replace("_", "-")


def _place(window: QuotaWindow) -> tuple[float, str, str]:
    return (math.inf if window.seconds is None else window.seconds, window.window, window.limit_type)
