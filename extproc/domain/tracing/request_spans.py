"""The spans of a finished request, made of what Envoy's log entries tell of it.

```
POST /v1/messages                    SERVER    from its first byte to the last of its answer
├─ wait for a place                  INTERNAL  its time in the queue
└─ chat glm-5.3                      CLIENT    the model's work, retries included: tokens, first token (`gen_ai.*`)
   ├─ POST                           CLIENT    an attempt that was refused
   └─ POST                           CLIENT    the attempt that was answered
```

Where no model is asked the attempts hang below the request itself. Envoy measures the times; only when the wait began
is the processor's to know.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from extproc.domain.request.labels import method_label
from extproc.domain.request.programs import program_of
from extproc.domain.request.routes import LlmProtocol, Route
from extproc.domain.request.trace_context import Trace
from extproc.domain.tracing.span import Event, Kind, Span, Value
from extproc.domain.usage.failure import Failure
from extproc.domain.usage.log_entry import LogEntry
from extproc.domain.usage.outcome import CLIENT_LEFT, ErrorType, Outcome, Usage

FIRST_TOKEN: Final = "first_token"  # noqa: S105 - the name of an event
WAIT: Final = "wait for a place"
PROVIDER: Final = "z_ai"
"""Z.AI's `gen_ai.provider.name`, in the form of those that have one (`x_ai`, `moonshot_ai`)."""

_OPERATIONS: Final = {
    LlmProtocol.ANTHROPIC_MESSAGES: "chat",
    LlmProtocol.OPENAI_CHAT_COMPLETIONS: "chat",
    LlmProtocol.OPENAI_RESPONSES: "chat",
    LlmProtocol.OPENAI_EMBEDDINGS: "embeddings",
}
_LONGEST_TEXT: Final = 256
# Whose fault an error is: these are the client's, and a server's span has not failed for them.
_OF_CLIENTS: Final = (ErrorType.WRITE_ERROR,)


@dataclass(frozen=True, slots=True)
class Server:
    """Where the upstream is, as a span's `server.*` attributes name it."""

    address: str
    port: int


def operation_of(route: Route, method: str) -> str | None:
    """What a model is asked to do (`gen_ai.operation.name`); None where none is asked."""
    return None if route.llm_protocol is None or method != "POST" else _OPERATIONS[route.llm_protocol]


def spans_of(
    outcome: Outcome, failures: Sequence[Failure], trace: Trace, server: Server, new_id: Callable[[], str]
) -> Iterator[Span]:
    """The request's own span first. `failures` are its attempts that have failed, oldest first."""
    entry = outcome.entry
    ended = entry.started + entry.duration
    yield _span(trace, trace.span_id, trace.parent_id, f"{method_label(entry.method)} {outcome.route.label}").made(
        Kind.SERVER, entry.started, ended, _of_request(outcome), failed=_has_failed(outcome)
    )
    arrived = min(max(entry.started, trace.arrived or entry.started), ended)
    # Who was refused while it waited to be sent again has waited also after its first attempt.
    first_sent = min((each.entry.started for each in failures), default=ended)
    granted = max(arrived, min(arrived + (entry.waited or 0.0), first_sent, ended))
    if granted > arrived:
        yield _span(trace, new_id(), trace.span_id, WAIT).made(Kind.INTERNAL, arrived, granted, _lane(entry))
    if not failures and not _went_up(entry):
        return
    operation = operation_of(outcome.route, entry.method)
    if operation is not None:
        yield _of_model(outcome, operation, trace, server, granted, ended)
    yield from _attempts(outcome, failures, trace, server, new_id)


@dataclass(frozen=True, slots=True)
class _Draft:
    """What all spans of a trace have in common, and the ids of one."""

    trace: Trace
    span_id: str
    parent_id: str
    name: str

    def made(
        self,
        kind: Kind,
        began: float,
        ended: float,
        attributes: Mapping[str, Value | None],
        *,
        events: tuple[Event, ...] = (),
        failed: bool = False,
    ) -> Span:
        known = {name: _bounded(value) for name, value in attributes.items() if value is not None and value != ""}
        return Span(
            self.trace.trace_id, self.span_id, self.parent_id, self.name[:_LONGEST_TEXT], kind, began,
            max(began, ended), known, events, failed, self.trace.state,
        )  # fmt: skip


def _went_up(entry: LogEntry) -> bool:
    """Whether the latest attempt has sent a byte. Envoy counts as one too that found nobody to go to."""
    return entry.sent_first is not None or entry.sent_upstream is not None


def _span(trace: Trace, span_id: str, parent_id: str, name: str) -> _Draft:
    return _Draft(trace, span_id, parent_id, name)


def _bounded(value: Value) -> Value:
    return value[:_LONGEST_TEXT] if isinstance(value, str) else value


