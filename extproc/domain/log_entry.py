"""One entry of Envoy's access log, as plain values."""

from dataclasses import dataclass, field
from enum import Enum, StrEnum

from extproc.domain.tokens import TokenCounts


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


class UsageStatus(StrEnum):
    """How much of the token usage the upstream reported."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ReportedUsage:
    """Token usage as Envoy read it out of the response."""

    status: UsageStatus
    model: str
    tokens: TokenCounts


@dataclass(frozen=True, slots=True)
class LogEntry:
    """Sizes are body bytes; `started` is a Unix time, the other times are seconds since then, None for what never was.

    What the processor noted is empty if it never saw the request: `exchange_id`, `path_label`, `source`, `client`,
    `session`, `agent`, `lane`, `refused`.
    `waited` is the time in the queue, None if it never got as far.
    `status` is 0 where no response began. `attempts` counts upstream attempts, the first included.
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
    lane: str = ""
    refused: str = ""
    waited: float | None = None
    route_name: str = ""
    request_bytes: int = 0
    response_bytes: int = 0
    duration: float = 0.0
    sent_upstream: float | None = None
    first_byte: float | None = None
    last_byte: float | None = None
    attempts: int = 0
    business_code: str = ""
    streamed: bool = False
    model: str = ""
    user_agent: str = ""
    usage: ReportedUsage | None = field(default=None)
