"""Traces of requests through the real Envoy, as a real collector gets them."""

import asyncio
import json
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.harness.collector import OtlpCollector, ReceivedSpan, needs_collector, running_collector
from tests.harness.leaks import leaks, pages, written_files
from tests.harness.ports import free_port
from tests.harness.stack import PROMPT, Stack, running_stack
from tests.harness.supervised import quiet_settings, supervised
from tests.harness.waiting import eventually, wait_until

pytestmark = [pytest.mark.slow, needs_collector]

STREAM = {**PROMPT, "stream": True}
HEADER_SECRET = secrets.token_hex(12)
SERVER, INTERNAL, CLIENT = 2, 1, 3


def played(trace: str = "", **scenario: Any) -> dict[str, str]:
    headers = {"x-sim": json.dumps(scenario), "anthropic-version": "2023-06-01"}
    return {**headers, "traceparent": trace} if trace else headers


def a_trace(flags: str = "01") -> tuple[str, str, str]:
    """The ids of a trace and of a client's span in it, and the header that says so."""
    trace_id, span_id = secrets.token_hex(16), secrets.token_hex(8)
    return trace_id, span_id, f"00-{trace_id}-{span_id}-{flags}"


def post(
    stack: Stack, headers: dict[str, str], body: dict[str, Any] = STREAM, path: str = "/v1/messages"
) -> httpx.Response:
    return httpx.post(f"{stack.url}{path}", json=body, headers=headers, timeout=60)


def below(spans: list[ReceivedSpan], parent: ReceivedSpan) -> list[ReceivedSpan]:
    return [span for span in spans if span.parent_id == parent.span_id]


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OtlpCollector]:
    with running_collector(tmp_path_factory.mktemp("collector")) as collector:
        yield collector


@pytest.fixture(scope="module")
def one_place(tmp_path_factory: pytest.TempPathFactory, collector: OtlpCollector) -> Iterator[Stack]:
    """A proxy whose requests are traced, with one place at a time for them."""
    with running_stack(
        tmp_path_factory.mktemp("traced"),
        PACING="fixed",
        CONCURRENCY_LIMIT_INITIAL="1",
        RATE_LIMIT_INITIAL="100",
        RATE_LIMIT_BURST="100",
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        OTEL_EXPORTER_OTLP_HEADERS=f"authorization=Bearer%20{HEADER_SECRET}",
    ) as stack:
        yield stack


@pytest.fixture
def traced(one_place: Stack) -> Stack:
    one_place.simulator.reset()
    return one_place


def test_a_request_is_one_tree_below_its_clients_span(traced: Stack, collector: OtlpCollector) -> None:
    trace_id, above, traceparent = a_trace()
    scenario = {"fail_first": {"code": "1302", "times": 2}, "cached_tokens": 7, "events": 5, "pause": 0.05}

    assert post(traced, {**played(traceparent, **scenario), "tracestate": "a=b"}).status_code == 200

    spans = collector.trace(trace_id, 5)
    [request] = [span for span in spans if span.parent_id == above]
    [model] = below(spans, request)
    attempts = below(spans, model)
    assert len(spans) == 5
    assert [(request.name, request.kind), (model.name, model.kind)] == [
        ("POST /v1/messages", SERVER),
        ("chat glm-5.3", CLIENT),
    ]
    assert [(span.name, span.kind, span.failed) for span in attempts] == [
        ("POST", CLIENT, True),
        ("POST", CLIENT, True),
        ("POST", CLIENT, False),
    ]
    assert [span.attributes.get("http.request.resend_count") for span in attempts] == [None, 1, 2]
    assert [span.attributes.get("error.type") for span in attempts] == ["1302", "1302", None]
    assert {span.state for span in spans} == {"a=b"}


