"""What an answer and a request say, read the plain way: the whole body at once, with Python's own JSON.

The readers in `envoy/` see a body in pieces and keep nothing of it. This module is what they have to agree with. It is
slow, it says each rule once, and where a body is no proper JSON it says so (`Reading.is_clear`): there the two may
differ.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from extproc.domain.request.business_codes import KNOWN_NAMES, TELLING_CODES

LARGEST_EVENT: Final = 16 * 1024 * 1024
_LARGEST_COUNT: Final = 2**53
_LONGEST_WORD: Final = 32
_LONGEST_MODEL: Final = 128
_MOST_CHOICES: Final = 128

_BOM: Final = b"\xef\xbb\xbf"
_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
_FIRST_LINE: Final = re.compile(rb"(data|event|id|retry|):")
_WRAPPED: Final = re.compile(r'"?\[([0-9]{3,4})\]')
_TOKEN: Final = re.compile(r'\s*(?:("(?:[^"\\]|\\.)*")|([{}\[\],:])|([^\s"{}\[\],:]+))', re.DOTALL)

_BRACKETS: Final = {"{": "}", "[": "]"}
_STRING_CUT: Final = r'"(?:[^"\\]|\\.)*\\?'
_VALUE_CUT: Final = rf"\s*(?:{_STRING_CUT}|-?[0-9.eE+-]*|t(?:r(?:ue?)?)?|f(?:a(?:l(?:se?)?)?)?|n(?:u(?:ll?)?)?)"
_KEY_CUT: Final = rf'\s*(?:{_STRING_CUT}|"(?:[^"\\]|\\.)*"\s*(?::{_VALUE_CUT})?)'
_CUT: Final = re.compile(rf"\s*,?(?:{_VALUE_CUT}|{_KEY_CUT})\s*", re.DOTALL)

_FINAL: Final = frozenset({"message_stop", "response.completed", "response.incomplete", "response.failed"})
_BEFORE_THE_FIRST_WORD: Final = frozenset(
    {"message_start", "response.created", "response.in_progress", "response.queued"}
)
_TYPED: Final = ("message_", "content_block", "response.")
_NETWORK_ERROR: Final = "network_error"
_HOLDERS: Final = ((), ("message",), ("response",))
_INNER_MODELS: Final = (("message", "model"), ("response", "model"))
_STOPS: Final = (
    ("choices", "*", "finish_reason"),
    ("delta", "stop_reason"),
    ("message", "stop_reason"),
    ("stop_reason",),
)

Path = tuple[str, ...]
Facts = dict[str, object]


def _count_paths() -> dict[Path, str]:
    """Where each number of tokens may stand."""
    counts = (
        "input_tokens",
        "output_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "prompt_tokens",
        "completion_tokens",
    )
    details = ("prompt_tokens_details", "completion_tokens_details", "input_tokens_details", "output_tokens_details")
    paths = {(*holder, "usage", count): count for holder in _HOLDERS for count in counts}
    parts = ("cached_tokens", "reasoning_tokens")
    return paths | {(*h, "usage", detail, part): part for h in _HOLDERS for detail in details for part in parts}


_COUNTS: Final = _count_paths()


@dataclass(frozen=True, slots=True)
class Reading:
    """What was found, under the names that envoy/answer.lua gives it. `is_clear`: all that looked like JSON was JSON.

    `events` are those of a stream in which something was generated, `apart` the bytes of the others.
    """

    facts: Facts
    is_clear: bool
    events: int = 0
    apart: int = 0


class _UnclearError(ValueError):
    """JSON that no two readers need to agree on: two equal keys, NaN."""


def read_answer(kind: str, body: bytes) -> Reading:
    """Reads an answer; `kind` is what its content-type says: `events`, `json`, `text`, or `plain`, which can be any."""
    if not body:
        return Reading({"kind": "empty"}, is_clear=True)
    start = _unmarked(body).lstrip()
    is_stream = kind == "events" or (kind != "text" and _FIRST_LINE.match(start) is not None)
    if is_stream and not start.startswith(b"{"):
        return _read_events(body)
    if kind == "json":
        return _read_json(_unmarked(body))
    if kind != "text" and start.startswith(b"{"):
        return _read_json(start)
    code = _code_in(_text(_unmarked(body)).lstrip())
    return Reading(_facts(kind="text", code=code, first="error" if code else "good"), is_clear=True)


def read_request(body: bytes) -> Reading:
    """Reads a request's body."""
    request, is_clear = _parsed(_object_alone(_unmarked(body)))
    if not isinstance(request, dict):
        return Reading({"unread": "json"}, is_clear)
    leaves = list(_leaves(request))
    asked = [value for path, value in leaves if path in _MOST_TOKENS and _is_count(value)]
    stream = request.get("stream")
    return Reading(
        _facts(
            model=_model(request),
            stream=stream if isinstance(stream, bool) else None,
            max_tokens=asked[-1] if asked else None,
        ),
        is_clear,
    )


