"""One entry of Envoy's access log, as plain values."""

from enum import Enum, StrEnum
from typing import Final

from extproc.domain.request.record import record
from extproc.domain.request.trace_context import Trace
from extproc.domain.usage.streamed_tokens import NO_EVENTS, Events
from extproc.domain.usage.tokens import NO_TOKENS, TokenCounts

NETWORK_ERROR: Final = "network_error"
"""Z.AI's stop reason for a failure inside an answer that looks good."""


class EntryKind(Enum):
    """What an entry tells of."""

    REQUEST = "request"
    """A request that ended."""
    PROGRESS = "progress"
    """A request that goes on."""
    FAILED_ATTEMPT = "failed_attempt"
    """One upstream attempt that ended in an error; a retry may hide it from the client."""


class Ending(StrEnum):
    """How Envoy's response flags say that a request ended. `COMPLETE` is no flag that matters."""

    COMPLETE = "complete"
    CLIENT_LEFT = "client_left"
    TIMEOUT = "timeout"
    NO_UPSTREAM_REQUEST = "no_upstream_request"
    CONNECT_FAILED = "connect_failed"
    BROKEN_RESPONSE = "broken_response"


@record
class ReadAnswer:
    """What the reader in Envoy has read of an answer as it passed, whatever ended it. What it did not see is empty.

    * `kind`: `events`, `json`, `text` (a page), `empty` (no body) or `other`; empty where nobody has read.
    * `tokens`: what was reported, merged over the events. `tells_cache`: how many were cached was among it, be it 0.
    * `begun`: something was generated. `final`: the end that the dialect's clients take for the end went by.
    * `stop`: the reason why it stopped, in Z.AI's words.
    * `code`: set if it is an error: a business code, else the error's type, else `unknown`. `late`: the error came in
      the body of an answer that had begun as a good one.
    * `unread`: why it passed without being understood, as a whole or in part.
    * `events`: of a stream, those in which something was generated, and their bytes; `bytes_apart` are the bytes of all
      other events. The reader updates these figures only when they have grown by a quarter, so they may be that much
      too low.
    """

    kind: str = ""
    model: str = ""
    tokens: TokenCounts = NO_TOKENS
    begun: bool = False
    final: bool = False
    stop: str = ""
    code: str = ""
    late: bool = False
    unread: str = ""
    events: Events = NO_EVENTS
    bytes_apart: int = 0
    tells_cache: bool = False

    @property
    def is_opaque(self) -> bool:
        """Whether only HTTP can say how it ended: the reader did not look, or could not."""
        return not self.kind or self.unread in _OPAQUE


# `json` is not among them: what should be JSON and is none was malformed, and that is known.
_OPAQUE: Final = frozenset({"encoding", "size", "depth"})
NOTHING_READ: Final = ReadAnswer()


@record
class LogEntry:
    """Sizes are body bytes; `started` is a Unix time, the other times are seconds since then, None for what never was.

    `sent_first` and `sent_upstream` are when the first and the last byte of the latest attempt went up, `first_token`
    when the first came that its model generated. `trace` is the request's trace. Where the processor noted none, since
    it never saw the request, `traceparent` and `tracestate` are the client's; where nothing is traced there is none of
    the three.

    What the processor noted is empty if it never saw the request: `exchange_id`, `path_label`, `source`, `client`,
    `session`, `agent`, `thread`, `lane`, `refused`, `model_asked`. Of a failed attempt only its id is known, and not
    even that if the attempt got no answer. `waited` is the time in the queue, None if it never got as far. `status` is
    0 where no response began. `attempts` counts upstream attempts, the first included. `business_code` is the error's,
    as in `ReadAnswer.code`; `retry_after` are the seconds that the answer named. `prompt` is what Envoy tells of the
    prompt's parts, empty unless it was asked to (CACHE_DOCTOR).
    """

    kind: EntryKind
    method: str
    path: str
    request_id: str
    started: float
    status: int = 0
    ending: Ending = Ending.COMPLETE
    details: str = ""
    exchange_id: str = ""
    path_label: str = ""
    source: str = ""
    client: str = ""
    session: str = ""
    agent: str = ""
    thread: str = ""
    lane: str = ""
    refused: str = ""
    model_asked: str = ""
    trace: Trace | None = None
    traceparent: str = ""
    tracestate: str = ""
    waited: float | None = None
    route_name: str = ""
    request_bytes: int = 0
    response_bytes: int = 0
    duration: float = 0.0
    sent_first: float | None = None
    sent_upstream: float | None = None
    first_token: float | None = None
    first_byte: float | None = None
    last_byte: float | None = None
    attempts: int = 0
    business_code: str = ""
    retry_after: float | None = None
    streamed: bool = False
    user_agent: str = ""
    prompt: str = ""
    answer: ReadAnswer = NOTHING_READ

    @property
    def events(self) -> Events:
        """The answer's events: what has passed since they were last told of had events of the same size."""
        told, size = self.answer.events, self.response_bytes - self.answer.bytes_apart
        return Events(told.count * size / told.size, size) if told.size and size > 0 else NO_EVENTS

    @property
    def is_answered(self) -> bool:
        """Whether Z.AI is answering, or has answered, as it was asked, so far as can be seen."""
        if self.status != 200 or self.business_code:
            return False
        if self.answer.is_opaque:
            return self.kind is EntryKind.REQUEST or self.response_bytes > _LARGEST_HIDDEN_ERROR
        return self.answer.begun or self.answer.final


# An error that Z.AI hides in a 200 is shorter; whatever is longer is an answer.
_LARGEST_HIDDEN_ERROR: Final = 2048
