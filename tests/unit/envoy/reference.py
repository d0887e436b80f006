"""What an answer and a request say, read the plain way: the whole body at once, with Python's own JSON.

The readers in `envoy/` see a body in pieces and keep nothing of it. This module is what they have to agree with. It is
slow, it says each rule once, and where a body is no proper JSON it says so (`Reading.is_clear`): there the two may
differ.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeGuard

from extproc.domain.request.business_codes import KNOWN_NAMES, SPOKEN_NAMES, TELLING_CODES

LARGEST_EVENT: Final = 16 * 1024 * 1024
_LARGEST_COUNT: Final = 2**53
_LONGEST_WORD: Final = 32
_LONGEST_MODEL: Final = 128
_MOST_CHOICES: Final = 128
_LONGEST_TEXT: Final = 128

_BOM: Final = b"\xef\xbb\xbf"
_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
_FIRST_LINE: Final = re.compile(rb"(data|event|id|retry|):")
_WRAPPED: Final = re.compile(r'"?\[([0-9]{3,4})\]')
_WITHIN: Final = (re.compile(rb"\[([0-9]{4})\]"), re.compile(rb"""code[\\"']+ ?: ?[\\"']*([0-9]+)"""))
_BARE_GOES_ON: Final = b' \t",[]{}'
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
_OF_THE_CACHE: Final = ("cached_tokens", "cache_read_input_tokens")


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


@dataclass(frozen=True, slots=True)
class _Event:
    """Name and data of an event (WHATWG, Server-sent events, 9.2.6); of a comment alone there is no data."""

    name: bytes
    data: bytes | None


@dataclass(frozen=True, slots=True)
class _Bare:
    """JSON that stands in a stream without a field before it."""

    text: bytes


def _parts(body: bytes) -> Iterator[_Event | _Bare]:
    """What a stream consists of.

    More is allowed than by the standard: space before the first line, and no blank line behind the last event.
    """
    name, data, has_line, bare = b"", None, False, b""
    for line in [*_LINE_END.split(_unmarked(body).lstrip()), b""]:
        goes_on = bare != b"" and line != b"" and line[0] in _BARE_GOES_ON
        if goes_on or line.startswith(b"{"):
            has_line = True
            bare = bare + b"\n" + line if goes_on else line
            if _is_object(bare):
                yield _Bare(bare)
                bare = b""
            continue
        if bare:
            yield _Bare(bare)
            bare = b""
        if not line:
            if has_line:
                yield _Event(name, None if data is None else b"\n".join(data))
            name, data, has_line = b"", None, False
            continue
        has_line = True
        key, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if key == b"event":
            name = value
        elif key == b"data":
            data = [*(data or []), value]


def _is_object(text: bytes) -> bool:
    return isinstance(_parsed(_object_alone(text))[0], dict)


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
        text = _text(data.strip())
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
            text = ""
        return _code_in(text) or (_named([], [], [], [text]) if name == "error" else None)

    def take_bare(self, text: bytes) -> None:
        """Takes over an error that stands in the stream without a field."""
        value, is_clear = _parsed(_object_alone(text))
        self.is_clear = self.is_clear and is_clear
        code = _error(value) if isinstance(value, dict) else None
        if code is not None:
            self.facts.setdefault("first", "error")
            if "final" not in self.facts:
                self.facts.setdefault("code", code)

    def _object(self, name: str, value: Mapping[str, object]) -> str | None:
        code, kind = _error(value), value.get("type") or None
        if code is None and name == "error":
            code = _said(value).name_of_all([kind])
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
    for part in _parts(body):
        if isinstance(part, _Bare):
            stream.take_bare(part.text)
        elif part.data is not None:
            stream.take(_text(part.name), part.data)
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
            code = _error_of_items([item for item in value if isinstance(item, dict)])
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
        if _COUNTS.get(path) in _OF_THE_CACHE and _is_number(leaf) and leaf >= 0:
            facts["tells_cache"] = True
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


@dataclass(slots=True)
class _Said:
    """All that an object says of an error, under its keys for that; of each the last that says anything."""

    top: dict[str, object] = field(default_factory=dict)
    error: dict[str, object] = field(default_factory=dict)
    inner: dict[str, object] = field(default_factory=dict)
    is_object: bool = False
    are_many: bool = False

    def take_errors(self, errors: object) -> None:
        """Takes what stands under `errors`: objects, or an array."""
        is_object, self.is_object = self.is_object, False
        if isinstance(errors, (dict, list)):
            self.take_error(errors)
        self.are_many = self.are_many or self.is_object
        self.is_object = is_object

    def take_error(self, error: object) -> None:
        """Takes what stands under `error`."""
        if isinstance(error, dict):
            self.is_object = True
            self._take_fields(error)
        elif isinstance(error, list):
            self.is_object = self.is_object or error != []
            for item in error:
                if isinstance(item, dict):
                    self._take_fields(item)
                elif isinstance(item, str) and item:
                    self.error["message"] = item
        elif _is_kept(error):
            self.error["text"] = error

    def _take_fields(self, error: Mapping[str, object]) -> None:
        for key, value in error.items():
            if key in _ERROR_KEYS and _is_kept(value):
                self.error[_ERROR_KEYS[key]] = value
            elif key == "error":
                self._take_inner(value)

    def _take_inner(self, error: object) -> None:
        """An error within an error, however deep: the last of each field counts."""
        if not isinstance(error, dict):
            if _is_kept(error):
                self.inner["text"] = error
            return
        for key, value in error.items():
            if key in _ERROR_KEYS and _is_kept(value):
                self.inner[_ERROR_KEYS[key]] = value
            elif key == "error":
                self._take_inner(value)

    @property
    def is_empty(self) -> bool:
        """Whether the error has only empty fields, or tells of success."""
        if not all(map(_is_nothing, (*_of(self.error, "type", "code"), *_of(self.inner, "type", "code", "text")))):
            return False
        code = self.error.get("code")
        is_told = code is not None and code is not False
        return is_told or all(map(_is_nothing, (*_of(self.error, "message"), *_of(self.inner, "message"))))

    @property
    def texts(self) -> list[object]:
        """What is said of the error outside of it."""
        return _of(self.top, "msg", "message")

    @property
    def status(self) -> list[object]:
        """The HTTP status of an error that stands beside it."""
        return [each for each in _of(self.top, "status") if re.fullmatch("[45][0-9]{2}", _code(each) or "")]

    @property
    def _values(self) -> list[object]:
        """Errors that are no object: a code, a name, a sentence."""
        return _of(self.error, "text") + _of(self.inner, "text")

    def name(self) -> str:
        """What an error under a key of its own is called."""
        return _named(
            _of(self.error, "code") + _of(self.inner, "code") + [value for value in self._values if _is_name(value)],
            _of(self.error, "type") + _of(self.inner, "type"),
            _of(self.top, "code") + self.status,
            _of(self.error, "message") + _of(self.inner, "message") + self._values + self.texts,
        )

    def name_of_all(self, kinds: list[object]) -> str:
        """What an error without a key of its own is called."""
        return _named(_of(self.top, "code"), kinds, self.status, self.texts)


_ERROR_KEYS: Final = {"code": "code", "type": "type", "message": "message", "msg": "message"}
_TOP_KEYS: Final = {
    **{key: key for key in ("type", "code", "msg", "message", "success", "status")},
    "status_code": "status",
    "statusCode": "status",
}


def _of(said: Mapping[str, object], *keys: str) -> list[object]:
    return [said[key] for key in keys if key in said]


def _is_kept(value: object) -> bool:
    return isinstance(value, (str, int, float)) and value != ""


def _is_name(value: object) -> bool:
    return _code(value) is not None or _word(value) in KNOWN_NAMES


def _said(value: Mapping[str, object]) -> _Said:
    said = _Said()
    for key, inner in value.items():
        if key in _TOP_KEYS and _is_kept(inner):
            said.top[_TOP_KEYS[key]] = inner
        elif key == "error":
            said.take_error(inner)
        elif key == "errors":
            said.take_errors(inner)
        elif key in ("object", "jsonrpc") and isinstance(inner, str) and inner:
            said.top[key] = inner
        elif key == "detail" and isinstance(inner, dict):
            for detail, each in inner.items():
                if detail in ("code", "msg", "message") and _is_kept(each):
                    said.top[detail] = each
                elif detail == "error":
                    said.take_error(each)
                elif detail == "errors":
                    said.take_errors(each)
    return said


def _error(value: Mapping[str, object]) -> str | None:
    """The code of an object that is an error; None if it is none."""
    said = _said(value)
    if "jsonrpc" in said.top:
        return _tools_error(said)
    if _has_error(value, said):
        return said.name()
    kind = said.top.get("type")
    if kind == "error":
        return said.name_of_all([])
    if said.top.get("object") == "error":
        return said.name_of_all(_of(said.top, "type"))
    if kind == "response.failed":
        response = value.get("response")
        inner = response.get("error") if isinstance(response, dict) else None
        failed = inner if isinstance(inner, dict) else {"message": inner if isinstance(inner, str) else None}
        fields = {key: each for key, each in failed.items() if _is_kept(each)}
        return _named(_of(fields, "code"), _of(fields, "type"), [], _of(fields, "message"))
    return None if _has_answer(value) else _gateway_error(value, said)


def _has_error(value: Mapping[str, object], said: _Said) -> bool:
    """Whether there is an error under a key of its own."""
    if said.is_object and not (said.is_empty and _has_company(value)):
        return True
    if said.are_many and not _has_company(value):
        return True
    text = said.error.get("text")
    if isinstance(text, str):
        return not (_is_nothing(text) and _has_company(value))
    return not _is_nothing(text) and not _has_answer(value) and not _has_content(value)


def _error_of_items(items: list[dict[str, object]]) -> str | None:
    """The same of an array's items, as if they were one."""
    said, together = _Said(), _Said()
    for item in items:
        said.take_error(item.get("error"))
        together.top |= {"jsonrpc": item["jsonrpc"]} if isinstance(item.get("jsonrpc"), str) and item["jsonrpc"] else {}
    said.top = together.top
    if "jsonrpc" in said.top:
        return _tools_error(said)
    return said.name() if _has_error({}, said) else None


def _is_nothing(value: object) -> bool:
    if isinstance(value, str):
        is_well = value.encode(errors="replace").lower() in (b"0", b"success", b"ok", b"none", b"null", b"false")
        return is_well or re.fullmatch("2[0-9]{2}", value) is not None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value == 0 or (200 <= value < 300 and value % 1 == 0)
    return not value


def _has_company(value: Mapping[str, object]) -> bool:
    """Whether an object holds more than its error."""
    top = _said(value).top
    kind, outer = top.get("type"), top.get("code")
    is_answer = _has_answer(value) or _has_content(value) or _model(value) is not None
    is_good = top.get("success") is True or (outer is not None and outer is not False and _is_nothing(outer))
    is_event = isinstance(kind, str) and kind not in ("error", "response.failed")
    has_usage = any(path in _COUNTS and _is_count(leaf) for path, leaf in _leaves(value))
    return is_answer or is_good or is_event or has_usage


def _tools_error(said: _Said) -> str | None:
    """A tool numbers its errors as it likes; four digits are Z.AI's."""
    message = said.error.get("message")
    code = _code(said.error.get("code")) or (_code_in(message) if isinstance(message, str) else None)
    return code if said.is_object and code is not None and len(code) == 4 else None


_ANSWER = ("choices", "content", "output")
_CONTENT = (*_ANSWER, "data")


def _has_answer(value: Mapping[str, object], keys: tuple[str, ...] = _ANSWER) -> bool:
    return any(isinstance(value.get(key), list) for key in keys)


def _has_content(value: Mapping[str, object]) -> bool:
    return any(isinstance(items := value.get(key), list) and items for key in _CONTENT)


def _gateway_error(value: Mapping[str, object], said: _Said) -> str | None:
    """Z.AI's gateway puts a code beside a message, in good answers too: there it is 200.

    Others put an HTTP status there, or just say that it failed.
    """
    texts = [text for text in said.texts if isinstance(text, str)]
    has_failed = said.top.get("success") is False
    if not texts and not has_failed:
        return None
    is_error = (has_failed and texts != []) or _is_name(said.top.get("code"))
    if not is_error and not _has_company(value):
        code = _code_in(texts[0]) if texts else None
        is_error = has_failed or said.status != [] or (code is not None and len(code) == 4 and code in KNOWN_NAMES)
    return said.name_of_all([]) if is_error else None


def _named(codes: list[object], kinds: list[object], outer: list[object], texts: list[object]) -> str:
    """An error by Z.AI's number; by a word, or the HTTP status that stands in place of a number, if it has none; and
    where it has neither, by what its sentence speaks of."""
    sentences = [text for text in texts if isinstance(text, str)]
    numbers = [code for value in (*codes, *kinds, *outer) if (code := _code(value))]
    numbers += [code for text in sentences if (code := _code_within(text))]
    for number in numbers:
        if len(number) == 4:
            return number
    status = numbers[0] if numbers else None
    if status == "500" and any("NOT_FOUND" in text for text in sentences):
        return "404"
    if status in KNOWN_NAMES:
        return status
    code_words, kind_words = (
        [word for value in values if _code(value) is None and (word := _word(value))] for values in (codes, kinds)
    )
    known = [word for word in code_words if word in TELLING_CODES]
    known += [word for word in (*kind_words, *code_words) if word in KNOWN_NAMES]
    spoken = [name for text in sentences if (name := _name_within(text))]
    return [*known, *([status] if status else []), *spoken, *kind_words, *code_words, "unknown"][0]


def _code_within(text: str) -> str | None:
    """The code with which a text begins, else one of Z.AI's that stands further on."""
    if (code := _code_in(text)) is not None:
        return code
    start = _bytes(text)[:_LONGEST_TEXT]
    found = [match[1].decode() for pattern in _WITHIN for match in pattern.finditer(start)]
    return next((digits for digits in found if len(digits) == 4 and digits in KNOWN_NAMES), None)


def _name_within(text: str) -> str | None:
    """What a sentence speaks of first."""
    words = b"_" + re.sub(rb"[^a-z0-9]+", b"_", _bytes(text)[:_LONGEST_TEXT].lower()) + b"_"
    places = {name: words.find(f"_{name}_".encode()) for name in SPOKEN_NAMES}
    spoken = sorted((at, -len(name), name) for name, at in places.items() if at >= 0)
    return spoken[0][2] if spoken else None


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
    return _is_number(value) and 0 < value < _LARGEST_COUNT and value % 1 == 0


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


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
