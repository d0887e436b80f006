"""Messages as Z.AI sends them: bodies, the sequence of events, usage, refusals of bad requests."""

import json
import re
from typing import Any

import pytest

from tests.unit.simulator.talk import ASK, MESSAGES, Api, event_names, events

COUNT = "/api/anthropic/v1/messages/count_tokens"
TOOL = {"name": "Bash", "description": "Runs a command", "input_schema": {"type": "object"}}


def test_a_message_has_the_known_shape(api: Api) -> None:
    response = api.ask(MESSAGES, input_tokens=23, output_tokens=2, text="42")

    body = response.json()
    assert re.fullmatch(r"msg_\d{14}[0-9a-f]{16}", body.pop("id"))
    assert body == {
        "type": "message",
        "role": "assistant",
        "model": "glm-5.2",
        "content": [{"type": "text", "text": "42"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 23,
            "output_tokens": 2,
            "cache_read_input_tokens": 0,
            "server_tool_use": {"web_search_requests": 0},
            "service_tier": "standard",
        },
    }


def test_the_headers_are_those_of_the_real_thing(api: Api) -> None:
    whole, stream = api.ask(MESSAGES), api.ask(MESSAGES, stream=True)

    assert whole.headers["content-type"].startswith("application/json")
    assert whole.headers["x-log-id"] in whole.json()["id"]
    assert re.fullmatch(r"\d+\.\d{3}", whole.headers["x-process-time"])
    assert whole.headers["set-cookie"].startswith("acw_tc=")
    assert "strict-transport-security" in whole.headers
    assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert stream.headers["transfer-encoding"] == "chunked"
    assert stream.headers["cache-control"] == "no-cache"
    assert stream.headers["server"] == "nginx"


def test_a_stream_has_the_known_sequence(api: Api) -> None:
    response = api.ask(MESSAGES, stream=True, events=2)

    assert event_names(response.text) == [
        "message_start",
        "ping",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert [event["type"] for event in events(response.text)] == event_names(response.text)


def test_the_true_figures_come_only_at_the_end_of_a_stream(api: Api) -> None:
    seen = events(api.ask(MESSAGES, stream=True, input_tokens=53, output_tokens=40, cached_tokens=7).text)

    assert seen[0]["message"]["usage"] == {"input_tokens": 0, "output_tokens": 0}
    assert seen[-2]["usage"]["input_tokens"] == 53
    assert seen[-2]["usage"]["output_tokens"] == 40
    assert seen[-2]["usage"]["cache_read_input_tokens"] == 7
    assert seen[-2]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}


def test_the_json_of_a_stream_has_spaces_after_its_colons(api: Api) -> None:
    assert 'data: {"type": "message_start", "message": {"id": "msg_' in api.ask(MESSAGES, stream=True).text


def test_thinking_comes_in_a_block_of_its_own_before_the_text(api: Api) -> None:
    seen = events(api.ask(MESSAGES, stream=True, thinking=3, events=2).text)

    deltas = [(event["index"], event["delta"]["type"]) for event in seen if event["type"] == "content_block_delta"]
    assert deltas == [(0, "thinking_delta")] * 3 + [(1, "text_delta")] * 2


def test_thinking_is_shown_to_those_who_ask_for_it(api: Api) -> None:
    plain = api.ask(MESSAGES).json()
    thinking = api.ask(MESSAGES, body={"thinking": {"type": "enabled", "budget_tokens": 1024}}).json()

    assert [block["type"] for block in plain["content"]] == ["text"]
    assert [block["type"] for block in thinking["content"]] == ["thinking", "text"]


def test_a_tool_call_streams_its_input_in_pieces(api: Api) -> None:
    call = {"name": "Bash", "input": {"command": "echo 'ünïcode' > a-rather-long-file-name"}}
    seen = events(api.ask(MESSAGES, stream=True, events=0, tool_call=call).text)

    start = next(event for event in seen if event["type"] == "content_block_start")
    pieces = [event["delta"]["partial_json"] for event in seen if event["type"] == "content_block_delta"]
    assert start["content_block"]["type"] == "tool_use"
    assert start["content_block"]["name"] == "Bash"
    assert len(pieces) > 1
    assert json.loads("".join(pieces)) == call["input"]
    assert seen[-2]["delta"]["stop_reason"] == "tool_use"


def test_a_tool_call_stands_in_the_json_answer(api: Api) -> None:
    body = api.ask(MESSAGES, tool_call={"name": "Bash", "input": {"command": "ls"}}).json()

    assert body["content"][-1]["type"] == "tool_use"
    assert body["content"][-1]["input"] == {"command": "ls"}
    assert body["stop_reason"] == "tool_use"


def test_the_json_answer_and_the_stream_say_the_same(api: Api) -> None:
    whole = api.ask(MESSAGES, events=30).json()
    stream = events(api.ask(MESSAGES, stream=True, events=30).text)

    said = "".join(event["delta"]["text"] for event in stream if event["type"] == "content_block_delta")
    assert whole["content"][0]["text"] == said
    assert stream[-2]["usage"] == whole["usage"]


@pytest.mark.parametrize(
    ("form", "start", "end"),
    [
        ("final_only", {"input_tokens": 0, "output_tokens": 0}, (10, 20)),
        ("separate", {"input_tokens": 0, "output_tokens": 0}, (10, 20)),
        ("zero", {"input_tokens": 0, "output_tokens": 0}, (0, 0)),
        ("none", None, (None, None)),
    ],
)
def test_usage_takes_every_form(api: Api, form: str, start: Any, end: tuple[int | None, int | None]) -> None:
    seen = events(api.ask(MESSAGES, stream=True, usage=form, input_tokens=10, output_tokens=20).text)

    assert seen[0]["message"].get("usage") == start
    usage = seen[-2].get("usage", {})
    assert (usage.get("input_tokens"), usage.get("output_tokens")) == end


def test_usage_can_be_split_between_start_and_end(api: Api) -> None:
    seen = events(api.ask(MESSAGES, stream=True, usage="at_start", input_tokens=10, output_tokens=20).text)

    assert seen[0]["message"]["usage"]["input_tokens"] == 10
    assert seen[-2]["usage"] == {"output_tokens": 20}


def test_usage_can_run_along(api: Api) -> None:
    seen = events(api.ask(MESSAGES, stream=True, usage="every_chunk", events=4, output_tokens=20).text)

    running = [event["usage"]["output_tokens"] for event in seen if event["type"] == "message_delta"]
    assert running == [5, 10, 15, 20, 20]


def test_a_search_of_the_web_comes_in_blocks_of_its_own(api: Api) -> None:
    whole = api.ask(MESSAGES, web_search=True).json()
    stream = events(api.ask(MESSAGES, stream=True, web_search=True).text)

    blocks = [event["content_block"]["type"] for event in stream if event["type"] == "content_block_start"]
    assert [block["type"] for block in whole["content"]] == blocks == ["server_tool_use", "tool_result", "text"]
    assert [event["index"] for event in stream if event["type"] == "content_block_stop"] == [0, 1, 2]
    assert whole["usage"]["server_tool_use"] == stream[-2]["usage"]["server_tool_use"] == {"web_search_requests": 1}


def test_pings_can_come_between(api: Api) -> None:
    names = event_names(api.ask(MESSAGES, stream=True, events=6, pings=2).text)

    assert names.count("ping") == 1 + 3


def test_a_small_limit_cuts_the_answer_short(api: Api) -> None:
    body = api.ask(MESSAGES, body={"max_tokens": 3}).json()

    assert body["stop_reason"] == "max_tokens"
    assert body["usage"]["output_tokens"] == 3


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("glm-5.3", "glm-5.3"),
        ("GLM-4.6", "glm-4.6"),
        ("glm-5.2[1m]", "glm-5.2"),
        ("claude-haiku-4-5-20251001", "glm-5.3-flash"),
        ("claude-opus-4-5", "glm-5.3"),
    ],
)
def test_names_are_mapped_to_the_model_that_serves_them(api: Api, asked: str, answered: str) -> None:
    assert api.ask(MESSAGES, body={"model": asked}).json()["model"] == answered


