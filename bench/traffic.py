"""What goes over the wire in a benchmark: prompts, a JSON answer, event streams of both dialects, all prebuilt."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import cycle, islice
from typing import Any, Final

STREAM_HEADER: Final = "x-bench-stream"
"""On a request that wants a stream: `EVENTS INTERVAL_US` (upstream.py), or the number of the stream (lockstep.py).

Without an interval all of the answer comes in one write.
"""

# As many headers as a coding agent sends; the key is what a client believes to be one.
REQUEST_HEADERS: Final = {
    "user-agent": "claude-cli/2.1.0 (external, cli)",
    "accept": "application/json",
    "accept-language": "*",
    "content-type": "application/json",
    "anthropic-version": "2023-06-01",
    "anthropic-beta": "claude-code-20250219,interleaved-thinking-2025-05-14",
    "anthropic-dangerous-direct-browser-access": "true",
    "x-api-key": "none-of-the-proxys-business",
    "x-app": "cli",
    "x-claude-code-session-id": "2f1c86c5-0d2b-4d43-9e0a-6a1d5c1f3c11",
    "x-stainless-arch": "x64",
    "x-stainless-lang": "js",
    "x-stainless-os": "Linux",
    "x-stainless-package-version": "0.70.0",
    "x-stainless-retry-count": "0",
    "x-stainless-runtime": "node",
    "x-stainless-runtime-version": "v22.20.0",
    "x-stainless-timeout": "600",
}

COLD_HEADER: Final = "x-bench-cold"
"""On a request of whose prompt nothing is to come out of the upstream's cache."""
SESSION_HEADER: Final = "x-claude-code-session-id"

MARK: Final = b"~"
"""Stands once in every delta event and nowhere else: counting it counts events, wherever the packets were cut."""
STAMP_DIGITS: Final = 18
"""Digits behind the mark: the moment of sending, in nanoseconds of CLOCK_MONOTONIC (one clock for all processes)."""
END: Final = b"0\r\n\r\n"
"""The last bytes of every streamed answer."""

# What a model says, token by token: code, escapes and other scripts in it.
_TEXTS: Final = (
    *(" the", " function", " returns", "\n", "    return", " a", " +", " b", "\n\n", ' f"{name}"', " `sum_of(a, b)`"),
    *(
        ",",
        " which is",
        " what",
        ' "test_sum"',
        " expects",
        ".\n",
        "\t",
        "C:\\\\temp",
        " größer",
        " 函数",
        " — done",
        ".",
    ),
)


class Order(Enum):
    """Where a request's `model` stands."""

    MODEL_FIRST = "model first"
    MODEL_BEHIND = "model behind messages"  # the SDKs for Python sort the fields


class Conversation(Enum):
    """What the cache doctor sees of a conversation, and so of how many prompts it asks for the parts."""

    WARM = "that find the cache"
    COLD = "that miss it"
    NAMELESS = "that miss it and name no session"

    @property
    def headers(self) -> Mapping[str, str]:
        """Those of its requests."""
        if self is Conversation.WARM:
            return REQUEST_HEADERS
        cold = {**REQUEST_HEADERS, COLD_HEADER: "1"}
        if self is Conversation.NAMELESS:
            del cold[SESSION_HEADER]
        return cold

    def case(self, connections: int) -> str:
        """The name of its case."""
        return f"doctor_{self.name.lower()}_{connections}"


@dataclass(frozen=True, slots=True)
class Dialect:
    """An API: where its requests go, and what a stream of it consists of, as HTTP chunks."""

    path: str
    start: bytes
    deltas: tuple[bytes, ...]
    end: Callable[[int], bytes]


def prompt(size: int, order: Order = Order.MODEL_FIRST, stream: bool = False) -> bytes:
    """A conversation of an agent, as a request of exactly this many bytes (at least 1,000).

    Its tools have properties named like the fields of a request, and so have the files that it has read.
    """
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": 'Make "make test" pass; the model is in `config.json`.'}
    ]
    frame = _in_order({"messages": messages, "system": _SYSTEM, "tools": _TOOLS, "stream": stream}, order)
    turn = _turn(0)
    turns = max(0, (size - len(json.dumps(frame)) - _ROOM_FOR_PADDING) // (len(json.dumps(turn)) + _ROOM_PER_TURN))
    for number in range(turns):
        messages += _turn(number)
    messages.append({"role": "user", "content": ""})
    messages[-1]["content"] = "x" * (size - len(json.dumps(frame)))
    return json.dumps(frame).encode()


def json_answer(cached: bool = True) -> bytes:
    """A whole HTTP response: a short message with its token usage, most of it from the cache or nothing."""
    text = "The function returns the sum of both numbers. " * 10
    usage = _USAGE if cached else {**_USAGE, "input_tokens": _NEW_TOKENS + _CACHED_TOKENS, "cache_read_input_tokens": 0}
    message = {
        **_MESSAGE,
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {**usage, "output_tokens": 120},
    }
    body = json.dumps(message).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def stream_head(is_last: bool = False) -> bytes:
    """The head of a streamed answer; the connection ends with the `last`."""
    close = b"connection: close\r\n" if is_last else b""
    return b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n%b\r\n" % close


def delta(stamp: int) -> bytes:
    """One delta event as one chunk; `stamp` is when it is sent."""
    return _messages_delta(f"{MARK.decode()}{stamp:0{STAMP_DIGITS}d}")


def writes(dialect: Dialect, events_per_write: int) -> list[bytes]:
    """What a model server writes, over and over: so many events each, every event a chunk of its own."""
    events = cycle(dialect.deltas)
    return [b"".join(next(events) for _ in range(events_per_write)) for _ in dialect.deltas]


def at_once(events: int) -> bytes:
    """A whole HTTP response: a stream of so many delta events."""
    deltas = islice(cycle(MESSAGES.deltas), events)
    return stream_head() + MESSAGES.start + b"".join(deltas) + MESSAGES.end(events)


def _in_order(fields: dict[str, Any], order: Order) -> dict[str, Any]:
    if order is Order.MODEL_FIRST:
        return {"model": "glm-5.3", **{name: fields[name] for name in ("messages", "system", "tools")}} | {
            "max_tokens": 32000,
            "stream": fields["stream"],
        }
    return dict(sorted({**fields, "model": "glm-5.3", "max_tokens": 32000}.items()))


def _turn(number: int) -> list[dict[str, Any]]:
    """The model calls a tool, and gets a file: code, in which quotes and line ends are escaped."""
    call = f"call_{number:06d}"
    source = "".join(_FUNCTION.format(line=line) for line in range(number, number + 20))
    asked = {"type": "tool_use", "id": call, "name": "Task", "input": {"model": "glm-4.5-air", "stream": True}}
    settings = '{\n  "model": "of-a-file",\n  "stream": false,\n  "max_tokens": 1\n}\n'
    return [
        {"role": "assistant", "content": [{"type": "text", "text": f'I look at "file_{number:06d}.py".\n'}, asked]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call, "content": settings + source}]},
    ]


