"""Exchanges in a form that may be shown to others: it does not tell who asked, with which key, or about what.

Of texts only the protocol's own words are kept (types, roles, codes, names of models), of numbers only known figures;
whatever is not known to be such is replaced. Names of fields and the words of error messages are kept: they tell what
differs, and they are all that could name somebody. The record of an exchange is a rule of the simulator, with what it
does not play beside it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Final

from extproc.domain.assumptions.exchange import Exchange
from extproc.domain.request.error_bodies import extract_code

_GONE: Final = "…"
_HIDDEN: Final = "-"
_ID: Final = "0" * 14
_LONGEST_PAUSE: Final = 5.0
_FARTHEST: Final = 10 * 365 * 86400.0
_SHORTEST_PAUSE: Final = 0.005
_DEEPEST: Final = 40
_SHORTEST_SECRET: Final = 8
_LEAST_ERROR: Final = 400

# The fields that hold words of the protocol, and the form that such a word has.
_PROTOCOL_FIELDS: Final = frozenset(
    (
        *("type", "object", "role", "model", "status", "code", "level", "modelCode"),
        *("stop_reason", "finish_reason", "reason", "service_tier"),
    )
)
# Words that begin or end like these are not somebody's; the others are known one by one.
_PROTOCOL_WORD: Final = re.compile(
    r"response\.[a-z_.]{1,40}|(message|content_block)_[a-z]{1,20}|[a-z_]{1,30}_(delta|error|tokens|text|exceeded)"
    r"|[0-9]{3,4}|[A-Z_]{2,20}_LIMIT|zai-proxy-verify-no-such-model"
    r"|glm-[0-9](\.[0-9]{1,2})?v?(-(air|airx|flash|flashx|turbo|x|plus|long|preview|thinking))?"
)
_PROTOCOL_WORDS: Final = frozenset(
    (
        *("message", "text", "thinking", "redacted_thinking", "error", "ping", "tool_use", "tool_result"),
        *("response", "reasoning", "function", "function_call"),
        *("chat.completion", "chat.completion.chunk", "list", "model", "assistant", "user", "system", "tool"),
        *("end_turn", "stop_sequence", "stop", "length", "refusal", "tool_calls", "sensitive"),
        *("content_filter", "network_error"),
        *("completed", "incomplete", "in_progress", "failed", "queued", "standard", "priority", "batch"),
        *("default", "auto"),
        *("lite", "pro", "max", "search-prime", "web-reader", "zread"),
    )
)
# The numbers that are figures of the protocol; of the others only that they are numbers is kept.
_FIGURES: Final = re.compile(
    r"([a-z]{1,12}_){1,4}tokens|[a-z]{1,12}_index|index|sequence_number|created|created_at|completed_at|code|status"
    r"|unit|number|usage|currentValue|remaining|percentage|nextResetTime|temperature|top_p|web_search_requests"
)
_TIMES: Final = frozenset(("created", "created_at", "completed_at", "nextResetTime"))
_MOST_COUNTED: Final = 1_000_000_000
_FIELD_NAME: Final = re.compile(r"[A-Za-z_]{1,40}")
_MESSAGES: Final = frozenset(("message", "msg"))
_KEPT_WORD: Final = re.compile(
    r"[A-Za-z/'-]{1,16}[.,:;!?]*|[0-9]{1,3}[.,:;]*|[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{2}:[0-9]{2}:[0-9]{2}[.,]?"
)
_WRAPPED: Final = re.compile(r"(\[[0-9]{3,4}\])\[(.*)\]\[[^\]]*\]", re.DOTALL)
_PLAYED_HEADERS: Final = ("retry-after", "x-should-retry", "x-ratelimit-", "anthropic-ratelimit-", "ratelimit")
_SHOWN_HEADERS: Final = ("server", "date", "cache-control", "vary", "x-process-time", "transfer-encoding", "connection")
_NOT_PLAYED: Final = ("date", "transfer-encoding", "connection")
_HEADER_NAME: Final = re.compile(r"[a-z]{1,12}(-([a-z]{1,12}|[0-9]{1,2}[a-z]))*")
_HEADER_NUMBER: Final = re.compile(r"[0-9]{1,13}(\.[0-9]{1,6})?(ms|s|m|h)?")
_HEADER_TIME: Final = re.compile(
    r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,15}Z"
)
# The words of a header's name that stand for a number, whose value may therefore be one.
_NUMBERED: Final = frozenset(
    (
        *("anthropic", "ratelimit", "x", "limit", "remaining", "reset", "requests", "tokens", "input"),
        *("output", "unified", "retry", "after", "process", "time", "policy"),
    )
)
_HEADER_WORDS: Final = frozenset(
    (
        *("true", "false", "rejected", "allowed", "nginx", "openresty", "tengine", "cloudflare", "no-cache"),
        *("no-store", "no-transform", "must-revalidate"),
        *("private", "public", "chunked", "keep-alive", "close", "identity", "gzip", "br", "deflate", "zstd"),
        *("origin", "accept", "accept-encoding"),
        *("access-control-request-method", "access-control-request-headers", "max-age=0"),
        *(
            "application/json",
            "application/problem+json",
            "text/event-stream",
            "text/html",
            "text/plain",
            "charset=utf-8",
        ),
    )
)


def record(exchange: Exchange, key: str, *, closes: bool = False) -> dict[str, object]:
    """What is written of an exchange: JSON that `zai-proxy simulator --replay` plays. `key` must not be in it. With
    `closes` its connection was not kept open for the next request."""
    match: dict[str, object] = {"method": exchange.method, "path": exchange.path}
    if exchange.model:
        match["model"] = exchange.model
    if not exchange.has_key:
        match["key"] = "wrong"
    answer = _answer(exchange)
    if closes and exchange.status:
        answer["framing"] = "close"
    found: dict[str, object] = {
        "trial": exchange.trial,
        "seconds": round(exchange.ended, 3),
        "failure": exchange.failure,
        "headers": _headers(exchange.headers, (*_SHOWN_HEADERS, *_PLAYED_HEADERS)),
        "match": match,
        "answer": answer,
    }
    cleaned: dict[str, object] = json.loads(without_key(json.dumps(found, ensure_ascii=False), key))
    return cleaned


def without_key(text: str, key: str) -> str:
    """The same without the key and its parts: a last check, as none of them should have come this far."""
    for part in (key, *key.split(".")):
        if len(part) >= _SHORTEST_SECRET:
            text = text.replace(part, _ID).replace(json.dumps(part, ensure_ascii=False)[1:-1], _ID)
    return text


def _answer(exchange: Exchange) -> dict[str, object]:
    if not exchange.status:
        return {"fault": "close"}
    answer: dict[str, object] = {
        "status": exchange.status,
        "content_type": _clean_header("content-type", exchange.headers.get("content-type", "")),
        "framing": _framing(exchange),
        "own_headers": False,
        "headers": _played_headers(exchange),
    }
    # As times they would be wrong by the age of the recording.
    for name, seconds in (("date_ahead", exchange.date_ahead), ("log_id_ahead", exchange.log_id_ahead)):
        if seconds is not None:
            answer[name] = round(min(max(seconds, -_FARTHEST), _FARTHEST), 3)
    return {**answer, "play": list(_played(exchange))}


def _framing(exchange: Exchange) -> str:
    if exchange.failure or exchange.is_stream or "chunked" in exchange.headers.get("transfer-encoding", ""):
        return "chunked"
    return "length" if "content-length" in exchange.headers else "close"


def _played_headers(exchange: Exchange) -> dict[str, str]:
    """What is no matter of the connection. A name that says that limits are told stays, also without its value."""
    limits = _headers(exchange.headers, _PLAYED_HEADERS)
    others = _headers(exchange.headers, _SHOWN_HEADERS)
    played = {name: value for name, value in others.items() if name not in _NOT_PLAYED and value != _HIDDEN} | limits
    if exchange.is_compressed:
        played["content-encoding"] = _clean_header("content-encoding", exchange.headers["content-encoding"])
    return played


def _headers(headers: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    """Those whose names begin like `names`; one that could have somebody in it is cut to that beginning."""
    kept = {name: _clean_header(name, value) for name, value in headers.items() if name.startswith(names)}
    return {name if _HEADER_NAME.fullmatch(name) else _beginning(name, names): value for name, value in kept.items()}


def _beginning(name: str, names: tuple[str, ...]) -> str:
    return next(each for each in names if name.startswith(each)).rstrip("-") + "-other"


def _clean_header(name: str, value: str) -> str:
    """The value, if it is a time, known words, or a number where one is due; anything else could name somebody."""
    if _HEADER_TIME.fullmatch(value):
        return value
    if _HEADER_NUMBER.fullmatch(value):
        return value if _NUMBERED.issuperset(name.split("-")) else _HIDDEN
    return value if _HEADER_WORDS.issuperset(re.split(r"[,;\s]+", value.lower())) or not value else _HIDDEN


def _played(exchange: Exchange) -> Iterator[str | float]:
    if not exchange.is_stream:
        yield redacted_text(exchange.body.decode("utf-8", "replace"), is_error=exchange.status >= _LEAST_ERROR)
        if exchange.failure:
            yield "<reset>"
        return
    at = 0.0
    for event in exchange.events():
        yield from _pause(event.at - at)
        yield "\n".join(_line(line) for line in event.text.split("\n")) + "\n\n"
        at = event.at
    yield from _pause(exchange.ended - at)
    yield "<reset>" if exchange.failure else "<end>"


def _pause(seconds: float) -> Iterator[float]:
    if seconds >= _SHORTEST_PAUSE:
        yield round(min(seconds, _LONGEST_PAUSE), 3)


def _line(line: str) -> str:
    name, colon, value = line.partition(":")
    if not colon or not name:
        return ":" if colon else _GONE if line else ""
    value = value.strip()
    if name == "data":
        return f"data: {value if value == '[DONE]' else redacted_text(value, is_error=False)}"
    return f"{name}: {_word(value)}" if name == "event" else f"{_field(name)}: {_GONE}"


def redacted_text(text: str, *, is_error: bool = True) -> str:
    """A body without what is somebody's: JSON with its form, a page as an empty one, any other text as a message if it
    is an error's."""
    if not text.strip():
        return ""
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        if text.lstrip().startswith("<"):
            return "<html></html>"
        return _message(text) if is_error or _WRAPPED.fullmatch(text.strip()) else _GONE
    return json.dumps(_redacted(parsed, "", 0), ensure_ascii=False)