_MOST_TOKENS: Final = (("max_tokens",), ("max_completion_tokens",), ("max_output_tokens",))


# EVENT STREAMS ----------------------------------------------------------------------------------------------------


def events(body: bytes) -> Iterator[tuple[bytes, bytes | None]]:
    """Name and data of each event (WHATWG, Server-sent events, 9.2.6), and of a comment alone no data.

    More is allowed than there: space before the first line, and no blank line behind the last event.
    """
    name, data, has_line = b"", None, False
    for line in [*_LINE_END.split(_unmarked(body).lstrip()), b""]:
        if not line:
            if has_line:
                yield name, None if data is None else b"\n".join(data)
            name, data, has_line = b"", None, False
            continue
        has_line = True
        key, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if key == b"event":
            name = value
        elif key == b"data":
            data = [*(data or []), value]


@dataclass(slots=True)
class _Stream:
    """What the events so far have said."""

    facts: Facts = field(default_factory=lambda: {"kind": "events"})
    is_over: bool = False
    is_chat: bool | None = None
    has_failed: bool = False
    finished: dict[float, bool] = field(default_factory=dict)
    is_clear: bool = True
    events: int = 0
    apart: int = 0

    def take(self, name: str, data: bytes) -> None:
        was_over, was_final = self.is_over, "final" in self.facts
        code = self._meaning(name, data)
        if "begun" in self.facts and self.is_over == was_over:
            self.events += 1
        else:
            self.apart += len(data) + 8 + (len(name) + 8 if name else 0)
        self.facts.setdefault("first", "error" if code else "good")
        if code is not None and not was_final:
            self.facts.setdefault("code", code)

    def _meaning(self, name: str, data: bytes) -> str | None:
        """Takes over what an event says; returns its code if it is an error."""
        text = _text(data).strip()
        if text == "[DONE]" and self.is_chat is not False:
            self.is_over = self.facts["final"] = True
        if text.startswith("{"):
            if len(data) > LARGEST_EVENT:
                self.facts["unread"] = "size"
            else:
                value, is_clear = _parsed(data)
                self.is_clear = self.is_clear and is_clear
                if isinstance(value, dict):
                    return self._object(name, value)
        return _code_in(text) or ("unknown" if name == "error" else None)

    def _object(self, name: str, value: Mapping[str, object]) -> str | None:
        code, kind = _error(value), value.get("type") or None
        if code is None and name == "error":
            code = _word(kind) or "unknown"
        told = self._merged(value)
        if code is None and "begun" not in self.facts and _stop(value) == _NETWORK_ERROR:
            code = _NETWORK_ERROR
        is_final = isinstance(kind, str) and kind in _FINAL
        if is_final:
            self.is_over = self.facts["final"] = True
        choices = value.get("choices")
        has_choices = isinstance(choices, list) and choices != []
        is_typed = isinstance(kind, str) and kind.startswith(_TYPED)
        if self.is_chat is None and (has_choices or is_typed):
            self.is_chat = has_choices
        speaks = is_typed and kind not in _BEFORE_THE_FIRST_WORD
        if code is None and not is_final and (speaks or has_choices):
            self.facts["begun"] = True
        if self.is_chat and not self.is_over:
            self._chunk(choices if isinstance(choices, list) else [], told)
        return code

    def _merged(self, value: Mapping[str, object]) -> bool:
        """A network_error is not made up for by the stop reason of another choice, and is none behind the end."""
        before = self.facts.get("stop")
        told = _merge(self.facts, value)
        if self.has_failed or (self.is_over and _stop(value) == _NETWORK_ERROR):
            self.facts.pop("stop", None)
            self.facts |= _facts(stop=before)
        self.has_failed = self.has_failed or self.facts.get("stop") == _NETWORK_ERROR
        return told

    def _chunk(self, choices: list[object], told: bool) -> None:
        """A chunk of Chat is the last if it tells of usage, and all choices that were seen have finished."""
        for choice in choices:
            if isinstance(choice, dict):
                index = _number_of(choice)
                self.finished[index] = self.finished.get(index, False) or _word(choice.get("finish_reason")) is not None
        if not all(self.finished.values()) or len(self.finished) > _MOST_CHOICES:
            self.facts.pop("final", None)
        elif told and self.finished:
            self.facts["final"] = True


