"""Forecasts from what the monitor API would have said, minute by minute, on a virtual clock."""

import math
from collections.abc import Callable
from datetime import timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.domain.quota.burn_rate import BurnMeter
from extproc.domain.quota.forecast import Forecast, Forecaster, describe
from extproc.domain.quota.windows import FIVE_HOUR, WEEKLY, QuotaWindow, duration, moment
from tests.unit.domain.quota.windows import DAY, HOUR, NOON, report, window

Use = Callable[[float], float]


def five_hours(used: float, at: float, step: float) -> QuotaWindow:
    """The window that opened at noon, as a report at `at` shows it."""
    return window(math.floor(used / step + 1e-9) * step, resets_in=5 * HOUR - at, at=at, step=step)


def follow(used: Use, begin: float, end: float, every: float = 60.0, step: float = 0.01) -> Forecaster:
    """Polls a five-hour window that opened at noon; `used` gives the share used after so many seconds."""
    forecaster = Forecaster()
    at = begin
    while at <= end:
        forecaster.take_report(report(five_hours(used(at), at, step)), NOON + at)
        at += every
    return forecaster


def forecast_of(forecaster: Forecaster, at: float) -> Forecast:
    [forecast] = forecaster.forecasts(NOON + at)
    return forecast


def hours_left(forecast: Forecast) -> float:
    assert forecast.exhausted_at is not None
    return (forecast.exhausted_at - forecast.at) / HOUR


def test_steady_use_is_foreseen_to_the_minute() -> None:
    forecast = forecast_of(follow(lambda at: 0.3 * at / HOUR, 60, 2 * HOUR), 2 * HOUR)

    assert forecast.used == pytest.approx(0.6)
    assert forecast.rate == pytest.approx(0.3 / HOUR, rel=0.01)
    assert hours_left(forecast) == pytest.approx(4 / 3, abs=0.03)
    assert forecast.runs_out_early
    assert forecast.unused_at_reset == 0


def test_what_lasts_says_what_will_be_left() -> None:
    forecast = forecast_of(follow(lambda at: 0.1 * at / HOUR, 60, 2 * HOUR), 2 * HOUR)

    assert not forecast.runs_out_early
    assert forecast.unused_at_reset == pytest.approx(0.5, abs=0.02)


def test_the_first_report_is_enough_in_a_window_that_has_been_open_for_a_while() -> None:
    forecaster = Forecaster()
    forecaster.take_report(report(window(0.4, resets_in=3 * HOUR)), NOON)

    forecast = forecast_of(forecaster, 0)

    assert forecast.rate == pytest.approx(0.2 / HOUR)
    assert hours_left(forecast) == pytest.approx(3.0)


def test_a_window_that_has_just_opened_is_too_young_to_tell() -> None:
    forecast = forecast_of(follow(lambda at: 0.03, 10, 130), 130)

    assert (forecast.rate, forecast.exhausted_at, forecast.unused_at_reset) == (None, None, None)


@pytest.mark.parametrize("step", [0.01, 1 / 2000])
def test_a_burst_does_not_make_a_forecast(step: float) -> None:
    def used(at: float) -> float:
        return 0.1 * at / HOUR + (0.05 if at >= 2 * HOUR else 0.0)

    before = forecast_of(follow(used, 60, 2 * HOUR - 60, step=step), 2 * HOUR)
    after = forecast_of(follow(used, 60, 2 * HOUR + 120, step=step), 2 * HOUR + 120)

    # The last two reports alone would say: over in a quarter of an hour.
    assert not before.runs_out_early
    assert not after.runs_out_early
    assert hours_left(after) > 0.55 * hours_left(before)


