"""Exchanges in a form that may be shown to others: it does not tell who asked, with which key, or about what.

Of texts only what the protocol itself says is kept (types, roles, codes, names of models), and the words of error
messages. Whatever is not known to be such is replaced. The record of an exchange is a rule of the simulator, with what
it does not play beside it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Final

from extproc.domain.assumptions.exchange import Exchange
from extproc.domain.request.error_bodies import extract_code

_GONE: Final = "…"
_ID: Final = "0" * 14
_LONGEST_PAUSE: Final = 5.0
_SHORTEST_PAUSE: Final = 0.005
_DEEPEST: Final = 40
_SHORTEST_SECRET: Final = 8

# The fields that hold words of the protocol, and the form that such a word has.
_PROTOCOL_FIELDS: Final = frozenset(
    (
        *("type", "object", "role", "model", "status", "code", "level", "modelCode"),
        *("stop_reason", "finish_reason", "reason", "service_tier"),
    )
)
_PROTOCOL_WORD: Final = re.compile(r"[a-z][a-z._-]{1,40}|glm-[0-9a-z.\-]{1,20}|[A-Z_]{2,24}|[0-9]{3,4}")
_FIELD_NAME: Final = re.compile(r"[A-Za-z_]{1,40}")
_MESSAGES: Final = frozenset(("message", "msg"))
_KEPT_WORD: Final = re.compile(
    r"[A-Za-z/'-]{1,16}[.,:;!?]*|[0-9]{1,3}[.,:;]*|[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9:]{8}[.,]?"
)
_WRAPPED: Final = re.compile(r"(\[[0-9]{3,4}\])\[(.*)\]\[[^\]]*\]", re.DOTALL)
_PLAYED_HEADERS: Final = ("retry-after", "x-should-retry", "x-ratelimit-", "anthropic-ratelimit-", "ratelimit")
_SHOWN_HEADERS: Final = ("server", "date", "cache-control", "vary", "x-process-time", "transfer-encoding", "connection")
_HEADER_VALUE: Final = re.compile(
    r"[0-9]{1,13}(\.[0-9]{1,6})?(ms|s|m|h)?|true|false|rejected|allowed|[a-z]+/[a-z.+-]+(; ?charset=[A-Za-z0-9-]+)?"
    r"|[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT"
    r"|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,15}Z|[A-Za-z, -]{1,99}"
)


def record(exchange: Exchange, key: str) -> dict[str, object]:
    """What is written of an exchange: JSON that `zai-proxy simulator --replay` plays. `key` must not be in it."""
    match: dict[str, object] = {"method": exchange.method, "path": exchange.path}
    if exchange.model:
        match["model"] = exchange.model
    found: dict[str, object] = {
        "trial": exchange.trial,
        "seconds": round(exchange.ended, 3),
        "failure": exchange.failure,
        "headers": _headers(exchange.headers, (*_SHOWN_HEADERS, *_PLAYED_HEADERS)),
        "match": match,
        "answer": _answer(exchange),
    }
    return _without_key(found, key)


def _without_key(found: dict[str, object], key: str) -> dict[str, object]:
    """The same without the key and its parts: a last check, as none of them should have come this far."""
    text = json.dumps(found, ensure_ascii=False)
    for part in (key, *key.split(".")):
        if len(part) >= _SHORTEST_SECRET:
            text = text.replace(part, _ID)
    cleaned: dict[str, object] = json.loads(text)
    return cleaned


def _answer(exchange: Exchange) -> dict[str, object]:
    if not exchange.status:
        return {"fault": "close"}
    kind = _clean_header(exchange.headers.get("content-type", ""))
    headers = _headers(exchange.headers, _PLAYED_HEADERS)
    answer: dict[str, object] = {"status": exchange.status, "content_type": kind, "headers": headers}
    if exchange.is_compressed:
        headers["content-encoding"] = _clean_header(exchange.headers["content-encoding"])
    return {**answer, "play": list(_played(exchange))}


def _headers(headers: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    return {name: _clean_header(value) for name, value in headers.items() if name.startswith(names)}


def _clean_header(value: str) -> str:
    """The value, if it is a number, a time or plain words; anything else could name somebody."""
    return value if not value or _HEADER_VALUE.fullmatch(value) else "-"


def _played(exchange: Exchange) -> Iterator[str | float]:
    if not exchange.is_stream:
        yield redacted_text(exchange.body.decode("utf-8", "replace"))
        return
    at = 0.0
    for event in exchange.events():
        yield from _pause(event.at - at)
        yield "\n".join(_line(line) for line in event.text.split("\n")) + "\n\n"
        at = event.at
    yield from _pause(exchange.ended - at)
    if not exchange.failure:
        yield "<end>"


def _pause(seconds: float) -> Iterator[float]:
    if seconds >= _SHORTEST_PAUSE:
        yield round(min(seconds, _LONGEST_PAUSE), 3)


def _line(line: str) -> str:
    name, colon, value = line.partition(":")
    if not colon or not name:
        return ":" if colon else _GONE if line else ""
    value = value.strip()
    if name == "data":
        return f"data: {value if value == '[DONE]' else redacted_text(value)}"
    return f"{name}: {_word(value)}" if name == "event" else f"{_field(name)}: {_GONE}"


def redacted_text(text: str) -> str:
    """A body without what is somebody's: JSON with its form, a page as an empty one, any other text as a message."""
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return "<html></html>" if text.lstrip().startswith("<") else _message(text)
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
    return 0 if _names_somebody(name) and type(value) is int else value


def _names_somebody(name: str) -> bool:
    return name.lower() == "id" or name.endswith(("_id", "Id", "ID"))


def _text(value: str, name: str) -> str:
    if not value:
        return value
    if name in _PROTOCOL_FIELDS:
        return _word(value)
    if name in _MESSAGES:
        return _message(value)
    return _ID if _names_somebody(name) else _GONE


def _word(value: str) -> str:
    return value if _PROTOCOL_WORD.fullmatch(value) else _GONE


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
