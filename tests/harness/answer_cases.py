"""Answers that were once read wrongly, or could be: what comes, what a reader finds in it, what is counted.

Made small after public reports. The unit tests hold the readers to `read`, the integration tests hold the whole proxy
to `right`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

from simulator.scenario.model import PLAY_END, PLAY_RESET

MESSAGES: Final = "/v1/messages"
CHAT: Final = "/v1/chat/completions"
RESPONSES: Final = "/v1/responses"

EVENTS: Final = "text/event-stream"
JSON: Final = "application/json"
HTML: Final = "text/html"

# Stands in `Right.error` for any type of error: the client was shown an error, and how does not matter.
COUNTED: Final = "counted"


class Ending(Enum):
    """How a body ends on the wire. A case without an ending ends as its framing says."""

    END = PLAY_END  # the last chunk, so what stands before it can be a pause
    RESET = PLAY_RESET  # a TCP reset


END: Final = Ending.END
RESET: Final = Ending.RESET


@dataclass(frozen=True, slots=True)
class Tokens:
    """What is counted, in disjoint directions."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0


NO_TOKENS: Final = Tokens()


@dataclass(frozen=True, slots=True)
class Right:
    """What the books have to say of a case.

    `status` is the one that is counted, `tokens` what is counted (None: whatever the estimate says), `estimated`
    whether an estimate is a part of it (None: either will do), `error` an error_type of upstream_errors_total, `code`
    and `error_class` what zai_errors_total has, `attempts` how often the request goes up (None: as often as it may).
    """

    status: int = 200
    tokens: Tokens | None = NO_TOKENS
    estimated: bool | None = False
    error: str | None = None
    code: str | None = None
    error_class: str | None = None
    attempts: int | None = 1
    gate_closes: bool = False


@dataclass(frozen=True, slots=True)
class AnswerCase:
    """One answer. `read` is what its reader reports of `seen`, under the names that envoy/answer.lua gives it."""

    name: str
    path: str
    pieces: tuple[bytes | float | Ending, ...]
    read: Mapping[str, object]
    right: Right = field(default_factory=Right)
    status: int = 200
    content_type: str = EVENTS
    framing: str = "chunked"
    client_leaves_after: bytes | None = None

    @property
    def body(self) -> bytes:
        """All bytes, one after the other."""
        return b"".join(piece for piece in self.pieces if isinstance(piece, bytes))

    @property
    def seen(self) -> bytes:
        """The bytes that have passed when the client leaves; all of them if it stays."""
        if self.client_leaves_after is None:
            return self.body
        passed = b""
        for piece in self.pieces:
            passed += piece if isinstance(piece, bytes) else b""
            if self.client_leaves_after in passed:
                break
        return passed

    @property
    def late(self) -> bool:
        """Whether the error comes when the head of a good answer is out."""
        return "code" in self.read and self.status < 400 and self.read["first"] == "good"

    def scenario(self) -> dict[str, object]:
        """The answer as a scenario of the simulator."""
        play = [_played(piece) for piece in self.pieces]
        head = {"status": self.status, "content_type": self.content_type, "framing": self.framing}
        return {"play": play, **head}


def _played(piece: bytes | float | Ending) -> str | float:
    if isinstance(piece, Ending):
        return str(piece.value)
    return piece.decode(errors="surrogateescape") if isinstance(piece, bytes) else piece


# EVENTS -----------------------------------------------------------------------------------------------------------


def dump(value: object) -> bytes:
    """JSON as Z.AI's Messages surface writes it: with spaces, and characters beyond ASCII as they are."""
    return json.dumps(value, ensure_ascii=False).encode()


def event(name: str | None, data: object) -> bytes:
    """An event; `data` is JSON unless it is bytes."""
    head = b"" if name is None else b"event: " + name.encode() + b"\n"
    return head + b"data: " + (data if isinstance(data, bytes) else dump(data)) + b"\n\n"


def message_event(kind: str, **fields: object) -> bytes:
    """An event of the Messages dialect: its name says again what its data says."""
    return event(kind, {"type": kind, **fields})


def message_start(model: str = "glm-5.3", **usage: int) -> bytes:
    """The first event of a Messages stream. Z.AI's says 0 of all tokens."""
    told = {"input_tokens": 0, "output_tokens": 0, **usage}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "stop_reason": None}
    return message_event("message_start", message={**message, "model": model, "usage": told})


def text_delta(text: str) -> bytes:
    """A piece of a Messages answer's text."""
    return message_event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})


def message_delta(stop: str | None = "end_turn", **usage: int) -> bytes:
    """The event with the tokens of a Messages stream."""
    return message_event("message_delta", delta={"stop_reason": stop, "stop_sequence": None}, usage=usage)


MESSAGE_STOP: Final = message_event("message_stop")
DONE: Final = event(None, b"[DONE]")


def chunk(text: str = "", finish: str | None = None, index: int = 0, **fields: object) -> bytes:
    """A chunk of a Chat Completions stream; without a finish_reason it has no such key, as Z.AI's have none."""
    choice: dict[str, object] = {"index": index, "delta": {"role": "assistant", "content": text}}
    if finish is not None:
        choice["finish_reason"] = finish
    return event(None, {"id": "c1", "created": 7, "model": "glm-5.2", "choices": [choice], **fields})


def chat_usage(prompt: int, completion: int, cached: int = 0) -> dict[str, object]:
    """Chat Completions count what came from the cache within the prompt."""
    details = {"cached_tokens": cached}
    total = prompt + completion
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}
    return {**counts, "prompt_tokens_details": details}


def response_event(kind: str, **fields: object) -> bytes:
    """An event of the Responses dialect."""
    return event(kind, {"type": kind, "sequence_number": 3, **fields})


def response_object(status: str, usage: object = None, **fields: object) -> dict[str, object]:
    """The response that the events of a Responses stream repeat."""
    head = {"id": "resp_1", "object": "response", "status": status, "error": None, "model": "glm-5.3", "output": []}
    return {**head, "usage": usage, **fields}


def response_usage(prompt: int, output: int, cached: int = 0, reasoning: int = 0) -> dict[str, object]:
    """Responses count what came from the cache within the input, and reasoning within the output."""
    counts = {"input_tokens": prompt, "output_tokens": output, "total_tokens": prompt + output}
    details = {
        "input_tokens_details": {"cached_tokens": cached},
        "output_tokens_details": {"reasoning_tokens": reasoning},
    }
    return {**counts, **details}


def error_event(error: Mapping[str, object], **fields: object) -> bytes:
    """An error within a Messages stream."""
    return message_event("error", error=error, **fields)


OVERLOADED: Final = {
    "type": "overloaded_error",
    "code": "1305",
    "message": "[1305][Too much is going on here, come back later][20261125aa]",
}
LIMITED: Final = {"type": "rate_limit_error", "code": "1302", "message": "too many at once"}

# What most streams have in common, and what is read of it.
OPENED: Final = (message_start(), text_delta("hello"))
SPOKEN: Final = {"kind": "events", "model": "glm-5.3", "begun": True, "first": "good"}
STARTED: Final = {"kind": "events", "model": "glm-5.3", "first": "good"}
CHATTED: Final = {"kind": "events", "model": "glm-5.2", "begun": True, "first": "good"}
ENDED: Final = {**SPOKEN, "stop": "end_turn", "final": True}
TOLD: Final = {"prompt_tokens": 3859, "completion_tokens": 14, "cached_tokens": 43, "tells_cache": True}
STOPPED: Final = {**CHATTED, **TOLD, "stop": "stop", "final": True}
USAGE: Final = chat_usage(3859, 14, 43)
LAST_CHUNK: Final = chunk(finish="stop", usage=USAGE)
OTHER_LAST_CHUNK: Final = chunk(finish="stop", index=1, usage=USAGE)
OF_CHAT: Final = Tokens(3816, 14, 43)
COMPLETED: Final = response_event(
    "response.completed", response=response_object("completed", response_usage(12500, 60, 11000))
)
OF_COMPLETED: Final = {"input_tokens": 12500, "output_tokens": 60, "cached_tokens": 11000, "tells_cache": True}
OF_RESPONSE: Final = Tokens(1500, 60, 11000)
NO_ANSWER: Final = {"kind": "json", "final": True, "first": "good"}
BROKEN_OFF: Final = Right(tokens=None, estimated=True, error="read_error")

