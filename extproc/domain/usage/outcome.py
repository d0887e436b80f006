"""What an access-log entry means: one pure function from Envoy's facts, and from what the answer said, to ours.

An answer of a model is whole once its final event has gone by, whoever hangs up or breaks off behind it. Without one it
broke off, however well HTTP ended; and an error within it is one that the client saw, whatever the status in its head.
"""

from dataclasses import replace
from enum import StrEnum
from typing import Final

from extproc.domain.request.business_codes import TABLE, BusinessCode, known_status
from extproc.domain.request.business_codes import classify as classify_code
from extproc.domain.request.priority import Lane
from extproc.domain.request.record import record
from extproc.domain.request.routes import LlmProtocol, Route, classify
from extproc.domain.usage.log_entry import NETWORK_ERROR, Ending, LogEntry
from extproc.domain.usage.prices import Cost, PriceTable, PricingTier, pricing_tier
from extproc.domain.usage.token_estimates import TokenEstimator
from extproc.domain.usage.tokens import NO_TOKENS, TokenCounts

CLIENT_LEFT: Final = 499
"""The status of a request whose client left before the answer was complete (nginx's convention)."""

ENDED_ERROR: Final = "processor_guard"
"""The log's details of an error of Z.AI's that was ended before Z.AI ended it."""

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


@record
class Usage:
    """Tokens of a request and what they cost. `cost` and `credits` are None for a model without a known price.

    `estimated` is the part of `tokens` that nobody reported. `output_rate` is in tokens/s while the answer was
    generated, None where that cannot be told.
    """

    record: UsageRecord
    model: str
    tokens: TokenCounts
    estimated: TokenCounts
    tier: PricingTier
    cost: Cost | None
    credits: float | None
    output_rate: float | None


@record
class Outcome:
    """A finished request. `error` is an ErrorType or a status of Z.AI's; `usage` is None where none is expected.

    `late_error` is an error of Z.AI's that no failed attempt has told of, since it came in a good answer's body.
    """

    entry: LogEntry
    route: Route
    status: int
    error: str | None
    usage: Usage | None
    late_error: BusinessCode | None = None

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
# Cut on this side: what Z.AI has done until then counts (a model may think for minutes).
_PAGES: Final = ("text", "other")
"""Kinds of answers that no model gives."""
_CUT_HERE: Final = (Ending.CLIENT_LEFT, Ending.TIMEOUT)
_SHORTEST_GENERATION: Final = 0.001


def interpret(entry: LogEntry, estimator: TokenEstimator, prices: PriceTable) -> Outcome:
    """Says what a request's entry means; the estimator stands in where the upstream reported no usage."""
    route = classify(entry.path_label or entry.path, speaks_anthropic=False)
    protocol, told = route.llm_protocol, error_within(entry, route)
    is_metered = _is_metered(entry, protocol)
    is_over = told is not None or entry.answer.final
    left = entry.ending is Ending.CLIENT_LEFT and entry.status < 400 and not is_over
    has_usage = is_metered and (told is None or entry.answer.begun or entry.answer.tokens.total > 0)
    return Outcome(
        entry=entry,
        route=route,
        status=CLIENT_LEFT if left or entry.status == 0 else entry.status,
        error=_error(entry, told, is_metered),
        usage=_usage(entry, protocol, estimator, prices) if has_usage else None,
        late_error=classify_code(told, 0) if told is not None and _is_late(entry) else None,
    )


def teaches(outcome: Outcome) -> bool:
    """Whether the tokens per byte of this request are true: it ended whole and reported its usage.

    Who hangs up behind the final event of a stream has had all of it; of JSON nobody knows how much.
    """
    usage, entry = outcome.usage, outcome.entry
    if usage is None or usage.record is not UsageRecord.COMPLETE or outcome.error is not None:
        return False
    return entry.ending is Ending.COMPLETE or entry.streamed


def error_within(entry: LogEntry, route: Route) -> str | None:
    """The code of an error inside an answer whose head announced none (below 400); None if it is no error.

    Where no model answers, what looks like an error can be what was asked for (a tool's, in JSON-RPC), so only
    a code of Z.AI's counts there.
    """
    if entry.refused or not 0 < entry.status < 400:
        return None
    if route.llm_protocol is None:
        return entry.business_code if entry.business_code in TABLE else None
    return entry.business_code or (NETWORK_ERROR if entry.answer.stop == NETWORK_ERROR else None)