def _number_of(choice: Mapping[str, object]) -> float:
    """Which of the choices this is: the first, 0, if it has no number above that."""
    index = choice.get("index")
    is_number = isinstance(index, (int, float)) and not isinstance(index, bool)
    return float(index) if is_number and index > 0 else 0.0


def _read_events(body: bytes) -> Reading:
    stream = _Stream()
    for name, data in events(body):
        if data is not None:
            stream.take(_text(name), data)
        elif "begun" in stream.facts:
            stream.events += 1
    return Reading(stream.facts, stream.is_clear, stream.events, stream.apart)


# JSON -------------------------------------------------------------------------------------------------------------


def _read_json(body: bytes) -> Reading:
    value, is_whole = _parsed(_object_alone(body))
    text, is_cut, start, rest = _text(body), False, "", ""
    if not is_whole:
        start, rest = _start_and_rest(text)
        value, starts_well = _parsed(start.encode())
        is_cut = (starts_well or not start) and _CUT.fullmatch(rest) is not None
    facts: Facts = {"kind": "json", "first": "good"}
    code, has_begun, has_content = None, False, False
    if isinstance(value, dict):
        told = _merge(facts, value, is_whole)
        code = _error(value) if is_whole else None
        # An item that has begun counts, also one that is cut: its array's bracket is the last of what is whole.
        is_in_array = is_cut and start.endswith("[]}") and list(value)[-1] in _CONTENT
        has_content = _has_content(value) or (is_in_array and rest.strip() != "" and not rest.lstrip().startswith(","))
        has_begun = (is_whole and code is None and (told or _has_answer(value))) or has_content
    else:
        code = _code_in(value if isinstance(value, str) else text.lstrip())
        if code is None and isinstance(value, list):
            code = _error(_joined([item for item in value if isinstance(item, dict)]))
    if code is not None:
        facts |= {"code": code, "first": "good" if has_content else "error"}
    if has_begun and (code is None or has_content):
        facts["begun"] = True
    elif code is None and not is_cut and not is_whole:
        facts["unread"] = "json"
    if is_whole:
        facts["final"] = True
    return Reading(facts, is_whole)


def _start_and_rest(text: str) -> tuple[str, str]:
    """A text that breaks off: what is whole of it, its brackets closed, and the value or key in which it was cut."""
    closing: list[str] = []
    start, at, is_key = "", 0, False
    kept = 0
    while match := _TOKEN.match(text, at):
        at = match.end()
        string, mark, scalar = match.groups()
        if mark in _BRACKETS:
            closing.insert(0, _BRACKETS[mark])
            is_key = mark == "{"
        elif mark in _BRACKETS.values():
            if closing[:1] != [mark]:
                return "", text
            closing.pop(0)
        elif mark:
            is_key = mark == "," and closing[:1] == ["}"]
            continue
        elif (string and is_key) or (scalar and at == len(text)):
            continue
        kept, start = at, text[:at] + "".join(closing)
    return start, text[kept:]


# WHAT BOTH SAY ----------------------------------------------------------------------------------------------------


def _merge(facts: Facts, value: Mapping[str, object], is_whole: bool = True) -> bool:
    """Takes over model, tokens and stop reason. Returns whether there was a number of tokens.

    A model further in counts where there is none at the top, which only the end tells.
    """
    told = False
    for path, leaf in _leaves(value):
        if path in _COUNTS and _is_count(leaf):
            told = True
            facts[_COUNTS[path]] = leaf
    if stop := _stop(value):
        facts["stop"] = stop
    if model := _model(value, is_whole):
        facts.setdefault("model", model)
    return told


