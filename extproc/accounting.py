"""Counts what happened. Nothing else moves a counter: not admission, not transport."""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from prometheus_client import Counter, Histogram

from extproc.domain.admission import Admission
from extproc.domain.business_codes import classify as classify_code
from extproc.domain.labels import ModelLabels, method_label, status_label
from extproc.domain.log_entry import EntryKind, LogEntry
from extproc.domain.outcome import Outcome, Usage, interpret, teaches
from extproc.domain.prices import PriceTable
from extproc.domain.token_estimates import TokenEstimator
from extproc.metrics import Metrics

_MOST_PENDING_REQUESTS: Final = 10_000
Instrument = TypeVar("Instrument", Counter, Histogram)
_DIRECTIONS: Final = ("input", "output", "cache_read", "cache_write")


@dataclass(frozen=True, slots=True)
class _RequestInstruments:
    """The children of one (method, path, status), looked up once."""

    requests: Counter
    duration: Histogram
    request_size: Histogram
    response_size: Histogram
    time_to_first_byte: Histogram


class _Children:
    """The children of instruments by their labels, looked up once: the library checks and locks each time."""

    def __init__(self) -> None:
        self._known: dict[tuple[Counter | Histogram, tuple[str, ...]], Any] = {}

    def of(self, parent: Instrument, *labels: str) -> Instrument:
        child: Instrument | None = self._known.get((parent, labels))
        if child is None:
            child = self._known[parent, labels] = parent.labels(*labels)
        return child


class Accountant:
    """Turns every access-log entry into metrics and progress of running exchanges; `listeners` hear of each outcome."""

    def __init__(
        self,
        metrics: Metrics,
        admission: Admission,
        prices: PriceTable,
        listeners: Sequence[Callable[[Outcome], None]],
        progress_listeners: Sequence[Callable[[LogEntry], None]] = (),
        attempt_listeners: Sequence[Callable[[LogEntry], None]] = (),
        count_tokens: bool = True,
    ) -> None:
        self._metrics = metrics
        self._admission = admission
        self._prices = prices
        self._listeners = listeners
        self._progress_listeners = progress_listeners
        self._attempt_listeners = attempt_listeners
        self._count_tokens = count_tokens
        self._estimator = TokenEstimator()
        self._models = ModelLabels(known=prices.models)
        self._instruments: dict[tuple[str, str, str], _RequestInstruments] = {}
        self._children = _Children()
        self._failed_attempts: OrderedDict[str, list[str]] = OrderedDict()

    def record(self, entry: LogEntry) -> None:
        """Takes in one entry of any kind."""
        if entry.kind is EntryKind.PROGRESS:
            self._note_progress(entry)
        elif entry.kind is EntryKind.FAILED_ATTEMPT:
            self._count_failed_attempt(entry)
            for hear in self._attempt_listeners:
                hear(entry)
        else:
            began = time.perf_counter()
            outcome = interpret(entry, self._estimator, self._prices)
            self._count(outcome)
            self._metrics.token_count_duration.observe(time.perf_counter() - began)
            for listen in self._listeners:
                listen(outcome)

    def _note_progress(self, entry: LogEntry) -> None:
        for listen in self._progress_listeners:
            listen(entry)
        exchange = self._admission.find(entry.exchange_id)
        if exchange is None:
            return
        exchange.request_bytes = entry.request_bytes
        exchange.response_bytes = entry.response_bytes
        exchange.model = self._models.label(entry.model) if entry.model else ""

    def _count_failed_attempt(self, entry: LogEntry) -> None:
        answered = entry.status >= 400 or entry.business_code != ""
        if answered:
            self._count_zai_error(entry)
        reason = "network_error"
        if answered:
            reason = "429" if entry.status == 429 else "5xx"
        self._failed_attempts.setdefault(entry.request_id, []).append(reason)
        if len(self._failed_attempts) > _MOST_PENDING_REQUESTS:
            self._failed_attempts.popitem(last=False)

    def _count_zai_error(self, entry: LogEntry) -> None:
        code = classify_code(entry.business_code, entry.status)
        self._metrics.zai_errors.labels(code.error_class.value, code.code).inc()

    def _count(self, outcome: Outcome) -> None:
        entry = outcome.entry
        instruments = self._instruments_of(outcome)
        instruments.requests.inc()
        instruments.duration.observe(entry.duration)
        instruments.request_size.observe(entry.request_bytes)
        instruments.response_size.observe(entry.response_bytes)
        if entry.first_byte is not None:
            instruments.time_to_first_byte.observe(entry.first_byte)
        if entry.waited is not None and not entry.refused:
            self._children.of(self._metrics.rate_limit_wait, entry.source).observe(entry.waited)
        if entry.refused:
            self._metrics.rejections.labels(entry.source, entry.refused).inc()
        if outcome.error is not None:
            self._metrics.upstream_errors.labels(outcome.error).inc()
        if entry.streamed and entry.business_code:
            self._count_zai_error(entry)  # an error event: no attempt failed that could have told of it
        self._count_retries(entry)
        if outcome.usage is not None and self._count_tokens:
            self._count_usage(outcome.usage)
            self._learn(outcome, outcome.usage)

    def _count_retries(self, entry: LogEntry) -> None:
        failed = self._failed_attempts.pop(entry.request_id, [])
        for number in range(entry.attempts - 1):
            reason = failed[number] if number < len(failed) else "network_error"
            self._metrics.retries.labels(reason).inc()

    def _count_usage(self, usage: Usage) -> None:
        metrics, child = self._metrics, self._children.of
        model, tier = self._models.label(usage.model), usage.tier.value
        child(metrics.usage_records, usage.record.value).inc()
        for direction in _DIRECTIONS:
            amount = getattr(usage.tokens, direction)
            if not amount:
                continue
            child(metrics.tokens, direction, model, tier).inc(amount)
            if usage.is_estimated:
                child(metrics.estimated_tokens, direction, model).inc(amount)
            if usage.cost is not None:
                child(metrics.estimated_cost, direction, model, tier).inc(getattr(usage.cost, direction))
        if usage.tokens.reasoning:
            child(metrics.reasoning_tokens, model).inc(usage.tokens.reasoning)
        if usage.credits is not None:
            child(metrics.plan_credits, model, tier).inc(usage.credits)
        if usage.output_rate is not None:
            child(metrics.token_rate, "output", model).observe(usage.output_rate)

    def _learn(self, outcome: Outcome, usage: Usage) -> None:
        entry, protocol = outcome.entry, outcome.route.llm_protocol
        if protocol is None or not teaches(outcome):
            return
        self._estimator.learn(
            protocol,
            usage.model,
            entry.streamed,
            entry.request_bytes,
            entry.response_bytes,
            usage.tokens.input_total,
            usage.tokens.output,
        )

    def _instruments_of(self, outcome: Outcome) -> _RequestInstruments:
        labels = (method_label(outcome.entry.method), outcome.route.label, status_label(outcome.status))
        instruments = self._instruments.get(labels)
        if instruments is None:
            metrics = self._metrics
            instruments = self._instruments[labels] = _RequestInstruments(
                requests=metrics.requests.labels(*labels),
                duration=metrics.request_duration.labels(*labels),
                request_size=metrics.request_size.labels(*labels[:2]),
                response_size=metrics.response_size.labels(*labels),
                time_to_first_byte=metrics.time_to_first_byte.labels(*labels[:2]),
            )
        return instruments