def _redacted(value: object, name: str, depth: int) -> object:
    if depth > _DEEPEST:
        return None
    if isinstance(value, dict):
        return {_field(key): _redacted(each, key, depth + 1) for key, each in value.items()}
    if isinstance(value, list):
        return [_redacted(each, name, depth + 1) for each in value]
    if isinstance(value, str):
        return _text(value, name)
    if value is None or isinstance(value, bool) or (_FIGURES.fullmatch(name) and _is_plausible(value, name)):
        return value
    return 0


def _is_plausible(value: object, name: str) -> bool:
    """Whether a number is as large as its name makes it: what has more digits may be somebody's."""
    return name in _TIMES or (isinstance(value, int | float) and abs(value) < _MOST_COUNTED)


def _is_id(name: str) -> bool:
    return name.lower() == "id" or name.endswith(("_id", "Id", "ID"))


def _text(value: str, name: str) -> str:
    if not value:
        return value
    if name in _PROTOCOL_FIELDS:
        return _word(value)
    if name in _MESSAGES:
        return _message(value)
    return _ID if _is_id(name) else _GONE


def _word(value: str) -> str:
    return value if value in _PROTOCOL_WORDS or _PROTOCOL_WORD.fullmatch(value) else _GONE


def _field(name: str) -> str:
    return name if _FIELD_NAME.fullmatch(name) else _GONE


def _message(text: str) -> str:
    """The words of a message and its code; its request id is replaced by another one."""
    if wrapped := _WRAPPED.fullmatch(text.strip()):
        return f"{wrapped[1]}[{_words(wrapped[2])}][{_ID}]"
    code = extract_code(text.encode()).code if text.startswith("[") else None
    return f"[{code}]" if code else _words(text)


def _words(text: str) -> str:
    return " ".join(word if _KEPT_WORD.fullmatch(word) else _GONE for word in text.split())
