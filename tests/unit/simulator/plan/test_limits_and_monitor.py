"""The plan's limits as a client meets them, and the monitor API that reports them."""

import re
import time
from datetime import datetime
from typing import Any

import httpx
import pytest

from simulator.plan.models import BEIJING, is_peak, plan_credits
from tests.harness.waiting import wait_for
from tests.unit.simulator.talk import ASK, CHAT, MESSAGES, SPOKEN, Api, read_until, sim

QUOTA = "/api/monitor/usage/quota/limit"
MCP = "/api/mcp/zread/mcp"
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "search_doc"}}
RESET = re.compile(r"reset at (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)")
WEDNESDAY_AT_15 = datetime(2026, 9, 2, 15, tzinfo=BEIJING).timestamp()


def limit(api: Api, **limits: Any) -> None:
    httpx.put(f"{api.simulator.url}/_simulator/limits", json=limits).raise_for_status()


def quota(api: Api, **scenario: Any) -> dict[tuple[int, int], dict[str, Any]]:
    """The monitor's limits by (unit, number)."""
    body = api.http.get(QUOTA, headers=sim(**scenario)).json()
    assert body["success"]
    return {(limit["unit"], limit["number"]): limit for limit in body["data"]["limits"]}


def code_of(response: httpx.Response) -> str | None:
    return response.json()["error"]["code"] if response.status_code >= 400 else None


@pytest.mark.parametrize("path", SPOKEN)
def test_one_request_too_many_at_once_is_a_1302(api: Api, path: str) -> None:
    limit(api, concurrency=1)

    with api.raw(MESSAGES, True, events=1000, pause=0.05) as connection:
        read_until(connection, b"content_block_delta")
        response = api.ask(path)
        assert (response.status_code, code_of(response)) == (429, "1302")

    wait_for(lambda: api.ask(path).status_code, lambda status: status == 200)


def test_a_client_that_leaves_frees_its_place(api: Api) -> None:
    limit(api, concurrency=1)
    connection = api.raw(MESSAGES, True, delay=30)
    wait_for(lambda: api.ask(MESSAGES).status_code, lambda status: status == 429)

    connection.close()

    wait_for(lambda: api.ask(MESSAGES).status_code, lambda status: status == 200)


def test_requests_that_come_too_fast_are_a_1303(api: Api) -> None:
    limit(api, requests_per_second=2)

    codes = [code_of(api.ask(CHAT)) for _ in range(4)]

    assert codes[:2] == [None, None]
    assert codes[-1] == "1303"


@pytest.mark.parametrize(("window", "code"), [("five_hour", "1308"), ("weekly", "1310")])
def test_a_window_that_is_used_up_names_its_reset_in_beijing_time(api: Api, window: str, code: str) -> None:
    limit(api, **{f"{window}_credits": 100, f"{window}_used": 100, f"{window}_seconds": 3600})

    response = api.ask(MESSAGES)

    found = RESET.search(response.json()["error"]["message"])
    assert code_of(response) == code
    assert found is not None
    reset = datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=BEIJING).timestamp()
    assert reset == pytest.approx(
        quota(api)[(3, 5) if window == "five_hour" else (6, 1)]["nextResetTime"] / 1000, abs=1
    )


def test_a_window_resets(api: Api) -> None:
    limit(api, five_hour_credits=100, five_hour_seconds=0.2, five_hour_used=100)
    assert code_of(api.ask(MESSAGES)) == "1308"

    wait_for(lambda: code_of(api.ask(MESSAGES)), lambda code: code is None)
    assert quota(api)[(3, 5)]["currentValue"] == 0


def test_an_overload_is_a_529_on_the_anthropic_surface(api: Api) -> None:
    limit(api, overloaded=True)
    assert (api.ask(MESSAGES).status_code, api.ask(CHAT).status_code) == (529, 429)

    limit(api, overloaded=False)
    assert api.ask(MESSAGES).status_code == 200


def test_what_is_used_is_reported_by_the_published_formula(api: Api) -> None:
    limit(api, five_hour_credits=1000, weekly_credits=5000)
    api.ask(MESSAGES, body={"model": "glm-5.3"}, input_tokens=100_000, cached_tokens=50_000, output_tokens=20_000)

    credits = api.settled()["credits"]
    expected = 10 * 6.9 + 5 * 1.7 + 2 * 24
    assert credits == pytest.approx(expected if is_peak(time.time()) else expected / 2)
    five_hour, weekly = quota(api)[3, 5], quota(api)[6, 1]
    assert five_hour["type"] == weekly["type"] == "CREDIT_LIMIT"
    assert (five_hour["usage"], weekly["usage"]) == (1000, 5000)
    assert five_hour["currentValue"] == weekly["currentValue"] == int(credits)
    assert five_hour["remaining"] == int(1000 - credits)
    assert five_hour["percentage"] == int(credits / 10)
    assert five_hour["nextResetTime"] > time.time() * 1000


