"""Makes the spans of requests: it says which trace each is part of, and tells an exporter what became of it."""

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from extproc.domain.request.head import RequestHead
from extproc.domain.request.routes import Route
from extproc.domain.request.trace_context import Parent, Trace, parent_of
from extproc.domain.tracing.request_spans import Server, operation_of, spans_of
from extproc.domain.tracing.sampling import Sampler
from extproc.domain.tracing.span import Span
from extproc.domain.usage.failure import Failure
from extproc.domain.usage.log_entry import EntryKind
from extproc.domain.usage.outcome import Outcome

# Requests that have failed attempts and have not ended, or whose end Envoy has not told.
_MOST_REQUESTS: Final = 4096
_MOST_ATTEMPTS: Final = 16


@dataclass(frozen=True, slots=True)
class Tracer:
    """`export` gets the spans of a request, serialised by `encode`, when it has ended."""

    sampler: Sampler
    server: Server
    encode: Callable[[Span], bytes]
    export: Callable[[Sequence[bytes]], None]
    _failures: OrderedDict[str, list[Failure]] = field(default_factory=OrderedDict)

    def begin(self, head: RequestHead, route: Route) -> Trace:
        """The trace of a request that has just come."""
        return self._trace(parent_of(head.traceparent, head.tracestate), time.time(), operation_of(route, head.method))

    def take_failure(self, failure: Failure) -> None:
        """An attempt has failed; its request goes on or is about to end."""
        if failure.entry.kind is not EntryKind.FAILED_ATTEMPT:
            return
        attempts = self._failures.setdefault(failure.exchange_id, [])
        if len(attempts) < _MOST_ATTEMPTS:
            attempts.append(failure)
        if len(self._failures) > _MOST_REQUESTS:
            self._failures.popitem(last=False)

    def take_outcome(self, outcome: Outcome) -> None:
        """A request has ended. What never goes upstream (health checks, wrong paths) has no spans."""
        entry = outcome.entry
        failures = self._failures.pop(entry.exchange_id, [])
        if not outcome.route.leaves:
            return
        trace = entry.trace or self._untold(outcome)
        if trace.is_sampled:
            self.export([self.encode(span) for span in spans_of(outcome, failures, trace, self.server, _span_id)])

    def _untold(self, outcome: Outcome) -> Trace:
        """The trace of a request that the processor never saw."""
        entry = outcome.entry
        operation = operation_of(outcome.route, entry.method)
        return self._trace(parent_of(entry.traceparent, entry.tracestate), None, operation)

    def _trace(self, parent: Parent | None, arrived: float | None, operation: str | None) -> Trace:
        trace_id = secrets.token_hex(16) if parent is None else parent.trace_id
        span_id = _span_id()
        return Trace(
            trace_id=trace_id,
            span_id=span_id,
            parent_id="" if parent is None else parent.span_id,
            upstream_id=span_id if operation is None else _span_id(),
            is_sampled=self.sampler.samples(trace_id, None if parent is None else parent.is_sampled),
            arrived=arrived,
            state="" if parent is None else parent.state,
        )


def _span_id() -> str:
    return secrets.token_hex(8)