def test_the_spans_of_a_request_lie_within_each_other_and_follow_each_other(
    traced: Stack, collector: OtlpCollector
) -> None:
    trace_id, _, traceparent = a_trace()

    post(traced, played(traceparent, fail_first={"code": "1302", "times": 1}, events=5, pause=0.05))

    request, model, first, second = collector.trace(trace_id, 4)
    assert request.began <= model.began <= first.began < first.ended <= second.began < second.ended <= request.ended
    assert second.began <= model.events["first_token"] < second.ended
    waited_for_it = (model.events["first_token"] - model.began) / 1e9
    assert model.attributes["gen_ai.response.time_to_first_chunk"] == pytest.approx(waited_for_it, abs=0.001)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/messages", PROMPT),
        ("/v1/messages", STREAM),
        ("/v1/chat/completions", {"model": "glm-5.3", "stream": True, "messages": PROMPT["messages"]}),
        ("/v1/responses", {"model": "glm-5.3", "input": "hello"}),
    ],
)
def test_tokens_are_those_that_zai_has_told(
    traced: Stack, collector: OtlpCollector, path: str, body: dict[str, Any]
) -> None:
    trace_id, _, traceparent = a_trace()

    post(traced, played(traceparent, input_tokens=1234, output_tokens=321, cached_tokens=777), body, path)

    [model] = [span for span in collector.trace(trace_id, 3) if span.name == "chat glm-5.3"]
    sent = traced.simulator.log()[-1]["usage_sent"]
    told = {
        name: model.attributes[f"gen_ai.usage.{name}"]
        for name in ("input_tokens", "output_tokens", "cache_read.input_tokens")
    }
    assert told == {
        "input_tokens": sent["input"] + sent["cached"] + sent["cache_creation"],
        "output_tokens": sent["output"],
        "cache_read.input_tokens": sent["cached"],
    }
    assert model.attributes["gen_ai.operation.name"] == "chat"
    assert model.attributes["gen_ai.request.model"] == model.attributes["gen_ai.response.model"] == "glm-5.3"


def test_upstream_hears_of_the_trace_with_the_models_span_as_parent(traced: Stack, collector: OtlpCollector) -> None:
    trace_id, _, traceparent = a_trace()

    post(traced, {**played(traceparent), "tracestate": "a=b"})
    post(traced, played())

    heard, begun_here = [entry["headers"] for entry in traced.simulator.log()]
    [model] = [span for span in collector.trace(trace_id, 3) if span.name == "chat glm-5.3"]
    assert (heard["traceparent"], heard["tracestate"]) == (f"00-{trace_id}-{model.span_id}-01", "a=b")
    _, new_id, parent, flags = begun_here["traceparent"].split("-")
    [request, *_] = collector.trace(new_id, 3)
    assert (request.parent_id, flags) == ("", "01")
    assert parent in {span.span_id for span in collector.trace(new_id, 3)}
    assert "tracestate" not in begun_here


async def test_a_request_that_waits_shows_for_how_long(traced: Stack, collector: OtlpCollector) -> None:
    trace_id, _, traceparent = a_trace()
    async with httpx.AsyncClient(timeout=60) as client:
        with traced.simulator.frozen():
            first = asyncio.create_task(client.post(f"{traced.url}/v1/messages", json=PROMPT, headers=played()))
            await eventually(lambda: traced.status()["workers"]["in_flight"], lambda running: running == 1)
            second = asyncio.create_task(
                client.post(f"{traced.url}/v1/messages", json=PROMPT, headers=played(traceparent))
            )
            await eventually(lambda: traced.status()["waiting"], bool)
        answers = await asyncio.gather(first, second)

    assert [answer.status_code for answer in answers] == [200, 200]
    request, wait, model, attempt = await asyncio.to_thread(collector.trace, trace_id, 4)
    assert (wait.name, wait.kind, wait.parent_id) == ("wait for a place", INTERNAL, request.span_id)
    assert request.began <= wait.began < wait.ended <= model.began <= attempt.began
    told = float(answers[1].headers["x-zai-queue-ms"])
    assert (wait.ended - wait.began) / 1e6 == pytest.approx(told, abs=2.0)


def test_what_the_client_does_not_record_is_recorded_nowhere_and_upstream_hears_so(
    traced: Stack, collector: OtlpCollector
) -> None:
    silent_id, _, silent = a_trace("00")
    trace_id, _, traceparent = a_trace()

    post(traced, played(silent))
    post(traced, played(traceparent))

    collector.trace(trace_id, 3)
    assert collector.trace(silent_id, 0) == []
    assert traced.simulator.log()[0]["headers"]["traceparent"].endswith("-00")