# An error within a stream that has begun to show itself: the client has seen it, nothing is tried again.
LATE_OVERLOAD: Final = Right(error=COUNTED, code="1305", error_class="overload")
LATE_LIMIT: Final = Right(error=COUNTED, code="1302", error_class="concurrency")
LATE_QUOTA: Final = Right(error=COUNTED, code="1308", error_class="quota", gate_closes=True)
LATE_UNKNOWN: Final = Right(error=COUNTED, code="other", error_class="unknown")

# An error that is all there is: tried again, and at the end shown with the status it should have had.
HIDDEN_OVERLOAD: Final = Right(status=529, error="529", code="1305", error_class="overload", attempts=None)
HIDDEN_LIMIT: Final = Right(status=429, error="429", code="1302", error_class="concurrency", attempts=None)
HIDDEN_QUOTA: Final = Right(status=429, error="429", code="1308", error_class="quota", gate_closes=True)


LATE_OVERLOAD_IN_WORDS: Final = Right(error="529", code="other", error_class="overload")
NETWORK_FAILED: Final = Right(tokens=OF_CHAT, error="read_error", code="other", error_class="internal")


def _after_words(right: Right) -> Right:
    """The same where a part of an answer came before the error: that part costs tokens, which nobody told."""
    return replace(right, tokens=None, estimated=True)


def _messages_stream(*between: bytes) -> tuple[bytes, ...]:
    """A whole Messages stream of 9 + 2 tokens with something in its middle."""
    return (*OPENED, *between, message_delta(input_tokens=9, output_tokens=2), MESSAGE_STOP)


OF_MESSAGES: Final = {"input_tokens": 9, "output_tokens": 2}
GOOD_MESSAGES: Final = Right(tokens=Tokens(9, 2))
GOOD_CHAT: Final = Right(tokens=OF_CHAT)


def _with_line_end(line_end: bytes) -> tuple[bytes, ...]:
    return tuple(piece.replace(b"\n", line_end) for piece in _messages_stream())


# CLIENTS THAT HANG UP ---------------------------------------------------------------------------------------------

HANGING_UP = (
    AnswerCase(
        name="openai_sdk_leaves_at_done",
        path=CHAT,
        pieces=(chunk("x"), LAST_CHUNK + DONE, 0.002, END),
        client_leaves_after=b"[DONE]",
        read=STOPPED,
        right=GOOD_CHAT,
    ),
    AnswerCase(
        name="codex_leaves_at_the_completed_response",
        path=RESPONSES,
        pieces=(COMPLETED, 0.002, DONE, END),
        client_leaves_after=b"response.completed",
        read={**STARTED, **OF_COMPLETED, "final": True},
        right=Right(tokens=OF_RESPONSE),
    ),
    AnswerCase(
        name="client_leaves_at_message_stop",
        path=MESSAGES,
        pieces=(*_messages_stream(), 0.2, END),
        client_leaves_after=b"message_stop",
        read={**ENDED, **OF_MESSAGES},
        right=GOOD_MESSAGES,
    ),
    AnswerCase(
        name="client_leaves_when_usage_follows_the_finish_reason",
        path=CHAT,
        pieces=(chunk("x"), chunk(finish="stop"), event(None, {"choices": [], "usage": USAGE}), 0.2, DONE, END),
        client_leaves_after=b"prompt_tokens",
        read=STOPPED,
        right=GOOD_CHAT,
    ),
    AnswerCase(
        name="client_leaves_in_mid_stream",
        path=MESSAGES,
        pieces=(*OPENED, 5.0, message_delta(input_tokens=9, output_tokens=2) + MESSAGE_STOP, END),
        client_leaves_after=b"hello",
        read=SPOKEN,
        right=Right(status=499, tokens=None, estimated=True, error="write_error"),
    ),
    AnswerCase(
        name="client_leaves_between_finish_reason_and_usage",
        path=CHAT,
        pieces=(chunk("x"), chunk(finish="stop"), 5.0, event(None, {"choices": [], "usage": USAGE}), DONE, END),
        client_leaves_after=b"finish_reason",
        read={**CHATTED, "stop": "stop"},
        right=Right(status=499, tokens=None, estimated=True, error="write_error"),
    ),
    AnswerCase(
        name="client_leaves_when_one_of_two_choices_has_finished",
        path=CHAT,
        pieces=(
            chunk("x"),
            chunk("y", index=1),
            LAST_CHUNK,
            5.0,
            chunk(finish="stop", index=1, usage=USAGE),
            DONE,
            END,
        ),
        client_leaves_after=b"prompt_tokens",
        read={**CHATTED, **TOLD, "stop": "stop"},
        right=Right(status=499, tokens=OF_CHAT, estimated=False, error="write_error"),
    ),
    AnswerCase(
        name="client_leaves_when_a_choice_begins_behind_one_that_has_finished",
        path=CHAT,
        pieces=(
            chunk("x"),
            LAST_CHUNK,
            chunk("y", index=1),
            5.0,
            chunk(finish="stop", index=1, usage=USAGE),
            DONE,
            END,
        ),
        client_leaves_after=b'"y"',
        read={**CHATTED, **TOLD, "stop": "stop"},
        right=Right(status=499, tokens=OF_CHAT, estimated=False, error="write_error"),
    ),
    AnswerCase(
        name="client_leaves_when_both_choices_have_finished",
        path=CHAT,
        pieces=(
            chunk("y", index=1),
            chunk("x"),
            chunk(finish="stop", index=1),
            LAST_CHUNK,
            0.2,
            DONE,
            END,
        ),
        client_leaves_after=b"prompt_tokens",
        read=STOPPED,
        right=GOOD_CHAT,
    ),
)

# ERRORS WITHIN STREAMS --------------------------------------------------------------------------------------------

