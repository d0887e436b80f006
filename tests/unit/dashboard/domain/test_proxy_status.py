"""What a proxy says of itself, be it odd or not. That it is what a real one says is in test_contract."""

from typing import Any

import pytest
from hypothesis import given

from dashboard.domain.proxy_status import Limit, ModelLimit, Move, ProxyStatus, SharedPlaces, read_status
from tests.unit.dashboard.domain.test_finished import json_values

RUNNING: dict[str, Any] = {
    "id": "run-1", "request_id": "abc", "method": "POST", "path": "/v1/messages", "client": "source-01", "lane": "main",
    "model": "glm-5.3", "age_seconds": 12.5, "request_bytes": 10, "response_bytes": 20,
}  # fmt: skip


def test_an_older_proxy_that_knows_of_workers_and_what_runs_tells_no_more() -> None:
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
    assert (request.model_asked, request.program) == (None, None)
    assert (status.version, status.variant) == ("0.1.0", "production")
    assert (status.shared, status.leads, status.in_flight, status.quota) == (False, False, None, ())


def test_the_moves_of_a_limit_are_read_newest_first_and_those_without_a_time_are_left_out() -> None:
    moves = [{"at": 10, "text": "doubled"}, {"at": 20, "text": "1302: 8 → 5"}, {"text": "when?"}, {"at": 30}]

    status = read_status({"limits": [{"name": "in flight", "limit": 5, "ceiling": 8, "used": 4, "moves": moves}]})

    assert status.limits == (Limit("in flight", 5, 8, 4, (Move(20, "1302: 8 → 5"), Move(10, "doubled"))),)
    assert status.in_flight == 5


def test_the_places_of_each_model_are_read() -> None:
    told = {
        "name": "glm-5.3",
        "limit": 2,
        "ceiling": 3,
        "in_flight": 2,
        "waiting": 4,
        "moves": [{"at": 1, "text": "m"}],
        "shares": {"with": ["glm-4.7", 3.5, None], "maybe_with": ["glm-4.6"], "limit": 6, "in_flight": 5},
    }

    status = read_status({"model_limits": [told, {"name": "mcp"}]})

    assert status.model_limits == (
        ModelLimit("glm-5.3", 2, 3, 2, 4, (Move(1, "m"),), SharedPlaces(("glm-4.7",), ("glm-4.6",), 6)),
        ModelLimit("mcp", None, None, 0, 0, (), None),
    )


@pytest.mark.parametrize("shares", [None, {}, {"with": [], "maybe_with": [], "limit": 6}, {"with": "glm-4.7"}])
def test_who_names_no_other_model_shares_no_places(shares: object) -> None:
    (model,) = read_status({"model_limits": [{"name": "glm-5.3", "shares": shares}]}).model_limits

    assert model.shares is None


def test_a_window_that_refuses_work_is_told_of_even_if_no_report_has_come() -> None:
    (window,) = read_status({"quota": {"windows": [], "gate": [{"window": "weekly", "resets_at": None}]}}).quota

    assert (window.window, window.gate_closed, window.used, window.resets_at) == ("weekly", True, None, None)


@given(data=json_values)
def test_anything_at_all_is_a_status(data: object) -> None:
    parts = ("requests", "waiting", "limits", "model_limits", "quota", "workers", "shared_limits")
    for status in (data, dict.fromkeys(parts, data)):
        assert isinstance(read_status(status), ProxyStatus)
    for inner in ("requests", "limits", "model_limits"):
        assert isinstance(read_status({inner: [data, {"name": data, "id": data, "moves": data}]}), ProxyStatus)
    for shares in (data, {"with": data, "limit": data}, {"with": [data], "maybe_with": [data]}):
        assert isinstance(read_status({"model_limits": [{"shares": shares}]}), ProxyStatus)
    for each in ({"windows": data, "gate": data}, {"windows": [data, {"used": data}], "gate": [{"window": data}]}):
        assert isinstance(read_status({"quota": each}), ProxyStatus)


@pytest.mark.parametrize("count", [2000, 2001, 3000])
def test_what_runs_is_bounded(count: int) -> None:
    assert len(read_status({"requests": [RUNNING] * count}).running) == 2000
