"""Which trace a request becomes part of, and what is sent when it has ended."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from extproc.domain.request.business_codes import classify as classify_code
from extproc.domain.request.head import RequestHead
from extproc.domain.request.routes import classify
from extproc.domain.tracing.request_spans import Server
from extproc.domain.tracing.sampling import Sampler
from extproc.domain.tracing.span import Span
from extproc.domain.usage.failure import Failure
from extproc.domain.usage.log_entry import NOTHING_READ
from extproc.runtime.tracer import Tracer
from tests.unit.books import FAILED
from tests.unit.domain.usage.test_outcome import outcome_of

TRACE_ID, ABOVE = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE_ID}-{ABOVE}-01"
MESSAGES = classify("/v1/messages", speaks_anthropic=True)
MODELS = classify("/v1/models", speaks_anthropic=False)
HEAD = RequestHead("POST", "/v1/messages", "r-1", True, True, "", "", "", "203.0.113.1")


class Sent:
    """A tracer, and the spans that it had sent, a list for each request."""

    def __init__(self, sampler: Sampler | None = None) -> None:
        self.requests: list[list[Span]] = []
        self._made: list[Span] = []
        self.tracer = Tracer(sampler or Sampler(), Server("api.z.ai", 443), self._encode, self._export)

    def _encode(self, span: Span) -> bytes:
        self._made.append(span)
        return b"span"

    def _export(self, spans: Sequence[bytes]) -> None:
        assert len(spans) == len(self._made)
        self.requests.append(self._made)
        self._made = []

    def ends(self, **changes: Any) -> list[Span]:
        """A request has ended; its spans, if any were sent."""
        before = len(self.requests)
        self.tracer.take_outcome(outcome_of(**changes))
        return self.requests[-1] if len(self.requests) > before else []


def test_a_request_joins_the_trace_of_its_client() -> None:
    trace = Sent().tracer.begin(replace(HEAD, traceparent=TRACEPARENT, tracestate="a=b"), MESSAGES)

    assert (trace.trace_id, trace.parent_id, trace.state, trace.is_sampled) == (TRACE_ID, ABOVE, "a=b", True)
    assert len({trace.span_id, trace.upstream_id, ABOVE}) == 3


def test_without_a_trace_it_begins_one_and_no_two_are_the_same() -> None:
    tracer = Sent().tracer

    traces = [tracer.begin(head, MESSAGES) for head in (HEAD, replace(HEAD, traceparent="00-odd", tracestate="a=b"))]

    assert [(trace.parent_id, trace.state, trace.is_sampled) for trace in traces] == [("", "", True)] * 2
    assert len({trace.trace_id for trace in traces}) == 2


def test_where_no_model_is_asked_the_requests_own_span_goes_upstream() -> None:
    trace = Sent().tracer.begin(replace(HEAD, method="GET", path="/v1/models"), MODELS)

    assert trace.upstream_id == trace.span_id


def test_the_spans_have_the_ids_that_went_upstream() -> None:
    sent = Sent()
    trace = sent.tracer.begin(replace(HEAD, traceparent=TRACEPARENT), MESSAGES)

    request, model, attempt = sent.ends(trace=trace)

    assert (request.span_id, request.parent_id) == (trace.span_id, ABOVE)
    assert (model.span_id, attempt.parent_id) == (trace.upstream_id, trace.upstream_id)


def test_what_is_not_recorded_sends_nothing_and_says_so_upstream() -> None:
    sent = Sent()
    trace = sent.tracer.begin(replace(HEAD, traceparent=TRACEPARENT[:-1] + "0"), MESSAGES)

    assert sent.ends(trace=trace) == []
    assert trace.traceparent.endswith("-00")


def test_a_request_that_the_processor_never_saw_is_traced_by_its_own_words() -> None:
    [request] = Sent().ends(
        exchange_id="", path_label="", path="/v1/messages", status=503, attempts=0, sent_upstream=None, waited=None,
        answer=NOTHING_READ, route_name="no_processor", traceparent=TRACEPARENT,
    )  # fmt: skip

    assert (request.trace_id, request.parent_id, request.failed) == (TRACE_ID, ABOVE, True)
    assert request.attributes["error.type"] == "request_creation"


def test_what_never_goes_upstream_has_no_trace() -> None:
    assert Sent().ends(path="/health", path_label="", exchange_id="", attempts=0) == []


def test_failed_attempts_stand_in_the_trace_of_their_request_alone() -> None:
    sent = Sent()
    refused = Failure(FAILED, MESSAGES, "x-1", classify_code("1302", 429), is_answer=True)
    sent.tracer.take_failure(refused)
    sent.tracer.take_failure(replace(refused, exchange_id="x-2"))

    assert [span.name for span in sent.ends(attempts=2)] == ["POST /v1/messages", "chat glm-5.3", "POST", "POST"]
    assert len(sent.ends(attempts=1)) == 3


def test_an_error_in_a_good_answers_body_is_no_attempt_of_its_own() -> None:
    sent = Sent()
    outcome = outcome_of(business_code="1305")
    sent.tracer.take_failure(Failure(outcome.entry, MESSAGES, "x-1", classify_code("1305", 0), is_answer=True))

    assert len(sent.ends()) == 3


def test_attempts_of_requests_whose_end_is_never_told_are_forgotten() -> None:
    sent = Sent()
    refused = Failure(FAILED, MESSAGES, "x-1", classify_code("1302", 429), is_answer=True)
    for number in range(5000):
        for _ in range(20):
            sent.tracer.take_failure(replace(refused, exchange_id=f"x-{number}"))

    assert len(sent.tracer._failures) == 4096
    assert max(map(len, sent.tracer._failures.values())) == 16