LATE_ERRORS = (
    AnswerCase(
        name="an_error_without_a_code",
        path=MESSAGES,
        pieces=(message_start(), error_event({"type": "overloaded_error", "message": "Overloaded"}), END),
        read={**STARTED, "code": "overloaded_error"},
        right=Right(error=COUNTED, code="other", error_class="overload"),
    ),
    AnswerCase(
        name="the_code_is_only_in_the_message",
        path=MESSAGES,
        pieces=(
            message_start(),
            error_event(
                {
                    "type": "rate_limit_error",
                    "message": "[1308][All used up. Your limit will reset at 2026-11-25 23:11:54][20261125bb]",
                }
            ),
            END,
        ),
        read={**STARTED, "code": "1308"},
        right=LATE_QUOTA,
    ),
    AnswerCase(
        name="the_code_is_the_type",
        path=MESSAGES,
        pieces=(message_start(), error_event({"type": "1305", "message": "no room"}), END),
        read={**STARTED, "code": "1305"},
        right=LATE_OVERLOAD,
    ),
    AnswerCase(
        name="the_form_of_the_gateway",
        path=CHAT,
        pieces=(chunk("x"), event(None, {"code": 1305, "msg": "no room", "success": False}), END),
        read={**CHATTED, "code": "1305"},
        right=_after_words(LATE_OVERLOAD),
    ),
    AnswerCase(
        name="the_gateway_gives_no_code",
        path=CHAT,
        pieces=(chunk("x"), event(None, {"msg": "went wrong", "success": False}), END),
        read={**CHATTED, "code": "unknown"},
        right=_after_words(LATE_UNKNOWN),
    ),
    AnswerCase(
        name="a_brace_in_the_message",
        path=CHAT,
        pieces=(chunk("x"), event(None, b'{"error":{"message":"too } many","code":"1302"}}'), END),
        read={**CHATTED, "code": "1302"},
        right=_after_words(LATE_LIMIT),
    ),
    AnswerCase(
        name="an_error_in_a_stream_as_json",
        path=CHAT,
        content_type=JSON,
        pieces=(chunk("x"), event(None, {"error": {"message": "too many", "code": "1302"}}), END),
        read={**CHATTED, "code": "1302"},
        right=_after_words(LATE_LIMIT),
    ),
    AnswerCase(
        name="json_in_the_message",
        path=CHAT,
        pieces=(
            chunk("x"),
            event(
                None,
                {"error": {"message": 'upstream: {"error": {"code": "1308"}} 请稍后再试 \U0001f642', "code": "1302"}},
            ),
            END,
        ),
        read={**CHATTED, "code": "1302"},
        right=_after_words(LATE_LIMIT),
    ),
    AnswerCase(
        name="a_failed_response_has_the_code_in_its_message",
        path=RESPONSES,
        pieces=(
            response_event("response.created", response=response_object("in_progress")),
            response_event(
                "response.failed",
                response=response_object("failed", error={"code": "rate_limit_exceeded", "message": "[1302][wait][7]"}),
            ),
            END,
        ),
        read={**STARTED, "code": "1302", "final": True},
        right=LATE_LIMIT,
    ),
    AnswerCase(
        name="a_failed_response_has_a_word",
        path=RESPONSES,
        pieces=(
            response_event("response.created", response=response_object("in_progress")),
            response_event("response.output_text.delta", delta="hel"),
            response_event(
                "response.failed",
                response=response_object("failed", error={"code": "server_error", "message": "sorry"}),
            ),
            END,
        ),
        read={**SPOKEN, "code": "server_error", "final": True},
        right=replace(_after_words(LATE_UNKNOWN), error_class="internal"),
    ),
    AnswerCase(
        name="an_error_event_of_the_responses_dialect",
        path=RESPONSES,
        pieces=(
            response_event("response.created", response=response_object("in_progress")),
            response_event("error", code="rate_limit_exceeded", message="[1302][wait][7]", param=None),
            END,
        ),
        read={**STARTED, "code": "1302"},
        right=LATE_LIMIT,
    ),
    AnswerCase(
        name="an_error_event_in_two_pieces",
        path=MESSAGES,
        pieces=(
            message_start(),
            b'event: error\ndata: {"type": "error", "error": {"type": "overloaded_err',
            0.01,
            b'or", "code": "1305", "message": "[1305][no room][20261125cc]"}, "request_id": "20261125cc"}\n\n',
            END,
        ),
        read={**STARTED, "code": "1305"},
        right=LATE_OVERLOAD,
    ),
    AnswerCase(
        name="an_error_behind_a_long_text",
        path=MESSAGES,
        pieces=(message_start() + text_delta("y" * 5000) + error_event(OVERLOADED), END),
        read={**SPOKEN, "code": "1305"},
        right=_after_words(LATE_OVERLOAD),
    ),
    AnswerCase(
        name="nothing_but_a_message_in_brackets",
        path=CHAT,
        pieces=(chunk("x"), event(None, b"[1308][The 5 hours are used up][20261125dd]"), END),
        read={**CHATTED, "code": "1308"},
        right=_after_words(LATE_QUOTA),
    ),
    AnswerCase(
        name="a_message_in_brackets_and_quotes",
        path=MESSAGES,
        pieces=(message_start(), event("error", b'"[1305][no room][20261125ee]"'), END),
        read={**STARTED, "code": "1305"},
        right=LATE_OVERLOAD,
    ),
    AnswerCase(
        name="an_error_event_without_json",
        path=MESSAGES,
        pieces=(message_start(), event("error", b"upstream went away"), END),
        read={**STARTED, "code": "unknown"},
        right=LATE_UNKNOWN,
    ),
    AnswerCase(
        name="an_error_event_that_is_cut_off",
        path=MESSAGES,
        pieces=(message_start(), b'event: error\ndata: {"type": "error", "err', END),
        read={**STARTED, "code": "unknown"},
        right=LATE_UNKNOWN,
    ),
    AnswerCase(
        name="an_error_event_with_a_type_of_its_own",
        path=MESSAGES,
        pieces=(message_start(), event("error", {"type": "too_hot", "detail": "come back"}), END),
        read={**STARTED, "code": "too_hot"},
        right=LATE_UNKNOWN,
    ),
    AnswerCase(
        name="the_request_id_comes_before_the_error",
        path=MESSAGES,
        pieces=(
            message_start(),
            event("error", {"request_id": "20261125ff", "error": {"message": "wait", "code": "1302"}, "type": "error"}),
            END,
        ),
        read={**STARTED, "code": "1302"},
        right=LATE_LIMIT,
    ),
    AnswerCase(
        name="the_code_is_a_number",
        path=CHAT,
        pieces=(chunk("x"), event(None, {"error": {"code": 1302, "message": "wait"}}), END),
        read={**CHATTED, "code": "1302"},
        right=_after_words(LATE_LIMIT),
    ),
    AnswerCase(
        name="the_error_is_a_sentence",
        path=CHAT,
        pieces=(chunk("x"), event(None, {"error": "[1305][no room][20261125gg]"}), END),
        read={**CHATTED, "code": "1305"},
        right=_after_words(LATE_OVERLOAD),
    ),
    AnswerCase(
        name="the_first_of_two_errors_counts",
        path=MESSAGES,
        pieces=(
            message_start(),
            error_event(OVERLOADED),
            error_event({"type": "api_error", "message": "closing"}),
            END,
        ),
        read={**STARTED, "code": "1305"},
        right=LATE_OVERLOAD,
    ),
    AnswerCase(
        name="z_ai_says_network_error_for_the_end",
        path=CHAT,
        pieces=(chunk("x"), chunk(finish="network_error", usage=USAGE), DONE, END),
        read={**STOPPED, "stop": "network_error"},
        right=NETWORK_FAILED,
    ),
    AnswerCase(
        name="one_of_two_choices_says_network_error",
        path=CHAT,
        pieces=(chunk("x"), chunk("y", index=1), chunk(finish="network_error"), OTHER_LAST_CHUNK, DONE, END),
        read={**STOPPED, "stop": "network_error"},
        right=NETWORK_FAILED,
    ),
    AnswerCase(
        name="a_network_error_and_a_good_end_in_one_chunk",
        path=CHAT,
        pieces=(
            chunk("x"),
            event(
                None,
                {
                    "model": "glm-5.2",
                    "choices": [
                        {"index": 0, "finish_reason": "network_error"},
                        {"index": 1, "finish_reason": "stop"},
                    ],
                    "usage": USAGE,
                },
            ),
            DONE,
            END,
        ),
        read={**STOPPED, "stop": "network_error"},
        right=NETWORK_FAILED,
    ),
    AnswerCase(
        name="a_chunk_with_another_reason_follows_the_network_error",
        path=CHAT,
        pieces=(chunk("x"), chunk(finish="network_error"), LAST_CHUNK, DONE, END),
        read={**STOPPED, "stop": "network_error"},
        right=NETWORK_FAILED,
    ),
    AnswerCase(
        name="an_http_status_stands_in_place_of_a_code",
        path=MESSAGES,
        pieces=(message_start(), error_event({"type": "overloaded_error", "code": 529, "message": "Overloaded"}), END),
        read={**STARTED, "code": "overloaded_error"},
        right=LATE_OVERLOAD_IN_WORDS,
    ),
    AnswerCase(
        name="an_http_status_is_all_that_is_told",
        path=CHAT,
        pieces=(chunk("x"), event(None, {"error": {"code": "529", "message": "Overloaded"}}), END),
        read={**CHATTED, "code": "529"},
        right=_after_words(LATE_OVERLOAD_IN_WORDS),
    ),
    AnswerCase(
        name="the_code_says_more_than_the_type",
        path=CHAT,
        pieces=(
            chunk("x"),
            event(None, {"error": {"type": "requests", "code": "rate_limit_exceeded", "message": "wait"}}),
            END,
        ),
        read={**CHATTED, "code": "rate_limit_exceeded"},
        right=_after_words(Right(error="429", code="other", error_class="frequency")),
    ),
    AnswerCase(
        name="the_errors_are_an_array",
        path=CHAT,
        pieces=(chunk("x"), event(None, {"error": [{"code": "1302", "message": "wait"}]}), END),
        read={**CHATTED, "code": "1302"},
        right=_after_words(LATE_LIMIT),
    ),
    *(
        AnswerCase(
            name=f"an_error_{form}",
            path=CHAT,
            pieces=(chunk("x"), event(None, error), END),
            read={**CHATTED, "code": code},
            right=_after_words(right),
        )
        for form, error, code, right in (
            ("that_is_just_true", {"error": True, "message": "[1305] no room"}, "1305", LATE_OVERLOAD),
            (
                "within_an_error",
                {"error": {"message": "no luck", "error": {"code": 1302, "message": "wait"}}},
                "1302",
                LATE_LIMIT,
            ),
            ("with_the_code_within_its_sentence", {"error": "upstream said [1302][wait][7]"}, "1302", LATE_LIMIT),
            ("that_is_a_code", {"error": "1302", "message": "wait"}, "1302", LATE_LIMIT),
            (
                "of_a_gateway_with_a_code_in_quotes",
                {"code": "1302", "msg": "wait", "success": False},
                "1302",
                LATE_LIMIT,
            ),
            (
                "that_is_a_sentence_alone",
                {"error": "Rate limit reached"},
                "rate_limit",
                Right(error="429", code="other", error_class="frequency"),
            ),
        )
    ),
    AnswerCase(
        name="json_without_a_field_within_a_stream",
        path=CHAT,
        pieces=(chunk("x"), dump({"error": {"code": "1305", "message": "no room"}}) + b"\n", END),
        read={**CHATTED, "code": "1305"},
        right=_after_words(LATE_OVERLOAD),
    ),
)