def _stop(value: Mapping[str, object]) -> str | None:
    """The last stop reason, but of several choices the one that failed."""
    stops = [(path, stop) for path, leaf in _leaves(value) if path in _STOPS and (stop := _word(leaf))]
    if (_STOPS[0], _NETWORK_ERROR) in stops:
        return _NETWORK_ERROR
    return stops[-1][1] if stops else None


def _model(value: Mapping[str, object], is_whole: bool = True) -> str | None:
    inner = [leaf for path, leaf in _leaves(value) if is_whole and path in _INNER_MODELS]
    names = [name for name in (*inner, value.get("model")) if isinstance(name, str) and name]
    if not names:
        return None
    return "".join(chr(b) if 33 <= b <= 126 else "_" for b in _bytes(names[-1])[:_LONGEST_MODEL])


def _error(value: Mapping[str, object]) -> str | None:
    """The code of an object that is an error; None if it is none."""
    error, kind, outer = value.get("error"), value.get("type"), value.get("code")
    said = _said(error)
    if isinstance(value.get("jsonrpc"), str) and value["jsonrpc"]:
        return _tools_error(said)
    if said is not None and not (_is_empty(said) and _has_company(value)):
        return _named(said.get("code"), said.get("type"), outer, said.get("message"))
    if isinstance(error, str) and error and not (_is_nothing(error) and _has_company(value)):
        return _named(None, None, outer, error)
    if kind == "error":
        return _named(outer, None, None, value.get("message"))
    if kind == "response.failed":
        response = value.get("response")
        inner = response.get("error") if isinstance(response, dict) else None
        inner = inner if isinstance(inner, dict) else {}
        return _named(inner.get("code"), inner.get("type"), None, inner.get("message"))
    return None if _has_answer(value) else _gateway_error(value)


def _said(error: object) -> dict[str, object] | None:
    """What an error object, or the objects and sentences of an array, say; the last of each field."""
    if isinstance(error, list) and error:
        said: dict[str, object] = {}
        for item in error:
            if isinstance(item, dict):
                said |= _said(item) or {}
            elif isinstance(item, str) and item:
                said["message"] = item
        return said
    if not isinstance(error, dict):
        return None
    fields = {name: error.get(name) for name in ("code", "type", "message")}
    return {name: value for name, value in fields.items() if isinstance(value, (str, int, float)) and value != ""}


def _joined(items: list[dict[str, object]]) -> dict[str, object]:
    """The errors of an array's items as those of one object."""
    errors = [item.get("error") for item in items]
    said = [fields for error in errors if (fields := _said(error)) is not None]
    texts = [error for error in errors if isinstance(error, str) and error]
    versions = [item["jsonrpc"] for item in items if isinstance(item.get("jsonrpc"), str)]
    error: object = said if said else (texts or [None])[-1]
    return {"error": error, "jsonrpc": "".join(map(str, versions))}


def _is_empty(said: Mapping[str, object]) -> bool:
    """Whether an error has only empty fields, or tells of success."""
    if not _is_nothing(said.get("type")) or not _is_nothing(said.get("code")):
        return False
    code = said.get("code")
    return (code is not None and code is not False) or _is_nothing(said.get("message"))


def _is_nothing(value: object) -> bool:
    if isinstance(value, str):
        is_well = value.encode(errors="replace").lower() in (b"0", b"success", b"ok", b"none", b"null")
        return is_well or re.fullmatch("2[0-9]{2}", value) is not None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value == 0 or (200 <= value < 300 and value % 1 == 0)
    return not value


def _has_company(value: Mapping[str, object]) -> bool:
    """Whether an object holds more than its error."""
    kind, outer = value.get("type"), value.get("code")
    is_answer = _has_answer(value) or _has_content(value) or _model(value) is not None
    is_good = value.get("success") is True or (isinstance(outer, (str, int, float)) and _says_well(outer))
    is_event = isinstance(kind, str) and kind not in ("", "error", "response.failed")
    has_usage = any(path in _COUNTS and _is_count(leaf) for path, leaf in _leaves(value))
    return is_answer or is_good or is_event or has_usage


