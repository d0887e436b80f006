"""When each window of a plan will be used up, or what will be left of it. Pure: the caller brings the time."""

from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Final

from extproc.domain.quota.burn_rate import BurnMeter
from extproc.domain.quota.windows import USUAL_SECONDS, QuotaReport, QuotaWindow, moment, spoken

_SHORTEST_SHARE: Final = 20
_UNKNOWN_RESET_SHARE: Final = 5
_FURTHEST: Final = 400 * 86400.0


@dataclass(frozen=True, slots=True)
class Forecast:
    """What one window comes to if work goes on as it did. Times are Unix seconds, shares those of the allowance.

    `used` and `resets_at` are those of `window`, or of an empty one once its reset has passed. `rate` is the share used
    per second, None while it is too early to tell. `exhausted_at` is None where nothing says that the window is ever
    used up; it can lie behind the reset. `unused_at_reset` is None without a rate or a reset.
    """

    window: QuotaWindow
    at: float
    used: float | None
    rate: float | None
    resets_at: float | None
    exhausted_at: float | None
    unused_at_reset: float | None

    @property
    def is_used_up(self) -> bool:
        return self.used is not None and self.used >= 1.0

    @property
    def runs_out_early(self) -> bool:
        """Whether the window is used up before it resets."""
        return self.exhausted_at is not None and (self.resets_at is None or self.exhausted_at < self.resets_at)


class Forecaster:
    """Follows every window of the reports, at most as many as a report can hold."""

    def __init__(self) -> None:
        self._meters: dict[tuple[str, str], BurnMeter] = {}
        self._windows: dict[tuple[str, str], QuotaWindow] = {}
        self._asked_at = 0.0

    def take_report(self, report: QuotaReport, asked_at: float) -> None:
        """Takes in a report that was asked for at this Unix time; windows that it leaves out are forgotten."""
        self._windows = report.tightest
        self._asked_at = asked_at
        self._meters = {key: self._meters.get(key) or BurnMeter() for key in self._windows}
        for key, window in self._windows.items():
            self._meters[key].observe(window, asked_at)

    def forecasts(self, now: float) -> list[Forecast]:
        """One for each window of the last report, in its order."""
        return [_forecast(window, self._meters[key], self._asked_at, now) for key, window in self._windows.items()]


def _forecast(window: QuotaWindow, meter: BurnMeter, asked_at: float, now: float) -> Forecast:
    if window.is_over(now):
        return Forecast(window, now, 0.0, None, None, None, None)
    used = window.used_ratio
    rate = None if used is None else meter.rate(_horizon(window, now))
    exhausted_at = unused = None
    if used is not None and window.is_used_up:
        exhausted_at, unused = now, 0.0
    elif used is not None and rate is not None:
        rest = 1.0 - used
        if rate * _FURTHEST > rest:
            exhausted_at = max(now, asked_at + rest / rate)
        if window.resets_at is not None:
            unused = max(0.0, rest - rate * max(0.0, window.resets_at - asked_at))
    return Forecast(window, now, used, rate, window.resets_at, exhausted_at, unused)


def _horizon(window: QuotaWindow, now: float) -> float:
    """As far as the forecast looks ahead, but neither less than a twentieth of the window nor more than all of it."""
    length = window.seconds or USUAL_SECONDS
    if window.resets_at is None:
        return length / _UNKNOWN_RESET_SHARE
    return min(max(window.resets_at - now, length / _SHORTEST_SHARE), length)


def describe(forecast: Forecast, zone: tzinfo = UTC) -> str:
    """One sentence without a full stop: `five-hour window: 37 % used, lasts until 16:40, resets 18:19`."""
    return f"{spoken(forecast.window.name)} window: {_outlook(forecast, zone)}"


def _outlook(forecast: Forecast, zone: tzinfo) -> str:
    if forecast.used is None:
        return "no figures"
    resets = f"resets {moment(forecast.resets_at, forecast.at, zone)}" if forecast.resets_at is not None else ""
    if forecast.is_used_up:
        return f"used up, {resets or 'its reset is not known'}"
    if forecast.resets_at is None and forecast.used == 0:
        return "nothing used, not open"
    head = f"{forecast.used * 100:.0f} % used"
    if forecast.rate is None:
        return ", ".join(part for part in (head, "too early to tell how long it lasts", resets) if part)
    if forecast.runs_out_early and forecast.exhausted_at is not None:
        until = f"lasts until {moment(forecast.exhausted_at, forecast.at, zone)}"
        return ", ".join(part for part in (head, until, resets) if part)
    if forecast.unused_at_reset is not None:
        return f"{head}, {resets} with about {forecast.unused_at_reset * 100:.0f} % left unused"
    return head