# ERRORS AT THE BEGINNING ------------------------------------------------------------------------------------------

FIRST: Final = {"kind": "events", "first": "error"}

HIDDEN_ERRORS = (
    AnswerCase(
        name="an_error_is_the_first_event",
        path=MESSAGES,
        pieces=(error_event(OVERLOADED, request_id="20261125hh"), END),
        read={**FIRST, "code": "1305"},
        right=HIDDEN_OVERLOAD,
    ),
    AnswerCase(
        name="an_error_is_the_first_event_after_a_pause",
        path=MESSAGES,
        pieces=(0.3, error_event(OVERLOADED), END),
        read={**FIRST, "code": "1305"},
        right=HIDDEN_OVERLOAD,
    ),
    AnswerCase(
        name="a_chat_stream_begins_with_a_network_error",
        path=CHAT,
        pieces=(chunk(finish="network_error"), DONE, END),
        read={**FIRST, "model": "glm-5.2", "stop": "network_error", "code": "network_error", "final": True},
        right=Right(status=500, error="500", code="other", error_class="internal", attempts=None),
    ),
    AnswerCase(
        name="an_http_status_beside_the_type_of_the_first_event",
        path=MESSAGES,
        pieces=(error_event({"type": "overloaded_error", "code": "529", "message": "Overloaded"}), END),
        read={**FIRST, "code": "overloaded_error"},
        right=replace(HIDDEN_OVERLOAD, code="other"),
    ),
    AnswerCase(
        name="an_http_status_is_all_that_the_first_event_tells",
        path=CHAT,
        pieces=(event(None, {"error": {"code": 503, "message": "Service unavailable"}}), END),
        read={**FIRST, "code": "503"},
        right=Right(status=503, error="503", code="other", error_class="unknown"),
    ),
    AnswerCase(
        name="a_rate_limit_in_words",
        path=CHAT,
        pieces=(event(None, {"error": {"code": 429, "type": "rate_limit_error", "message": "slow"}}), END),
        read={**FIRST, "code": "rate_limit_error"},
        right=Right(status=429, error="429", code="other", error_class="frequency", attempts=None),
    ),
    AnswerCase(
        name="the_prompt_is_too_long_in_words",
        path=CHAT,
        pieces=(event(None, {"error": {"type": "invalid_request_error", "code": "context_length_exceeded"}}), END),
        read={**FIRST, "code": "context_length_exceeded"},
        right=Right(status=400, error="400", code="other", error_class="client"),
    ),
    AnswerCase(
        name="an_error_object_that_is_empty_is_all_there_is",
        path=CHAT,
        pieces=(event(None, {"error": {}}), END),
        read={**FIRST, "code": "unknown"},
        right=Right(status=500, error="500", code="other", error_class="unknown"),
    ),
    AnswerCase(
        name="an_array_of_errors",
        path=CHAT,
        content_type=JSON,
        framing="length",
        pieces=(dump([{"error": {"code": 1305, "message": "no room"}}]),),
        read={"kind": "json", "code": "1305", "first": "error", "final": True},
        right=HIDDEN_OVERLOAD,
    ),
    AnswerCase(
        name="a_chat_stream_begins_with_an_error",
        path=CHAT,
        pieces=(event(None, {"error": {"code": "1302", "message": "wait"}}), DONE, END),
        read={**FIRST, "code": "1302", "final": True},
        right=HIDDEN_LIMIT,
    ),
    AnswerCase(
        name="a_quota_error_is_the_first_event",
        path=CHAT,
        pieces=(event(None, b"[1308][Used up. Your limit will reset at 2026-11-25 23:11:54][20261125ii]"), END),
        read={**FIRST, "code": "1308"},
        right=HIDDEN_QUOTA,
    ),
    AnswerCase(
        name="json_without_a_field_behind_a_comment",
        path=MESSAGES,
        pieces=(b": wait\n\n", json.dumps({"error": OVERLOADED}, indent=2).encode() + b"\n\n", END),
        read={**FIRST, "code": "1305"},
        right=HIDDEN_OVERLOAD,
    ),
    AnswerCase(
        name="an_error_in_a_detail",
        path=CHAT,
        content_type=JSON,
        framing="length",
        pieces=(dump({"detail": {"error": {"code": "1305", "message": "no room"}}}),),
        read={"kind": "json", "code": "1305", "first": "error", "final": True},
        right=HIDDEN_OVERLOAD,
    ),
    AnswerCase(
        name="an_overload_in_a_sentence",
        path=CHAT,
        content_type=JSON,
        framing="length",
        pieces=(dump({"error": "The model is overloaded"}),),
        read={"kind": "json", "code": "overloaded", "first": "error", "final": True},
        right=replace(HIDDEN_OVERLOAD, code="other"),
    ),
    AnswerCase(
        name="a_json_error_under_the_head_of_a_stream",
        path=MESSAGES,
        pieces=(dump({"type": "error", "error": OVERLOADED}), END),
        read={"kind": "json", "code": "1305", "first": "error", "final": True},
        right=HIDDEN_OVERLOAD,
    ),
    AnswerCase(
        name="a_json_error_in_a_200_of_unknown_length",
        path=MESSAGES,
        content_type=JSON,
        pieces=(dump({"type": "error", "error": OVERLOADED, "request_id": "20261125jj"}),),
        read={"kind": "json", "code": "1305", "first": "error", "final": True},
        right=HIDDEN_OVERLOAD,
    ),
    AnswerCase(
        name="a_json_error_in_a_200_of_the_gateway",
        path=CHAT,
        content_type=JSON,
        framing="length",
        pieces=(dump({"success": False, "msg": "no room", "code": 1305}),),
        read={"kind": "json", "code": "1305", "first": "error", "final": True},
        right=HIDDEN_OVERLOAD,
    ),
    AnswerCase(
        name="a_message_in_brackets_in_a_200",
        path=MESSAGES,
        content_type=JSON,
        framing="length",
        pieces=(b"[1305][no room][20261125kk]",),
        read={"kind": "json", "code": "1305", "first": "error"},
        right=HIDDEN_OVERLOAD,
    ),
    AnswerCase(
        name="a_quoted_message_in_brackets_in_a_200",
        path=MESSAGES,
        content_type=JSON,
        pieces=(b'"[1305][no room][20261125ll]"',),
        read={"kind": "json", "code": "1305", "first": "error", "final": True},
        right=HIDDEN_OVERLOAD,
    ),
    AnswerCase(
        name="a_message_in_brackets_as_plain_text",
        path=MESSAGES,
        content_type="text/plain",
        framing="length",
        pieces=(b"[1305][no room][20261125mm]",),
        read={"kind": "text", "code": "1305", "first": "error"},
        right=HIDDEN_OVERLOAD,
    ),
    AnswerCase(
        name="an_error_event_as_json",
        path=MESSAGES,
        content_type=JSON,
        pieces=(error_event(LIMITED), END),
        read={**FIRST, "code": "1302"},
        right=HIDDEN_LIMIT,
    ),
    AnswerCase(
        name="an_error_event_as_json_with_a_length",
        path=CHAT,
        content_type=JSON,
        framing="length",
        pieces=(event(None, {"error": {"code": "1305", "message": "busy"}}),),
        read={**FIRST, "code": "1305"},
        right=HIDDEN_OVERLOAD,
    ),
    AnswerCase(
        name="an_error_event_is_all_of_a_stream_with_a_length",
        path=CHAT,
        framing="length",
        pieces=(event(None, {"error": {"code": "1305", "message": "busy"}}),),
        read={**FIRST, "code": "1305"},
        right=HIDDEN_OVERLOAD,
    ),
    AnswerCase(
        name="a_json_error_with_a_length_and_no_content_type",
        path=CHAT,
        content_type="",
        framing="length",
        pieces=(dump({"error": {"code": "1305", "message": "busy"}}),),
        read={"kind": "json", "code": "1305", "first": "error", "final": True},
        right=HIDDEN_OVERLOAD,
    ),
    *(
        AnswerCase(
            name=f"a_json_error_as_plain_text_{framing}",
            path=CHAT,
            content_type="text/plain; charset=utf-8",
            framing=framing,
            pieces=(dump({"error": {"code": "1305", "message": "busy"}}),),
            read={"kind": "json", "code": "1305", "first": "error", "final": True},
            right=HIDDEN_OVERLOAD,
        )
        for framing in ("length", "chunked")
    ),
    *(
        AnswerCase(
            name=f"a_429_of_unknown_length_as_{form}",
            path=MESSAGES,
            status=429,
            content_type=content_type,
            pieces=(dump({"type": "error", "error": LIMITED}),),
            read={"kind": "json", "code": "1302", "first": "error", "final": True},
            right=HIDDEN_LIMIT,
        )
        for form, content_type in (("problem_json", "application/problem+json"), ("a_stream", EVENTS), ("nothing", ""))
    ),
    AnswerCase(
        name="a_429_with_an_event_for_a_body",
        path=MESSAGES,
        status=429,
        pieces=(error_event(LIMITED), END),
        read={**FIRST, "code": "1302"},
        right=HIDDEN_LIMIT,
    ),
    AnswerCase(
        name="an_overload_in_its_own_status",
        path=MESSAGES,
        status=529,
        content_type=JSON,
        framing="length",
        pieces=(dump({"type": "error", "error": OVERLOADED}),),
        read={"kind": "json", "code": "1305", "first": "error", "final": True},
        right=HIDDEN_OVERLOAD,
    ),
    AnswerCase(
        name="a_failure_within_z_ai",
        path=CHAT,
        status=500,
        content_type=JSON,
        framing="length",
        pieces=(dump({"error": {"code": "1234", "message": "Internal network failure, error id: 7"}}),),
        read={"kind": "json", "code": "1234", "first": "error", "final": True},
        right=Right(status=500, error="500", code="1234", error_class="internal", attempts=None),
    ),
    AnswerCase(
        name="a_wrong_path_in_the_clothes_of_a_500",
        path=CHAT,
        status=500,
        content_type=JSON,
        framing="length",
        pieces=(dump({"error": {"code": "500", "message": "404 NOT_FOUND"}}),),
        read={"kind": "json", "code": "404", "first": "error", "final": True},
        right=Right(status=500, error="500", code="404", error_class="client"),
    ),
)