def _says_well(code: object) -> bool:
    return code != "" and code is not False and _is_nothing(code)


def _tools_error(error: Mapping[str, object] | None) -> str | None:
    """A tool numbers its errors as it likes; four digits are Z.AI's."""
    if error is None:
        return None
    message = error.get("message")
    code = _code(error.get("code")) or (_code_in(message) if isinstance(message, str) else None)
    return code if code is not None and len(code) == 4 else None


_ANSWER = ("choices", "content", "output")
_CONTENT = (*_ANSWER, "data")


def _has_answer(value: Mapping[str, object], keys: tuple[str, ...] = _ANSWER) -> bool:
    return any(isinstance(value.get(key), list) for key in keys)


def _has_content(value: Mapping[str, object]) -> bool:
    return any(isinstance(items := value.get(key), list) and items for key in _CONTENT)


def _gateway_error(value: Mapping[str, object]) -> str | None:
    """Z.AI's gateway puts a code beside a message, in good answers too: there it is 200."""
    texts = [text for text in (value.get("msg"), value.get("message")) if isinstance(text, str) and text]
    text = texts[0] if texts else None
    has_failed = value.get("success") is False
    code = _code(value.get("code"))
    if code is not None and (text is not None or has_failed):
        return _named(code, None, None, text)
    return _named(None, None, None, text) if has_failed and text is not None else None


def _named(code: object, kind: object, outer: object, message: object) -> str:
    """An error by Z.AI's number; by a word, or the HTTP status that stands in place of a number, if it has none."""
    wrapped = _code_in(message) if isinstance(message, str) else None
    numbers = [number for number in (_code(code), _code(kind), _code(outer), wrapped) if number]
    for number in numbers:
        if len(number) == 4:
            return number
    status = numbers[0] if numbers else None
    if status == "500" and isinstance(message, str) and "NOT_FOUND" in message:
        return "404"
    if status in KNOWN_NAMES:
        return status
    code_word, kind_word = (None if _code(value) else _word(value) for value in (code, kind))
    if code_word in TELLING_CODES:
        return code_word
    known = next((word for word in (kind_word, code_word) if word in KNOWN_NAMES), None)
    return known or status or kind_word or code_word or "unknown"


def _code(value: object) -> str | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value == value // 1:
        value = str(int(value))
    if not isinstance(value, str) or re.fullmatch("2[0-9]{2}", value):
        return None
    return value if re.fullmatch("[0-9]{3,4}", value) else None


def _code_in(text: str) -> str | None:
    match = _WRAPPED.match(text)
    return None if match is None else _code(match[1])


def _word(value: object) -> str | None:
    if not isinstance(value, str) or not value:
        return None
    return re.sub(rb"[^A-Za-z0-9_.-]", b"_", _bytes(value)[:_LONGEST_WORD]).decode()


def _is_count(value: object) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and 0 < value < _LARGEST_COUNT and value % 1 == 0


def _leaves(value: object, path: Path = ()) -> Iterator[tuple[Path, object]]:
    """All that is neither object nor array, as it stands in the text; `*` in a path is any item of an array."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, (*path, key))
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, (*path, "*"))
    else:
        yield path, value


def _unmarked(body: bytes) -> bytes:
    """Without a byte-order mark, or the part of one with which the body breaks off."""
    return b"" if _BOM.startswith(body) else body.removeprefix(_BOM)


def _facts(**facts: object) -> Facts:
    return {name: value for name, value in facts.items() if value is not None}


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def _parsed(data: bytes) -> tuple[object, bool]:
    """The value, and whether it is certain; `(None, False)` for what is no JSON."""
    try:
        return json.loads(data.decode(), object_pairs_hook=_object, parse_constant=_constant), True
    except (ValueError, RecursionError):
        return None, False


def _object_alone(body: bytes) -> bytes:
    """An object without what comes behind it, which nobody looks at; anything else as it is."""
    try:
        text = body.decode().lstrip(" \t\r\n")
        value, end = json.JSONDecoder(parse_constant=_constant).raw_decode(text)
    except (ValueError, RecursionError):
        return body
    return text[:end].encode() if isinstance(value, dict) else body


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise _UnclearError("two equal keys")
    return value


def _constant(name: str) -> object:
    raise _UnclearError(name)