def test_the_scenario_can_report_another_model(api: Api) -> None:
    assert api.ask(MESSAGES, model="glm-x").json()["model"] == "glm-x"
    assert api.entry()["model"] == "glm-x"


@pytest.mark.parametrize(
    ("change", "code", "names"),
    [
        ({"model": None}, "1214", "model"),
        ({"model": "gpt-5"}, "1211", "Unknown Model"),
        ({"max_tokens": None}, "1214", "max_tokens"),
        ({"max_tokens": 0}, "1214", "max_tokens"),
        ({"max_tokens": "many"}, "1214", "max_tokens"),
        ({"messages": []}, "1214", "messages"),
        ({"messages": "hello"}, "1214", "messages"),
        ({"messages": [3]}, "1214", "messages"),
        ({"stream": "yes"}, "1214", "stream"),
        ({"tools": {}}, "1214", "tools"),
        ({"model": "glm-5.3", "thinking": {"type": "disabled"}}, "1210", "Invalid API parameter"),
    ],
)
def test_a_bad_request_is_refused_in_the_current_envelope(
    api: Api, change: dict[str, Any], code: str, names: str
) -> None:
    response = api.ask(MESSAGES, body=change)

    body = response.json()
    assert response.status_code == 400
    assert body["type"] == "error"
    assert body["error"]["type"] == "invalid_request_error"
    assert body["error"]["code"] == code
    assert names in body["error"]["message"]
    assert body["error"]["message"].endswith(f"[{body['request_id']}]")
    assert body["request_id"] == response.headers["x-log-id"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000])