def _event(data: Mapping[str, Any]) -> bytes:
    return _chunk(f"event: {data['type']}\ndata: {_compact(data)}\n\n".encode())


def _chat_event(choice: Mapping[str, Any] | None, **more: Any) -> bytes:
    chunk = {"id": "20260101000000f3c7a1b", "created": 1767225600, "object": "chat.completion.chunk"}
    choices = [{"index": 0, **choice}] if choice else []
    return _chunk(f"data: {_compact({**chunk, 'model': 'glm-5.3', 'choices': choices, **more})}\n\n".encode())


def _compact(data: object) -> str:
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _messages_delta(text: str) -> bytes:
    return _event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}})


def _messages_end(events: int) -> bytes:
    stop = {"stop_reason": "end_turn", "stop_sequence": None}
    usage = {**_USAGE, "output_tokens": events}
    return (
        _event({"type": "content_block_stop", "index": 0})
        + _event({"type": "message_delta", "delta": stop, "usage": usage})
        + _event({"type": "message_stop"})
        + END
    )


def _chat_end(events: int) -> bytes:
    details = {"cached_tokens": _CACHED_TOKENS}
    usage = {
        "prompt_tokens": _NEW_TOKENS + _CACHED_TOKENS,
        "completion_tokens": events,
        "total_tokens": _NEW_TOKENS + _CACHED_TOKENS + events,
        "prompt_tokens_details": details,
    }
    last = {"delta": {"role": "assistant", "content": ""}, "finish_reason": "stop"}
    return _chat_event(last, usage=usage) + _chunk(b"data: [DONE]\n\n") + END


# What the upstream says of every prompt: those of 200 KB have as many, and a conversation that goes on finds them so.
_NEW_TOKENS: Final = 1_200
_CACHED_TOKENS: Final = 40_000
_USAGE: Final = {
    "input_tokens": _NEW_TOKENS,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": _CACHED_TOKENS,
}
_MESSAGE: Final = {"id": "msg_20260101000000000000", "type": "message", "role": "assistant", "model": "glm-5.3"}
_MESSAGE_START: Final = {**_MESSAGE, "content": [], "usage": {**_USAGE, "output_tokens": 0}}

_SYSTEM: Final = [{"type": "text", "text": 'You are an agent for "software".\nAnswer in short.\n' * 3}]
_TOOLS: Final = [
    {
        "name": "Task",
        "description": 'Starts an agent of its own.\n\nSay which "model" it gets.',
        "input_schema": {
            "type": "object",
            "properties": {
                "model": {"type": "string", "enum": ["glm-5.3", "glm-4.5-air"], "description": "The agent's model"},
                "stream": {"type": "boolean", "default": True},
                "max_tokens": {"type": "integer", "minimum": 1},
                "prompt": {"type": "object", "properties": {"model": {"type": ["string", "null"]}}},
            },
            "required": ["model"],
        },
    }
]
_FUNCTION: Final = (
    "    {line:4d}\tdef sum_{line:04d}(a: int, b: int) -> int:\n"
    "        # Adds both numbers, and nothing else.\n"
    '        return checked(a + b, "int")\n'
)
_ROOM_FOR_PADDING: Final = 60
_ROOM_PER_TURN: Final = 2

MESSAGES: Final = Dialect(
    "/v1/messages",
    _event({"type": "message_start", "message": _MESSAGE_START})
    + _event({"type": "ping"})
    + _event({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
    tuple(_messages_delta(MARK.decode() + text) for text in _TEXTS),
    _messages_end,
)
CHAT: Final = Dialect(
    "/v1/chat/completions",
    _chat_event({"delta": {"role": "assistant", "content": ""}}),
    tuple(_chat_event({"delta": {"role": "assistant", "content": MARK.decode() + text}}) for text in _TEXTS),
    _chat_end,
)
