"""Every shape that the monitor API's answer has had, and what is no answer at all."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.domain.quota.report import Trouble, UnusableReport, read_report
from extproc.domain.quota.windows import QuotaReport, QuotaWindow

LEGACY = [
    {"type": "TOKENS_LIMIT", "unit": 3, "number": 5, "percentage": 37, "nextResetTime": 1785982811000},
    {"type": "TOKENS_LIMIT", "unit": 6, "number": 1, "percentage": 52, "nextResetTime": 1786400000000},
    {
        "type": "TIME_LIMIT",
        "unit": 5,
        "number": 1,
        "usage": 1000,
        "currentValue": 12,
        "remaining": 988,
        "percentage": 1,
        "nextResetTime": 1787000000000,
        "usageDetails": [{"modelCode": "search-prime", "usage": 10}],
    },
]


def answer(limits: Any, **data: Any) -> bytes:
    whole = {"code": 200, "msg": "Operation successful", "success": True, "data": {"limits": limits, **data}}
    return json.dumps(whole).encode()


def read(*limits: Any, **data: Any) -> QuotaReport:
    report = read_report(200, answer(list(limits), **data))
    assert isinstance(report, QuotaReport)
    return report


def only(**limit: Any) -> QuotaWindow:
    [window] = read(limit).windows
    return window


def unusable(status: int, body: bytes | str | dict[str, Any]) -> UnusableReport:
    raw = json.dumps(body) if isinstance(body, dict) else body
    report = read_report(status, raw.encode() if isinstance(raw, str) else raw)
    assert isinstance(report, UnusableReport)
    return report


def test_a_legacy_plan_has_percentages() -> None:
    report = read(*LEGACY, level="pro")

    assert report.plan == "pro"
    assert [(w.name, w.limit_type, w.used_ratio, w.resets_at) for w in report.windows] == [
        ("five_hour", "TOKENS_LIMIT", 0.37, 1785982811.0),
        ("weekly", "TOKENS_LIMIT", 0.52, 1786400000.0),
        ("monthly", "TIME_LIMIT", 0.012, 1787000000.0),
    ]
    assert [w.limits_models for w in report.windows] == [True, True, False]


def test_a_credit_plan_has_counts_and_the_total_is_called_usage() -> None:
    window = only(
        type="CREDIT_LIMIT", unit=3, number=5, usage=2000, currentValue=740, remaining=1259, percentage=37,
        nextResetTime=1785982811000,
    )  # fmt: skip

    assert (window.total, window.used, window.remaining) == (2000, 740, 1259)
    assert window.used_ratio == 0.37
    assert window.step == 1 / 2000


def test_a_remainder_that_is_one_short_does_not_use_a_window_up() -> None:
    window = only(type="CREDIT_LIMIT", unit=3, number=5, usage=2000, currentValue=1999, remaining=0, percentage=99)

    assert not window.is_used_up
    assert window.used_ratio == 0.9995


def test_what_was_used_follows_from_the_remainder_where_it_is_not_told() -> None:
    window = only(type="TOKENS_LIMIT", unit=3, number=5, usage=1000, remaining=250)

    assert (window.used, window.used_ratio) == (750, 0.75)


def test_a_percentage_that_contradicts_the_counts_is_believed() -> None:
    window = only(type="TOKENS_LIMIT", unit=3, number=5, usage=740, currentValue=2000, percentage=37)

    assert (window.used_ratio, window.step) == (0.37, 0.01)


@pytest.mark.parametrize("number", [1, 7])
def test_a_week_is_one_week_or_seven_days(number: int) -> None:
    assert only(type="TOKENS_LIMIT", unit=6, number=number, percentage=5).name == "weekly"


@pytest.mark.parametrize("missing", [{}, {"nextResetTime": 0}, {"nextResetTime": None}])
def test_a_window_that_is_not_open_has_no_reset(missing: dict[str, Any]) -> None:
    window = only(type="TOKENS_LIMIT", unit=3, number=5, percentage=0, **missing)

    assert window.resets_at is None
    assert window.used_ratio == 0


@pytest.mark.parametrize(
    ("unit", "number", "name", "label", "seconds"),
    [
        (1, 1, "daily", "daily", 86400),
        (1, 3, "day-3", "other", 3 * 86400),
        (3, 1, "hour-1", "other", 3600),
        (5, 1, "minute-1", "other", 60),
        (9, 3, "unit9-3", "other", None),
        (3, 10**9, "other", "other", None),
        (None, 5, "other", "other", None),
        (-3, 5, "other", "other", None),
        ("3", "5", "five_hour", "five_hour", 18000),
    ],
)
def test_every_window_gets_a_bounded_name(unit: Any, number: Any, name: str, label: str, seconds: float | None) -> None:
    window = only(type="TOKENS_LIMIT", unit=unit, number=number, percentage=4)

    assert (window.name, window.label, window.seconds) == (name, label, seconds)


def test_a_limit_of_an_unknown_type_is_kept_and_limits_nothing() -> None:
    window = only(type="SOME_FUTURE_LIMIT", unit=9, number=3, percentage=100)

    assert (window.limit_type, window.type_label, window.limits_models) == ("SOME_FUTURE_LIMIT", "other", False)
    assert window.is_used_up


def test_a_limit_without_figures_is_kept_without_them() -> None:
    window = only(type="SOME_FUTURE_LIMIT")

    assert (window.name, window.used_ratio, window.remaining_ratio, window.is_used_up) == ("other", None, None, False)


@pytest.mark.parametrize("value", [-1, 1e300, True, "much", [], {}, float("nan"), 10**400])
def test_a_figure_that_is_none_is_left_out(value: Any) -> None:
    window = only(type="TOKENS_LIMIT", unit=3, number=5, percentage=value, usage=value, nextResetTime=value)

    assert (window.used_ratio, window.total, window.resets_at) == (None, None, None)


@pytest.mark.parametrize("field", ["level", "planName", "plan", "planType", "plan_type", "packageName"])
def test_the_plan_has_its_name_under_many_names(field: str) -> None:
    assert read(**{field: " Max\n"}).plan == "Max"


def test_a_plan_without_a_name_or_limits_is_a_report() -> None:
    assert read(plan={"id": 3}) == QuotaReport("", ())


def test_of_two_windows_of_a_kind_the_fuller_counts() -> None:
    report = read(*({"type": "TOKENS_LIMIT", "unit": 3, "number": 5, "percentage": p} for p in (10, 90, 20)))

    assert len(report.windows) == 3
    assert report.model_windows["five_hour"].used_ratio == 0.9


def test_no_more_than_32_windows_are_kept() -> None:
    assert len(read(*({"type": f"T{n}", "percentage": 1} for n in range(100))).windows) == 32


def test_entries_that_are_no_objects_are_left_out() -> None:
    assert len(read(None, 3, *LEGACY).windows) == 3


@pytest.mark.parametrize(
    ("status", "body", "trouble", "code"),
    [
        (200, {"code": 401, "msg": "token expired or incorrect", "data": None, "success": False}, "refused", "401"),
        (200, {"code": 1001, "msg": "Authentication parameter not received", "success": False}, "refused", "1001"),
        (200, {"code": 500, "msg": "internal", "success": False}, "failed", "500"),
        (200, {"code": 200, "success": False, "data": {"limits": []}}, "refused", None),
        (200, {"error": {"code": "1302", "message": "Rate limit reached"}}, "failed", "1302"),
        (200, {"code": 200, "success": True, "data": None}, "refused", None),
        (200, {"code": 200, "success": True, "data": {"limits": [1, 2]}}, "malformed", None),
        (200, {}, "malformed", None),
        (200, "<html>blocked</html>", "malformed", None),
        (200, "[]", "malformed", None),
        (200, "", "malformed", None),
        (200, "\ufeff\x00", "malformed", None),
        (200, "[" * 60_000, "malformed", None),
        (200, b"\xff\xfe\xff", "malformed", None),
        (401, {"error": {"message": "token expired or incorrect", "type": "401"}}, "refused", "401"),
        (404, "<html>", "refused", None),
        (429, "", "failed", None),
        (502, "<html>nginx</html>", "failed", None),
    ],
)
def test_what_is_no_report_says_why(status: int, body: Any, trouble: str, code: str | None) -> None:
    found = unusable(status, body)

    assert (found.trouble, found.code) == (trouble, code)
    assert found.message
    assert found.other_form_may_help == (trouble == Trouble.REFUSED)


def test_a_failure_is_told_in_one_short_line() -> None:
    found = unusable(200, {"code": 401, "msg": "no\n\x1b[31m" + "x" * 5000, "success": False})

    assert found.message.isprintable()
    assert len(found.message) <= 200


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=5),
    max_leaves=20,
)
LIMIT = st.dictionaries(
    st.sampled_from(["type", "unit", "number", "usage", "currentValue", "remaining", "percentage", "nextResetTime"]),
    ANY_JSON | st.sampled_from(["TOKENS_LIMIT", "CREDIT_LIMIT", "TIME_LIMIT", 1, 3, 5, 6, 100, 1785982811000, "37%"]),
)


@given(status=st.integers(100, 599), body=st.binary(max_size=300))
def test_no_bytes_are_too_odd(status: int, body: bytes) -> None:
    assert isinstance(read_report(status, body), QuotaReport | UnusableReport)


@given(data=ANY_JSON, code=ANY_JSON, success=ANY_JSON)
def test_no_json_is_too_odd(data: Any, code: Any, success: Any) -> None:
    body = json.dumps({"data": data, "code": code, "success": success}).encode()

    assert isinstance(read_report(200, body), QuotaReport | UnusableReport)


@given(limits=st.lists(LIMIT | ANY_JSON, max_size=6), name=ANY_JSON)
def test_no_list_of_limits_is_too_odd_and_every_figure_is_in_bounds(limits: list[Any], name: Any) -> None:
    report = read_report(200, answer(limits, level=name))

    if isinstance(report, QuotaReport):
        assert len(report.plan) <= 64
        for window in report.windows:
            assert window.label in ("five_hour", "weekly", "monthly", "daily", "other")
            assert window.type_label in ("TOKENS_LIMIT", "CREDIT_LIMIT", "TIME_LIMIT", "other")
            assert window.used_ratio is None or 0 <= window.used_ratio <= 10
            assert window.remaining_ratio is None or 0 <= window.remaining_ratio <= 1
            assert window.resets_at is None or 1e8 <= window.resets_at <= 4102444800
            assert 0 < window.step <= 0.01
