"""Random answers and requests: JSON of any shape, the words that matter in all places, events in any form."""

import json
import re

from hypothesis import strategies as st

# What a reader looks for, in the places where it means nothing: within texts.
DECOYS = st.sampled_from(
    [
        '"usage": {"input_tokens": 5}',
        '{"error": {"code": "1308"}}',
        "\n\nevent: error\ndata: {}\n\n",
        "\n\ndata: [DONE]\n\n",
        "data: [1305][busy][id]",
        "[1308][Usage limit reached][2026]",
        '"type": "message_stop"',
        '"type":"response.completed"',
        '\\"finish_reason\\":\\"stop\\"',
        '"model": "other"',
        "error",
        'a "quoted" text \\ with \\" escapes \\\\',
        "}}]]",
        "{{[[",
        "\ufeff",
        "\u2028\x85\x0b\x0c",
        "\U0001f642 \ud83d 请稍后再试",
    ]
)
TEXTS = DECOYS | st.text(max_size=12) | st.text(alphabet='\\"{}[]:,\n\r ua0', max_size=8)
# Long enough to be no more than glanced at, wherever a bound is.
LONG_TEXTS = st.builds(lambda text, times: text * times, TEXTS, st.sampled_from([1, 1, 1, 30, 500]))
WORDS = st.sampled_from(
    [
        "overloaded_error",
        "rate_limit_error",
        "error",
        "1302",
        "1305",
        "500",
        "200",
        "99",
        "12345",
        "",
        "a word of more than thirty-two characters",
        "weird \U0001f642 word",
        "404 NOT_FOUND",
        "[1310][Used up][id]",
        '"[1303][x]"',
        "upstream said: [1302][wait]",
        'upstream said: {\\"code\\": "1303"}',
        "The service is overloaded: too many requests",
        "Rate limit reached for requests",
        "false",
    ]
)
NUMBERS = (
    st.sampled_from([0, 1, -1, 7, 3859, 2**53 - 1, 2**53, 2**60, 10**30, 0.0, 12.0, 1.5, -4.0, 1e3, 1e-7, 200, 1302])
    | st.integers(-5, 10_000)
    | st.floats(allow_nan=False, allow_infinity=False)
)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS | WORDS
_KEYS_THAT_MATTER = """
type model usage error code message msg success choices content output response delta stop_reason finish_reason
input_tokens prompt_tokens cached_tokens input_tokens_details stream max_tokens
"""
KEYS = st.sampled_from(_KEYS_THAT_MATTER.split()) | TEXTS
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=8
)

COUNTS = st.sampled_from([0, 0, 1, 9, 1053, 12500]) | NUMBERS | ANYTHING
DETAILS = st.fixed_dictionaries(
    {}, optional={"cached_tokens": COUNTS, "reasoning_tokens": COUNTS, "audio_tokens": COUNTS}
)
USAGES = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "input_tokens": COUNTS,
        "output_tokens": COUNTS,
        "cache_read_input_tokens": COUNTS,
        "cache_creation_input_tokens": COUNTS,
        "prompt_tokens": COUNTS,
        "completion_tokens": COUNTS,
        "total_tokens": COUNTS,
        "prompt_tokens_details": DETAILS,
        "completion_tokens_details": DETAILS,
        "input_tokens_details": DETAILS,
        "output_tokens_details": DETAILS | ANYTHING,
        "server_tool_use": ANYTHING,
    },
)
MODELS = (
    st.sampled_from(["glm-5.3", "glm-5.2", "", "claude-haiku-4-5-20251001", "glm 5\n\U0001f642", "m" * 300]) | SCALARS
)
STOPS = st.sampled_from(["end_turn", "stop", "tool_calls", "network_error", ""]) | SCALARS
ERROR_NAMES = st.sampled_from(
    [0, "0", 200, 429, "529", 503, 401, "invalid_request_error", "requests", "rate_limit_exceeded", "success", None]
)
ERROR_OBJECTS = st.fixed_dictionaries(
    {},
    optional={
        "code": WORDS | NUMBERS | ERROR_NAMES,
        "type": WORDS | SCALARS | ERROR_NAMES,
        "message": WORDS | LONG_TEXTS,
        "param": ANYTHING,
    },
)
ERRORS = (
    ERROR_OBJECTS
    | ERROR_OBJECTS
    | st.lists(ERROR_OBJECTS | WORDS, max_size=2)
    | WORDS
    | SCALARS
    | st.builds(lambda outer, inner: outer | {"error": inner}, ERROR_OBJECTS, ERROR_OBJECTS | WORDS | SCALARS)
)
STATUSES = st.sampled_from([429, "529", 200, 503, "completed", "failed", 4290, None]) | SCALARS
TYPES = st.sampled_from(
    [
        "message_start",
        "ping",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "error",
        "response.created",
        "response.in_progress",
        "response.output_text.delta",
        "response.completed",
        "response.incomplete",
        "response.failed",
        "message",
        "one_to_come",
        "keepalive",
    ]
)