def test_peak_is_twice_as_dear() -> None:
    spent = [
        plan_credits("glm-5.3", input_tokens=10_000, cached_tokens=0, output_tokens=0, unix_time=moment)
        for moment in (WEDNESDAY_AT_15, WEDNESDAY_AT_15 + 3 * 3600, WEDNESDAY_AT_15 + 3 * 86400)
    ]

    assert spent == pytest.approx([6.9, 3.45, 3.45])


def test_the_general_api_costs_no_credits(api: Api) -> None:
    api.http.post("/api/paas/v4/chat/completions", json={"model": "glm-5.3", "messages": ASK})

    assert api.settled()["credits"] == 0
    assert "nextResetTime" not in quota(api)[3, 5]


def test_tool_calls_are_counted_against_the_month(api: Api) -> None:
    limit(api, monthly_calls=2)

    statuses = [api.http.post(MCP, json=CALL).status_code for _ in range(3)]

    assert statuses == [200, 200, 429]
    month = quota(api)[5, 1]
    assert month["type"] == "TIME_LIMIT"
    assert (month["usage"], month["currentValue"], month["remaining"]) == (2, 2, 0)
    assert month["usageDetails"][0] == {"modelCode": "search-prime", "usage": 2}


def test_a_window_that_is_not_open_has_no_reset_time(api: Api) -> None:
    assert all("nextResetTime" not in limit for limit in quota(api).values())


def test_asking_for_the_quota_costs_nothing_and_opens_no_window(api: Api) -> None:
    limit(api, concurrency=0, requests_per_second=0.001)

    assert all("nextResetTime" not in quota(api)[3, 5] for _ in range(5))


def test_the_legacy_form_has_percentages_alone(api: Api) -> None:
    limit(api, five_hour_credits=200, five_hour_used=74)

    limits = quota(api, quota_form="legacy")

    assert limits[3, 5].keys() == {"type", "unit", "number", "percentage", "nextResetTime"}
    assert (limits[3, 5]["type"], limits[3, 5]["percentage"]) == ("TOKENS_LIMIT", 37)
    assert limits[5, 1]["type"] == "TIME_LIMIT"
    assert limits[5, 1]["usage"] == 1000


def test_every_other_form_of_the_quota_can_be_had(api: Api) -> None:
    assert "currentValue" in quota(api, quota_form="legacy_counts")[6, 7]
    assert quota(api, quota_form="five_hour_only").keys() == {(3, 5)}
    assert quota(api, quota_form="future")[9, 3]["type"] == "SOME_FUTURE_LIMIT"


def test_rules_reach_a_poller_that_sends_no_header(api: Api) -> None:
    rule = {"match": {"path": "/api/monitor/*", "nth": 1}, "answer": {"code": "500", "status": 502, "envelope": "html"}}
    api.simulator.set_default_scenario({"rules": [rule]})

    assert [api.http.get(QUOTA).status_code for _ in range(2)] == [502, 200]


@pytest.mark.parametrize("path", [QUOTA, "/api/monitor/usage"])
def test_both_addresses_of_the_quota_answer(api: Api, path: str) -> None:
    assert api.http.get(path).json()["data"]["level"] == "max"


def test_usage_is_told_by_model(api: Api) -> None:
    api.ask(MESSAGES, body={"model": "glm-5.3"}, input_tokens=10, cached_tokens=5, output_tokens=3)
    api.ask(CHAT, body={"model": "glm-4.6"}, input_tokens=1, output_tokens=20, thinking=0)
    api.settled()

    usage = api.http.get("/api/monitor/usage/model-usage?startTime=a&endTime=b").json()["data"]
    detail = api.http.get("/api/monitor/usage/credit-usage/usage-detail?usageType=MODEL").json()["data"]

    assert usage["totalUsage"]["totalModelCallCount"] == 2
    assert usage["totalUsage"]["totalTokensUsage"] == 39
    assert {row["modelName"]: row["totalTokens"] for row in usage["modelDataList"]} == {"glm-5.3": 18, "glm-4.6": 21}
    assert len(usage["x_time"]) == len(usage["modelCallCount"]) == len(usage["tokensUsage"])
    row = detail["modelUsage"]["modelDataList"][0]
    assert (row["cachedInputTokensUsage"], row["uncachedInputTokensUsage"], row["outputTokensUsage"]) == (5, 10, 3)


