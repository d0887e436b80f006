"""What may be shown of the words that somebody else has chosen: those that are known, or that have a known form."""

import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Final

from extproc.domain.assumptions.vocabulary import is_known
from extproc.domain.request.error_bodies import extract_code

GONE: Final = "…"
"""Stands for what is not shown."""

ID: Final = "0" * 14
"""Stands for an id."""

LIMIT_HEADERS: Final = (
    *("retry-after", "x-should-retry", "anthropic-ratelimit-"),
    *("x-ratelimit-", "ratelimit", "x-rate-limit-", "rate-limit-"),
)
"""How the names of headers that tell of limits begin."""

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
# Plain words, joined in one of the usual ways: no digits, and nothing that looks like an id or an address.
_FIELD_NAME: Final = re.compile(r"_?[A-Za-z]?[a-z]{1,15}(_[a-z]{1,16}|[A-Z][a-z]{1,15}|ID|URL){0,5}")
_WORDS_OF_A_NAME: Final = re.compile(r"ID|URL|[A-Z]?[a-z]+|[A-Z]")
_LONGEST_NAME: Final = 40
_KEPT_WORD: Final = re.compile(
    r"[\"'`(]*[A-Za-z]+([/'_-][A-Za-z]+)*[.,:;!?)\"'`]*|[0-9]{1,3}[.,:;]*|[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{2}:[0-9]{2}:[0-9]{2}[.,]?"
)
_AROUND_A_NUMBER: Final = ".,:;-()/"
_WORDS_IN_ONE: Final = re.compile(r"[A-Za-z]+(?:'[a-z]+)?")
_WRAPPED: Final = re.compile(r"(\[[0-9]{3,4}\])\[(.*)\]\[[^\]]*\]", re.DOTALL)
_HEADER_NAME: Final = re.compile(r"[a-z]{1,12}(-([a-z]{1,12}|[0-9]{1,2}[a-z]))*")
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


def word(value: str) -> str:
    """A word of the protocol."""
    return value if value in _PROTOCOL_WORDS or _PROTOCOL_WORD.fullmatch(value) else GONE


def field_name(name: str) -> str:
    """The name, if it is one of known words: in a map a field can be called like a person."""
    is_name = len(name) <= _LONGEST_NAME and _FIELD_NAME.fullmatch(name)
    return name if is_name and all(map(is_known, _WORDS_OF_A_NAME.findall(name))) else GONE


def header_name(name: str, beginnings: Iterable[str]) -> str:
    """The name in lower case; one that could have somebody in it is cut to its beginning, one of `beginnings`."""
    if _HEADER_NAME.fullmatch(name) and all(map(is_known, _WORDS_IN_ONE.findall(name))):
        return name
    return next(each for each in beginnings if name.startswith(each)).rstrip("-") + "-other"


def are_header_words(value: str) -> bool:
    """Whether a header's value has known words alone."""
    return _HEADER_WORDS.issuperset(re.split(r"[,;\s]+", value.lower()))


def is_wrapped(text: str) -> bool:
    """Whether it is a message as `[code][text][request id]`."""
    return _WRAPPED.fullmatch(text.strip()) is not None


def message(text: str) -> str:
    """The known words of a message and its code; its request id is replaced by another one."""
    if wrapped := _WRAPPED.fullmatch(text.strip()):
        return f"{wrapped[1]}[{_plain(wrapped[2])}][{ID}]"
    code = extract_code(text.encode()).code if text.startswith("[") else None
    return f"[{code}]" if code else _plain(text)


def _plain(text: str) -> str:
    words = text.split()
    # Several numbers in a row may be one, such as that of a telephone, whatever stands between them.
    said = [place for place, each in enumerate(words) if any(map(str.isalnum, each))]
    numbers = [words[place].strip(_AROUND_A_NUMBER).isdigit() for place in said]
    is_beside = [number and other for number, other in pairwise(numbers)]
    hidden = {place for pair, both in zip(pairwise(said), is_beside, strict=True) if both for place in pair}
    return " ".join(each if _may_be_shown(each) and place not in hidden else GONE for place, each in enumerate(words))


def _may_be_shown(text: str) -> bool:
    return _KEPT_WORD.fullmatch(text) is not None and all(map(is_known, _WORDS_IN_ONE.findall(text)))