# WHAT IS NO ERROR -------------------------------------------------------------------------------------------------

GOOD_ANSWERS = (
    AnswerCase(
        name="a_tool_said_no",
        path=MESSAGES,
        pieces=(
            message_start(),
            message_event(
                "content_block_start",
                index=1,
                content_block={
                    "type": "tool_result",
                    "tool_use_id": "t1",
                    "content": {"error": {"code": "1308", "message": "no"}},
                },
            ),
            message_delta(input_tokens=20, output_tokens=5) + MESSAGE_STOP,
            END,
        ),
        read={**ENDED, "input_tokens": 20, "output_tokens": 5},
        right=Right(tokens=Tokens(20, 5)),
    ),
    AnswerCase(
        name="a_search_failed_within_an_answer",
        path=MESSAGES,
        pieces=_messages_stream(
            message_event(
                "content_block_start",
                index=1,
                content_block={"type": "web_search_tool_result", "content": {"type": "error", "error_code": "1305"}},
            )
        ),
        read={**ENDED, **OF_MESSAGES},
        right=GOOD_MESSAGES,
    ),
    AnswerCase(
        name="an_mcp_call_failed_within_an_answer",
        path=RESPONSES,
        pieces=(
            response_event(
                "response.output_item.done",
                output_index=0,
                item={"id": "m1", "type": "mcp_call", "status": "failed", "error": {"type": "http_error", "code": 401}},
            ),
            COMPLETED,
            DONE,
            END,
        ),
        read={**SPOKEN, **OF_COMPLETED, "final": True},
        right=Right(tokens=OF_RESPONSE),
    ),
    AnswerCase(
        name="tool_arguments_tell_of_an_error",
        path=MESSAGES,
        pieces=_messages_stream(
            message_event(
                "content_block_delta",
                index=1,
                delta={"type": "input_json_delta", "partial_json": '{"type": "error", "error": {"code": "1308"}}'},
            )
        ),
        read={**ENDED, **OF_MESSAGES},
        right=GOOD_MESSAGES,
    ),
    AnswerCase(
        name="a_text_shows_a_stream_with_an_error",
        path=MESSAGES,
        pieces=_messages_stream(text_delta('\n\nevent: error\ndata: {"error": {"code": "1308"}}\n\ndata: [DONE]\n\n')),
        read={**ENDED, **OF_MESSAGES},
        right=GOOD_MESSAGES,
    ),
    AnswerCase(
        name="a_tool_call_of_chat_tells_of_an_error",
        path=CHAT,
        pieces=(
            chunk("x"),
            event(
                None,
                {
                    "model": "glm-5.2",
                    "choices": [
                        {
                            "index": 0,
                            "delta": {
                                "tool_calls": [
                                    {"index": 0, "function": {"name": "log", "arguments": '{"error":{"code":"1308"}}'}}
                                ]
                            },
                        }
                    ],
                },
            ),
            chunk(finish="tool_calls", usage=USAGE),
            DONE,
            END,
        ),
        read={**STOPPED, "stop": "tool_calls"},
        right=GOOD_CHAT,
    ),
    AnswerCase(
        name="the_gateway_says_that_all_is_well",
        path=CHAT,
        content_type=JSON,
        framing="length",
        pieces=(dump({"code": 200, "msg": "ok", "success": True, "data": {"limits": []}}),),
        read=NO_ANSWER,
        right=Right(),
    ),
    AnswerCase(
        name="a_chat_stream_as_plain_text",
        path=CHAT,
        content_type="text/plain",
        pieces=(chunk("x"), LAST_CHUNK, DONE),
        read=STOPPED,
        right=GOOD_CHAT,
    ),
    *(
        AnswerCase(
            name=f"a_stream_as_{form}",
            path=MESSAGES,
            content_type=content_type,
            framing=framing,
            pieces=(*_messages_stream(b": hello\n\n"),),
            read={**ENDED, **OF_MESSAGES},
            right=GOOD_MESSAGES,
        )
        for form, content_type, framing in (
            ("json", JSON, "chunked"),
            ("json_of_known_length", JSON, "length"),
            ("nothing", "", "chunked"),
            ("nothing_of_known_length", "", "length"),
        )
    ),
    *(
        AnswerCase(
            name=f"a_chat_stream_as_json_that_begins_with_{name}",
            path=CHAT,
            content_type=JSON,
            pieces=(line + chunk("x"), LAST_CHUNK, DONE, END),
            read=STOPPED,
            right=GOOD_CHAT,
        )
        for name, line in (
            ("a_comment", b": WAITING\n\n"),
            ("an_id", b"id: 7\n"),
            ("a_time", b"retry: 3000\n\n"),
            ("a_name", b"\xef\xbb\xbf\n event: message\n"),
        )
    ),
    *(
        AnswerCase(
            name=f"a_tool_says_{code}",
            path="/api/mcp/zread/mcp",
            content_type=content_type,
            framing=framing,
            pieces=(put(dump({"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": "no such file"}})),),
            read={"kind": kind, "first": "good", **end},
            right=Right(),
        )
        for code, content_type, framing, kind, put, end in (
            (500, JSON, "length", "json", bytes, {"final": True}),
            (404, JSON, "chunked", "json", bytes, {"final": True}),
            (-32000, EVENTS, "chunked", "events", lambda data: b"event: message\ndata: " + data + b"\n\n", {}),
        )
    ),
    *(
        AnswerCase(
            name=f"each_chunk_has_an_error_that_says_nothing_{n}",
            path=CHAT,
            pieces=(chunk("x", error=error), chunk(finish="stop", usage=USAGE, error=error), DONE, END),
            read=STOPPED,
            right=GOOD_CHAT,
        )
        for n, error in enumerate(
            (
                {},
                [],
                "",
                False,
                "none",
                "false",
                {"message": "", "type": "", "code": None},
                {"code": 0, "message": "success"},
                {"code": "200", "message": "fine"},
            )
        )
    ),
    AnswerCase(
        name="json_without_a_field_that_is_no_error",
        path=CHAT,
        pieces=(chunk("x"), b'{"text": {"error": {"code": "1308"}}}\n', LAST_CHUNK, DONE, END),
        read=STOPPED,
        right=GOOD_CHAT,
    ),
    AnswerCase(
        name="each_event_has_an_error_that_says_nothing",
        path=MESSAGES,
        pieces=tuple(
            piece.replace(b'{"type": "', b'{"error": {"code": 0}, "type": "', 1) for piece in _messages_stream()
        ),
        read={**ENDED, **OF_MESSAGES},
        right=GOOD_MESSAGES,
    ),
    AnswerCase(
        name="an_answer_in_json_has_an_error_that_says_nothing",
        path=CHAT,
        content_type=JSON,
        framing="length",
        pieces=(dump({"model": "glm-5.2", "error": {}, "choices": [{"finish_reason": "stop"}], "usage": USAGE}),),
        read={**STOPPED, "kind": "json"},
        right=GOOD_CHAT,
    ),
    AnswerCase(
        name="an_error_behind_the_final_event",
        path=MESSAGES,
        pieces=(*_messages_stream(), error_event({"type": "api_error", "message": "closing"}), END),
        read={**ENDED, **OF_MESSAGES},
        right=GOOD_MESSAGES,
    ),
    AnswerCase(
        name="an_error_between_the_usage_and_done",
        path=CHAT,
        pieces=(chunk("x"), LAST_CHUNK, event(None, {"error": {"code": "1305", "message": "late"}}), DONE, END),
        read=STOPPED,
        right=GOOD_CHAT,
    ),
    AnswerCase(
        name="a_keepalive_with_a_type_before_the_first_chunk",
        path=CHAT,
        pieces=(event(None, {"type": "keepalive"}), chunk("x"), LAST_CHUNK, 0.2, END),
        client_leaves_after=b"prompt_tokens",
        read=STOPPED,
        right=GOOD_CHAT,
    ),
    AnswerCase(
        name="an_event_of_a_kind_to_come",
        path=RESPONSES,
        pieces=(
            response_event("response.created", response=response_object("in_progress")),
            response_event("response.warning.added", warning={"code": 1305, "message": "slow"}, error=None),
            COMPLETED,
            END,
        ),
        read={**SPOKEN, **OF_COMPLETED, "final": True},
        right=Right(tokens=OF_RESPONSE),
    ),
)

