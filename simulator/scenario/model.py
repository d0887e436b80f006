"""What one answer looks like and which faults it plays. Plain records; `parsing` reads them from JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

DEFAULT_EVENTS = 12

# How a played body ends: with its last chunk, which is also what happens without a mark, or with a TCP reset.
PLAY_END = "<end>"
PLAY_RESET = "<reset>"


class UsageForm(StrEnum):
    """Where a stream reports its tokens."""

    FINAL_ONLY = (
        "final_only"  # as Z.AI does: Anthropic 0/0 at the start, the truth at the end; OpenAI on the last chunk
    )
    SEPARATE = "separate"  # chat: on a chunk of its own with empty `choices`; elsewhere as FINAL_ONLY
    AT_START = "at_start"  # Anthropic: input in message_start, output in message_delta; elsewhere as FINAL_ONLY
    EVERY_CHUNK = "every_chunk"  # running figures: chat on every chunk, Anthropic in a message_delta after every event
    ZERO = "zero"  # all figures 0
    NONE = "none"  # no usage at all


class Envelope(StrEnum):
    """The error bodies that Z.AI is known to send."""

    PAAS = "paas"  # {"error": {"code", "message"}}
    ANTHROPIC = "anthropic"  # {"type": "error", "error": {"type", "code", "message": "[code][text][id]"}, "request_id"}
    ANTHROPIC_TYPE = "anthropic_type"  # {"type": "error", "error": {"type": "1210", "message"}}
    ANTHROPIC_SHORT = "anthropic_short"  # {"error": {"message", "type": "401"}}
    ANTHROPIC_OLD = "anthropic_old"  # {"error": {"code", "message"}, "request_id"}
    BRACKET = "bracket"  # the bare text [code][text][id]
    GATEWAY = "gateway"  # {"code": 500, "msg", "success": false}
    GATEWAY_SHORT = "gateway_short"  # {"code": 2007, "msg"}
    MONITOR = "monitor"  # {"code": 401, "msg", "data": null, "success": false}
    RESPONSE_FAILED = "response_failed"  # the event response.failed, whose error has a word for its code
    HTML = "html"  # a page of the WAF or of nginx


class Fault(StrEnum):
    """How an answer goes wrong on the wire. `after_events` (streams) or `after_bytes` (whole bodies) says where."""

    RESET = "reset"  # TCP RST; without a place: before any byte
    CLOSE = "close"  # the same with a plain FIN
    TRUNCATE = "truncate"  # the body ends short: content-length too long, or chunks without a terminator
    END_EARLY = "end_early"  # a clean end that leaves out the last events, usage included
    ERROR_EVENT = "error_event"  # an error in mid-stream, then a clean end
    MALFORMED = "malformed"  # one event (or the body) is not JSON; the stream goes on
    GARBLED = "garbled"  # frames cut short, glued and not UTF-8; the stream goes on
    HANG = "hang"  # nothing more, the connection stays open
    EMPTY = "empty"  # status and headers, no body
    NOT_HTTP = "not_http"  # bytes that are no HTTP response


class LineEnd(StrEnum):
    LF = "lf"
    CRLF = "crlf"
    CR = "cr"

    @property
    def characters(self) -> str:
        return {"lf": "\n", "crlf": "\r\n", "cr": "\r"}[self.value]


class Pieces(StrEnum):
    """How a body is cut into packets, TCP_NODELAY set."""

    EVENT = "event"  # an event a packet; a JSON body in one
    BYTE = "byte"  # one byte a packet
    UTF8 = "utf8"  # a packet ends inside every multi-byte character
    BATCH = "batch"  # about 16 KiB a packet: the fastest


class Framing(StrEnum):
    """How a body that is no stream, or is played, says where it ends."""

    LENGTH = "length"
    CHUNKED = "chunked"
    CLOSE = "close"


class Gzip(StrEnum):
    """When a body is compressed."""

    JSON = "json"  # as Z.AI does: JSON when the client offers gzip, never a stream
    ALL = "all"  # streams too, when offered
    NEVER = "never"
    FORCED = "forced"  # everything, offered or not


class QuotaForm(StrEnum):
    """The shapes of the monitor API's quota answer."""

    CREDIT = "credit"  # the current one
    LEGACY = "legacy"  # percentages only
    LEGACY_COUNTS = "legacy_counts"  # TOKENS_LIMIT with usage, currentValue, remaining; the week as (6, 7); planName
    FIVE_HOUR_ONLY = "five_hour_only"  # as some accounts show it
    FUTURE = "future"  # with a limit type and a unit that nobody knows yet; packageName


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool by its name, and the input that it is called with."""

    name: str
    input: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class FailFirst:
    """The first `times` attempts fail, the next ones are answered.

    Attempts are counted by x-request-id (by x-stainless-retry-count without one), or by `key` when there is one.
    """

    times: int
    code: str | None = None
    status: int | None = None
    fault: Fault | None = None
    retry_after: str | None = None
    envelope: Envelope | None = None
    play: tuple[str | float, ...] | None = None
    content_type: str | None = None
    framing: Framing | None = None
    headers: Mapping[str, str] | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """One answer. Times are seconds, sizes bytes. The defaults are a short, healthy answer."""

    # What it says.
    model: str | None = None
    text: str | None = None
    events: int | None = None
    event_bytes: int = 0
    content_bytes: int | None = None
    thinking: int | None = None
    tool_call: ToolCall | None = None  # calls this tool, whatever the request offers
    script: tuple[ToolCall, ...] = ()  # calls the first of these that is offered; once a tool result is there: text
    agent: bool = False  # the same with a script that suits the usual coding agents
    web_search: bool = False  # the model searches the web before it speaks (Anthropic surface)
    stop_reason: str | None = None
    pings: int = 0

    # The tokens that it reports; input, cached and cache_creation are disjoint, reasoning is a part of output. Where it
    # states neither input nor cached, the prompt's size and the prefix cache tell them.
    usage: UsageForm = UsageForm.FINAL_ONLY
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cache_creation_tokens: int = 0
    reasoning_tokens: int | None = None

    # An error instead of an answer.
    code: str | None = None
    status: int | None = None
    envelope: Envelope | None = None
    message: str | None = None
    retry_after: str | None = None
    should_retry: bool | None = None
    unified_headers: bool | None = None  # None: as Z.AI does, where a window is used up and the client sends a beta
    fail_first: FailFirst | None = None

    # A body of one's own instead of either: texts (a packet each), pauses in seconds, and a mark at its end.
    play: tuple[str | float, ...] | None = None

    # How long it waits before and between the parts of an answer, in seconds.
    delay: float = 0.0
    first_event_delay: float = 0.0
    pause: float | None = None
    gap: float = 0.0
    gap_after: int | None = None
    end_pause: float = 0.02  # networks and servers pause there, and some clients hang up meanwhile

    # What goes wrong, and what the bytes look like.
    fault: Fault | None = None
    after_events: int | None = None
    after_bytes: int | None = None
    pieces: Pieces = Pieces.EVENT
    line_end: LineEnd = LineEnd.LF
    comments: int = 0
    gzip: Gzip = Gzip.JSON
    framing: Framing | None = None  # a body that is played: CHUNKED, any other: LENGTH
    content_type: str | None = None
    own_headers: bool = (
        True  # server, date, x-log-id and so on; without: those of `headers`, and the two times if stated
    )
    date_ahead: float | None = None
    log_id_ahead: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    trailers: Mapping[str, str] = field(default_factory=dict)

    # Surfaces with an answer of their own.
    audio_bytes: int = 4096
    quota_form: QuotaForm = QuotaForm.CREDIT

    @property
    def is_error(self) -> bool:
        """Whether the answer is an error: one of its four fields is enough. error_event keeps it for mid-stream, and
        a played body is what it is."""
        named = (self.code, self.status, self.envelope, self.message)
        other = self.play is not None or self.fault is Fault.ERROR_EVENT
        return not other and any(field is not None for field in named)

    def for_attempt(self, attempt: int) -> Scenario:
        """The scenario of the given attempt (1 for the first): `fail_first` applied and gone."""
        first = self.fail_first
        if first is None:
            return self
        if attempt > first.times:
            place = (self.after_events, self.after_bytes) if self.fault is not None else (None, None)
            return replace(self, fail_first=None, after_events=place[0], after_bytes=place[1])
        return replace(
            self,
            fail_first=None,
            code=first.code,
            status=first.status,
            fault=first.fault,
            after_events=self.after_events if first.fault is not None else None,
            after_bytes=self.after_bytes if first.fault is not None else None,
            retry_after=first.retry_after if first.retry_after is not None else self.retry_after,
            envelope=first.envelope,
            play=first.play,
            content_type=first.content_type if first.content_type is not None else self.content_type,
            framing=first.framing if first.framing is not None else self.framing,
            headers=first.headers if first.headers is not None else self.headers,
        )


def played_bytes(text: str) -> bytes:
    """The bytes of a text of a played body; U+DC80 to U+DCFF stand for the single bytes 80 to FF.

    Raises UnicodeEncodeError for what is no text at all.
    """
    return text.encode(errors="surrogateescape")


def is_mark(text: str) -> bool:
    """Whether an item of a played body says how it ends."""
    return text in (PLAY_END, PLAY_RESET)


ORDINARY = Scenario()
