"""Exchanges in a form that may be shown to others: it does not tell who asked, with which key, or about what.

Of texts only the protocol's own words are kept (types, roles, codes, names of models), of numbers only known figures;
whatever is not known to be such is replaced. Names of fields and error messages tell what differs: of them those words
are kept that stand in a list of words of which interfaces speak. The record of an exchange is a rule of the simulator,
with what it does not play beside it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Final

from extproc.domain.assumptions.exchange import Exchange
from extproc.domain.assumptions.wording import (
    GONE,
    ID,
    LIMIT_HEADERS,
    are_header_words,
    field_name,
    header_name,
    is_wrapped,
    message,
    word,
)

_HIDDEN: Final = "-"
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
# The numbers that are figures of the protocol; of the others only that they are numbers is kept.
_FIGURES: Final = re.compile(
    r"([a-z]{1,12}_){1,4}tokens|[a-z]{1,12}_index|index|sequence_number|created|created_at|completed_at|code|status"
    r"|unit|number|usage|currentValue|remaining|percentage|nextResetTime|temperature|top_p|web_search_requests"
)
_TIMES: Final = frozenset(("created", "created_at", "completed_at", "nextResetTime"))
_MOST_COUNTED: Final = 1_000_000_000
_MESSAGES: Final = frozenset(("message", "msg"))
_SHOWN_HEADERS: Final = ("server", "date", "cache-control", "vary", "x-process-time", "transfer-encoding", "connection")
_NOT_PLAYED: Final = ("date", "transfer-encoding", "connection")
_HEADER_NUMBER: Final = re.compile(r"[0-9]{1,13}(\.[0-9]{1,6})?(ms|s|m|h)?")
_HEADER_TIME: Final = re.compile(
    r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,15}Z"
)
# The words of a header's name that stand for a number, whose value may therefore be one.
_NUMBERED: Final = frozenset(
    (
        *("anthropic", "ratelimit", "rate", "x", "limit", "remaining", "reset", "requests", "tokens", "input"),
        *("output", "unified", "retry", "after", "process", "time", "policy"),
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
        "headers": _headers(exchange.headers, (*_SHOWN_HEADERS, *LIMIT_HEADERS)),
        "match": match,
        "answer": answer,
    }
    cleaned: dict[str, object] = json.loads(without_key(json.dumps(found, ensure_ascii=False), key))
    return cleaned


def without_key(text: str, key: str) -> str:
    """The same without the key and its parts: a last check, as none of them should have come this far."""
    for part in (key, *key.split(".")):
        if len(part) >= _SHORTEST_SECRET:
            text = text.replace(part, ID).replace(json.dumps(part, ensure_ascii=False)[1:-1], ID)
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
    limits = _headers(exchange.headers, LIMIT_HEADERS)
    others = _headers(exchange.headers, _SHOWN_HEADERS)
    played = {name: value for name, value in others.items() if name not in _NOT_PLAYED and value != _HIDDEN} | limits
    if exchange.is_compressed:
        played["content-encoding"] = _clean_header("content-encoding", exchange.headers["content-encoding"])
    return played


def _headers(headers: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    """Those whose names begin like `names`; one that could have somebody in it is cut to that beginning."""
    kept = {name: _clean_header(name, value) for name, value in headers.items() if name.startswith(names)}
    return {header_name(name, names): value for name, value in kept.items()}


def _clean_header(name: str, value: str) -> str:
    """The value, if it is a time, known words, or a number where one is due; anything else could name somebody."""
    if _HEADER_TIME.fullmatch(value):
        return value
    if _HEADER_NUMBER.fullmatch(value):
        return value if _NUMBERED.issuperset(name.split("-")) else _HIDDEN
    return value if are_header_words(value) or not value else _HIDDEN


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
        return ":" if colon else GONE if line else ""
    value = value.strip()
    if name == "data":
        return f"data: {value if value == '[DONE]' else redacted_text(value, is_error=False)}"
    return f"{name}: {word(value)}" if name == "event" else f"{field_name(name)}: {GONE}"


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
        return message(text) if is_error or is_wrapped(text) else GONE
    return json.dumps(_redacted(parsed, "", 0), ensure_ascii=False)


def _redacted(value: object, name: str, depth: int) -> object:
    if depth > _DEEPEST:
        return None
    if isinstance(value, dict):
        return {field_name(key): _redacted(each, key, depth + 1) for key, each in value.items()}
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
        return word(value)
    if name in _MESSAGES:
        return message(value)
    return ID if _is_id(name) else GONE
