"""The Anthropic surface: Messages (JSON and SSE), count_tokens and the list of models. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from simulator.api.fields import BadRequestError, flag_field, list_field, text_field, whole_field
from simulator.api.sse import Frame, Reports
from simulator.api.turn import Ask, Turn, Usage, estimated_tokens
from simulator.plan.models import CHAT_MODELS, always_thinks, served_model
from simulator.scenario.model import ToolCall, UsageForm

MAX_OUTPUT_TOKENS = 131_072
_TOOL_JSON_PIECE = 16


def read_ask(body: Mapping[str, object], size: int) -> Ask:
    """What a Messages request of `size` bytes asks for. Raises BadRequestError."""
    model = text_field(body, "model")
    messages = list_field(body, "messages")
    limit = whole_field(body, "max_tokens", 1, MAX_OUTPUT_TOKENS)
    if limit is None:
        raise BadRequestError("1214", "max_tokens")
    served = served_model(model, anthropic=True)
    if served is None:
        raise BadRequestError("1211", "model")
    return Ask(
        model=model,
        served=served,
        stream=flag_field(body, "stream"),
        tools=_tool_names(body),
        has_tool_result=_has_tool_result(messages),
        thinks=_thinks(body, served),
        input_tokens=estimated_tokens(size),
        max_tokens=limit,
    )


def _thinks(body: Mapping[str, object], served: str) -> bool:
    thinking = body.get("thinking")
    if not isinstance(thinking, dict):
        return False
    kind = thinking.get("type")
    if kind == "disabled" and served.startswith("glm-5.3"):
        raise BadRequestError("1210", "thinking")
    return kind != "disabled" or always_thinks(served)


def _tool_names(body: Mapping[str, object]) -> frozenset[str]:
    tools = body.get("tools")
    if tools is None:
        return frozenset()
    if not isinstance(tools, list):
        raise BadRequestError("1214", "tools")
    return frozenset(tool["name"] for tool in tools if isinstance(tool, dict) and isinstance(tool.get("name"), str))


def _has_tool_result(messages: list[object]) -> bool:
    for message in messages:
        if not isinstance(message, dict) or "role" not in message or "content" not in message:
            raise BadRequestError("1214", "messages")
        content = message["content"]
        if isinstance(content, list) and any(isinstance(b, dict) and b.get("type") == "tool_result" for b in content):
            return True
    return False


def _stop_reason(turn: Turn) -> str:
    return turn.stop_reason or ("tool_use" if turn.tool is not None else "end_turn")


def _usage(usage: Usage, searches: int) -> dict[str, object]:
    figures: dict[str, object] = {"input_tokens": usage.input, "output_tokens": usage.output}
    figures["cache_read_input_tokens"] = usage.cached
    if usage.cache_creation:
        figures["cache_creation_input_tokens"] = usage.cache_creation
    figures["server_tool_use"] = {"web_search_requests": searches}
    figures["service_tier"] = "standard"
    return figures


def _tool_id(turn: Turn) -> str:
    return f"call_{turn.log_id[-24:]}"


def message(turn: Turn) -> dict[str, object]:
    """The answer to a request that does not stream."""
    content: list[dict[str, object]] = []
    if turn.thinking:
        content.append({"type": "thinking", "thinking": "".join(turn.thinking), "signature": ""})
    if turn.web_search:
        content += _search_blocks(turn)
    if turn.text or turn.tool is None:
        content.append({"type": "text", "text": "".join(turn.text)})
    if turn.tool is not None:
        content.append(
            {"type": "tool_use", "id": _tool_id(turn), "name": turn.tool.name, "input": dict(turn.tool.input)}
        )
    body: dict[str, object] = {
        "id": f"msg_{turn.log_id}",
        "type": "message",
        "role": "assistant",
        "model": turn.model,
        "content": content,
        "stop_reason": _stop_reason(turn),
        "stop_sequence": None,
    }
    if turn.usage_form is not UsageForm.NONE:
        body["usage"] = _usage(_reported(turn), int(turn.web_search))
    return body


def _reported(turn: Turn) -> Usage:
    return Usage() if turn.usage_form is UsageForm.ZERO else turn.usage


def _frame(kind: str, fields: Mapping[str, object], *, content: int = 0, usage: Reports = Reports.NOTHING) -> Frame:
    return Frame(kind, json.dumps({"type": kind, **fields}, ensure_ascii=False), content, usage)


PING = _frame("ping", {})


def frames(turn: Turn) -> Iterator[Frame]:
    """The answer as a stream, in the order in which Z.AI sends it."""
    yield _message_start(turn)
    yield PING
    sent = 0
    for frame in _content(turn):
        yield frame
        if not frame.content:
            continue
        sent += 1
        if turn.pings and sent % turn.pings == 0:
            yield PING
        if turn.usage_form is UsageForm.EVERY_CHUNK:
            yield _message_delta(turn, turn.usage.share(sent, turn.pieces), final=False)
    yield _message_delta(turn, _reported(turn), final=True)
    yield _frame("message_stop", {})._replace(final=True)


def _message_start(turn: Turn) -> Frame:
    start: dict[str, object] = {
        "id": f"msg_{turn.log_id}",
        "type": "message",
        "role": "assistant",
        "model": turn.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }
    if turn.usage_form is UsageForm.AT_START:
        figures = _usage(turn.usage, 0)
        figures["output_tokens"] = 0
        start["usage"] = figures
    elif turn.usage_form is not UsageForm.NONE:
        start["usage"] = {"input_tokens": 0, "output_tokens": 0}
    reports = Reports.RUNNING if turn.usage_form is UsageForm.AT_START else Reports.NOTHING
    return _frame("message_start", {"message": start}, usage=reports)


def _message_delta(turn: Turn, usage: Usage, *, final: bool) -> Frame:
    fields: dict[str, object] = {"delta": {"stop_reason": _stop_reason(turn) if final else None, "stop_sequence": None}}
    if turn.usage_form is UsageForm.AT_START:
        fields["usage"] = {"output_tokens": usage.output}
    elif turn.usage_form is not UsageForm.NONE:
        fields["usage"] = _usage(usage, int(turn.web_search))
    reports = Reports.NOTHING if "usage" not in fields else Reports.FINAL if final else Reports.RUNNING
    return _frame("message_delta", fields, usage=reports)


def _content(turn: Turn) -> Iterator[Frame]:
    index = 0
    if turn.thinking:
        yield from _block(index, {"type": "thinking", "thinking": ""}, "thinking_delta", "thinking", turn.thinking)
        index += 1
    if turn.web_search:
        for block in _search_blocks(turn):
            yield _frame("content_block_start", {"index": index, "content_block": block})
            yield _frame("content_block_stop", {"index": index})
            index += 1
    if turn.text or turn.tool is None:
        yield from _block(index, {"type": "text", "text": ""}, "text_delta", "text", turn.text)
        index += 1
    if turn.tool is not None:
        yield from _tool_block(index, _tool_id(turn), turn.tool)


def _search_blocks(turn: Turn) -> list[dict[str, object]]:
    """A search of the web and what it found, in Z.AI's form: the result is a plain tool_result block."""
    search_id = f"srvtoolu_{turn.log_id[-24:]}"
    found = [{"type": "text", "text": "A page that a simulated search has found."}]
    return [
        {"type": "server_tool_use", "id": search_id, "name": "web_search", "input": {"query": "simulated"}},
        {"type": "tool_result", "tool_use_id": search_id, "content": found},
    ]