def test_a_body_that_is_no_object_is_refused(api: Api, content: bytes) -> None:
    response = api.http.post(MESSAGES, content=content)

    assert response.status_code == 400
    assert response.json()["error"]["code"] == "1210"


def test_count_tokens_counts_for_one_model_and_answers_0_for_another(api: Api) -> None:
    counted = api.http.post(COUNT, json={"model": "glm-4.6", "messages": ASK}).json()
    unknown = api.http.post(COUNT, json={"model": "glm-5.3", "messages": ASK}).json()

    assert counted["input_tokens"] > 0
    assert unknown == {"input_tokens": 0}


def test_the_models_come_in_anthropics_form(api: Api) -> None:
    body = api.http.get("/api/anthropic/v1/models").json()

    assert {"glm-4.5", "glm-5.3"} <= {model["id"] for model in body["data"]}
    assert {model["type"] for model in body["data"]} == {"model"}
    assert body["has_more"] is False
    assert body["last_id"] == body["data"][-1]["id"]


def test_betas_and_versions_are_not_minded(api: Api) -> None:
    headers = {"anthropic-version": "2026-10-21", "anthropic-beta": "claude-code-20250219"}

    response = api.http.post(
        f"{MESSAGES}?beta=true", json={"model": "glm-5.3", "max_tokens": 9, "messages": ASK}, headers=headers
    )

    assert response.status_code == 200
    assert api.entry()["path"] == f"{MESSAGES}?beta=true"
    assert api.entry()["headers"]["anthropic-beta"] == "claude-code-20250219"


def test_a_tool_is_called_only_while_there_is_no_result(api: Api) -> None:
    script = [{"name": "Read", "input": {}}, {"name": "Bash", "input": {"command": "ls"}}]
    result = {"type": "tool_result", "tool_use_id": "call_1", "content": "done"}

    called = api.ask(MESSAGES, body={"tools": [TOOL]}, script=script).json()
    finished = api.ask(
        MESSAGES, body={"tools": [TOOL], "messages": [*ASK, {"role": "user", "content": [result]}]}, script=script
    ).json()
    without = api.ask(MESSAGES, script=script).json()

    assert called["content"][-1]["name"] == "Bash"
    assert finished["stop_reason"] == without["stop_reason"] == "end_turn"


def test_a_coding_agents_tool_is_chosen_from_those_it_offers(api: Api) -> None:
    body = api.ask(MESSAGES, body={"tools": [{**TOOL, "name": "Read"}, TOOL]}, agent=True).json()

    assert body["content"][-1]["name"] == "Bash"
    assert "zai-simulator.txt" in body["content"][-1]["input"]["command"]