@st.composite
def objects(draw: st.DrawFn) -> dict[str, object]:
    """An event's or an answer's object: some of what the dialects have, some of what nobody has, in any order."""
    fields: dict[str, object] = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "type": TYPES | SCALARS,
                "model": MODELS,
                "usage": USAGES,
                "choices": CHOICES | ANYTHING,
                "delta": st.fixed_dictionaries({}, optional={"stop_reason": STOPS, "text": LONG_TEXTS}) | ANYTHING,
                "content_block": ANYTHING,
            },
        )
    )
    if draw(st.integers(0, 3)) == 0:
        fields |= draw(st.fixed_dictionaries({}, optional=SELDOM))
    if draw(st.integers(0, 5)) == 0:
        fields |= draw(st.dictionaries(KEYS, ANYTHING, max_size=3))
    return dict(draw(st.permutations(list(fields.items()))))


CHOICES = st.lists(
    st.fixed_dictionaries(
        {}, optional={"index": NUMBERS, "delta": ANYTHING, "finish_reason": STOPS, "text": LONG_TEXTS}
    ),
    max_size=2,
)
SELDOM = {
    "error": ERRORS | ANYTHING,
    "code": WORDS | NUMBERS | ANYTHING,
    "msg": WORDS | ANYTHING,
    "success": st.booleans() | ANYTHING,
    "message": st.fixed_dictionaries(
        {}, optional={"model": MODELS, "usage": USAGES, "stop_reason": STOPS, "content": ANYTHING}
    )
    | WORDS
    | ANYTHING,
    "response": st.fixed_dictionaries({}, optional={"model": MODELS, "usage": USAGES, "error": ERRORS | ANYTHING})
    | ANYTHING,
    "errors": ERRORS | ANYTHING,
    "status": STATUSES,
    "statusCode": STATUSES,
    "object": st.sampled_from(["error", "chat.completion.chunk"]) | SCALARS,
    "detail": st.fixed_dictionaries({}, optional={"error": ERRORS, "code": WORDS, "msg": WORDS, "message": WORDS})
    | ANYTHING,
    "content": st.lists(ANYTHING, max_size=2) | ANYTHING,
    "output": st.lists(ANYTHING, max_size=2) | ANYTHING,
    "stop_reason": STOPS,
    "jsonrpc": st.just("2.0") | ANYTHING,
    "request_id": TEXTS,
}


@st.composite
def written(draw: st.DrawFn, values: st.SearchStrategy[object]) -> bytes:
    """A value as JSON, written in one of the ways in which JSON is written."""
    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,", "\t:  ")]))
    indent = draw(st.sampled_from([None, None, None, 1, "\t"]))
    text = json.dumps(draw(values), ensure_ascii=draw(st.booleans()), separators=separators, indent=indent)
    escaped = draw(st.sampled_from(["", "", "", "", "u", "_", "."]))
    if escaped and "\\" not in text:
        text = re.sub('"[^"]*"', lambda match: match[0].replace(escaped, f"\\u{ord(escaped):04x}"), text)
    return text.encode(errors="replace")


@st.composite
def events(draw: st.DrawFn) -> bytes:
    """An event with LF at the end of each line, in any of its forms."""
    data = draw(written(objects()) | st.sampled_from(ODD_DATA))
    space = draw(st.sampled_from([b" ", b" ", b" ", b""]))
    lines = [b"data:" + space + line for line in data.replace(b"\r", b"").split(b"\n")]
    name = draw(st.sampled_from([None, None, b"message", b"content_block_delta", b"error", b"ping", b" error"]))
    if name is not None:
        lines.insert(draw(st.integers(0, len(lines))), b"event: " + name)
    for other in draw(st.lists(st.sampled_from(OTHER_LINES), max_size=2)):
        lines.insert(draw(st.integers(0, len(lines))), other)
    return b"\n".join(lines) + b"\n" * draw(st.sampled_from([2, 2, 2, 3]))


