"""What a proxy says of itself, in whatever version."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dashboard.domain.proxy_status import Move, ProxyStatus, read_status
from extproc.domain.quota import Quota, QuotaRules, as_json
from extproc.domain.quota_report import read_report
from extproc.domain.quota_windows import QuotaReport, QuotaSample
from tests.unit.dashboard.test_finished import json_values

NOON = 1_764_072_000.0
RUNNING: dict[str, Any] = {
    "id": "run-1", "request_id": "abc", "method": "POST", "path": "/v1/messages", "client": "source-01", "lane": "main",
    "model": "glm-5.3", "age_seconds": 12.5, "request_bytes": 10, "response_bytes": 20,
}  # fmt: skip


def test_the_first_version_tells_of_workers_and_what_runs() -> None:
    status = read_status(
        {
            "workers": {"in_flight": 3, "max": 20, "draining": True},
            "requests": [RUNNING],
            "version": "0.1.0",
            "variant": "production",
            "settings": {"MAX_WORKERS": "20"},
        }
    )

    assert (status.busy, status.wall, status.limit, status.draining) == (3, 20, None, True)
    (request,) = status.running
    assert (request.id, request.model, request.age, request.response_bytes) == ("run-1", "glm-5.3", 12.5, 20)
    assert (status.version, status.variant) == ("0.1.0", "production")


def test_what_waits_has_waited_so_long() -> None:
    (waiting,) = read_status({"waiting": [{"id": "run-2", "waited_seconds": 4, "lane": "background"}]}).waiting

    assert (waiting.id, waiting.age, waiting.lane) == ("run-2", 4.0, "background")


def test_limits_are_read_by_name_or_as_a_list_with_their_moves_newest_first() -> None:
    status = read_status(
        {
            "limits": {
                "in_flight": {
                    "limit": 5,
                    "ceiling": {"level": 8},
                    "in_flight": 4,
                    "moves": ["started with 2", {"at": 10, "text": "doubled"}, {"at": 20, "text": "1302: 8 → 5"}],
                }
            }
        }
    )

    (limit,) = status.limits
    assert (limit.name, limit.value, limit.ceiling, limit.used) == ("in flight", 5, 8, 4)
    assert limit.moves == (Move(20, "1302: 8 → 5"), Move(10, "doubled"), Move(None, "started with 2"))
    assert status.limit == 5
    assert read_status({"limits": [{"name": "requests/s", "value": 2.5}]}).limits[0].value == 2.5


def test_a_move_in_numbers_is_put_into_words() -> None:
    move = {"at": 1, "cause": "upstream 1302", "before": 8, "after": 5, "unit": "in flight"}

    (limit,) = read_status({"limits": {"in flight": {"moves": [move]}}}).limits

    assert limit.moves == (Move(1, "upstream 1302: 8 → 5 in flight"),)


def test_the_quota_is_read_as_a_proxy_tells_of_it() -> None:
    forecaster = Quota(QuotaRules())
    report = read_report(200, json.dumps(_monitor_answer(NOON)).encode())
    assert isinstance(report, QuotaReport)
    forecaster.take_sample(QuotaSample(report, NOON - 30), NOON)
    forecaster.take_refusal("1310", "x", NOON, NOON)

    status = read_status({"quota": as_json(forecaster.snapshot(NOON))})

    window = next(each for each in status.quota if each.window == "five_hour")
    assert (window.used, window.resets_at, window.sample_age) == (0.4, NOON + 3600, 30.0)
    assert (window.text or "").startswith("five-hour window: 40 % used, ")
    assert [each.window for each in status.quota if each.gate_closed] == ["weekly"]
    assert status.plan == "max"


def _monitor_answer(now: float) -> dict[str, Any]:
    limit = {"type": "TOKENS_LIMIT", "unit": 3, "number": 5, "percentage": 40, "nextResetTime": (now + 3600) * 1000}
    return {"code": 200, "success": True, "data": {"level": "max", "limits": [limit]}}


def test_windows_of_the_plan_are_read_with_their_forecast() -> None:
    status = read_status(
        {
            "quota": {
                "windows": [
                    {
                        "name": "five_hour",
                        "limit_type": "TOKENS_LIMIT",
                        "used": 0.4,
                        "resets_at": 50,
                        "exhausted_at": 40,
                    }
                ]
            }
        }
    )

    (window,) = status.quota
    assert (window.window, window.used, window.resets_at, window.runs_out_at) == ("five_hour", 0.4, 50, 40)


@given(data=json_values)
def test_anything_at_all_is_a_status(data: object) -> None:
    for status in (data, {"requests": data, "waiting": data, "limits": data, "quota": data, "workers": data}):
        assert isinstance(read_status(status), ProxyStatus)
    for inner in ("requests", "limits", "quota"):
        assert isinstance(read_status({inner: [data, {"name": data, "id": data, "moves": data}]}), ProxyStatus)


@given(count=st.integers(2000, 3000))
def test_what_runs_is_bounded(count: int) -> None:
    assert len(read_status({"requests": [RUNNING] * count}).running) == 2000
