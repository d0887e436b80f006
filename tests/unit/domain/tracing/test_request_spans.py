"""What a finished request looks like in a trace."""

import itertools
from dataclasses import replace
from typing import Any

import pytest

from extproc.domain.request.business_codes import classify as classify_code
from extproc.domain.request.trace_context import Trace
from extproc.domain.tracing.request_spans import Server, spans_of
from extproc.domain.tracing.span import Event, Kind, Span
from extproc.domain.usage.failure import Failure
from extproc.domain.usage.log_entry import NOTHING_READ, Ending, EntryKind
from tests.unit.domain.usage.test_outcome import BEGUN, FINISHED, PEAK, REPORTED, outcome_of

TRACE = Trace("a" * 32, "5" * 16, "c" * 16, "e" * 16, is_sampled=True, arrived=PEAK + 0.01, state="a=b")
SERVER = Server("api.z.ai", 443)
WHOLE: dict[str, Any] = {
    "answer": REPORTED, "first_token": 1.25, "model_asked": "glm-5.2", "waited": 0.2, "sent_first": 0.25,
    "session": "s-1", "lane": "main",
    "user_agent": "claude-cli/2.1.330 (external, cli)",
}  # fmt: skip


def failed(code: str, began: float, status: int = 429) -> Failure:
    """An attempt that took a tenth of a second and failed."""
    entry = replace(
        FINISHED, kind=EntryKind.FAILED_ATTEMPT, started=PEAK + began, duration=0.1, status=status, business_code=code
    )
    return Failure(entry, outcome_of().route, "x-1", classify_code(code, status), is_answer=status > 0)


def spans(*failures: Failure, trace: Trace = TRACE, **changes: Any) -> list[Span]:
    ids = itertools.count(1)
    return list(spans_of(outcome_of(**WHOLE | changes), failures, trace, SERVER, lambda: f"{next(ids):016x}"))


def tree(made: list[Span]) -> dict[str, list[str]]:
    """The names of the spans below each span, in the order of their begin."""
    names = {span.span_id: span.name for span in made}
    below: dict[str, list[str]] = {}
    for span in sorted(made, key=lambda span: span.began):
        below.setdefault(names.get(span.parent_id, span.parent_id), []).append(span.name)
    return below


def test_a_request_is_one_tree_below_its_clients_span() -> None:
    made = spans(failed("1302", 0.3), attempts=2)

    assert tree(made) == {
        "c" * 16: ["POST /v1/messages"],
        "POST /v1/messages": ["wait for a place", "chat glm-5.2"],
        "chat glm-5.2": ["POST", "POST"],
    }
    assert {(span.trace_id, span.state) for span in made} == {("a" * 32, "a=b")}
    assert len({span.span_id for span in made}) == 5
    assert [span.kind for span in made] == [Kind.SERVER, Kind.INTERNAL, Kind.CLIENT, Kind.CLIENT, Kind.CLIENT]


def test_each_span_lasts_as_long_as_what_it_tells_of() -> None:
    request, wait, model, attempt = spans()

    assert (request.began, request.ended) == (PEAK, PEAK + 3.0)
    assert (wait.began, wait.ended) == (PEAK + 0.01, pytest.approx(PEAK + 0.21))
    assert (model.began, model.ended) == (pytest.approx(PEAK + 0.21), PEAK + 3.0)
    assert (attempt.began, attempt.ended) == (PEAK + 0.25, PEAK + 3.0)


def test_the_models_work_has_the_attributes_of_the_conventions() -> None:
    _, _, model, _ = spans()

    attributes = dict(model.attributes)
    assert attributes.pop("zai_proxy.cost_usd") == pytest.approx(0.000364, rel=0.2)
    assert attributes.pop("zai_proxy.credits") == pytest.approx(0.1924)
    assert attributes.pop("gen_ai.response.time_to_first_chunk") == pytest.approx(1.04)
    assert attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "z_ai",
        "gen_ai.request.model": "glm-5.2",
        "gen_ai.request.stream": True,
        "gen_ai.response.model": "glm-5.3",
        "gen_ai.response.finish_reasons": ("end_turn",),
        "gen_ai.conversation.id": "s-1",
        "gen_ai.usage.input_tokens": 120,
        "gen_ai.usage.output_tokens": 50,
        "gen_ai.usage.cache_read.input_tokens": 20,
        "gen_ai.usage.reasoning.output_tokens": 10,
        "server.address": "api.z.ai",
        "server.port": 443,
        "zai_proxy.usage": "complete",
    }
    assert model.events == (Event("first_token", PEAK + 1.25),)
    assert not model.failed


def test_the_request_says_who_asked_and_what_came_of_it() -> None:
    request = spans()[0]

    assert request.attributes == {
        "http.request.method": "POST",
        "http.route": "/v1/messages",
        "http.response.status_code": 200,
        "http.request.body.size": 1000,
        "http.response.body.size": 2000,
        "zai_proxy.request_id": "r-1",
        "zai_proxy.client": "source-07",
        "zai_proxy.program": "Claude Code",
        "zai_proxy.attempts": 1,
        "zai_proxy.lane": "main",
    }