OTHER_LINES = (
    b": a comment",
    b":",
    b"id: 7",
    b"retry: 3000",
    b'error: {"error": {"code": "1308"}}',
    b'{"error": {"code": "1308"}}',
    b"[1308][no][field]",
    b"dat",
    b"data",
    b"event",
    b' data: {"model": "no"}',
)
ODD_DATA = [
    b"[DONE]",
    b" [DONE] ",
    b"[DONE",
    b"[1305][busy][id]",
    b'"[1302][busy][id]"',
    b"[200][fine]",
    b"[13055][no]",
    b"",
    b"upstream went away",
    b"[]",
    b"null",
    b"{}",
    b'"text"',
    b"1308",
    b"[13\n05][two lines][id]",
    b"[DO\nNE]",
]


# Events that say nothing, though one could think so.
DULL = [
    {"type": "content_block_delta", "delta": {"text": text}}
    for text in ("x", '"error"', "[DONE]", '"usage": {"output_tokens": 7}')
]
# Objects with one thing that matters.
SINGLE_WORDS: list[object] = [
    *({"type": kind} for kind in ("message_stop", "error", "ping")),
    *({"type": kind, "response": {}} for kind in ("response.completed", "response.incomplete", "response.failed")),
    *({"choices": [{"finish_reason": reason}]} for reason in ("stop", "length", None, "")),
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
    {"usage": {"prompt_tokens": 9, "completion_tokens": 2}},
    {"usage": {"input_tokens": 0}},
    {"response": {"usage": {"output_tokens_details": {"reasoning_tokens": 5}}}},
    {"usage": None, "choices": [{"delta": {"content": "x"}}]},
    {"choices": [{"index": 1, "delta": {"content": "x"}}]},
    {"choices": [{"index": 1, "finish_reason": "stop"}]},
    {"choices": [{"index": 0, "finish_reason": "stop"}, {"index": 10}, {"index": 0.5, "finish_reason": "length"}]},
    {"choices": [{"index": 0, "finish_reason": "stop"}], "usage": {"prompt_tokens": 9, "completion_tokens": 2}},
    {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 3}},
    {"usage": None, "message": {"usage": {"output_tokens": 3}}},
    {"code": 1302, "msg": "wait"},
    {"code": 200, "msg": "fine"},
    {"success": False, "msg": "wait"},
    {"code": 1302, "message": "wait"},
    {"code": 1302, "success": False},
    {"error": "wait"},
    {"error": None},
    {"error": {"type": "overloaded_error"}},
    {"error": {"type": "overloaded_error", "code": 529}},
    {"error": {"type": "requests", "code": "rate_limit_exceeded"}},
    {"error": {}},
    {"error": {"code": 0, "message": "success"}, "choices": [{"delta": {"content": "x"}}]},
    {"error": [{"code": "1305"}]},
    {"error": True, "message": "[1305] busy"},
    {"error": True, "choices": [{"delta": {"content": "x"}}]},
    {"error": "1302"},
    {"error": "rate limit"},
    {"error": {"message": "upstream said [1302][wait]", "error": {"type": "x"}}},
    {"error": {"error": {"code": "1302"}}},
    {"errors": [{"code": "1302"}]},
    {"errors": [{"code": "1302"}], "choices": [{"delta": {"content": "x"}}]},
    {"success": False},
    {"status": 429, "message": "wait"},
    {"status": "completed", "message": "fine"},
    {"object": "error", "type": "busy"},
    {"detail": {"code": 1302, "msg": "wait"}},
    {"message": "[1302][wait]"},
    {"code": "rate_limit_exceeded", "message": "wait"},
    {"choices": [{"index": 1, "finish_reason": "network_error"}, {"index": 0, "finish_reason": "stop"}]},
    {"type": "keepalive"},
    {"item": {"error": {"code": "1308"}, "type": "mcp_call"}},
    {"model": "glm-5.2"},
    {"model": "", "response": {"model": "glm-4.7"}},
]


NEXT_LINES = st.sampled_from([b"\n", b"\n\n"])
BARE = st.builds(lambda text, behind: text.replace(b"\r", b"") + behind, written(objects()), NEXT_LINES)