def test_tools_and_subscriptions_are_told(api: Api) -> None:
    api.http.post(MCP, json=CALL)

    tools = api.http.get("/api/monitor/usage/tool-usage").json()["data"]["totalUsage"]
    plans = api.http.get("/api/biz/subscription/list").json()["data"]

    month = api.http.get("/api/v1/mcp/usage").json()["data"]
    activity = api.http.get("/api/monitor/usage/credit-usage/activity").json()["data"]

    assert tools["totalSearchMcpCount"] == month["currentValue"] == 1
    assert activity["activityList"][0]["totalCreditsUsage"] == 0
    assert plans[0]["productName"] == "GLM Coding Max"
    assert plans[0]["status"] == "VALID"


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ([], "need an object"),
        ({"concurency": 1}, r"unknown key \"concurency\" \(did you mean concurrency\?\)"),
        ({"concurrency": -1}, "concurrency: need a whole number"),
        ({"concurrency": True}, "concurrency: need a whole number"),
        ({"requests_per_second": 0}, "requests_per_second: need a number from"),
        ({"five_hour_credits": "all"}, "five_hour_credits: need a number"),
        ({"overloaded": 1}, "overloaded: need true or false"),
        ({"model_concurrency": {"glm-5.33": 1}}, r"model_concurrency: unknown key \"glm-5.33\" \(did you mean glm-5.3"),
        ({"model_concurrency": {"claude-opus-4": 1}}, "model_concurrency: claude-opus-4: glm-5.3 serves it"),
        ({"model_concurrency": {"glm-5.3": "2"}}, "model_concurrency: need a whole number for each model"),
        ({"shared_pools": ["glm-5.3"]}, "shared_pools: need a list of pools"),
        ({"shared_pools": [["glm-5.3", "glm-5.2"], ["glm-5.2", "glm-5"]]}, "glm-5.2 is there twice"),
        ({"mcp_concurrency": 1.5}, "mcp_concurrency: need a whole number"),
        ({"mcp_recovery_seconds": -1}, "mcp_recovery_seconds: need a number from 0"),
        ({"release_seconds": "late"}, "release_seconds: need a number from 0"),
        ({"refused_identities": [""]}, "refused_identities: need a list"),
    ],
)
def test_wrong_limits_are_refused_and_change_nothing(api: Api, limits: Any, message: str) -> None:
    response = httpx.put(f"{api.simulator.url}/_simulator/limits", json=limits)

    assert response.status_code == 400
    assert re.search(message, response.json()["error"])
    assert api.ask(MESSAGES).status_code == 200


def test_limits_can_be_lifted_again(api: Api) -> None:
    limit(api, concurrency=0, requests_per_second=1)
    assert code_of(api.ask(MESSAGES)) == "1302"

    limit(api, concurrency=None, requests_per_second=None)
    assert [code_of(api.ask(MESSAGES)) for _ in range(3)] == [None] * 3


def test_a_reset_of_the_simulator_lifts_everything(api: Api) -> None:
    limit(api, concurrency=0)
    api.simulator.set_default_scenario({"code": "1302"})

    httpx.post(f"{api.simulator.url}/_simulator/reset").raise_for_status()

    assert api.ask(MESSAGES).status_code == 200
    assert api.entry()["id"] > 0


def test_the_default_scenario_is_for_those_without_a_header(api: Api) -> None:
    put = httpx.put(f"{api.simulator.url}/_simulator/scenario", json={"code": "1302"})
    default, with_header = api.ask(MESSAGES).status_code, api.ask(MESSAGES, events=1).status_code
    httpx.delete(f"{api.simulator.url}/_simulator/scenario").raise_for_status()

    assert put.status_code == 200
    assert (default, with_header) == (429, 200)
    assert api.ask(MESSAGES).status_code == 200


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"evnts": 3}', b'{"rules": 3}', b"\xff"])
def test_a_wrong_default_scenario_is_refused_and_changes_nothing(api: Api, content: bytes) -> None:
    response = httpx.put(f"{api.simulator.url}/_simulator/scenario", content=content)

    assert response.status_code == 400
    assert response.json()["error"]
    assert api.ask(MESSAGES).status_code == 200
