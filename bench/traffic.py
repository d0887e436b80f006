"""What goes over the wire in a benchmark: one agent's request, one JSON answer, one event stream, all prebuilt."""

import json
from collections.abc import Mapping
from typing import Final

PATH: Final = "/v1/messages"
STREAM_HEADER: Final = "x-bench-stream"
"""On a request: `EVENTS INTERVAL_US EVENTS_PER_WRITE`, interval 0 for flat out: answered with a stream like that."""

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

_USAGE: Final = {"input_tokens": 412, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 384}
_MESSAGE: Final = {"id": "msg_20260101000000000000", "type": "message", "role": "assistant", "model": "glm-5.3"}

MARK: Final = b"~"
"""Stands once in every delta event and nowhere else: counting it counts events, wherever the packets were cut."""
STAMP_DIGITS: Final = 18
"""Digits behind the mark: the moment of sending, in nanoseconds of CLOCK_MONOTONIC (one clock for all processes)."""


def prompt(size: int) -> bytes:
    """A Messages request of exactly this many bytes (at least 200)."""
    frame = {"model": "glm-5.3", "max_tokens": 4096, "messages": [{"role": "user", "content": ""}]}
    padding = size - len(json.dumps(frame))
    frame["messages"] = [{"role": "user", "content": "a line of code; " * (padding // 16) + "x" * (padding % 16)}]
    return json.dumps(frame).encode()


def json_answer() -> bytes:
    """A whole HTTP response: a short message with its token usage."""
    text = "The function returns the sum of both numbers. " * 10
    message = {
        **_MESSAGE,
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {**_USAGE, "output_tokens": 120},
    }
    body = json.dumps(message).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def stream_head() -> bytes:
    """Everything of a streamed answer before the first delta."""
    start = {"type": "message_start", "message": {**_MESSAGE, "content": [], "usage": {**_USAGE, "output_tokens": 0}}}
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return head + _event(start) + _event({"type": "ping"}) + _event(block)


def delta(stamp: int) -> bytes:
    """One delta event as one chunk, 20 to 30 characters of text; `stamp` is when it is sent, 0 if nobody asks."""
    text = f"{MARK.decode()}{stamp:0{STAMP_DIGITS}d}"
    return _event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}})


def stream_tail(events: int) -> bytes:
    """Everything after the last delta, usage included."""
    stop = {"stop_reason": "end_turn", "stop_sequence": None}
    usage = {**_USAGE, "output_tokens": events}
    return (
        _event({"type": "content_block_stop", "index": 0})
        + _event({"type": "message_delta", "delta": stop, "usage": usage})
        + _event({"type": "message_stop"})
        + b"0\r\n\r\n"
    )


def _event(data: Mapping[str, object]) -> bytes:
    text = f"event: {data['type']}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(text), text)