@st.composite
def single_words(draw: st.DrawFn) -> bytes:
    """An event with one thing that matters, if any: no other word leads a reader to it."""
    data = draw(written(st.sampled_from([*DULL, *DULL, *SINGLE_WORDS])) | st.sampled_from(ODD_DATA))
    space = draw(st.sampled_from([b" ", b" ", b"", b"  ", b"\t"]))
    name = draw(st.sampled_from([b""] * 7 + [b"event: message\n", b"event: error\n", b"event:error\n", b": error\n"]))
    return name + b"".join(b"data:" + space + line + b"\n" for line in data.split(b"\n")) + b"\n"


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """A whole event stream."""
    opening = draw(st.sampled_from([b"", b"\xef\xbb\xbf", b": hello\n\n", OPENING, OPENING, NAMELESS]))
    body = opening + b"".join(
        draw(st.lists(events() | events() | events() | BARE, max_size=8) | st.lists(single_words(), max_size=12))
    )
    kept = draw(st.sampled_from([0, 0, 0, 1, 2, 5, 40]))
    body = body[: len(body) - kept] if kept else body
    line_end = draw(st.sampled_from([b"\n", b"\n", b"\r\n", b"\r", None]))
    if line_end is not None:
        return body.replace(b"\n", line_end)
    ends = draw(st.lists(st.sampled_from([b"\n", b"\r\n", b"\r"]), min_size=1, max_size=5))
    lines = body.split(b"\n")
    return b"".join(line + ends[n % len(ends)] for n, line in enumerate(lines[:-1])) + lines[-1]


@st.composite
def chats(draw: st.DrawFn) -> bytes:
    """A stream of Chat with several choices, which begin and finish in any order."""
    chunks = draw(st.lists(CHUNKS, min_size=1, max_size=14))
    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (" , ", " : ")]))
    data = [json.dumps(chunk, separators=separators).encode() for chunk in chunks]
    done = draw(st.sampled_from([[], [], [], [b"[DONE]"]]))
    return CHAT_OPENING + b"".join(b"data: " + each + b"\n\n" for each in [*data, *done])


INDEXES = st.sampled_from([0, 0, 1, 1, 2, 3, 10, -1, 0.5, 1e3, "1", None, True])
SHOWN = st.fixed_dictionaries(
    {},
    optional={
        "index": INDEXES,
        "delta": st.sampled_from([{"content": "x"}, {"tool_calls": [{"index": 1, "function": {}}]}]),
        "finish_reason": st.sampled_from(["stop", "length", "", None]),
    },
)
CHUNKS = st.fixed_dictionaries(
    {"choices": st.lists(SHOWN, max_size=3)},
    optional={"usage": st.sampled_from([None, {"prompt_tokens": 9}, {"completion_tokens": 0}])},
)
CHAT_OPENING = b'data: {"model": "glm-5.2", "choices": [{"index": 0, "delta": {"content": "x"}}]}\n\n'

# What a stream has said when its reader may pass whole events over: the way on which a word could be missed.
OPENING = (
    b'event: message_start\ndata: {"type": "message_start", "message": {"model": "glm-5.3"}}\n\n'
    b'event: content_block_delta\ndata: {"type": "content_block_delta", "delta": {"text": "x"}}\n\n'
)

# The same, where nobody has named a model.
NAMELESS = b'data: {"choices": [{"delta": {"content": "x"}}]}\n\n' * 64

DECOY_TOOLS = st.lists(
    st.fixed_dictionaries(
        {
            "name": TEXTS,
            "input_schema": st.fixed_dictionaries({"model": SCALARS, "stream": SCALARS, "max_tokens": NUMBERS}),
        }
    ),
    max_size=2,
)


@st.composite
def asked(draw: st.DrawFn) -> dict[str, object]:
    """A request's object: what matters stands anywhere among what looks like it."""
    fields: dict[str, object] = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "model": MODELS,
                "stream": st.booleans() | SCALARS,
                "messages": st.lists(
                    st.fixed_dictionaries({"role": TEXTS, "content": LONG_TEXTS | ANYTHING, "model": SCALARS}),
                    max_size=3,
                ),
                "tools": DECOY_TOOLS,
                "metadata": st.dictionaries(KEYS, ANYTHING, max_size=3),
                "system": LONG_TEXTS,
                "temperature": NUMBERS,
                "stream_options": st.just({"include_usage": True, "stream": False}),
            },
        )
    )
    name = draw(st.sampled_from([None, "max_tokens", "max_completion_tokens", "max_output_tokens"]))
    if name is not None:
        fields[name] = draw(COUNTS)
    return dict(draw(st.permutations(list(fields.items()))))


CUTS = st.lists(st.integers(0, 3000), max_size=6)


@st.composite
def damaged(draw: st.DrawFn, bodies: st.SearchStrategy[bytes]) -> bytes:
    """A body in which something was lost, doubled or replaced."""
    body = draw(bodies)
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(body)))
        end = min(len(body), start + draw(st.sampled_from([0, 1, 1, 2, 10, 100])))
        put = draw(
            st.sampled_from([b"", body[start:end] * 2, b"\x00", b"\xff\xfe", b'"', b"\\", b"{", b"}", b"\n", b"\r"])
        )
        body = body[:start] + put + body[end:]
    return body