# USAGE ------------------------------------------------------------------------------------------------------------

USAGES = (
    AnswerCase(
        name="a_later_zero_erases_nothing",
        path=MESSAGES,
        pieces=(
            message_start(input_tokens=50, output_tokens=1, cache_read_input_tokens=2400),
            text_delta("hello"),
            message_delta(input_tokens=0, cache_read_input_tokens=0, output_tokens=64) + MESSAGE_STOP,
            END,
        ),
        read={**ENDED, "input_tokens": 50, "output_tokens": 64, "cache_read_input_tokens": 2400, "tells_cache": True},
        right=Right(tokens=Tokens(50, 64, 2400)),
    ),
    AnswerCase(
        name="a_second_delta_is_all_zeros",
        path=MESSAGES,
        pieces=(
            message_start(),
            message_delta(input_tokens=1053, output_tokens=7, cache_read_input_tokens=17),
            message_delta(input_tokens=0, output_tokens=0) + MESSAGE_STOP,
            END,
        ),
        read={**ENDED, "input_tokens": 1053, "output_tokens": 7, "cache_read_input_tokens": 17, "tells_cache": True},
        right=Right(tokens=Tokens(1053, 7, 17)),
    ),
    AnswerCase(
        name="a_chunk_of_zeros_follows_the_usage",
        path=CHAT,
        pieces=(chunk("x"), LAST_CHUNK, event(None, {"choices": [], "usage": chat_usage(0, 0)}), DONE, END),
        read=STOPPED,
        right=GOOD_CHAT,
    ),
    AnswerCase(
        name="start_and_delta_both_tell_of_the_input",
        path=MESSAGES,
        pieces=(
            message_start(input_tokens=8834),
            text_delta("hello"),
            message_delta(input_tokens=18, cache_read_input_tokens=8831, output_tokens=426) + MESSAGE_STOP,
            END,
        ),
        read={**ENDED, "input_tokens": 18, "output_tokens": 426, "cache_read_input_tokens": 8831, "tells_cache": True},
        right=Right(tokens=Tokens(18, 426, 8831)),
    ),
    AnswerCase(
        name="what_was_written_to_the_cache",
        path=MESSAGES,
        pieces=(
            *OPENED,
            message_delta("tool_use", input_tokens=3, output_tokens=4, cache_creation_input_tokens=5),
            MESSAGE_STOP,
            END,
        ),
        read={**ENDED, "stop": "tool_use", "input_tokens": 3, "output_tokens": 4, "cache_creation_input_tokens": 5},
        right=Right(tokens=Tokens(3, 4, 0, 5)),
    ),
    AnswerCase(
        name="usage_is_null_but_in_the_last_chunk",
        path=CHAT,
        pieces=(*(chunk(text, usage=None) for text in "abc"), LAST_CHUNK, DONE, END),
        read=STOPPED,
        right=GOOD_CHAT,
    ),
    AnswerCase(
        name="usage_grows_with_every_chunk",
        path=CHAT,
        pieces=(
            chunk("a", usage=chat_usage(3859, 1)),
            chunk("b", usage=chat_usage(3859, 2, 43)),
            chunk(finish="stop", usage=USAGE),
            END,
        ),
        read=STOPPED,
        right=GOOD_CHAT,
    ),
    AnswerCase(
        name="usage_has_a_chunk_of_its_own",
        path=CHAT,
        pieces=(
            chunk("x", usage=None),
            chunk(finish="stop", usage=None),
            event(None, {"model": "glm-5.2", "choices": [], "usage": USAGE}),
            DONE,
            END,
        ),
        read=STOPPED,
        right=GOOD_CHAT,
    ),
    AnswerCase(
        name="finish_reason_is_null_but_in_the_last_chunk",
        path=CHAT,
        pieces=(
            *(
                event(None, {"model": "glm-5.2", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
                for delta in ({"role": "assistant"}, {"content": "a"}, {"reasoning_content": "b"})
            ),
            LAST_CHUNK,
            DONE,
            END,
        ),
        read=STOPPED,
        right=GOOD_CHAT,
    ),
    AnswerCase(
        name="odd_numbers_are_no_usage",
        path=MESSAGES,
        pieces=(
            message_start(input_tokens=50, output_tokens=1),
            event(
                "message_delta",
                b'{"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"input_tokens": -3, '
                b'"output_tokens": 64.0, "cache_read_input_tokens": "17", "cache_creation_input_tokens": '
                b"1152921504606846976}}",
            ),
            event("message_delta", b'{"type": "message_delta", "usage": {"input_tokens": 1.5, "output_tokens": true}}'),
            MESSAGE_STOP,
            END,
        ),
        read={**ENDED, "input_tokens": 50, "output_tokens": 64},
        right=Right(tokens=Tokens(50, 64)),
    ),
    AnswerCase(
        name="reasoning_is_a_part_of_the_output",
        path=RESPONSES,
        pieces=(
            response_event("response.created", response=response_object("in_progress")),
            response_event("response.reasoning_text.delta", delta="hm"),
            response_event(
                "response.completed", response=response_object("completed", response_usage(100, 90, 20, reasoning=80))
            ),
            END,
        ),
        read={
            **SPOKEN,
            "input_tokens": 100,
            "output_tokens": 90,
            "cached_tokens": 20,
            "tells_cache": True,
            "reasoning_tokens": 80,
            "final": True,
        },
        right=Right(tokens=Tokens(80, 90, 20)),
    ),
    AnswerCase(
        name="a_response_was_cut_at_its_limit",
        path=RESPONSES,
        pieces=(
            response_event("response.created", response=response_object("in_progress")),
            response_event("response.output_text.delta", delta="hel"),
            response_event(
                "response.incomplete",
                response=response_object(
                    "incomplete", response_usage(100, 9), incomplete_details={"reason": "max_output_tokens"}
                ),
            ),
            END,
        ),
        read={**SPOKEN, "input_tokens": 100, "output_tokens": 9, "tells_cache": True, "final": True},
        right=Right(tokens=Tokens(100, 9)),
    ),
)

# FORM -------------------------------------------------------------------------------------------------------------

FORMS = (
    AnswerCase(
        name="lines_end_in_crlf",
        path=MESSAGES,
        pieces=_with_line_end(b"\r\n"),
        read={**ENDED, **OF_MESSAGES},
        right=GOOD_MESSAGES,
    ),
    AnswerCase(
        name="lines_end_in_cr",
        path=MESSAGES,
        pieces=_with_line_end(b"\r"),
        read={**ENDED, **OF_MESSAGES},
        right=GOOD_MESSAGES,
    ),
    AnswerCase(
        name="a_byte_order_mark",
        path=MESSAGES,
        pieces=(b"\xef\xbb\xbf", *_messages_stream()),
        read={**ENDED, **OF_MESSAGES},
        right=GOOD_MESSAGES,
    ),
    AnswerCase(
        name="no_space_behind_data",
        path=CHAT,
        pieces=tuple(piece.replace(b"data: ", b"data:") for piece in (chunk("x"), LAST_CHUNK, DONE)),
        read=STOPPED,
        right=GOOD_CHAT,
    ),
    AnswerCase(
        name="data_of_several_lines",
        path=CHAT,
        pieces=(
            chunk("x"),
            b'data: {"model": "glm-5.2",\ndata:  "choices": [{"index": 0, "finish_reason": "stop", "delta": {}}],\n'
            b'data:  "usage": {"prompt_tokens": 3859, "completion_tokens": 14,\ndata\ndata: "prompt_tokens_details":'
            b' {"cached_tokens": 43}}}\n\n',
            DONE,
            END,
        ),
        read=STOPPED,
        right=GOOD_CHAT,
    ),
    AnswerCase(
        name="comments_and_other_fields_between",
        path=MESSAGES,
        pieces=(
            b": welcome\n\nretry: 3000\n\n",
            *_messages_stream(b": still here\n\n", b"id: 7\n:\n\n", b":keep-alive\n\n"),
            b": bye",
        ),
        read={**ENDED, **OF_MESSAGES},
        right=GOOD_MESSAGES,
    ),
    AnswerCase(
        name="pings_between",
        path=MESSAGES,
        pieces=(message_event("ping"), *_messages_stream(message_event("ping")), END),
        read={**ENDED, **OF_MESSAGES},
        right=GOOD_MESSAGES,
    ),
    AnswerCase(
        name="many_pings_before_the_first_word",
        path=MESSAGES,
        pieces=(message_start(), message_event("ping") * 70, text_delta("hello"), RESET),
        read=SPOKEN,
        right=BROKEN_OFF,
    ),
    AnswerCase(
        name="the_first_chunk_is_empty",
        path=CHAT,
        pieces=(
            event(None, {"id": "", "created": 0, "model": "", "choices": None, "usage": None}),
            chunk("x"),
            RESET,
        ),
        read=CHATTED,
        right=BROKEN_OFF,
    ),
    AnswerCase(
        name="the_model_is_told_late",
        path=CHAT,
        pieces=(
            event(None, {"choices": []}),
            event(None, {"model": None, "choices": [{"index": 0, "delta": {"content": "x"}}]}),
            LAST_CHUNK,
            DONE,
            END,
        ),
        read=STOPPED,
        right=GOOD_CHAT,
    ),
    AnswerCase(
        name="a_garbled_frame_between",
        path=CHAT,
        pieces=(chunk("x"), event(None, b'{"model": "glm-5.2", "choices": [{"ind'), LAST_CHUNK, DONE, END),
        read=STOPPED,
        right=GOOD_CHAT,
    ),
    AnswerCase(
        name="an_answer_in_json_under_the_head_of_a_stream",
        path=CHAT,
        pieces=(
            b" \n",
            dump({"model": "glm-5.2", "choices": [{"finish_reason": "stop", "message": {}}], "usage": USAGE}),
            END,
        ),
        read={**STOPPED, "kind": "json"},
        right=GOOD_CHAT,
    ),
)

# ENDS -------------------------------------------------------------------------------------------------------------

PAGE: Final = b"<!doctype html><title>405</title>" + b"<p>[1305] blocked</p>" * 40

ENDINGS = (
    AnswerCase(
        name="no_blank_line_at_the_end",
        path=MESSAGES,
        pieces=(
            *OPENED,
            message_delta(input_tokens=1053, output_tokens=7, cache_read_input_tokens=17).rstrip(),
            END,
        ),
        read={
            **SPOKEN,
            "stop": "end_turn",
            "input_tokens": 1053,
            "output_tokens": 7,
            "cache_read_input_tokens": 17,
            "tells_cache": True,
        },
        right=Right(tokens=Tokens(1053, 7, 17), error="read_error"),
    ),
    AnswerCase(
        name="no_blank_line_behind_done",
        path=CHAT,
        pieces=(chunk("x"), LAST_CHUNK, b"data: [DONE]", END),
        read=STOPPED,
        right=GOOD_CHAT,
    ),
    AnswerCase(
        name="no_final_event",
        path=MESSAGES,
        pieces=(*OPENED, message_event("content_block_stop", index=0), END),
        read=SPOKEN,
        right=BROKEN_OFF,
    ),
    AnswerCase(
        name="a_finish_reason_without_usage_or_done",
        path=CHAT,
        pieces=(chunk("x"), chunk(finish="stop"), END),
        read={**CHATTED, "stop": "stop"},
        right=BROKEN_OFF,
    ),
    AnswerCase(
        name="reset_within_an_event",
        path=MESSAGES,
        pieces=(*OPENED, message_delta(input_tokens=9, output_tokens=2)[:-20], RESET),
        read=SPOKEN,
        right=BROKEN_OFF,
    ),
    AnswerCase(
        name="a_messages_stream_ends_with_done",
        path=MESSAGES,
        pieces=(*OPENED, DONE, END),
        read=SPOKEN,
        right=BROKEN_OFF,
    ),
    AnswerCase(
        name="a_responses_stream_ends_with_done",
        path=RESPONSES,
        pieces=(
            response_event("response.created", response=response_object("in_progress")),
            response_event("response.output_text.delta", delta="hel"),
            DONE,
            END,
        ),
        read=SPOKEN,
        right=BROKEN_OFF,
    ),
    AnswerCase(
        name="nothing_but_done",
        path=CHAT,
        pieces=(DONE, END),
        read={"kind": "events", "final": True, "first": "good"},
        right=Right(),
    ),
    AnswerCase(
        name="nothing_but_comments",
        path=CHAT,
        pieces=(b": hello\n\n", b": bye\n\n", END),
        read={"kind": "events"},
        right=Right(error="read_error"),
    ),
    AnswerCase(
        name="an_empty_stream",
        path=CHAT,
        pieces=(END,),
        read={"kind": "empty"},
        right=Right(error="read_error"),
    ),
    AnswerCase(
        name="an_empty_body",
        path=MESSAGES,
        content_type=JSON,
        framing="length",
        pieces=(),
        read={"kind": "empty"},
        right=Right(error="read_error"),
    ),
    AnswerCase(
        name="a_page_of_a_firewall",
        path=MESSAGES,
        content_type=HTML,
        framing="length",
        pieces=(PAGE,),
        read={"kind": "text", "first": "good"},
        right=Right(error="read_error"),
    ),
    AnswerCase(
        name="a_page_of_a_firewall_that_says_it_is_json",
        path=MESSAGES,
        content_type=JSON,
        pieces=(PAGE,),
        read={"kind": "json", "first": "good", "unread": "json"},
        right=Right(error="read_error"),
    ),
)

# JSON -------------------------------------------------------------------------------------------------------------

MESSAGE: Final = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "glm-5.3",
    "content": [{"type": "text", "text": '{"error": {"code": "1308"}} [1305] "usage"'}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 23,
        "output_tokens": 2,
        "cache_read_input_tokens": 0,
        "server_tool_use": {"web_search_requests": 1},
        "service_tier": "standard",
    },
}
COMPLETION: Final = {
    "choices": [
        {
            "finish_reason": "stop",
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "42",
                "tool_calls": [{"function": {"arguments": '{"error": 1}'}}],
                "usage": {"prompt_tokens": 9},
            },
        }
    ],
    "created": 7,
    "id": "c1",
    "model": "glm-5.2",
    "object": "chat.completion",
    "request_id": "c1",
    "usage": {**USAGE, "completion_tokens_details": {"reasoning_tokens": 7}},
}
WHOLE: Final = {"kind": "json", "begun": True, "final": True, "first": "good"}

