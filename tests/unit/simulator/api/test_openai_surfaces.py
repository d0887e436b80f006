"""Chat Completions and Responses as Z.AI sends them."""

import json
import re
from typing import Any

import pytest

from tests.unit.simulator.talk import ASK, CHAT, RESPONSES, Api, event_names, events

GENERAL_CHAT = "/api/paas/v4/chat/completions"
TOOL = {"type": "function", "function": {"name": "bash", "parameters": {"type": "object"}}}
FLAT_TOOL = {"type": "function", "name": "exec_command", "parameters": {"type": "object"}}
CALL = {"name": "bash", "input": {"command": "echo a rather long command"}}


def test_a_completion_has_the_known_shape(api: Api) -> None:
    scenario: dict[str, Any] = {
        "text": "42",
        "thinking": 1,
        "input_tokens": 29,
        "output_tokens": 81,
        "reasoning_tokens": 77,
    }

    body = api.ask(CHAT, **scenario).json()

    log_id = body["id"]
    assert re.fullmatch(r"\d{14}[0-9a-f]{16}", log_id)
    assert body.pop("created") > 1_700_000_000
    assert body == {
        "choices": [
            {
                "finish_reason": "stop",
                "index": 0,
                "message": {"content": "42", "reasoning_content": "Let ", "role": "assistant"},
            }
        ],
        "id": log_id,
        "model": "glm-5.2",
        "object": "chat.completion",
        "request_id": log_id,
        "usage": {
            "completion_tokens": 81,
            "completion_tokens_details": {"reasoning_tokens": 77},
            "prompt_tokens": 29,
            "prompt_tokens_details": {"cached_tokens": 0},
            "total_tokens": 110,
        },
    }


def test_both_chat_endpoints_answer_alike(api: Api) -> None:
    response = api.http.post(GENERAL_CHAT, json={"model": "glm-4.6", "messages": ASK})

    assert response.json()["object"] == "chat.completion"


def test_a_chat_stream_has_no_event_lines_repeats_the_role_and_ends_with_done(api: Api) -> None:
    text = api.ask(CHAT, stream=True, thinking=1, events=2).text

    seen = events(text)
    assert event_names(text) == []
    assert text.endswith("data: [DONE]\n\n")
    assert all(event["choices"][0]["delta"]["role"] == "assistant" for event in seen)
    assert seen[0]["choices"][0]["delta"]["reasoning_content"] == "Let "
    assert ["finish_reason" in event["choices"][0] for event in seen] == [False, False, False, True]
    assert ["usage" in event for event in seen] == [False, False, False, True]


def test_prompt_tokens_include_what_came_from_the_cache(api: Api) -> None:
    usage = api.ask(CHAT, input_tokens=10, cached_tokens=7, cache_creation_tokens=2, output_tokens=1).json()["usage"]

    assert usage["prompt_tokens"] == 19
    assert usage["prompt_tokens_details"] == {"cached_tokens": 7}
    assert usage["total_tokens"] == 20


@pytest.mark.parametrize(
    ("form", "places"),
    [
        ("final_only", [False, False, True]),
        ("at_start", [False, False, True]),
        ("separate", [False, False, False, True]),
        ("every_chunk", [True, True, True]),
        ("none", [False, False, False]),
    ],
)
def test_usage_takes_every_form(api: Api, form: str, places: list[bool]) -> None:
    seen = events(api.ask(CHAT, stream=True, usage=form, thinking=0, events=2).text)

    assert ["usage" in event for event in seen] == places


def test_a_separate_usage_chunk_has_no_choices(api: Api) -> None:
    seen = events(api.ask(CHAT, stream=True, usage="separate", output_tokens=9).text)

    assert seen[-1]["choices"] == []
    assert seen[-1]["usage"]["completion_tokens"] == 9


def test_running_usage_grows_to_the_truth(api: Api) -> None:
    seen = events(api.ask(CHAT, stream=True, usage="every_chunk", thinking=0, events=4, output_tokens=20).text)

    assert [event["usage"]["completion_tokens"] for event in seen] == [5, 10, 15, 20, 20]


def test_chunks_without_choices_can_come_between(api: Api) -> None:
    seen = events(api.ask(CHAT, stream=True, thinking=0, events=4, pings=2).text)

    assert [len(event["choices"]) for event in seen] == [1, 1, 0, 1, 1, 0, 1]


