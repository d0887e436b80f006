"""What an access-log entry means: one pure function from Envoy's facts to ours."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from extproc.domain.lanes import Lane
from extproc.domain.log_entry import Ending, LogEntry, ReportedUsage, UsageStatus
from extproc.domain.prices import Cost, PriceTable, PricingTier, pricing_tier
from extproc.domain.routes import LlmProtocol, Route, classify
from extproc.domain.token_estimates import TokenEstimator
from extproc.domain.tokens import TokenCounts

CLIENT_LEFT: Final = 499
"""The status of a request whose client left before the answer was complete (nginx's convention)."""

NO_PROCESSOR_ROUTE: Final = "no_processor"


class ErrorType(StrEnum):
    """Where a request failed; an upstream answer >= 400 is named by its status instead."""

    REQUEST_CREATION = "request_creation"
    UPSTREAM_CONNECTION = "upstream_connection"
    READ_ERROR = "read_error"
    WRITE_ERROR = "write_error"
    TIMEOUT = "timeout"


class UsageRecord(StrEnum):
    """How the token usage of an answer became known."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    FAILED = "failed"
    MISSING = "missing"
    ESTIMATED = "estimated"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of a request and what they cost. `cost` and `credits` are None for a model without a known price.

    `output_rate` is in tokens/s while the answer was generated, None where that cannot be told.
    """

    record: UsageRecord
    model: str
    tokens: TokenCounts
    tier: PricingTier
    cost: Cost | None
    credits: float | None
    output_rate: float | None

    @property
    def is_estimated(self) -> bool:
        return self.record is UsageRecord.ESTIMATED


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished request. `error` is an ErrorType or the upstream's status; `usage` is None where none is expected."""

    entry: LogEntry
    route: Route
    status: int
    error: str | None
    usage: Usage | None

    @property
    def lane(self) -> Lane:
        """The lane that the request was in; the main one where nobody noted another."""
        return Lane(self.entry.lane) if self.entry.lane in _LANES else Lane.MAIN


_LANES: Final = frozenset(lane.value for lane in Lane)
_ENDING_ERRORS: Final = {
    Ending.CLIENT_LEFT: ErrorType.WRITE_ERROR,
    Ending.TIMEOUT: ErrorType.TIMEOUT,
    Ending.NO_UPSTREAM_REQUEST: ErrorType.REQUEST_CREATION,
    Ending.CONNECT_FAILED: ErrorType.UPSTREAM_CONNECTION,
    Ending.BROKEN_RESPONSE: ErrorType.READ_ERROR,
}
_REPORTED: Final = {
    UsageStatus.COMPLETE: UsageRecord.COMPLETE,
    UsageStatus.PARTIAL: UsageRecord.PARTIAL,
}
_SHORTEST_GENERATION: Final = 0.001


def interpret(entry: LogEntry, estimator: TokenEstimator, prices: PriceTable) -> Outcome:
    """Says what a request's entry means; the estimator stands in where the upstream reported no usage."""
    route = classify(entry.path_label or entry.path, speaks_anthropic=False)
    left = entry.ending is Ending.CLIENT_LEFT and entry.status < 400
    return Outcome(
        entry=entry,
        route=route,
        status=CLIENT_LEFT if left or entry.status == 0 else entry.status,
        error=_error(entry),
        usage=_usage(entry, route.llm_protocol, estimator, prices) if _is_metered(entry, route) else None,
    )


def teaches(outcome: Outcome) -> bool:
    """Whether the tokens per byte of this request are true: it ended whole and reported its usage."""
    usage = outcome.usage
    return usage is not None and usage.record is UsageRecord.COMPLETE and outcome.entry.ending is Ending.COMPLETE


def _error(entry: LogEntry) -> str | None:
    if entry.refused:
        return None
    if entry.ending is not Ending.COMPLETE:
        return _ENDING_ERRORS[entry.ending]
    if entry.route_name == NO_PROCESSOR_ROUTE and entry.status == 503:
        return ErrorType.REQUEST_CREATION
    if entry.status == 0:
        return ErrorType.WRITE_ERROR
    came_from_upstream = entry.details == "via_upstream" and entry.exchange_id
    return str(entry.status) if came_from_upstream and entry.status >= 400 else None


def _is_metered(entry: LogEntry, route: Route) -> bool:
    """Whether the upstream generated something: it was asked to, and it did not answer with an error."""
    asked = route.llm_protocol is not None and entry.method == "POST" and entry.exchange_id != "" and not entry.refused
    # A stream that named its model had begun to generate before the error came.
    generated = entry.business_code == "" or (entry.streamed and entry.model != "")
    return asked and entry.status < 400 and generated and entry.sent_upstream is not None


def _usage(entry: LogEntry, protocol: LlmProtocol | None, estimator: TokenEstimator, prices: PriceTable) -> Usage:
    reported = entry.usage
    record = UsageRecord.MISSING if reported is None else _REPORTED.get(reported.status, UsageRecord.FAILED)
    model = (reported.model if reported else "") or entry.model
    tokens = reported.tokens if reported and record in _REPORTED.values() else TokenCounts()
    if tokens.total == 0:
        estimate = estimator.estimate(protocol or "", model, entry.streamed, entry.request_bytes, entry.response_bytes)
        tokens = TokenCounts(input=estimate.input, output=estimate.output)
        record = UsageRecord.ESTIMATED if tokens.total else record
    return Usage(
        record=record,
        model=model,
        tokens=tokens,
        tier=pricing_tier(entry.started),
        cost=prices.cost(model, tokens, entry.started),
        credits=prices.credits(model, tokens, entry.started),
        output_rate=_output_rate(entry, reported, tokens.output),
    )


def _output_rate(entry: LogEntry, reported: ReportedUsage | None, output_tokens: int) -> float | None:
    # A stream is generated between its first and its last byte, a JSON answer between the question and its last byte.
    begin = entry.first_byte if entry.streamed else entry.sent_upstream
    if reported is None or begin is None or entry.last_byte is None or output_tokens == 0:
        return None
    seconds = entry.last_byte - begin
    return output_tokens / seconds if seconds >= _SHORTEST_GENERATION else None