def test_work_in_bursts_is_foreseen_by_its_average() -> None:
    def used(at: float) -> float:
        return 0.05 * (at // 1200)  # five percent every twenty minutes, nothing between

    forecasts = [forecast_of(follow(used, 60, end), end) for end in range(3600, 3 * 3600, 600)]

    assert [f.rate for f in forecasts] == pytest.approx([0.15 / HOUR] * len(forecasts), rel=0.3)


def test_whole_percents_do_not_make_the_forecast_jump() -> None:
    forecaster = Forecaster()
    seen = []
    for minute in range(1, 240):
        at = minute * 60.0
        forecaster.take_report(report(five_hours(0.12 * at / HOUR, at, 0.01)), NOON + at)
        if minute > 60:
            seen.append(forecast_of(forecaster, at).rate or 0.0)

    assert seen == pytest.approx([0.12 / HOUR] * len(seen), rel=0.15)
    assert max(abs(a / b - 1) for a, b in pairwise(seen)) < 0.1


def test_slow_use_that_shows_only_as_a_percent_now_and_then_is_no_alarm() -> None:
    forecaster = follow(lambda at: 0.90 + 0.01 * at / HOUR, 4 * HOUR, 4.9 * HOUR)

    assert not forecast_of(forecaster, 4.9 * HOUR).runs_out_early


def test_a_lasting_change_of_pace_is_followed() -> None:
    def used(at: float) -> float:
        return 0.05 * at / HOUR if at < 2 * HOUR else 0.1 + 0.5 * (at - 2 * HOUR) / HOUR

    after_an_hour = forecast_of(follow(used, 60, 3 * HOUR), 3 * HOUR)

    assert after_an_hour.runs_out_early
    assert 0.2 / HOUR < (after_an_hour.rate or 0) < 0.5 / HOUR


def test_a_reset_starts_anew_and_keeps_the_pace() -> None:
    forecaster = follow(lambda at: 0.15 * at / HOUR, 60, 4.9 * HOUR)
    for minute in range(6):
        at = 5.1 * HOUR + 60 * minute
        used = window(0.15 * (at - 5.05 * HOUR) / HOUR, resets_in=10.05 * HOUR - at, at=at)
        forecaster.take_report(report(used), NOON + at)

    forecast = forecast_of(forecaster, 5.2 * HOUR)

    assert forecast.used == pytest.approx(0.02, abs=0.01)
    assert forecast.rate == pytest.approx(0.15 / HOUR, rel=0.2)


def test_a_window_whose_reset_has_passed_is_empty_until_a_report_says_more() -> None:
    forecaster = Forecaster()
    forecaster.take_report(report(window(0.97, resets_in=600)), NOON)

    forecast = forecast_of(forecaster, 601)

    assert (forecast.used, forecast.resets_at, forecast.exhausted_at) == (0.0, None, None)
    assert describe(forecast) == "five-hour window: nothing used, not open"


def test_an_hour_without_reports_counts_with_what_was_used_in_it() -> None:
    forecaster = follow(lambda at: 0.2 * at / HOUR, 60, HOUR)
    forecaster.take_report(report(window(0.4, resets_in=3 * HOUR, at=2 * HOUR)), NOON + 2 * HOUR)

    assert forecast_of(forecaster, 2 * HOUR).rate == pytest.approx(0.2 / HOUR, rel=0.02)


@pytest.mark.parametrize("jump", [-2 * DAY, -HOUR, -1.0, HOUR])
def test_a_clock_that_jumps_costs_no_more_than_the_moment_in_which_it_did(jump: float) -> None:
    meter = BurnMeter()
    for minute in range(60, 240):
        at = 60.0 * minute
        shown = window(0.15 * at / HOUR, resets_in=5 * HOUR - at, at=at, step=1 / 2000)
        meter.observe(shown, NOON + at + (jump if minute >= 120 else 0))

    assert meter.rate(HOUR) == pytest.approx(0.15 / HOUR, rel=0.2 if jump > 0 else 0.01)


def test_a_figure_that_z_ai_puts_right_is_not_taken_for_negative_use() -> None:
    forecaster = follow(lambda at: 0.2 * at / HOUR if at < 2 * HOUR else 0.1, 60, 2 * HOUR + 600)

    forecast = forecast_of(forecaster, 2 * HOUR + 600)

    assert forecast.used == pytest.approx(0.1)
    assert (forecast.rate or 0) > 0


def test_a_used_up_window_is_used_up_now() -> None:
    forecaster = Forecaster()
    forecaster.take_report(report(window(1.0)), NOON)

    forecast = forecast_of(forecaster, 30)

    assert (forecast.is_used_up, forecast.exhausted_at, forecast.unused_at_reset) == (True, NOON + 30, 0.0)


def test_each_window_has_a_forecast_of_its_own_and_a_vanished_one_has_none() -> None:
    forecaster = Forecaster()
    both = report(window(0.2), window(0.5, resets_in=3 * DAY, name=WEEKLY))
    forecaster.take_report(both, NOON)
    assert [f.window.name for f in forecaster.forecasts(NOON)] == [FIVE_HOUR, WEEKLY]

    forecaster.take_report(report(window(0.2)), NOON + 60)
    assert [f.window.name for f in forecaster.forecasts(NOON + 60)] == [FIVE_HOUR]


def test_a_window_without_figures_has_no_forecast() -> None:
    forecaster = Forecaster()
    forecaster.take_report(report(window(None)), NOON)

    forecast = forecast_of(forecaster, 0)

    assert (forecast.used, forecast.rate, forecast.runs_out_early) == (None, None, False)
    assert describe(forecast) == "five-hour window: no figures"


SAMPLES = st.lists(
    st.tuples(
        st.floats(-DAY, 2 * DAY),  # what the clock moved by
        st.none() | st.floats(0, 10),  # used
        st.none() | st.floats(-DAY, 10 * DAY),  # time to the reset
    ),
    min_size=1,
    max_size=30,
)


@given(samples=SAMPLES)
def test_whatever_is_reported_the_forecast_is_in_bounds(
    samples: list[tuple[float, float | None, float | None]],
) -> None:
    forecaster, now = Forecaster(), NOON
    for moved, used, resets_in in samples:
        now += moved
        shown = window(used, resets_in=resets_in, at=now - NOON)
        forecaster.take_report(report(shown), now)
        [forecast] = forecaster.forecasts(now)
        assert forecast.rate is None or 0 <= forecast.rate < math.inf
        assert forecast.exhausted_at is None or now <= forecast.exhausted_at <= now + 401 * DAY
        assert forecast.unused_at_reset is None or 0 <= forecast.unused_at_reset <= 1
        assert describe(forecast)


@pytest.mark.parametrize(
    ("used", "resets_in", "after", "sentence"),
    [
        (0.8, 4740, 0, "80 % used, lasts until 12:55, resets 13:19"),
        (0.2, 4740, 0, "20 % used, resets 13:19 with about 73 % left unused"),
        (1.0, 4740, 0, "used up, resets 13:19"),
        (1.0, None, 0, "used up, its reset is not known"),
        (0.0, None, 0, "nothing used, not open"),
        (0.03, 5 * HOUR - 60, 0, "3 % used, too early to tell how long it lasts, resets 16:59"),
        (0.03, None, 0, "3 % used, too early to tell how long it lasts"),
    ],
)
def test_a_forecast_is_a_sentence(used: float, resets_in: float | None, after: float, sentence: str) -> None:
    forecaster = Forecaster()
    forecaster.take_report(report(window(used, resets_in=resets_in)), NOON)

    assert describe(forecast_of(forecaster, after)) == f"five-hour window: {sentence}"


def test_a_window_without_a_reset_still_says_how_long_it_lasts() -> None:
    forecaster = Forecaster()
    for minute in range(30):
        forecaster.take_report(report(window(0.4 + 0.01 * minute, resets_in=None)), NOON + 60 * minute)

    assert describe(forecast_of(forecaster, 29 * 60)) == "five-hour window: 69 % used, lasts until 13:00"


def test_a_window_without_a_reset_that_is_not_used_says_what_is_gone() -> None:
    forecaster = Forecaster()
    for minute in range(30):
        forecaster.take_report(report(window(0.4, resets_in=None)), NOON + 60 * minute)

    assert describe(forecast_of(forecaster, 29 * 60)) == "five-hour window: 40 % used"


@pytest.mark.parametrize(
    ("away", "hours_east", "said"),
    [(HOUR, 0, "13:00"), (HOUR, 8, "21:00"), (2 * DAY, 0, "Thu 12:00"), (20 * DAY, 0, "2026-09-21 12:00")],
)
def test_a_moment_is_said_as_people_say_it(away: float, hours_east: int, said: str) -> None:
    assert moment(NOON + away, NOON, timezone(timedelta(hours=hours_east))) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "1 s"),
        (44.2, "45 s"),
        (61, "2 min"),
        (3600, "1 h"),
        (2 * 3600 + 13 * 60, "2 h 13 min"),
        (86399, "1 d"),
        (76 * 3600, "3 d 4 h"),
    ],
)
def test_a_length_of_time_is_rounded_up_to_two_units(seconds: float, said: str) -> None:
    assert duration(seconds) == said
