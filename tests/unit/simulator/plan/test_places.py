"""Places of models, the gate of the MCP tools, and clients that are refused for what they are."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest

from simulator.plan.limits import LimitRefusal, PlanLimits
from simulator.plan.places import Places, ToolGate
from simulator.server.settings import plan
from tests.harness.waiting import wait_for
from tests.unit.simulator.talk import CHAT, MESSAGES, SPOKEN, Api

MCP = "/api/mcp/zread/mcp"
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "search_doc"}}
START = 1_000_000.0


def limit(api: Api, **limits: Any) -> None:
    httpx.put(f"{api.simulator.url}/_simulator/limits", json=limits).raise_for_status()


def refused(api: Api, path: str, model: str) -> str | None:
    """The code with which a request for the model is refused."""
    response = api.ask(path, body={"model": model})
    return response.json()["error"]["code"] if response.status_code == 429 else None


@contextmanager
def running(api: Api, path: str, *models: str) -> Iterator[None]:
    """A request of each model runs meanwhile."""
    with ExitStack() as streams:
        for model in models:
            headers = {"x-sim": '{"events": 1000, "pause": 0.05}'}
            body = {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], "stream": True}
            response = streams.enter_context(api.http.stream("POST", path, json=body, headers=headers))
            assert response.status_code == 200
        yield


def enter(limits: PlanLimits, *models: str) -> list[str | None]:
    refusals = [limits.enter(START, on_plan=True, model=model) for model in models]
    return [None if refusal is None else refusal.code for refusal in refusals]


def test_each_model_has_places_of_its_own(api: Api) -> None:
    limit(api, model_concurrency={"glm-5.3": 2, "glm-5.2": 1})

    with running(api, CHAT, "glm-5.3", "glm-5.3", "glm-5.2"):
        codes = [refused(api, CHAT, model) for model in ("glm-5.3", "glm-5.2", "glm-4.6")]

    assert codes == ["1302", "1302", None]
    wait_for(lambda: refused(api, CHAT, "glm-5.3"), lambda code: code is None)


def test_what_is_refused_waits_for_no_first_event(api: Api) -> None:
    limit(api, model_concurrency={"glm-5.3": 1})

    with running(api, CHAT, "glm-5.3"):
        response = api.ask(CHAT, body={"model": "glm-5.3"}, first_event_delay=60.0)

    assert response.status_code == 429


def test_the_place_is_that_of_the_model_that_serves(api: Api) -> None:
    limit(api, model_concurrency={"glm-5.3": 1})

    with running(api, MESSAGES, "claude-opus-4-7"):
        assert refused(api, MESSAGES, "glm-5.3[1m]") == "1302"
        assert api.entry()["served_by"] == "glm-5.3"
        assert refused(api, MESSAGES, "claude-haiku-4-5") is None
        assert api.entry()["served_by"] == "glm-5.3-flash"


def test_the_accounts_places_stay_beside_those_of_the_models() -> None:
    limits = PlanLimits(plan(concurrency=3, model_concurrency={"glm-5.3": 2}))

    assert enter(limits, "glm-5.3", "glm-5.3", "glm-5.3", "glm-5", "glm-5") == [None, None, "1302", None, "1302"]


def test_models_of_one_pool_share_the_smallest_limit_among_them() -> None:
    pools = (("glm-5.3", "glm-5.2"),)
    limits = PlanLimits(plan(model_concurrency={"glm-5.3": 3, "glm-5.2": 2, "glm-5": 1}, shared_pools=pools))

    assert enter(limits, "glm-5.3", "glm-5.2", "glm-5.3", "glm-5.2", "glm-5") == [None, None, "1302", "1302", None]
    limits.leave(START, 0, "glm-5.3")
    assert enter(limits, "glm-5.2") == [None]


def test_a_refused_request_takes_no_place() -> None:
    limits = PlanLimits(plan(requests_per_second=1))

    assert enter(limits, "glm-5.3", "glm-5.3") == [None, "1303"]
    assert limits.places.as_json(START)["glm-5.3"]["in_flight"] == 1


def test_place_seconds_are_those_of_each_request_together() -> None:
    places = Places()
    places.enter("glm-5.3", START)
    places.enter("glm-5.3", START + 10)
    places.leave("glm-5.3", START + 15)

    told = {"in_flight": 1, "max_in_flight": 2, "place_seconds": 25.0}
    assert places.as_json(START + 20) == {"glm-5.3": told}
    assert places.as_json(START + 20) == {"glm-5.3": told}
    places.forget(START + 20)
    assert places.as_json(START + 21)["glm-5.3"] == {"in_flight": 1, "max_in_flight": 1, "place_seconds": 1.0}


def test_a_clock_that_jumps_back_takes_no_place_seconds() -> None:
    places = Places()
    places.enter("glm-5.3", START)

    assert places.as_json(START - 100)["glm-5.3"]["place_seconds"] == 0


def test_models_are_told_in_the_stats(api: Api) -> None:
    with running(api, CHAT, "glm-5.3", "glm-5.3"):
        running_now = api.simulator.stats()["models"]["glm-5.3"]
    then = wait_for(lambda: api.simulator.stats()["models"]["glm-5.3"], lambda model: model["in_flight"] == 0)

    assert (running_now["in_flight"], running_now["max_in_flight"]) == (2, 2)
    assert then["place_seconds"] >= running_now["place_seconds"] > 0
    httpx.delete(f"{api.simulator.url}/_simulator/log")
    assert api.simulator.stats()["models"]["glm-5.3"] == {"in_flight": 0, "max_in_flight": 0, "place_seconds": 0}


def test_one_tool_call_too_many_shuts_the_gate_for_a_while() -> None:
    gate = ToolGate()

    assert [gate.enter(START, 2, 100) for _ in range(3)] == [True, True, False]
    gate.leave()
    gate.leave()
    assert not gate.enter(START + 99, 2, 100)
    assert gate.enter(START + 100, 2, 100)
    assert gate.shut_until(START + 100) is None


def test_the_gate_of_the_tools_lets_everybody_through_without_a_limit() -> None:
    gate = ToolGate()
    gate.enter(START, 0, 100)

    assert gate.enter(START, None, 100)


def test_tool_calls_have_a_gate_apart_from_models_and_account(api: Api) -> None:
    limit(api, mcp_concurrency=1, concurrency=1)
    with api.http.stream("POST", MCP, json=CALL, headers={"x-sim": '{"play": ["x", 30]}'}):
        assert api.ask(MESSAGES).status_code == 200
        response = api.http.post(MCP, json=CALL)
        assert (response.status_code, response.json()["error"]["code"]) == (429, "1302")

    wait_for(lambda: api.simulator.stats()["mcp"]["in_flight"], lambda calls: calls == 0)
    assert api.http.post(MCP, json=CALL).status_code == 429
    assert api.simulator.stats()["mcp"]["shut_until"] is not None
    assert api.http.post(MCP, json={**CALL, "method": "tools/list"}).status_code == 200
    assert api.ask(MESSAGES).status_code == 200


def test_the_gate_of_the_tools_opens_again(api: Api) -> None:
    limit(api, mcp_concurrency=0, mcp_recovery_seconds=0)
    assert api.http.post(MCP, json=CALL).status_code == 429

    limit(api, mcp_concurrency=1)
    assert [api.http.post(MCP, json=CALL).status_code for _ in range(3)] == [200, 200, 200]


def test_a_tool_call_that_the_gate_refuses_is_none_of_the_month() -> None:
    limits = PlanLimits(plan(monthly_calls=1, mcp_concurrency=0, mcp_recovery_seconds=0))

    assert [limits.call_tool(START) for _ in range(2)] == [LimitRefusal("1302")] * 2


@pytest.mark.parametrize("path", SPOKEN)
def test_a_client_can_be_refused_for_what_it_is(api: Api, path: str) -> None:
    limit(api, refused_identities=["Some-SDK/"])
    api.http.headers["user-agent"] = "some-sdk/1.2 Python"

    response = api.ask(path)

    assert response.status_code == (529 if path == MESSAGES else 429)
    assert response.json()["error"]["code"] == "1305"
    api.http.headers["user-agent"] = "curl/8"
    assert api.ask(path).status_code == 200
