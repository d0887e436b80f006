"""The quota as the service uses it: samples, refusals and prices in; decisions, shares and figures out."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.domain.quota.gate import EventKind
from extproc.domain.quota.pilot import LaneShares
from extproc.domain.quota.quota import Quota, QuotaRules, as_json
from extproc.domain.quota.report import read_report
from extproc.domain.quota.windows import FIVE_HOUR, WEEKLY, QuotaReport, QuotaSample
from extproc.domain.request.priority import Lane
from tests.unit.domain.quota.windows import CREDIT_LIMIT, DAY, HOUR, NOON, credit_window, sample, window


@pytest.mark.parametrize("reserve", [-0.1, 1.0, float("nan")])
def test_a_reserve_is_a_share(reserve: float) -> None:
    with pytest.raises(ValueError, match="need a share"):
        Quota(QuotaRules(reserve=reserve))


def test_a_refusal_for_quota_asks_for_a_report_and_closes() -> None:
    quota = Quota(QuotaRules())

    assert quota.take_refusal("1308", "x-1", NOON, NOON + 1)
    assert not quota.take_refusal("1302", "x-2", NOON, NOON + 1)

    assert quota.decide("x-3", Lane.MAIN, NOON + 2) is not None
    assert [event.kind for event in quota.take_events(NOON + 2)] == [EventKind.CLOSED]


def test_without_a_gate_nothing_is_refused() -> None:
    quota = Quota(QuotaRules(gate=False, reserve=0.5))
    quota.take_sample(sample(window(1.0)), NOON)

    assert not quota.take_refusal("1308", "x-1", NOON, NOON)
    assert quota.decide("x-2", Lane.BACKGROUND, NOON) is None
    assert quota.snapshot(NOON).closures == ()


def test_a_probe_that_is_answered_opens_it() -> None:
    quota = Quota(QuotaRules())
    quota.take_refusal("1308", "x-1", NOON, NOON)
    assert quota.decide("probe", Lane.SUBAGENT, NOON + 30) is None

    quota.release("probe")
    quota.take_answer("probe", NOON + 31)

    assert quota.decide("x-2", Lane.MAIN, NOON + 31) is None


def busy(quota: Quota) -> None:
    """An hour in which background work uses half of the window."""
    for minute in range(1, 61):
        quota.take_usage(Lane.BACKGROUND, credits=16.0, cost=0.1)
        at = 60.0 * minute
        quota.take_sample(sample(credit_window(1000 / 60 * minute, resets_in=5 * HOUR), at=at), NOON + at)


def test_the_pilot_holds_back_the_lane_that_spends() -> None:
    quota = Quota(QuotaRules(pilot=True))
    busy(quota)

    shares = quota.shares(NOON + HOUR)

    assert shares.background < 0.5
    assert (shares.main, shares.subagent) == (1.0, 1.0)


def test_old_figures_hold_nothing_back() -> None:
    quota = Quota(QuotaRules(pilot=True))
    busy(quota)

    assert quota.shares(NOON + HOUR + 901) == LaneShares()


def test_the_pilot_is_off_unless_it_is_asked_for() -> None:
    quota = Quota(QuotaRules())
    busy(quota)

    assert quota.shares(NOON + HOUR) == LaneShares()


def test_a_model_without_published_figures_is_counted_as_nothing() -> None:
    quota = Quota(QuotaRules())
    quota.take_sample(sample(credit_window(0)), NOON)
    quota.take_usage(Lane.MAIN, credits=None, cost=None)
    quota.take_sample(sample(credit_window(5), at=60), NOON + 60)

    assert quota.snapshot(NOON + 60).comparisons[0].uncounted == 5


def test_the_status_says_everything_in_json() -> None:
    quota = Quota(QuotaRules())
    quota.take_sample(sample(credit_window(600), window(1.0, 2 * DAY, WEEKLY, CREDIT_LIMIT)), NOON)
    quota.take_usage(Lane.MAIN, credits=3.0, cost=None)

    shown: dict[str, Any] = json.loads(json.dumps(as_json(quota.snapshot(NOON + 5))))

    assert (shown["plan"], shown["sample_age_seconds"]) == ("pro", 5.0)
    assert shown["windows"][0] == {
        "window": FIVE_HOUR,
        "limit_type": "CREDIT_LIMIT",
        "seconds": 18_000.0,
        "total": 2000.0,
        "used": 0.3,
        "used_per_hour": 0.15,
        "resets_at": "2026-09-01T15:00:00+00:00",
        "exhausted_at": None,
        "unused_at_reset": 0.25,
        "outlook": "five-hour window: 30 % used, resets 15:00 with about 25 % left unused",
    }
    assert shown["gate"] == [
        {
            "window": WEEKLY,
            "seconds": 604_800.0,
            "cause": "reported",
            "code": "",
            "since": "2026-09-01T12:00:00+00:00",
            "resets_at": "2026-09-03T12:00:00+00:00",
        }
    ]
    assert shown["credits"][0]["charged"] == 0
    assert shown["lane_shares"] == {"main": 1.0, "subagent": 1.0, "background": 1.0}


def test_before_the_first_report_the_status_is_empty() -> None:
    shown = as_json(Quota(QuotaRules()).snapshot(NOON))

    assert (shown["plan"], shown["sample_age_seconds"], shown["windows"], shown["gate"]) == ("", None, [], [])


FIGURE = st.none() | st.integers(-5, 200) | st.floats(0, 3000) | st.sampled_from(["37", True, 1788280000000, 0])
LIMIT = st.fixed_dictionaries(
    {"type": st.sampled_from(["TOKENS_LIMIT", "CREDIT_LIMIT", "TIME_LIMIT", "NEW"])},
    optional=dict.fromkeys(
        ("unit", "number", "usage", "currentValue", "remaining", "percentage", "nextResetTime"), FIGURE
    ),
)
STEPS = st.tuples(st.floats(-2 * DAY, 2 * DAY), st.lists(LIMIT, max_size=4), st.sampled_from(["1308", "1310", "1302"]))


@given(steps=st.lists(STEPS, max_size=12))
def test_no_sequence_of_reports_refusals_and_clocks_is_too_odd(steps: list[tuple[float, list[Any], str]]) -> None:
    quota, now = Quota(QuotaRules(reserve=0.1, pilot=True)), NOON
    for number, (moved, limits, code) in enumerate(steps):
        now += moved
        report = read_report(200, json.dumps({"code": 200, "success": True, "data": {"limits": limits}}).encode())
        if isinstance(report, QuotaReport):
            quota.take_sample(QuotaSample(report, now), now)
        quota.decide(f"x-{number}", Lane.BACKGROUND, now)
        quota.take_refusal(code, f"x-{number}", now, now)
        quota.take_usage(Lane.BACKGROUND, 3.0, 0.1)
        quota.take_events(now)
        assert all(0 < quota.shares(now).of(lane) <= 1 for lane in Lane)
        json.dumps(as_json(quota.snapshot(now)), allow_nan=False)
