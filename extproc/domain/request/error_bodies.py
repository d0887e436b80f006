"""Reading Z.AI's error bodies: the business code, the message and the request id.

Each endpoint has envelopes of its own and they change over the months, so all of them are accepted, in the order that
loses nothing: `error.code`, a numeric `error.type`, the same of an error within that error, the top-level `code`, then
a message of the form `[1308][Usage limit reached …][20260703110251648ad94226c14a7e]`; a code of four digits before one
of three, which can be an HTTP status. Of an array the first object counts. HTML from a firewall has none of it.
"""

import json
import re
from dataclasses import dataclass
from typing import Final

_LONGEST_BODY: Final = 64 * 1024
_LONGEST_MESSAGE: Final = 1000
_MOST_EVENTS: Final = 20
_DEEPEST: Final = 8

_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_WRAPPED: Final = re.compile(r"\[([0-9]{3,4})\]\s*(.*)", re.DOTALL)
_TRAILING_ID: Final = re.compile(r"\[([A-Za-z0-9_-]{8,64})\]\s*\Z")
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_-]{8,64}")


@dataclass(frozen=True, slots=True)
class ExtractedError:
    """What an error body says; None where it says nothing. `message` is one printable line of at most 1000
    characters, without the code and the request id that may be wrapped around it."""

    code: str | None = None
    message: str | None = None
    request_id: str | None = None


def extract_code(body: bytes) -> ExtractedError:
    """Reads any error body that Z.AI is known to send: JSON, an SSE error event, or plain text.

    Never raises. A body beyond 64 KiB is cut, which leaves JSON unreadable, so without a code.
    """
    whole, *events = map(_read, _texts(body))
    told = next((error for error in (whole, *events) if error.code is not None), None)
    return told or (events[0] if events else whole)


def error_object(body: bytes) -> dict[str, object] | None:
    """The error's own object in a JSON body or in the first event of a stream that has one; None if there is none."""
    for text in _texts(body):
        parsed = _first(_parsed(text))
        if not isinstance(parsed, dict):
            continue
        if errors := _errors(parsed):
            return errors[-1]
        if isinstance(response := parsed.get("response"), dict) and isinstance(inner := response.get("error"), dict):
            return inner
    return None


def _errors(envelope: dict[str, object]) -> list[dict[str, object]]:
    """The error's object, and those that are within it."""
    found: list[dict[str, object]] = []
    detail = envelope.get("detail")
    holder = envelope if "error" in envelope or "errors" in envelope or not isinstance(detail, dict) else detail
    inner = _first(holder.get("error", holder.get("errors")))
    while isinstance(inner, dict) and len(found) < _DEEPEST:
        found.append(inner)
        inner = _first(inner.get("error"))
    return found


def _first(value: object) -> object:
    """The first object of an array; anything else as it is."""
    if not isinstance(value, list):
        return value
    return next((item for item in value if isinstance(item, dict)), None)


def _texts(body: bytes) -> list[str]:
    """The body as a whole, and then the data of its first events; JSON without a field before it is an event too."""
    text = body[:_LONGEST_BODY].decode("utf-8-sig", "replace").strip()
    events = [line.removeprefix("data:").strip() for line in _LINE_END.split(text) if line.startswith(("data:", "{"))]
    return [text, *events[:_MOST_EVENTS]]


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # no JSON, a number of 5,000 digits, or nested beyond the stack
        return None


def _read(text: str) -> ExtractedError:
    parsed = _parsed(text)
    envelope = _first(parsed)
    if isinstance(envelope, dict):
        return _from_envelope(envelope)
    return _from_message(parsed if isinstance(parsed, str) else text)


def _from_envelope(envelope: dict[str, object]) -> ExtractedError:
    errors = _errors(envelope)
    values = [_first(envelope.get("error")), *(_first(error.get("error")) for error in errors)]
    tops = [envelope, detail] if isinstance(detail := envelope.get("detail"), dict) else [envelope]
    said = [error.get(key) for error in errors for key in ("message", "msg")]
    said += [*values, *(top.get(key) for top in tops for key in ("msg", "message"))]
    texts = [_from_message(text) for text in said if isinstance(text, str) and text.strip()]
    message = next((text for text in texts if text.code is not None), texts[0] if texts else ExtractedError())
    told = [error.get(key) for error in errors for key in ("code", "type")]
    told += [*values, *(top.get("code") for top in tops), message.code]
    codes = sorted((code for value in told if (code := _code(value))), key=len, reverse=True)
    request_ids = (envelope.get("request_id"), *(error.get("request_id") for error in errors), message.request_id)
    return ExtractedError(
        code=next(iter(codes), None),
        message=message.message,
        request_id=next((i for i in request_ids if isinstance(i, str) and _REQUEST_ID.fullmatch(i)), None),
    )


def _from_message(raw: str) -> ExtractedError:
    """Unwraps `[code][text][request id]`; any part may be missing."""
    if raw.startswith("<"):  # HTML
        return ExtractedError()
    text = _one_line(raw)
    wrapped = _WRAPPED.match(text)
    if wrapped is None:
        return ExtractedError(message=text or None)
    code, rest = wrapped.groups()
    trailing = _TRAILING_ID.search(rest)
    if trailing is not None:
        rest = rest[: trailing.start()].rstrip()
    if rest.startswith("[") and rest.endswith("]"):
        rest = rest[1:-1]
    return ExtractedError(_code(code), rest.strip() or None, trailing[1] if trailing else None)


def _code(value: object) -> str | None:
    """A code of three or four digits as text. 200 and its kin are words for success; words are no codes."""
    text = str(value) if isinstance(value, (str, int)) else ""
    is_code = 3 <= len(text) <= 4 and text.isascii() and text.isdigit()
    return text if is_code and not (len(text) == 3 and text[0] == "2") else None


def _one_line(text: str) -> str:
    """Printable, on one line, bounded: what may go into a log line or onto a terminal."""
    printable = "".join(character if character.isprintable() else " " for character in text[: 2 * _LONGEST_MESSAGE])
    return " ".join(printable.split())[:_LONGEST_MESSAGE]