def _block(index: int, empty: Mapping[str, object], kind: str, field: str, pieces: Sequence[str]) -> Iterator[Frame]:
    yield _frame("content_block_start", {"index": index, "content_block": empty})
    # json.dumps of the piece alone: a stream may have a million of them.
    head = f'{{"type": "content_block_delta", "index": {index}, "delta": {{"type": "{kind}", "{field}": '
    for piece in pieces:
        yield Frame("content_block_delta", f"{head}{json.dumps(piece, ensure_ascii=False)}}}}}", 1)
    yield _frame("content_block_stop", {"index": index})


def _tool_block(index: int, call_id: str, tool: ToolCall) -> Iterator[Frame]:
    empty = {"type": "tool_use", "id": call_id, "name": tool.name, "input": {}}
    yield _frame("content_block_start", {"index": index, "content_block": empty})
    arguments = json.dumps(dict(tool.input), ensure_ascii=False)
    for start in range(0, len(arguments), _TOOL_JSON_PIECE):
        delta = {"type": "input_json_delta", "partial_json": arguments[start : start + _TOOL_JSON_PIECE]}
        yield _frame("content_block_delta", {"index": index, "delta": delta}, content=int(start == 0))
    yield _frame("content_block_stop", {"index": index})


def error_frame(body: str) -> Frame:
    """An error inside a stream; `body` is its JSON."""
    return Frame("error", body, final=True)


def token_count(body: Mapping[str, object], size: int, figure: int | None) -> dict[str, object]:
    """The answer of count_tokens. As seen on the real API, glm-5.3 answers 0."""
    model = served_model(text_field(body, "model"), anthropic=True)
    list_field(body, "messages")
    if model is None:
        raise BadRequestError("1211", "model")
    if figure is not None:
        return {"input_tokens": figure}
    return {"input_tokens": 0 if model.startswith("glm-5.3") else estimated_tokens(size)}


def model_list(created: float) -> dict[str, object]:
    """The list of models in Anthropic's form. `created` is a Unix time."""
    stamp = datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    data = [_model(name, stamp) for name in CHAT_MODELS]
    return {"data": data, "has_more": False, "first_id": CHAT_MODELS[0], "last_id": CHAT_MODELS[-1]}


def _model(name: str, created: str) -> dict[str, object]:
    return {"type": "model", "id": name, "display_name": name.upper(), "created_at": created}
