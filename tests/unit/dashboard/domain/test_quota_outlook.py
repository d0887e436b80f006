"""The plan's windows, and how long the rest will last."""

import pytest

from dashboard.domain.proxy_status import QuotaWindow
from dashboard.domain.quota_outlook import BurnRates, from_page, merged
from dashboard.domain.samples import Kind, Page, SeriesKey
from tests.unit.dashboard.build import gauge

NOON = 1_764_072_000.0
LABELS = {"limit_type": "TOKENS_LIMIT", "window": "five_hour"}


def window(used: float | None, resets_at: float | None = NOON + 4 * 3600, **more: object) -> QuotaWindow:
    return QuotaWindow("five_hour", "TOKENS_LIMIT", used, resets_at, **more)  # type: ignore[arg-type]


def burnt(rates: BurnRates, begin: float, end: float, seconds: float = 1800) -> QuotaWindow:
    """What the rates make of a window that goes evenly from one share to the other until noon."""
    for part in range(11):
        rates.observe([window(begin + (end - begin) * part / 10)], NOON - seconds + seconds * part / 10)
    return rates.forecast(window(end), NOON)


def test_the_windows_of_a_proxy_without_a_status_come_from_its_metrics() -> None:
    page = Page(
        gauges={
            gauge("zai_proxy_quota_usage_ratio", **LABELS): 0.4,
            gauge("zai_proxy_quota_gate_open", window="five_hour"): 1.0,
            gauge("zai_proxy_quota_sample_age_seconds"): 12.0,
        },
        facts={SeriesKey(Kind.FACT, "zai_proxy_quota_reset_time_seconds", tuple(LABELS.items())): NOON},
    )

    assert from_page(page) == [window(0.4, NOON, gate_closed=True, sample_age=12.0)]


def test_proxies_share_one_plan_so_the_freshest_figures_count() -> None:
    old, fresh = window(0.3, sample_age=300.0, gate_closed=True), window(0.4, sample_age=5.0)
    weekly = QuotaWindow("weekly", "TOKENS_LIMIT", 0.1, None)

    assert merged([weekly, old, fresh]) == [window(0.4, sample_age=5.0, gate_closed=True), weekly]


def test_the_shortest_window_comes_first_and_one_of_unknown_length_last() -> None:
    names = {"weekly": 604_800.0, "minute-5": 300.0, "five_hour": 18_000.0, "a new one": None}
    windows = [QuotaWindow(name, "TOKENS_LIMIT", 0.5, None, seconds=seconds) for name, seconds in names.items()]

    assert [each.window for each in merged(windows)] == ["minute-5", "five_hour", "weekly", "a new one"]


def test_a_window_that_will_not_last_is_told_when_it_is_used_up() -> None:
    told = burnt(BurnRates(), begin=0.2, end=0.4)

    assert told.runs_out_at == pytest.approx(NOON + 5400)
    assert told.text == "five-hour window: 40 % used, lasts until 13:30, resets 16:00"


def test_a_window_that_lasts_is_told_what_will_be_left() -> None:
    told = burnt(BurnRates(), begin=0.10, end=0.12)

    assert told.runs_out_at is None
    assert told.unused_at_reset == pytest.approx(0.72)
    assert told.text == "five-hour window: 12 % used, resets 16:00 with about 72 % left unused"


def test_minutes_are_too_few_to_forecast_from() -> None:
    told = burnt(BurnRates(), begin=0.1, end=0.2, seconds=120)

    assert (told.runs_out_at, told.unused_at_reset) == (None, None)
    assert told.text == "five-hour window: 20 % used, resets 16:00"


def test_what_the_proxy_forecasts_itself_is_believed() -> None:
    rates = BurnRates()
    burnt(rates, begin=0.2, end=0.4)

    told = rates.forecast(window(0.4, runs_out_at=NOON + 60, text="its own words"), NOON)

    assert (told.runs_out_at, told.text) == (NOON + 60, "its own words")


def test_a_used_up_window_says_when_it_resets() -> None:
    assert BurnRates().forecast(window(1.0), NOON).text == "five-hour window: used up, resets 16:00"
    assert (
        BurnRates().forecast(window(1.0, resets_at=None), NOON).text
        == "five-hour window: used up, its reset is not known"
    )
    assert BurnRates().forecast(window(None), NOON).text == "five-hour window: no figures"


def test_a_window_that_begins_anew_is_noticed_once_and_its_past_forgotten() -> None:
    rates = BurnRates()
    burnt(rates, begin=0.5, end=0.9)

    assert rates.observe([window(0.01)], NOON + 5) == [window(0.01)]
    assert rates.observe([window(0.01)], NOON + 10) == []
    assert rates.forecast(window(0.02), NOON + 15).runs_out_at is None


def test_a_clock_that_goes_back_begins_nothing_anew() -> None:
    rates = BurnRates()
    rates.observe([window(0.5)], NOON)

    assert rates.observe([window(0.5)], NOON - 7200) == []