JSON_ANSWERS = (
    AnswerCase(
        name="a_message",
        path=MESSAGES,
        content_type=JSON,
        framing="length",
        pieces=(dump(MESSAGE),),
        read={
            **WHOLE,
            "model": "glm-5.3",
            "stop": "end_turn",
            "input_tokens": 23,
            "output_tokens": 2,
            "tells_cache": True,
        },
        right=Right(tokens=Tokens(23, 2)),
    ),
    AnswerCase(
        name="a_completion_in_two_pieces",
        path=CHAT,
        content_type=JSON,
        pieces=(dump(COMPLETION)[:140], 0.01, dump(COMPLETION)[140:]),
        read={**WHOLE, **TOLD, "model": "glm-5.2", "stop": "stop", "reasoning_tokens": 7},
        right=GOOD_CHAT,
    ),
    AnswerCase(
        name="a_response",
        path=RESPONSES,
        content_type=JSON,
        framing="length",
        pieces=(dump(response_object("completed", response_usage(12500, 60, 11000))),),
        read={**WHOLE, **OF_COMPLETED, "model": "glm-5.3"},
        right=Right(tokens=OF_RESPONSE),
    ),
    AnswerCase(
        name="a_response_that_failed_behind_its_output",
        path=RESPONSES,
        content_type=JSON,
        framing="length",
        pieces=(dump({"object": "response", "output": [], "error": {"code": "1302", "message": "wait"}}),),
        read={"kind": "json", "code": "1302", "first": "error", "final": True},
        right=HIDDEN_LIMIT,
    ),
    AnswerCase(
        name="json_that_breaks_off",
        path=MESSAGES,
        content_type=JSON,
        pieces=(
            b'{"model": "glm-5.3", "usage": {"input_tokens": 23, "output_tokens": 21}, "content": [{"type": "te',
            RESET,
        ),
        read={
            "kind": "json",
            "model": "glm-5.3",
            "input_tokens": 23,
            "output_tokens": 21,
            "begun": True,
            "first": "good",
        },
        right=Right(tokens=Tokens(23, 21), error="read_error"),
    ),
    AnswerCase(
        name="json_with_something_behind_it",
        path=MESSAGES,
        content_type=JSON,
        pieces=(b'{"model": "glm-5.3", "code": 200}\n', b"<html>"),
        read={**NO_ANSWER, "model": "glm-5.3"},
        right=Right(),
    ),
    AnswerCase(
        name="an_empty_object",
        path=CHAT,
        content_type=JSON,
        framing="length",
        pieces=(b"{}",),
        read=NO_ANSWER,
        right=Right(),
    ),
    AnswerCase(
        name="an_array",
        path=CHAT,
        content_type=JSON,
        framing="length",
        pieces=(b'[{"item": {"error": {"code": "1308"}}}, 1302]\n',),
        read=NO_ANSWER,
        right=Right(),
    ),
)

CASES: Final[tuple[AnswerCase, ...]] = (
    *HANGING_UP,
    *LATE_ERRORS,
    *HIDDEN_ERRORS,
    *GOOD_ANSWERS,
    *USAGES,
    *FORMS,
    *ENDINGS,
    *JSON_ANSWERS,
)
