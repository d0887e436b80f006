"""From a log entry to all who have to hear of it: what it means is found out once, and then everybody is told."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import structlog

from extproc.domain.request.admission import Admission
from extproc.domain.request.business_codes import classify as classify_code
from extproc.domain.request.exchange import Exchange
from extproc.domain.request.identity import Caller, RefusedIdentities, as_identity, family, may_be_identity
from extproc.domain.request.model_names import model_name
from extproc.domain.request.routes import Route, classify
from extproc.domain.usage.failure import Failure
from extproc.domain.usage.log_entry import Ending, EntryKind, LogEntry
from extproc.domain.usage.outcome import Outcome, error_within, interpret, teaches
from extproc.domain.usage.prices import PriceTable
from extproc.domain.usage.token_estimates import TokenEstimator

log = structlog.get_logger("extproc.recorder")

_LONGEST_USER_AGENT: Final = 120
News = TypeVar("News")


@dataclass(frozen=True, slots=True)
class Listener:
    """Somebody who wants to hear, under the name by which an error of his is logged.

    `outcome` hears of each request that has ended; `failure` of each attempt that ended in an error, and of each good
    answer that turned into one, before its request's outcome; `progress` of each request that goes on.
    """

    name: str
    outcome: Callable[[Outcome], None] | None = None
    failure: Callable[[Failure], None] | None = None
    progress: Callable[[LogEntry], None] | None = None


class Recorder:
    """Tells the listeners, in their order, what each entry of the access log means.

    A listener that raises keeps no other from hearing. Its first error of a kind is logged, and `count_failure` hears
    of each entry that somebody could not take in. `observe` gets the seconds that a finished request took here.
    """

    def __init__(
        self,
        admission: Admission,
        prices: PriceTable,
        listeners: Sequence[Listener],
        count_failure: Callable[[], None],
        observe: Callable[[float], None],
    ) -> None:
        self._admission = admission
        self._prices = prices
        self._estimator = TokenEstimator()
        self._outcome = [(each.name, each.outcome) for each in listeners if each.outcome is not None]
        self._failure = [(each.name, each.failure) for each in listeners if each.failure is not None]
        self._progress = [(each.name, each.progress) for each in listeners if each.progress is not None]
        self._count_failure = count_failure
        self._observe = observe
        self._logged: set[tuple[str, type[Exception]]] = set()
        self.identities = RefusedIdentities()

    def record(self, entry: LogEntry) -> None:
        """Takes in one entry of any kind."""
        if entry.kind is EntryKind.PROGRESS:
            self._take_progress(entry)
        elif entry.kind is EntryKind.FAILED_ATTEMPT:
            self._take_failed_attempt(entry)
        else:
            began = time.perf_counter()
            self._take_outcome(interpret(self._named(entry), self._estimator, self._prices))
            self._observe(time.perf_counter() - began)

    def _named(self, entry: LogEntry) -> LogEntry:
        """The entry with what the processor knows of the request. If the client left while it waited, Envoy has got no
        answer of the processor's, so the entry says nothing of that."""
        if entry.exchange_id or entry.ending is not Ending.CLIENT_LEFT:
            return entry
        exchange = self._admission.recall(self._admission.id_of(entry.request_id) or "")
        if exchange is None or not exchange.waits:
            return entry
        return replace(
            entry,
            path_label=exchange.path,
            source=exchange.source,
            client=exchange.client,
            session=exchange.session,
            agent=exchange.agent,
            thread=exchange.thread,
            lane=exchange.lane.value,
            model_asked=exchange.asked,
            waited=entry.duration,
            trace=exchange.trace,
        )

    def _take_outcome(self, outcome: Outcome) -> None:
        entry = outcome.entry
        if outcome.late_error is not None:
            self._take_failure(Failure(entry, outcome.route, entry.exchange_id, outcome.late_error, is_answer=True))
        elif entry.is_answered and outcome.error is None:
            self._note_answer(entry, outcome.route)
        if teaches(outcome):
            self._learn(outcome)
        self._tell(self._outcome, outcome)

    def _take_progress(self, entry: LogEntry) -> None:
        if entry.is_answered:
            self._note_answer(entry, classify(entry.path_label, speaks_anthropic=False))
        exchange = self._admission.find(entry.exchange_id)
        if exchange is not None:
            exchange.request_bytes = entry.request_bytes
            exchange.response_bytes = entry.response_bytes
            exchange.model = model_name(entry.answer.model) or exchange.model
        self._tell(self._progress, entry)

    def _take_failed_attempt(self, entry: LogEntry) -> None:
        exchange_id = entry.exchange_id or self._admission.id_of(entry.request_id) or entry.request_id
        exchange = self._admission.recall(exchange_id)
        if exchange is not None:
            entry = replace(entry, model_asked=exchange.asked)
        route = _route_of_attempt(entry, exchange)
        if route.is_probe:
            return  # the answer was this proxy's own: that a scrape without a token was refused says nothing of Z.AI
        is_answer = entry.status >= 400 or error_within(entry, route) is not None
        code = classify_code(entry.business_code, entry.status)
        self._take_failure(Failure(entry, route, exchange_id, code, is_answer))

    def _take_failure(self, failure: Failure) -> None:
        self._tell(self._failure, self._judged(failure) if failure.is_answer else failure)

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

    def _learn(self, outcome: Outcome) -> None:
        """What an answer that reported its tokens teaches about those that report none."""
        entry, usage, protocol = outcome.entry, outcome.usage, outcome.route.llm_protocol
        if usage is not None and protocol is not None:
            tokens = usage.tokens
            self._estimator.learn(
                protocol,
                usage.model,
                entry.streamed,
                entry.request_bytes,
                entry.response_bytes,
                tokens.input_total,
                tokens.output,
                entry.events,
            )

    def _tell(self, listeners: Iterable[tuple[str, Callable[[News], None]]], news: News) -> None:
        is_heard = True
        for name, listen in listeners:
            try:
                listen(news)
            except Exception as error:  # whatever is wrong with one of them, the others have to hear of it
                is_heard = False
                if self._is_new((name, type(error))):
                    log.exception("a log entry could not be taken in; from now on such errors only count", by=name)
        if not is_heard:
            self._count_failure()

    def _is_new(self, kind: tuple[str, type[Exception]]) -> bool:
        is_new = kind not in self._logged
        self._logged.add(kind)
        return is_new


def _route_of_attempt(entry: LogEntry, exchange: Exchange | None) -> Route:
    """What an attempt's path means. The path is the one that Envoy made of the client's. If it begins with a base path
    of the operator's own (ZAI_OPENAI_BASE_PATH) it is in no table, and the path of the request is looked up instead."""
    route = classify(entry.path, speaks_anthropic=False)
    return route if route.leaves or exchange is None else classify(exchange.path, speaks_anthropic=False)