def _of_request(outcome: Outcome) -> dict[str, Value | None]:
    entry = outcome.entry
    return {
        "http.request.method": method_label(entry.method),
        "http.route": outcome.route.label,
        "http.response.status_code": outcome.status,
        "http.request.body.size": entry.request_bytes,
        "http.response.body.size": entry.response_bytes,
        "error.type": _error_type(outcome),
        "zai_proxy.request_id": entry.request_id,
        "zai_proxy.client": entry.client or entry.source,
        "zai_proxy.program": program_of(entry.user_agent),
        "zai_proxy.refused": entry.refused,
        "zai_proxy.attempts": entry.attempts,
        **_lane(entry),
    }


def _lane(entry: LogEntry) -> dict[str, Value | None]:
    return {"zai_proxy.lane": entry.lane}


def _error_type(outcome: Outcome) -> str | None:
    """The code or type of Z.AI's error, else where the request failed; None if all went well."""
    entry = outcome.entry
    if outcome.status < 400 and outcome.error is None:
        return None
    return entry.refused or entry.business_code or outcome.error or str(outcome.status)


def _has_failed(outcome: Outcome) -> bool:
    if outcome.status == CLIENT_LEFT:
        return False
    is_of_client = outcome.error in _OF_CLIENTS
    return outcome.status >= 500 or (outcome.status < 400 and outcome.error is not None and not is_of_client)


def _of_model(
    outcome: Outcome, operation: str, trace: Trace, server: Server, began: float, request_ended: float
) -> Span:
    entry = outcome.entry
    answered = outcome.usage.model if outcome.usage is not None else entry.answer.model
    model = entry.model_asked or answered
    first_token = entry.started + entry.first_token if entry.streamed and entry.first_token is not None else None
    ended = request_ended if entry.last_byte is None else entry.started + entry.last_byte
    attributes: dict[str, Value | None] = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": PROVIDER,
        "gen_ai.request.model": entry.model_asked,
        "gen_ai.request.stream": True if entry.streamed else None,
        "gen_ai.response.model": answered,
        "gen_ai.response.finish_reasons": _finish_reasons(outcome),
        "gen_ai.response.time_to_first_chunk": None if first_token is None else max(0.0, first_token - began),
        "gen_ai.conversation.id": entry.session or entry.thread,
        "server.address": server.address,
        "server.port": server.port,
        "error.type": _error_type(outcome),
        **_usage(outcome.usage),
    }
    events = () if first_token is None else (Event(FIRST_TOKEN, first_token),)
    return _span(trace, trace.upstream_id, trace.span_id, f"{operation} {model}".rstrip()).made(
        Kind.CLIENT, began, ended, attributes, events=events, failed=_error_type(outcome) is not None
    )


def _finish_reasons(outcome: Outcome) -> tuple[str, ...] | None:
    """In Z.AI's words; `error` for an answer that broke off, or was one."""
    answer = outcome.entry.answer
    if answer.begun and not answer.final and outcome.error is not None:
        return ("error",)
    return (answer.stop,) if answer.stop else None


def _usage(usage: Usage | None) -> dict[str, Value | None]:
    """As the conventions have it: what a cache served or took is a part of the input."""
    if usage is None:
        return {}
    tokens = usage.tokens
    return {
        "gen_ai.usage.input_tokens": tokens.input_total,
        "gen_ai.usage.output_tokens": tokens.output,
        "gen_ai.usage.cache_read.input_tokens": tokens.cache_read or None,
        "gen_ai.usage.cache_creation.input_tokens": tokens.cache_write or None,
        "gen_ai.usage.reasoning.output_tokens": tokens.reasoning or None,
        "zai_proxy.usage": usage.record.value,
        "zai_proxy.cost_usd": None if usage.cost is None else usage.cost.total,
        "zai_proxy.credits": usage.credits,
    }


def _attempts(
    outcome: Outcome,
    failures: Sequence[Failure],
    trace: Trace,
    server: Server,
    new_id: Callable[[], str],
) -> Iterator[Span]:
    """One for each attempt that failed, and one for the last if it did not: the request's own entry tells of it."""
    entry = outcome.entry
    for number, failure in enumerate(failures):
        told = failure.entry
        error = told.business_code or (str(told.status) if told.status else told.ending.value)
        yield _span(trace, new_id(), trace.upstream_id, method_label(entry.method)).made(
            Kind.CLIENT,
            told.started,
            told.started + told.duration,
            _of_attempt(entry, server, number, told.status, error),
            failed=True,
        )
    if len(failures) < entry.attempts and _went_up(entry):
        sent = entry.sent_first if entry.sent_first is not None else entry.sent_upstream
        began = entry.started + (sent or 0.0)
        ended = entry.started + (entry.duration if entry.last_byte is None else entry.last_byte)
        last_error = _error_type(outcome)
        yield _span(trace, new_id(), trace.upstream_id, method_label(entry.method)).made(
            Kind.CLIENT,
            began,
            ended,
            _of_attempt(entry, server, entry.attempts - 1, entry.status, last_error),
            failed=last_error is not None,
        )


def _of_attempt(
    entry: LogEntry, server: Server, number: int, status: int, error: str | None
) -> dict[str, Value | None]:
    return {
        "http.request.method": method_label(entry.method),
        "http.request.resend_count": number or None,
        "http.response.status_code": status or None,
        "server.address": server.address,
        "server.port": server.port,
        "error.type": error,
    }