def _is_late(entry: LogEntry) -> bool:
    return entry.answer.late or not entry.business_code


def _error(entry: LogEntry, told: str | None, is_metered: bool) -> str | None:
    if entry.refused:
        return None
    if told is not None:
        return _type_of(told)
    if entry.answer.final and 0 < entry.status < 400:
        return None
    if entry.ending is not Ending.COMPLETE:
        return _ENDING_ERRORS[entry.ending]
    if entry.route_name == NO_PROCESSOR_ROUTE and entry.status == 503:
        return ErrorType.REQUEST_CREATION
    if entry.status == 0:
        return ErrorType.WRITE_ERROR
    if is_metered and not entry.answer.is_opaque:
        return ErrorType.READ_ERROR
    came_from_upstream = entry.details in ("via_upstream", ENDED_ERROR) and entry.exchange_id
    return str(entry.status) if came_from_upstream and entry.status >= 400 else None


def _type_of(told: str) -> str:
    """The status that Z.AI gives the same error outside of a stream."""
    status = known_status(told) if told != NETWORK_ERROR else None
    return ErrorType.READ_ERROR if status is None else str(status)


def _is_metered(entry: LogEntry, protocol: LlmProtocol | None) -> bool:
    """Whether the upstream was asked to generate something, and did not answer with an error. What breaks off while its
    head is held has Envoy's status, but had begun."""
    asked = protocol is not None and entry.method == "POST" and entry.exchange_id != "" and not entry.refused
    is_answer = entry.status < 400 or (entry.ending is Ending.BROKEN_RESPONSE and entry.answer.begun)
    return asked and is_answer and entry.sent_upstream is not None


def _may_have_generated(entry: LogEntry) -> bool:
    answer = entry.answer
    if answer.kind in _PAGES:
        return False
    if answer.is_opaque:
        return entry.response_bytes > 0 or entry.ending in _CUT_HERE
    # An error that nothing followed: its client left before the next attempt.
    return answer.begun or (entry.ending in _CUT_HERE and not answer.final and not answer.code)


def _usage(entry: LogEntry, protocol: LlmProtocol | None, estimator: TokenEstimator, prices: PriceTable) -> Usage:
    answer = entry.answer
    reported, estimated = answer.tokens, NO_TOKENS
    # Before the end what was told of the output may be what there was at the beginning.
    output_is_old = not answer.final and reported.output < max(entry.events.count, 1)
    if (not reported.total or output_is_old) and _may_have_generated(entry):
        sizes = entry.request_bytes, entry.response_bytes
        guess = estimator.estimate(protocol or "", answer.model, entry.streamed, *sizes, entry.events)
        more = max(guess.output - reported.output, 0)
        estimated = TokenCounts(input=0 if reported.total else guess.input, output=more)
    tokens = _sum(reported, estimated) if estimated.total else reported
    return Usage(
        record=_record(entry, protocol, estimated),
        model=answer.model,
        tokens=tokens,
        estimated=estimated,
        tier=pricing_tier(entry.started),
        cost=prices.cost(answer.model, tokens, entry.started),
        credits=prices.credits(answer.model, tokens, entry.started),
        output_rate=_output_rate(entry),
    )


def _sum(reported: TokenCounts, estimated: TokenCounts) -> TokenCounts:
    return replace(reported, input=reported.input + estimated.input, output=reported.output + estimated.output)


def _record(entry: LogEntry, protocol: LlmProtocol | None, estimated: TokenCounts) -> UsageRecord:
    answer = entry.answer
    reported = answer.tokens
    if reported.total:
        both = reported.input_total and (reported.output or protocol is LlmProtocol.OPENAI_EMBEDDINGS)
        return UsageRecord.COMPLETE if both and answer.final else UsageRecord.PARTIAL
    if estimated.total:
        return UsageRecord.ESTIMATED
    return UsageRecord.FAILED if answer.unread else UsageRecord.MISSING


def _output_rate(entry: LogEntry) -> float | None:
    # A stream is generated between its first and its last byte, a JSON answer between the question and its last byte.
    begin, output = entry.first_byte if entry.streamed else entry.sent_upstream, entry.answer.tokens.output
    if begin is None or entry.last_byte is None or output == 0:
        return None
    seconds = entry.last_byte - begin
    return output / seconds if seconds >= _SHORTEST_GENERATION else None