def test_what_never_goes_upstream_has_no_trace(traced: Stack, collector: OtlpCollector) -> None:
    probed_id, _, probed = a_trace()
    trace_id, _, traceparent = a_trace()

    for path in ("/health", "/metrics", "/nowhere"):
        httpx.get(f"{traced.url}{path}", headers={"traceparent": probed}, timeout=30)
    httpx.get(f"{traced.url}/v1/models", headers={"traceparent": traceparent}, timeout=30)

    request, attempt = collector.trace(trace_id, 2)
    assert (request.name, attempt.name, attempt.parent_id) == ("GET /v1/models", "GET", request.span_id)
    assert collector.trace(probed_id, 0) == []


def test_a_request_that_ends_while_the_processor_is_away_is_traced_when_it_is_back(
    traced: Stack, collector: OtlpCollector
) -> None:
    trace_id, above, traceparent = a_trace()
    traced.processor.kill()

    assert post(traced, played(traceparent)).status_code == 503
    traced.restart_processor()

    [request] = collector.trace(trace_id, 1)
    assert (request.parent_id, request.failed) == (above, True)
    assert request.attributes["http.response.status_code"] == 503


def test_nothing_secret_is_in_a_trace_and_nothing_of_the_collector_is_shown(
    traced: Stack, collector: OtlpCollector
) -> None:
    trace_id, _, traceparent = a_trace()
    body = {**PROMPT, "messages": [{"role": "user", "content": "a-secret-prompt"}]}
    headers = {**played(traceparent), "x-api-key": "a-client-secret", "x-forwarded-for": "203.0.113.77"}

    post(traced, headers, body, "/v1/messages?beta=true&token=a-secret-query")

    collector.trace(trace_id, 3)
    told = collector.process.output
    unwanted = (traced.key, HEADER_SECRET, "a-secret", "a-client-secret", "beta=true", "203.0.113.77", "127.0.0.1:")
    assert [each for each in unwanted if each in told] == []
    shown = written_files(traced._directory) | pages(traced)
    assert leaks(shown, [HEADER_SECRET, collector.url]) == []


def test_a_collector_that_is_away_or_hangs_slows_no_request_and_holds_up_no_end(tmp_path: Path) -> None:
    trace_id, _, traceparent = a_trace()
    port = free_port()
    with running_stack(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}") as stack:
        assert post(stack, played(traceparent), PROMPT).status_code == 200
        wait_until(lambda: stack.processor.output.count("does not take spans") == 1, "trouble is told")

        with running_collector(tmp_path, port) as collector:
            assert len(collector.trace(trace_id, 3)) == 3
            wait_until(lambda: "takes spans again" in stack.processor.output, "its end is told")
            with collector.frozen():
                for _ in range(10):
                    assert post(stack, played(), PROMPT).status_code == 200
                wait_until(lambda: stack.metric("zai_proxy_trace_spans_waiting") == 30, "all spans wait")
                stack.envoy.kill()
                stack.processor.signal(signal.SIGTERM)

                assert stack.processor.wait(within=60.0) == 0
        assert "spans were not sent before the end" in stack.processor.output


def test_the_last_spans_are_sent_on_the_way_down_also_where_grpc_is_asked_for(traced: Stack, tmp_path: Path) -> None:
    trace_id, _, traceparent = a_trace()
    with running_collector(tmp_path) as collector:
        environment = quiet_settings(tmp_path, traced.key, traced.simulator.url)
        settings = {
            **environment,
            "OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{collector.url}/v1/traces",
        }
        with supervised(tmp_path, settings, "run", "--no-dashboard") as proxy:
            proxy.until_ready()
            answer = httpx.post(f"{proxy.url}/v1/messages", json=PROMPT, headers=played(traceparent), timeout=60)
            proxy.signal(signal.SIGTERM)

            assert answer.status_code == 200
            assert proxy.process.wait(60.0) == 0
            assert proxy.output.count("OTEL_EXPORTER_OTLP_PROTOCOL=grpc: zai-proxy sends http/protobuf, ") == 1
        assert len(collector.trace(trace_id, 3)) == 3
