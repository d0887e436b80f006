"""Reads scenarios from JSON text and from parsed YAML. Whatever is wrong is said in one line; nothing is ignored."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Any, TypeVar

from simulator.scenario.model import (
    DEFAULT_EVENTS,
    PLAY_END,
    PLAY_RESET,
    Envelope,
    FailFirst,
    Fault,
    Framing,
    Gzip,
    LineEnd,
    Pieces,
    QuotaForm,
    Scenario,
    ToolCall,
    UsageForm,
    is_mark,
    played_bytes,
)

MAX_EVENTS = 1_000_000
MAX_BODY_BYTES = 256 * 1024 * 1024
MAX_SECONDS = 3600.0
MAX_AHEAD = 400e6
MAX_STATUS = 999
MAX_TOKENS = 10**12
MAX_PLAYED = 100_000

# Faults that can strike in the middle of an event.
AT_ANY_BYTE = (Fault.RESET, Fault.CLOSE, Fault.TRUNCATE, Fault.END_EARLY, Fault.HANG)

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]{0,4096}")

Check = Callable[[object], object]
Choice = TypeVar("Choice", bound=StrEnum)


class ScenarioError(ValueError):
    """A scenario that cannot be played; the message is one line that names the key and what would be right."""


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def _whole(low: int, high: int) -> Check:
    def check(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ScenarioError(f"{_shown(value)}: need a whole number from {low} to {high}")
        return value

    return check


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_SECONDS:
        raise ScenarioError(f"{_shown(value)}: need a number of seconds from 0 to {MAX_SECONDS:.0f}")
    return float(value)


def _ahead(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MAX_AHEAD:
        raise ScenarioError(f"{_shown(value)}: need a number of seconds from -{MAX_AHEAD:.0f} to {MAX_AHEAD:.0f}")
    return float(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ScenarioError(f"{_shown(value)}: need a text")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ScenarioError(f"{_shown(value)}: need true or false")
    return value


def _code(value: object) -> str:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not re.fullmatch(r"[0-9]{1,6}", text):
        raise ScenarioError(f'{_shown(value)}: need a business code such as "1302"')
    return text


def _header_value(value: object) -> str:
    text = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not _HEADER_VALUE.fullmatch(text):
        raise ScenarioError(f"{_shown(value)}: need a header value (printable ASCII) or a number")
    return text


def _one_of(choices: type[Choice]) -> Check:
    by_value = {choice.value: choice for choice in choices}

    def check(value: object) -> Choice:
        if not isinstance(value, str) or value not in by_value:
            raise ScenarioError(f"{_shown(value)}: need one of {', '.join(by_value)}")
        return by_value[value]

    return check


def _headers(value: object) -> Mapping[str, str]:
    if not isinstance(value, dict):
        raise ScenarioError(f"{_shown(value)}: need an object of header names and values")
    for name in value:
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise ScenarioError(f"{_shown(name)}: no header can have this name")
    return {name.lower(): _header_value(text) for name, text in value.items()}


def _tool_call(value: object) -> ToolCall:
    fields = _fields(value, {"name": _text, "input": _object})
    if "name" not in fields:
        raise ScenarioError(f'{_shown(value)}: need an object with "name" and "input"')
    return ToolCall(name=fields["name"], input=fields.get("input", {}))


def _object(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise ScenarioError(f"{_shown(value)}: need an object")
    return value


def _script(value: object) -> tuple[ToolCall, ...]:
    if not isinstance(value, list) or not value:
        raise ScenarioError(f"{_shown(value)}: need a list of tool calls")
    return tuple(_tool_call(item) for item in value)


def _play(value: object) -> tuple[str | float, ...]:
    if not isinstance(value, list) or len(value) > MAX_PLAYED:
        raise ScenarioError(f"{_shown(value)}: need a list of at most {MAX_PLAYED} texts and pauses in seconds")
    items = tuple(item if isinstance(item, str) else _seconds(item) for item in value)
    if any(isinstance(item, str) and is_mark(item) for item in items[:-1]):
        raise ScenarioError(f'"{PLAY_END}" and "{PLAY_RESET}": need to be the last of the list')
    try:
        size = sum(len(played_bytes(item)) for item in items if isinstance(item, str))
    except UnicodeEncodeError:
        raise ScenarioError("half of a surrogate pair: need text, or a single byte as U+DC80 to U+DCFF") from None
    if size > MAX_BODY_BYTES:
        raise ScenarioError(f"{size} bytes: need at most {MAX_BODY_BYTES}")
    return items


_FAIL_FIRST: dict[str, Check] = {
    "times": _whole(1, 1000),
    "code": _code,
    "status": _whole(200, MAX_STATUS),
    "fault": _one_of(Fault),
    "retry_after": _header_value,
    "envelope": _one_of(Envelope),
    "play": _play,
    "content_type": _header_value,
    "framing": _one_of(Framing),
    "headers": _headers,
    "key": _text,
}


def _fail_first(value: object) -> FailFirst:
    fields = _fields(value, _FAIL_FIRST)
    if not {"code", "status", "fault", "play"} & fields.keys():
        raise ScenarioError('need one of "code", "status", "fault" and "play": how the first attempts fail')
    _check_played(fields, _PLAYED_FIRST)
    return FailFirst(**{"times": 1, **fields})


_SCENARIO: dict[str, Check] = {
    "model": _text,
    "text": _text,
    "events": _whole(0, MAX_EVENTS),
    "event_bytes": _whole(0, MAX_BODY_BYTES),
    "content_bytes": _whole(0, MAX_BODY_BYTES),
    "thinking": _whole(0, MAX_EVENTS),
    "tool_call": _tool_call,
    "script": _script,
    "agent": _flag,
    "web_search": _flag,
    "stop_reason": _text,
    "pings": _whole(0, MAX_EVENTS),
    "usage": _one_of(UsageForm),
    "input_tokens": _whole(0, MAX_TOKENS),
    "output_tokens": _whole(0, MAX_TOKENS),
    "cached_tokens": _whole(0, MAX_TOKENS),
    "cache_creation_tokens": _whole(0, MAX_TOKENS),
    "reasoning_tokens": _whole(0, MAX_TOKENS),
    "code": _code,
    "status": _whole(200, MAX_STATUS),
    "envelope": _one_of(Envelope),
    "message": _text,
    "retry_after": _header_value,
    "should_retry": _flag,
    "unified_headers": _flag,
    "fail_first": _fail_first,
    "play": _play,
    "delay": _seconds,
    "first_event_delay": _seconds,
    "pause": _seconds,
    "gap": _seconds,
    "gap_after": _whole(1, MAX_EVENTS),
    "end_pause": _seconds,
    "fault": _one_of(Fault),
    "after_events": _whole(0, MAX_EVENTS),
    "after_bytes": _whole(0, MAX_BODY_BYTES),
    "pieces": _one_of(Pieces),
    "line_end": _one_of(LineEnd),
    "comments": _whole(0, MAX_EVENTS),
    "gzip": _one_of(Gzip),
    "framing": _one_of(Framing),
    "content_type": _header_value,
    "own_headers": _flag,
    "date_ahead": _ahead,
    "log_id_ahead": _ahead,
    "headers": _headers,
    "trailers": _headers,
    "audio_bytes": _whole(0, MAX_BODY_BYTES),
    "quota_form": _one_of(QuotaForm),
}


# All that may stand beside `play`: it leaves nothing else to be decided.
_PLAYED_FIRST = frozenset({"times", "key", "play", "status", "content_type", "framing", "headers", "retry_after"})
_PLAYED = (_PLAYED_FIRST - {"times", "key"}) | {
    "own_headers",
    "date_ahead",
    "log_id_ahead",
    "trailers",
    "pieces",
    "line_end",
    "delay",
    "first_event_delay",
    "should_retry",
    "fail_first",
}


def _check_played(fields: Mapping[str, object], known: frozenset[str]) -> None:
    for key in fields.keys() - known if "play" in fields else ():
        raise ScenarioError(f"{key}: does not go with play")


def unknown_key(key: object, known: Iterable[str]) -> ScenarioError:
    """The error for a key that is not in `known`, with the nearest one that is."""
    near = difflib.get_close_matches(str(key), list(known), n=1)
    hint = f" (did you mean {near[0]}?)" if near else f" (known: {', '.join(sorted(known))})"
    return ScenarioError(f"unknown key {_shown(key)}{hint}")


def _fields(value: object, checks: Mapping[str, Check]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ScenarioError(f"{_shown(value)}: need an object")
    fields: dict[str, Any] = {}
    for key, item in value.items():
        check = checks.get(key)
        if check is None:
            raise unknown_key(key, checks)
        try:
            fields[key] = check(item)
        except ScenarioError as error:
            raise ScenarioError(f"{key}: {error}") from None
    return fields


def scenario_from(value: object) -> Scenario:
    """The scenario that an object (parsed JSON or YAML) describes. Raises ScenarioError."""
    fields = _fields(value, _SCENARIO)
    _check_played(fields, _PLAYED)
    scenario = Scenario(**fields)
    _check_together(scenario)
    return scenario


def _check_together(scenario: Scenario) -> None:
    total = (DEFAULT_EVENTS if scenario.events is None else scenario.events) * scenario.event_bytes
    if total > MAX_BODY_BYTES:
        raise ScenarioError(f"events x event_bytes = {total}: need at most {MAX_BODY_BYTES}")
    if scenario.text is not None and (scenario.event_bytes or scenario.content_bytes is not None):
        raise ScenarioError("text: goes with neither event_bytes nor content_bytes")
    if scenario.event_bytes and scenario.content_bytes is not None:
        raise ScenarioError("event_bytes: does not go with content_bytes")
    if scenario.gap_after is not None and not scenario.gap:
        raise ScenarioError("gap_after: needs gap, the seconds of silence")
    output, reasoning = scenario.output_tokens, scenario.reasoning_tokens
    if output is not None and reasoning is not None and reasoning > output:
        raise ScenarioError(f"reasoning_tokens: {reasoning} is more than the {output} output_tokens they belong to")
    _check_fault(scenario)


def _check_fault(scenario: Scenario) -> None:
    fault = scenario.fault or (scenario.fail_first and scenario.fail_first.fault)
    if fault is None and (scenario.after_events is not None or scenario.after_bytes is not None):
        raise ScenarioError("after_events and after_bytes: need fault, what goes wrong there")
    if scenario.after_events is not None and scenario.after_bytes is not None:
        raise ScenarioError("after_events: does not go with after_bytes")
    if scenario.after_bytes is not None and fault not in AT_ANY_BYTE:
        raise ScenarioError(f"after_bytes: goes with the faults {', '.join(AT_ANY_BYTE)}, not with {fault}")


@lru_cache(maxsize=1024)
def scenario_from_json(text: str) -> Scenario:
    """The scenario in a JSON text (the `x-sim` header). Raises ScenarioError."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ScenarioError(f"not JSON: {error}") from None
    return scenario_from(value)