def test_a_tool_call_comes_whole_in_one_delta(api: Api) -> None:
    seen = events(api.ask(CHAT, stream=True, thinking=0, events=0, tool_call=CALL).text)

    call = seen[0]["choices"][0]["delta"]["tool_calls"][0]
    assert call["function"]["name"] == "bash"
    assert json.loads(call["function"]["arguments"]) == CALL["input"]
    assert seen[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_tool_stream_streams_the_arguments(api: Api) -> None:
    seen = events(api.ask(CHAT, stream=True, body={"tool_stream": True}, events=0, thinking=0, tool_call=CALL).text)

    deltas = [event["choices"][0]["delta"].get("tool_calls", [{}])[0] for event in seen]
    arguments = "".join(delta["function"]["arguments"] for delta in deltas if delta)
    assert len(seen) > 3
    assert json.loads(arguments) == CALL["input"]


def test_a_script_answers_with_text_once_there_is_a_tool_result(api: Api) -> None:
    result = {"role": "tool", "tool_call_id": "call_1", "content": "done"}

    called = api.ask(CHAT, body={"tools": [TOOL]}, agent=True).json()
    finished = api.ask(CHAT, body={"tools": [TOOL], "messages": [*ASK, result]}, agent=True).json()

    assert called["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "bash"
    assert called["choices"][0]["finish_reason"] == "tool_calls"
    assert finished["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("reason", ["sensitive", "network_error", "model_context_window_exceeded", "length"])
def test_every_finish_reason_can_be_had(api: Api, reason: str) -> None:
    assert api.ask(CHAT, stop_reason=reason).json()["choices"][0]["finish_reason"] == reason


def test_a_small_limit_cuts_the_answer_short(api: Api) -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        assert api.ask(CHAT, body={name: 2}).json()["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"model": None}, "1214"),
        ({"model": "gpt-5"}, "1211"),
        ({"model": "glm-5.2[1m]"}, "1211"),
        ({"messages": [], "input": []}, "1214"),
        ({"tools": 3}, "1214"),
        ({"stream": 1}, "1214"),
    ],
)
def test_a_bad_request_is_refused_with_a_code(api: Api, path: str, change: dict[str, Any], code: str) -> None:
    response = api.ask(path, body=change)

    assert response.status_code == 400
    assert response.json()["error"]["code"] == code
    assert set(response.json()) == {"error"}


def test_a_model_that_always_thinks_refuses_not_to(api: Api) -> None:
    response = api.ask(CHAT, body={"model": "glm-5.3", "thinking": {"type": "disabled"}})

    assert response.json()["error"]["code"] == "1210"


def test_thinking_can_be_switched_off_elsewhere(api: Api) -> None:
    body = api.ask(CHAT, body={"model": "glm-4.6", "thinking": {"type": "disabled"}}).json()

    assert "reasoning_content" not in body["choices"][0]["message"]


@pytest.mark.parametrize("base", ["/api/coding/paas/v4", "/api/paas/v4", "/api/v1"])
def test_the_models_come_in_openais_form(api: Api, base: str) -> None:
    body = api.http.get(f"{base}/models").json()

    assert body["object"] == "list"
    assert {"glm-4.5", "glm-5.3"} <= {model["id"] for model in body["data"]}


def test_one_model_can_be_asked_for(api: Api) -> None:
    assert api.http.get("/api/paas/v4/models/glm-4.6").json()["id"] == "glm-4.6"
    assert api.http.get("/api/paas/v4/models/glm-1").status_code == 400


def test_a_response_has_the_known_shape(api: Api) -> None:
    body = api.ask(RESPONSES, text="42", thinking=1, input_tokens=5, cached_tokens=4, output_tokens=3).json()

    assert body["object"] == "response"
    assert body["status"] == "completed"
    assert [item["type"] for item in body["output"]] == ["reasoning", "message"]
    assert body["output"][1]["content"][0]["text"] == "42"
    assert body["usage"] == {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 4},
        "output_tokens": 3,
        "output_tokens_details": {"reasoning_tokens": 1},
        "total_tokens": 12,
    }


def test_a_response_stream_has_the_known_sequence_and_ends_with_done(api: Api) -> None:
    text = api.ask(RESPONSES, stream=True, thinking=1, events=1).text

    assert event_names(text) == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.reasoning_text.delta",
        "response.reasoning_text.done",
        "response.output_item.done",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert text.endswith("data: [DONE]\n\n")
    assert [event["sequence_number"] for event in events(text)] == list(range(13))


def test_the_end_of_a_response_stream_holds_the_whole_response(api: Api) -> None:
    whole = api.ask(RESPONSES, events=9, input_tokens=5).json()
    last = events(api.ask(RESPONSES, stream=True, events=9, input_tokens=5).text)[-1]["response"]

    assert last["usage"] == whole["usage"]
    assert last["output"][-1]["content"] == whole["output"][-1]["content"]


def test_a_function_call_streams_its_arguments(api: Api) -> None:
    seen = events(api.ask(RESPONSES, stream=True, thinking=0, events=0, tool_call=CALL).text)

    deltas = [event["delta"] for event in seen if event["type"] == "response.function_call_arguments.delta"]
    item = seen[-1]["response"]["output"][-1]
    assert len(deltas) > 1
    assert json.loads("".join(deltas)) == CALL["input"]
    assert item["type"] == "function_call"
    assert json.loads(item["arguments"]) == CALL["input"]


def test_a_script_answers_a_response_with_text_once_there_is_an_output(api: Api) -> None:
    output = {"type": "function_call_output", "call_id": "call_1", "output": "done"}

    called = api.ask(RESPONSES, body={"tools": [FLAT_TOOL]}, agent=True).json()
    finished = api.ask(RESPONSES, body={"tools": [FLAT_TOOL], "input": [output]}, agent=True).json()

    assert called["output"][-1]["name"] == "exec_command"
    assert finished["output"][-1]["type"] == "message"


def test_a_response_that_is_cut_short_is_incomplete(api: Api) -> None:
    body = api.ask(RESPONSES, body={"max_output_tokens": 2}).json()
    last = event_names(api.ask(RESPONSES, stream=True, stop_reason="length").text)[-1]

    assert body["status"] == "incomplete"
    assert body["incomplete_details"] == {"reason": "max_output_tokens"}
    assert last == "response.incomplete"


@pytest.mark.parametrize(("form", "figures"), [("none", None), ("zero", 0), ("final_only", 3)])
def test_the_usage_of_a_response_takes_its_forms(api: Api, form: str, figures: int | None) -> None:
    last = events(api.ask(RESPONSES, stream=True, usage=form, output_tokens=3).text)[-1]

    usage = last["response"]["usage"]
    assert (usage and usage["output_tokens"]) == figures
