"""Counts what happened, and does nothing else. Nobody else counts requests, errors or tokens."""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeVar

from prometheus_client import Counter, Histogram

from extproc.domain.pacing.limits import MCP, UNKNOWN, places_name
from extproc.domain.request.labels import ModelLabels, method_label, status_label
from extproc.domain.request.routes import PaidBy
from extproc.domain.usage.failure import Failure
from extproc.domain.usage.log_entry import EntryKind, LogEntry
from extproc.domain.usage.outcome import Outcome, Usage
from extproc.metrics.requests import Metrics

_MOST_PENDING_REQUESTS: Final = 10_000
_NETWORK_ERROR: Final = "network_error"
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


class _Children(dict[tuple[str, ...], Instrument]):
    """The children of an instrument by their labels, looked up once: the library checks and locks each time."""

    def __init__(self, parent: Instrument) -> None:
        super().__init__()
        self._parent: Instrument = parent

    def __missing__(self, labels: tuple[str, ...]) -> Instrument:
        child: Instrument = self._parent.labels(*labels)
        self[labels] = child
        return child


class _UsageInstruments:
    """What the tokens of answers are counted with."""

    def __init__(self, metrics: Metrics) -> None:
        self.records = _Children(metrics.usage_records)
        self.tokens = _Children(metrics.tokens)
        self.estimated = _Children(metrics.estimated_tokens)
        self.reasoning = _Children(metrics.reasoning_tokens)
        self.cost = _Children(metrics.estimated_cost)
        self.credits = _Children(metrics.plan_credits)
        self.rate = _Children(metrics.token_rate)


class Accountant:
    """Turns what has ended into metrics."""

    def __init__(self, metrics: Metrics, models: Iterable[str] = (), count_tokens: bool = True) -> None:
        self._metrics = metrics
        self._count_tokens = count_tokens
        self._known = tuple(models)
        self._models = ModelLabels(known=self._known)
        self._instruments: dict[tuple[str, str, str], _RequestInstruments] = {}
        self._upstream_errors = _Children(metrics.upstream_errors)
        self._zai_errors = _Children(metrics.zai_errors)
        self._retries = _Children(metrics.retries)
        self._waits = _Children(metrics.rate_limit_wait)
        self._model_waits = _Children(metrics.model_queue_wait)
        self._rejections = _Children(metrics.rejections)
        self._usage = _UsageInstruments(metrics)
        self._failed_attempts: OrderedDict[str, list[str]] = OrderedDict()

    def count_failure(self, failure: Failure) -> None:
        """Counts an error of Z.AI's; what else an attempt failed for counts with its request, as the retry's reason."""
        entry, code = failure.entry, failure.code
        if failure.is_answer:
            self._zai_errors[code.error_class.value, code.code].inc()
        if entry.kind is EntryKind.FAILED_ATTEMPT:
            reason = ("429" if entry.status == 429 else "5xx") if failure.is_answer else _NETWORK_ERROR
            self._failed_attempts.setdefault(failure.exchange_id, []).append(reason)
            if len(self._failed_attempts) > _MOST_PENDING_REQUESTS:
                self._failed_attempts.popitem(last=False)

    def count_request(self, outcome: Outcome) -> None:
        """Counts a request that has ended."""
        entry = outcome.entry
        instruments = self._instruments_of(outcome)
        instruments.requests.inc()
        instruments.duration.observe(entry.duration)
        instruments.request_size.observe(entry.request_bytes)
        instruments.response_size.observe(entry.response_bytes)
        if entry.first_byte is not None:
            instruments.time_to_first_byte.observe(entry.first_byte)
        if entry.refused:
            self._rejections[entry.source, entry.refused].inc()
        elif entry.waited is not None:
            self._waits[entry.source,].observe(entry.waited)
            if outcome.route.llm_protocol is not None:
                # Names can be made up: one that nothing has answered for counts by itself only if a plan has it.
                served = entry.answer.model or (entry.model_asked if entry.model_asked in self._known else "")
                self._model_waits[self._models.label(places_name(served)) if served else UNKNOWN,].observe(entry.waited)
            elif outcome.route.paid_by is PaidBy.TOOLS:
                self._model_waits[MCP,].observe(entry.waited)
        if outcome.error is not None:
            self._upstream_errors[outcome.error,].inc()
        self._count_retries(entry)
        if outcome.usage is not None and self._count_tokens:
            self._count_usage(outcome.usage)

    def _count_retries(self, entry: LogEntry) -> None:
        failed = self._failed_attempts.pop(entry.exchange_id, None) or self._failed_attempts.pop(entry.request_id, [])
        for number in range(entry.attempts - 1):
            reason = failed[number] if number < len(failed) else _NETWORK_ERROR
            self._retries[reason,].inc()

    def _count_usage(self, usage: Usage) -> None:
        into, tokens, cost = self._usage, usage.tokens, usage.cost
        model, tier = self._models.label(usage.model), usage.tier.value
        into.records[usage.record.value,].inc()
        for direction in _DIRECTIONS:
            amount = getattr(tokens, direction)
            if not amount:
                continue
            into.tokens[direction, model, tier].inc(amount)
            if cost is not None:
                into.cost[direction, model, tier].inc(getattr(cost, direction))
            if estimated := getattr(usage.estimated, direction):
                into.estimated[direction, model].inc(estimated)
        if tokens.reasoning:
            into.reasoning[model,].inc(tokens.reasoning)
        if usage.credits is not None:
            into.credits[model, tier].inc(usage.credits)
        if usage.output_rate is not None:
            into.rate["output", model].observe(usage.output_rate)

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
