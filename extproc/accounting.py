"""Counts what happened. Nothing else moves a counter: not admission, not transport."""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import structlog
from prometheus_client import Counter, Histogram

from extproc.domain.request.admission import Admission
from extproc.domain.request.business_codes import classify as classify_code
from extproc.domain.request.identity import Caller, RefusedIdentities, as_identity, family, may_be_identity
from extproc.domain.request.labels import ModelLabels, method_label, status_label
from extproc.domain.request.routes import Route, classify
from extproc.domain.usage.failure import Failure
from extproc.domain.usage.log_entry import EntryKind, LogEntry
from extproc.domain.usage.outcome import Outcome, Usage, error_within, interpret, teaches
from extproc.domain.usage.prices import PriceTable
from extproc.domain.usage.token_estimates import TokenEstimator
from extproc.metrics.requests import Metrics

log = structlog.get_logger("extproc.accounting")

_MOST_PENDING_REQUESTS: Final = 10_000
_LONGEST_USER_AGENT: Final = 120
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
    """Turns every access-log entry into metrics and progress of running exchanges.

    `listeners` hear of each outcome, `failure_listeners` of each failure on the way there: once, with the class that
    was counted, so that nobody judges it anew.
    """

    def __init__(
        self,
        metrics: Metrics,
        admission: Admission,
        prices: PriceTable,
        listeners: Sequence[Callable[[Outcome], None]],
        progress_listeners: Sequence[Callable[[LogEntry], None]] = (),
        failure_listeners: Sequence[Callable[[Failure], None]] = (),
        count_tokens: bool = True,
    ) -> None:
        self._metrics = metrics
        self._admission = admission
        self._prices = prices
        self._listeners = listeners
        self._progress_listeners = progress_listeners
        self._failure_listeners = failure_listeners
        self._count_tokens = count_tokens
        self._estimator = TokenEstimator()
        self._models = ModelLabels(known=prices.models)
        self._instruments: dict[tuple[str, str, str], _RequestInstruments] = {}
        self._upstream_errors = _Children(metrics.upstream_errors)
        self._zai_errors = _Children(metrics.zai_errors)
        self._retries = _Children(metrics.retries)
        self._waits = _Children(metrics.rate_limit_wait)
        self._rejections = _Children(metrics.rejections)
        self._usage = _UsageInstruments(metrics)
        self._failed_attempts: OrderedDict[str, list[str]] = OrderedDict()
        self.identities = RefusedIdentities()

    def record(self, entry: LogEntry) -> None:
        """Takes in one entry of any kind."""
        if entry.kind is EntryKind.PROGRESS:
            self._note_progress(entry)
        elif entry.kind is EntryKind.FAILED_ATTEMPT:
            self._take_failed_attempt(entry)
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
        if entry.is_answered:
            self._note_answer(entry, classify(entry.path_label, speaks_anthropic=False))
        exchange = self._admission.find(entry.exchange_id)
        if exchange is None:
            return
        exchange.request_bytes = entry.request_bytes
        exchange.response_bytes = entry.response_bytes
        if entry.answer.model:
            exchange.model = self._models.label(entry.answer.model)

    def _take_failed_attempt(self, entry: LogEntry) -> None:
        exchange_id = entry.exchange_id or self._admission.id_of(entry.request_id) or entry.request_id
        route = classify(entry.path, speaks_anthropic=False)
        is_answer = entry.status >= 400 or error_within(entry, route) is not None
        code = classify_code(entry.business_code, entry.status)
        self._take_failure(Failure(entry, route, exchange_id, code, is_answer))
        reason = ("429" if entry.status == 429 else "5xx") if is_answer else "network_error"
        self._failed_attempts.setdefault(exchange_id, []).append(reason)
        if len(self._failed_attempts) > _MOST_PENDING_REQUESTS:
            self._failed_attempts.popitem(last=False)

    def _take_failure(self, failure: Failure) -> None:
        if failure.is_answer:
            failure = self._judged(failure)
            code = failure.code
            self._zai_errors[code.error_class.value, code.code].inc()
        for hear in self._failure_listeners:
            hear(failure)

    def _judged(self, failure: Failure) -> Failure:
        """The same, but for a refusal of the client's identity that says it were an overload."""
        entry, code = failure.entry, failure.code
        exchange = self._admission.recall(failure.exchange_id)
        if exchange is None or failure.route.llm_protocol is None or entry.answer.begun or not may_be_identity(code):
            return failure
        caller = Caller(exchange.client or exchange.source, family(entry.user_agent))
        refused = self.identities.refused(caller, code.code, failure.ended_at)
        if refused is None:
            return failure
        if refused.is_news:
            log.warning(
                "Z.AI refuses this client: look at its user agent and system prompt",
                client=caller.name,
                user_agent=entry.user_agent[:_LONGEST_USER_AGENT],
                zai_code=entry.business_code,
                refusals=refused.refusals,
            )
        return replace(failure, code=as_identity(code))

    def _note_answer(self, entry: LogEntry, route: Route) -> None:
        if route.llm_protocol is not None and entry.sent_upstream is not None and entry.source:
            caller = Caller(entry.client or entry.source, family(entry.user_agent))
            self.identities.answered(caller, entry.started + entry.sent_upstream)

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
            self._waits[entry.source,].observe(entry.waited)
        if entry.refused:
            self._rejections[entry.source, entry.refused].inc()
        if outcome.error is not None:
            self._upstream_errors[outcome.error,].inc()
        if outcome.late_error is not None:
            self._take_failure(Failure(entry, outcome.route, entry.exchange_id, outcome.late_error, is_answer=True))
        elif entry.is_answered and outcome.error is None:
            self._note_answer(entry, outcome.route)
        self._count_retries(entry)
        if outcome.usage is not None and self._count_tokens:
            self._count_usage(outcome.usage)
            self._learn(outcome, outcome.usage)

    def _count_retries(self, entry: LogEntry) -> None:
        failed = self._failed_attempts.pop(entry.exchange_id, None) or self._failed_attempts.pop(entry.request_id, [])
        for number in range(entry.attempts - 1):
            reason = failed[number] if number < len(failed) else "network_error"
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