def test_what_was_waited_after_a_refusal_is_a_part_of_the_models_work() -> None:
    ended = {"status": 429, "refused": "rate", "answer": NOTHING_READ, "first_token": None, "last_byte": None}

    _, wait, model, attempt = spans(failed("1302", 0.3), attempts=1, **ended | {"waited": 2.5})

    assert (wait.began, wait.ended) == (PEAK + 0.01, PEAK + 0.3)
    assert (model.began, model.ended) == (PEAK + 0.3, PEAK + 3.0)
    assert attempt.began == PEAK + 0.3


def test_an_attempt_says_which_it_was_and_why_it_failed() -> None:
    *_, first, second, third = spans(failed("1302", 0.3), failed("", 0.9, status=0), attempts=3)

    assert first.failed
    assert (first.began, first.ended) == (PEAK + 0.3, pytest.approx(PEAK + 0.4))
    assert (first.attributes["http.response.status_code"], first.attributes["error.type"]) == (429, "1302")
    assert "http.request.resend_count" not in first.attributes
    assert second.failed
    assert "http.response.status_code" not in second.attributes
    assert second.attributes["http.request.resend_count"] == 1
    assert (third.failed, third.attributes["http.request.resend_count"]) == (False, 2)


def test_a_last_attempt_that_failed_is_told_of_once() -> None:
    made = spans(
        failed("1302", 0.3), failed("1302", 1.0), attempts=2, status=429, business_code="1302", answer=NOTHING_READ
    )

    assert [span.name for span in made] == ["POST /v1/messages", "wait for a place", "chat glm-5.2", "POST", "POST"]
    assert made[2].failed
    assert made[2].attributes["error.type"] == "1302"


@pytest.mark.parametrize(
    ("changes", "error", "of_server"),
    [
        ({}, None, False),
        ({"status": 429, "business_code": "1308", "answer": NOTHING_READ}, "1308", False),
        (
            {"status": 503, "ending": Ending.CONNECT_FAILED, "details": "", "answer": NOTHING_READ},
            "upstream_connection",
            True,
        ),
        ({"ending": Ending.BROKEN_RESPONSE, "answer": BEGUN}, "read_error", True),
        ({"ending": Ending.CLIENT_LEFT, "answer": BEGUN}, "write_error", False),
        ({"business_code": "1305", "answer": replace(BEGUN, code="1305", late=True)}, "1305", True),
    ],
)
def test_what_is_not_the_clients_fault_has_failed(changes: dict[str, Any], error: str | None, of_server: bool) -> None:
    made = spans(**changes)

    assert made[0].attributes.get("error.type") == error
    assert made[0].failed is of_server
    assert [span.failed for span in made if span.kind is Kind.CLIENT] == [error is not None] * 2


def test_an_answer_that_broke_off_ended_in_an_error() -> None:
    model = spans(ending=Ending.BROKEN_RESPONSE, answer=BEGUN)[2]

    assert model.attributes["gen_ai.response.finish_reasons"] == ("error",)
    assert model.attributes["zai_proxy.usage"] == "estimated"


def test_a_request_that_was_refused_here_has_waited_and_asked_no_model() -> None:
    made = spans(
        status=429,
        refused="rate",
        attempts=0,
        waited=60.0,
        duration=60.02,
        sent_first=None,
        sent_upstream=None,
        answer=NOTHING_READ,
    )

    assert [span.name for span in made] == ["POST /v1/messages", "wait for a place"]
    assert made[0].attributes["error.type"] == made[0].attributes["zai_proxy.refused"] == "rate"
    assert not made[0].failed


def test_without_a_wait_there_is_no_span_of_one() -> None:
    assert [span.name for span in spans(waited=0.0)] == ["POST /v1/messages", "chat glm-5.2", "POST"]


def test_where_no_model_is_asked_the_attempts_hang_below_the_request() -> None:
    trace = replace(TRACE, upstream_id=TRACE.span_id)

    made = spans(method="GET", path="/v1/models", path_label="/v1/models", waited=0.0, trace=trace)

    assert tree(made)["GET /v1/models"] == ["GET"]


def test_embeddings_are_another_operation() -> None:
    model = spans(path_label="/v1/embeddings", streamed=False)[2]

    assert model.name == "embeddings glm-5.2"
    assert not model.events


def test_of_a_model_that_nobody_read_the_one_that_answered_names_the_span() -> None:
    assert spans(model_asked="")[2].name == "chat glm-5.3"


def test_no_span_ends_before_it_begins_or_lies_outside_of_its_request() -> None:
    odd = replace(TRACE, arrived=PEAK + 900)

    for span in spans(trace=odd, waited=5.0, last_byte=0.1, sent_first=2.0):
        assert PEAK <= span.began <= span.ended <= PEAK + 3.0


def test_what_a_client_sends_is_cut() -> None:
    request = spans(request_id="r" * 10_000)[0]

    assert len(str(request.attributes["zai_proxy.request_id"])) == 256
