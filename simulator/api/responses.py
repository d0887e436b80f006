"""The Responses surface, JSON and SSE, as Codex uses it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from simulator.api.chat import compact
from simulator.api.fields import BadRequestError, flag_field, list_field, text_field, whole_field
from simulator.api.sse import DONE, Frame, Reports
from simulator.api.turn import Ask, Turn, Usage, estimated_tokens
from simulator.plan.models import always_thinks, served_model
from simulator.scenario.model import UsageForm

_ARGUMENTS_PIECE = 16
_CUT_SHORT = frozenset({"max_tokens", "length"})


def read_ask(body: Mapping[str, object], size: int) -> Ask:
    """What a Responses request of `size` bytes asks for. Raises BadRequestError."""
    model = text_field(body, "model")
    items = [] if isinstance(body.get("input"), str) and body["input"] else list_field(body, "input")
    served = served_model(model, anthropic=False)
    if served is None:
        raise BadRequestError("1211", "model")
    reasoning = body.get("reasoning")
    return Ask(
        model=model,
        served=served,
        stream=flag_field(body, "stream"),
        tools=_tool_names(body),
        has_tool_result=any(isinstance(i, dict) and i.get("type") == "function_call_output" for i in items),
        thinks=isinstance(reasoning, dict) or always_thinks(served),
        input_tokens=estimated_tokens(size),
        max_tokens=whole_field(body, "max_output_tokens", 1, 131_072),
    )


def _tool_names(body: Mapping[str, object]) -> frozenset[str]:
    tools = body.get("tools")
    if tools is None:
        return frozenset()
    if not isinstance(tools, list):
        raise BadRequestError("1214", "tools")
    functions = [tool for tool in tools if isinstance(tool, dict) and tool.get("type") == "function"]
    return frozenset(tool["name"] for tool in functions if isinstance(tool.get("name"), str))


def usage_figures(usage: Usage) -> dict[str, object]:
    """The usage of a response: input_tokens includes what came from the cache."""
    return {
        "input_tokens": usage.all_input,
        "input_tokens_details": {"cached_tokens": usage.cached},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.all_input + usage.output,
    }


def _reasoning_item(turn: Turn, *, done: bool) -> dict[str, object]:
    content = [{"type": "reasoning_text", "text": "".join(turn.thinking)}] if done else []
    return {"type": "reasoning", "id": f"rs_{turn.log_id}", "summary": [], "content": content}


def _text_part(text: str) -> dict[str, object]:
    return {"type": "output_text", "text": text, "annotations": []}


def _message_item(turn: Turn, *, done: bool) -> dict[str, object]:
    return {
        "type": "message",
        "id": f"msg_{turn.log_id}",
        "status": "completed" if done else "in_progress",
        "role": "assistant",
        "content": [_text_part("".join(turn.text))] if done else [],
    }


def _call_item(turn: Turn, name: str, arguments: str, *, done: bool) -> dict[str, object]:
    return {
        "type": "function_call",
        "id": f"fc_{turn.log_id}",
        "call_id": f"call_{turn.log_id[-24:]}",
        "name": name,
        "arguments": arguments if done else "",
        "status": "completed" if done else "in_progress",
    }


def _output(turn: Turn) -> list[dict[str, object]]:
    items = []
    if turn.thinking:
        items.append(_reasoning_item(turn, done=True))
    if turn.text or turn.tool is None:
        items.append(_message_item(turn, done=True))
    if turn.tool is not None:
        items.append(_call_item(turn, turn.tool.name, compact(turn.tool.input), done=True))
    return items


def _incomplete(turn: Turn) -> bool:
    return turn.stop_reason in _CUT_SHORT


def _envelope(turn: Turn, status: str, output: list[dict[str, object]]) -> dict[str, object]:
    return {
        "id": f"resp_{turn.log_id}",
        "object": "response",
        "created_at": turn.created,
        "status": status,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        "model": turn.model,
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": None,
    }


def response(turn: Turn) -> dict[str, object]:
    """The finished response: the answer to a request that does not stream, and the end of a stream."""
    body = _envelope(turn, "incomplete" if _incomplete(turn) else "completed", _output(turn))
    if turn.usage_form is not UsageForm.NONE:
        body["usage"] = usage_figures(Usage() if turn.usage_form is UsageForm.ZERO else turn.usage)
    return body


def frames(turn: Turn) -> Iterator[Frame]:
    """The answer as a stream; usage comes with the last event, after which Z.AI adds a chat-style [DONE]."""
    number = 0
    for kind, fields, content in _events(turn):
        yield Frame(kind, compact({"type": kind, "sequence_number": number, **fields}), content)
        number += 1
    kind = "response.incomplete" if _incomplete(turn) else "response.completed"
    final = compact({"type": kind, "sequence_number": number, "response": response(turn)})
    usage = Reports.NOTHING if turn.usage_form is UsageForm.NONE else Reports.FINAL
    yield Frame(kind, final, usage=usage, final=True)
    yield DONE


def error_frame(body: str) -> Frame:
    """The end of a response that failed; `body` is its JSON."""
    return Frame("response.failed", body, final=True)


Event = tuple[str, Mapping[str, object], int]


def _events(turn: Turn) -> Iterator[Event]:
    yield "response.created", {"response": _envelope(turn, "in_progress", [])}, 0
    yield "response.in_progress", {"response": _envelope(turn, "in_progress", [])}, 0
    index = 0
    if turn.thinking:
        yield from _reasoning_events(turn, index)
        index += 1
    if turn.text or turn.tool is None:
        yield from _message_events(turn, index)
        index += 1
    if turn.tool is not None:
        yield from _call_events(turn, index, turn.tool.name, compact(turn.tool.input))


def _reasoning_events(turn: Turn, index: int) -> Iterator[Event]:
    place = {"item_id": f"rs_{turn.log_id}", "output_index": index, "content_index": 0}
    yield "response.output_item.added", {"output_index": index, "item": _reasoning_item(turn, done=False)}, 0
    for piece in turn.thinking:
        yield "response.reasoning_text.delta", {**place, "delta": piece}, 1
    yield "response.reasoning_text.done", {**place, "text": "".join(turn.thinking)}, 0
    yield "response.output_item.done", {"output_index": index, "item": _reasoning_item(turn, done=True)}, 0


def _message_events(turn: Turn, index: int) -> Iterator[Event]:
    place = {"item_id": f"msg_{turn.log_id}", "output_index": index, "content_index": 0}
    yield "response.output_item.added", {"output_index": index, "item": _message_item(turn, done=False)}, 0
    yield "response.content_part.added", {**place, "part": _text_part("")}, 0
    for piece in turn.text:
        yield "response.output_text.delta", {**place, "delta": piece}, 1
    text = "".join(turn.text)
    yield "response.output_text.done", {**place, "text": text}, 0
    yield "response.content_part.done", {**place, "part": _text_part(text)}, 0
    yield "response.output_item.done", {"output_index": index, "item": _message_item(turn, done=True)}, 0


def _call_events(turn: Turn, index: int, name: str, arguments: str) -> Iterator[Event]:
    place = {"item_id": f"fc_{turn.log_id}", "output_index": index}
    added = _call_item(turn, name, arguments, done=False)
    yield "response.output_item.added", {"output_index": index, "item": added}, 0
    for start in range(0, len(arguments), _ARGUMENTS_PIECE):
        delta = arguments[start : start + _ARGUMENTS_PIECE]
        yield "response.function_call_arguments.delta", {**place, "delta": delta}, int(start == 0)
    yield "response.function_call_arguments.done", {**place, "arguments": arguments}, 0
    finished = _call_item(turn, name, arguments, done=True)
    yield "response.output_item.done", {"output_index": index, "item": finished}, 0
