"""Chat Completions of the general and the coding API, JSON and SSE, with Z.AI's habits. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from simulator.api.fields import BadRequestError, flag_field, list_field, text_field, whole_field
from simulator.api.sse import DONE, Frame, Reports
from simulator.api.turn import Ask, Turn, Usage, estimated_tokens
from simulator.plan.models import CHAT_MODELS, always_thinks, served_model
from simulator.scenario.model import ToolCall, UsageForm

MAX_OUTPUT_TOKENS = 131_072
_ARGUMENTS_PIECE = 16
_FINISH = {"end_turn": "stop", "tool_use": "tool_calls", "max_tokens": "length"}


def compact(value: object) -> str:
    """JSON as the OpenAI surfaces write it: no spaces, UTF-8 as it is."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def read_ask(body: Mapping[str, object], size: int) -> Ask:
    """What a chat request of `size` bytes asks for. Raises BadRequestError."""
    model = text_field(body, "model")
    messages = list_field(body, "messages")
    served = served_model(model, anthropic=False)
    if served is None:
        raise BadRequestError("1211", "model")
    limits = [whole_field(body, name, 1, MAX_OUTPUT_TOKENS) for name in ("max_tokens", "max_completion_tokens")]
    return Ask(
        model=model,
        served=served,
        stream=flag_field(body, "stream"),
        tools=_tool_names(body),
        has_tool_result=_has_tool_result(messages),
        thinks=_thinks(body, served),
        input_tokens=estimated_tokens(size),
        max_tokens=limits[0] if limits[0] is not None else limits[1],
        tool_stream=flag_field(body, "tool_stream"),
    )


def _thinks(body: Mapping[str, object], served: str) -> bool:
    thinking = body.get("thinking")
    disabled = isinstance(thinking, dict) and thinking.get("type") == "disabled"
    if disabled and served.startswith("glm-5.3"):
        raise BadRequestError("1210", "thinking")
    return not disabled or always_thinks(served)


def _tool_names(body: Mapping[str, object]) -> frozenset[str]:
    tools = body.get("tools")
    if tools is None:
        return frozenset()
    if not isinstance(tools, list):
        raise BadRequestError("1214", "tools")
    functions = [tool.get("function") for tool in tools if isinstance(tool, dict)]
    return frozenset(f["name"] for f in functions if isinstance(f, dict) and isinstance(f.get("name"), str))


def _has_tool_result(messages: list[object]) -> bool:
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise BadRequestError("1214", "messages")
        if message["role"] == "tool":
            return True
    return False


def _finish_reason(turn: Turn) -> str:
    stop = turn.stop_reason or ("tool_use" if turn.tool is not None else "end_turn")
    return _FINISH.get(stop, stop)


def usage_figures(usage: Usage) -> dict[str, object]:
    """OpenAI's usage: prompt_tokens includes what came from the cache."""
    return {
        "completion_tokens": usage.output,
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
        "prompt_tokens": usage.all_input,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "total_tokens": usage.all_input + usage.output,
    }


def _reported(turn: Turn) -> dict[str, object]:
    return usage_figures(Usage() if turn.usage_form is UsageForm.ZERO else turn.usage)


def _tool_call(turn: Turn, tool: ToolCall, arguments: str) -> dict[str, object]:
    function = {"name": tool.name, "arguments": arguments}
    return {"id": f"call_{turn.log_id[-24:]}", "index": 0, "type": "function", "function": function}


def completion(turn: Turn) -> dict[str, object]:
    """The answer to a request that does not stream."""
    message: dict[str, object] = {"content": "".join(turn.text)}
    if turn.thinking:
        message["reasoning_content"] = "".join(turn.thinking)
    message["role"] = "assistant"
    if turn.tool is not None:
        message["tool_calls"] = [_tool_call(turn, turn.tool, compact(turn.tool.input))]
    body: dict[str, object] = {
        "choices": [{"finish_reason": _finish_reason(turn), "index": 0, "message": message}],
        "created": turn.created,
        "id": turn.log_id,
        "model": turn.model,
        "object": "chat.completion",
        "request_id": turn.log_id,
    }
    if turn.usage_form is not UsageForm.NONE:
        body["usage"] = _reported(turn)
    return body


def frames(turn: Turn) -> Iterator[Frame]:
    """The answer as a stream; usage rides on the chunk with `finish_reason`, unless the scenario moves it."""
    head = f'{{"id":{compact(turn.log_id)},"created":{turn.created},"model":{compact(turn.model)},"choices":'
    sent = 0
    for delta, content in _deltas(turn):
        sent += content
        running, reports = "", Reports.NOTHING
        if turn.usage_form is UsageForm.EVERY_CHUNK:
            running = f',"usage":{compact(usage_figures(turn.usage.share(sent, turn.pieces)))}'
            reports = Reports.RUNNING
        yield Frame(None, f'{head}[{{"index":0,"delta":{delta}}}]{running}}}', content, reports)
        if turn.pings and content and sent % turn.pings == 0:
            yield Frame(None, f"{head}[]}}")
    delta = '{"role":"assistant","content":""}'
    finish = f'[{{"index":0,"finish_reason":{compact(_finish_reason(turn))},"delta":{delta}}}]'
    usage = f',"usage":{compact(_reported(turn))}'
    match turn.usage_form:
        case UsageForm.NONE:
            yield Frame(None, f"{head}{finish}}}")
        case UsageForm.SEPARATE:
            yield Frame(None, f"{head}{finish}}}")
            yield Frame(None, f"{head}[]{usage}}}", usage=Reports.FINAL)
        case _:
            yield Frame(None, f"{head}{finish}{usage}}}", usage=Reports.FINAL)
    yield DONE


def _deltas(turn: Turn) -> Iterator[tuple[str, int]]:
    """Each delta as JSON, and whether it is a content piece."""
    for piece in turn.thinking:
        yield f'{{"role":"assistant","content":"","reasoning_content":{compact(piece)}}}', 1
    for piece in turn.text:
        yield f'{{"role":"assistant","content":{compact(piece)}}}', 1
    if turn.tool is None:
        return
    arguments = compact(turn.tool.input)
    if not turn.tool_stream:
        yield compact({"role": "assistant", "tool_calls": [_tool_call(turn, turn.tool, arguments)]}), 1
        return
    yield compact({"role": "assistant", "tool_calls": [_tool_call(turn, turn.tool, "")]}), 1
    for start in range(0, len(arguments), _ARGUMENTS_PIECE):
        part = {"index": 0, "function": {"arguments": arguments[start : start + _ARGUMENTS_PIECE]}}
        yield compact({"role": "assistant", "tool_calls": [part]}), 0


def error_frame(body: str) -> Frame:
    """An error inside a stream; `body` is its JSON."""
    return Frame(None, body, final=True)


def model_list(created: int) -> dict[str, object]:
    """The list of models in OpenAI's form."""
    return {"object": "list", "data": [_model(name, created) for name in CHAT_MODELS]}


def model(name: str, created: int) -> dict[str, object] | None:
    """One model of the list, or None."""
    return _model(name, created) if name in CHAT_MODELS else None


def _model(name: str, created: int) -> dict[str, object]:
    return {"id": name, "object": "model", "created": created, "owned_by": "z-ai"}
