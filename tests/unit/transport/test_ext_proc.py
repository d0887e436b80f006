"""What the processor answers Envoy, and that a slot is held as long as the stream is open and not a moment longer."""

import json
from pathlib import Path
from typing import Any

import pytest

from extproc.domain.clients.clients import Client, ClientRegistry, digest_of
from extproc.domain.request.trace_context import noted
from extproc.transport.pb import ext_proc_pb2 as pb
from tests.harness.waiting import eventually
from tests.unit.transport.envoy_side import SOON, TRAILERS, Stream, asking, envoy


def refusal(stream: Stream) -> tuple[int, dict[str, str], Any]:
    """Status, headers and body of what the client is answered in place of the upstream."""
    answer = stream.answers[-1].immediate_response
    headers = {each.header.key: each.header.raw_value.decode() for each in answer.headers.set_headers}
    return answer.status.code, headers, json.loads(answer.body)


async def test_an_admitted_request_gets_the_key_and_loses_the_callers_own() -> None:
    async with envoy(zai_api_key="a-key") as side:
        stream = await side.ask(asking(x_api_key="of-the-client", authorization="Bearer of-the-client"))

        common = stream.answers[0].request_headers.response
        assert stream.headers == {"x-zai-admitted": "1", "accept-encoding": "identity", "x-api-key": "a-key"}
        assert {"authorization", "cookie"} <= set(common.header_mutation.remove_headers)
        assert "x-api-key" not in common.header_mutation.remove_headers
        assert common.clear_route_cache


async def test_what_the_log_entry_has_to_bring_back_is_noted() -> None:
    async with envoy() as side:
        body = {"model": "glm-5.3", "stream": True, "max_tokens": 100}
        head = asking(body=body, x_claude_code_session_id="s-1", x_claude_code_agent_id="a-1")
        stream = await side.ask(head)

        (exchange,) = side.proxy.service.admission.in_flight()
        known = ("id", "path", "lane", "asked", "session", "agent", "guard", "waited")
        assert [stream.noted[name] for name in known] == [
            exchange.id, "/v1/messages", "subagent", "glm-5.3", "s-1", "a-1", "1", "0.0000",
        ]  # fmt: skip
        assert (exchange.stream, exchange.max_tokens, exchange.request_id) == (True, 100, "r-1")


@pytest.mark.parametrize(
    ("doctor", "path", "body", "is_asked"),
    [
        (True, "/v1/messages", {"model": "glm-5.3"}, True),
        (False, "/v1/messages", {"model": "glm-5.3"}, False),
        (True, "/v1/messages", None, False),
        (True, "/v1/embeddings", {"model": "embedding-3"}, False),
    ],
    ids=["on", "off", "a body that was not read", "no prompt"],
)
async def test_envoy_is_asked_for_the_parts_of_a_prompt_where_it_can_tell_them(
    doctor: bool, path: str, body: dict[str, Any] | None, is_asked: bool
) -> None:
    async with envoy(cache_doctor=doctor) as side:
        stream = await side.ask(asking(path, body))

        assert stream.noted.get("parts") == ("1" if is_asked else None)


async def test_a_request_is_known_by_the_program_that_sends_it() -> None:
    async with envoy() as side:
        await side.ask(asking(user_agent="claude-cli/2.1.7 (external, cli)"))
        await side.ask(asking(user_agent="something else"))

        named = [(await side.proxy.get("/status")).json()["requests"][number]["program"] for number in (0, 1)]
        assert sorted(named, key=str) == ["Claude Code", None]


async def test_a_body_that_nobody_has_read_asks_for_nothing() -> None:
    async with envoy() as side:
        stream = await side.ask(asking())

        assert not {"asked", "session", "agent", "client"} & stream.noted.keys()


async def test_the_slot_is_held_until_the_stream_ends() -> None:
    async with envoy() as side:
        stream = await side.ask()
        assert side.slots.in_flight == 1

        await side.end(stream)

        assert side.slots.in_flight == 0
        assert len(stream.told) == 1


async def test_trailers_are_answered_and_end_nothing() -> None:
    async with envoy() as side:
        stream = await side.ask()

        stream.send(TRAILERS)
        await eventually(lambda: len(stream.answers), lambda answers: answers == 2, within=SOON)

        assert stream.answers[1].HasField("response_trailers")
        assert side.slots.in_flight == 1


async def test_a_message_that_nobody_asked_for_is_passed_over() -> None:
    async with envoy() as side:
        stream = await side.ask()

        for message in (asking(), pb.ProcessingRequest(), TRAILERS):
            stream.send(message)
        await eventually(lambda: len(stream.answers), lambda answers: answers == 2, within=SOON)

        assert stream.answers[1].HasField("response_trailers")
        assert side.slots.in_flight == 1


@pytest.mark.parametrize("first", [TRAILERS, pb.ProcessingRequest()], ids=["trailers", "empty"])
async def test_a_stream_that_begins_with_no_head_is_left_alone(first: pb.ProcessingRequest) -> None:
    async with envoy() as side:
        stream = side.begin(first)
        await side.end(stream)

        assert stream.told == []
        assert side.slots.in_flight == 0


async def test_a_stream_that_ends_before_it_began_is_none() -> None:
    async with envoy() as side:
        stream = side.begin()
        await side.end(stream)

        assert stream.told == []


async def test_fields_that_nobody_knows_yet_change_nothing() -> None:
    unknown = b"\xfa\x7f\x03new"  # field 2047, three bytes
    head = pb.ProcessingRequest.FromString(asking().SerializeToString() + unknown)
    head.request_headers.MergeFromString(unknown)

    async with envoy() as side:
        stream = await side.ask(head)

        assert stream.headers["x-zai-admitted"] == "1"


async def test_what_envoy_answers_itself_takes_no_slot() -> None:
    async with envoy() as side:
        stream = await side.ask(asking("/health"))

        assert stream.answers[0].request_headers == pb.HeadersResponse()
        assert side.slots.in_flight == 0


async def test_a_request_waits_for_the_one_before_it_and_envoy_is_told_to_be_patient() -> None:
    async with envoy(concurrency_limit_initial=1) as side:
        first = await side.ask()
        second = await side.queue()
        assert (len(second.told), second.is_answered) == (1, False)
        assert second.told[0].override_message_timeout.seconds > 0

        await side.end(first)
        await eventually(lambda: second.is_answered, bool, within=SOON)

        assert second.headers["x-zai-admitted"] == "1"
        assert float(second.noted["waited"]) > 0


async def test_a_client_that_leaves_while_its_request_waits_leaves_nothing_behind() -> None:
    async with envoy(concurrency_limit_initial=1) as side:
        first = await side.ask()
        second = await side.queue()

        await side.reset(second)

        assert (side.waiting, side.slots.in_flight) == ([], 1)
        await side.end(first)
        assert (await side.ask()).headers["x-zai-admitted"] == "1"


async def test_a_client_that_leaves_while_its_request_runs_frees_its_place_for_the_next() -> None:
    async with envoy(concurrency_limit_initial=1) as side:
        first = await side.ask()
        second = await side.queue()

        await side.reset(first)
        await eventually(lambda: second.is_answered, bool, within=SOON)

        assert side.slots.in_flight == 1


async def test_the_operator_can_end_a_request_that_waits() -> None:
    async with envoy(concurrency_limit_initial=1) as side:
        await side.ask()
        second = await side.queue()

        assert await side.processor.cancel(side.waiting[0])
        await eventually(lambda: second.is_answered, bool, within=SOON)

        status, headers, body = refusal(second)
        assert (status, headers["x-should-retry"], body["error"]["type"]) == (403, "false", "permission_error")
        assert second.noted["refused"] == "cancelled"
        assert (side.waiting, side.slots.in_flight) == ([], 1)


@pytest.mark.parametrize(
    ("path", "headers", "error_type"),
    [
        ("/v1/messages", {}, "permission_error"),
        ("/v1/chat/completions", {}, "invalid_request_error"),
        ("/v1/models", {"anthropic_version": "2023-06-01"}, "permission_error"),
    ],
)
async def test_the_operator_can_end_a_request_that_runs_in_the_words_of_its_api(
    path: str, headers: dict[str, str], error_type: str
) -> None:
    async with envoy() as side:
        stream = await side.ask(asking(path, **headers))

        assert await side.processor.cancel(stream.noted["id"])

        status, _, body = refusal(stream)
        assert (status, body["error"]["type"]) == (403, error_type)
        assert side.slots.in_flight == 1  # until Envoy ends the stream


async def test_a_request_that_is_over_cannot_be_ended() -> None:
    async with envoy() as side:
        stream = await side.ask()
        await side.end(stream)

        assert not await side.processor.cancel(stream.noted["id"])
        assert not await side.processor.cancel("never-was")


async def test_beyond_the_workers_there_are_a_503_and_no_slot() -> None:
    async with envoy(max_workers=1) as side:
        await side.ask()
        second = await side.ask()

        status, headers, _ = refusal(second)
        assert (status, headers["retry-after"], second.noted["answered"]) == (503, "2", "capacity")
        assert side.slots.in_flight == 1


async def test_who_is_about_to_stop_admits_nobody() -> None:
    async with envoy() as side:
        side.proxy.service.stop()

        assert refusal(await side.ask())[0] == 503


async def test_a_window_that_is_used_up_while_a_request_waits_refuses_it() -> None:
    async with envoy(concurrency_limit_initial=1) as side:
        first = await side.ask()
        second = await side.queue()

        side.proxy.use_up()
        await side.end(first)
        await eventually(lambda: second.is_answered, bool, within=SOON)

        assert (refusal(second)[0], second.noted["refused"]) == (429, "quota")
        assert (side.waiting, side.slots.in_flight) == ([], 0)


async def test_a_used_up_window_refuses_what_the_plan_pays_and_nothing_else() -> None:
    async with envoy() as side:
        side.proxy.use_up()

        assert refusal(await side.ask())[0] == 429
        assert (await side.ask(asking("/api/mcp/zread/mcp"))).headers["x-zai-admitted"] == "1"
        assert (await side.ask(asking("/v1/messages/count_tokens"))).headers["x-zai-admitted"] == "1"


async def test_a_new_key_is_used_from_the_next_request_on() -> None:
    async with envoy(zai_api_key="an-old-key") as side:
        await side.ask()
        side.proxy.service.key.current = "a-new-key"

        assert (await side.ask(asking("/v1/chat/completions"))).headers["authorization"] == "Bearer a-new-key"


async def test_a_request_id_that_could_hurt_is_replaced() -> None:
    async with envoy() as side:
        stream = await side.ask(asking(x_request_id="x" * 500))

        (exchange,) = side.proxy.service.admission.in_flight()
        assert stream.headers["x-request-id"] == exchange.request_id
        assert len(exchange.request_id) == 36


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    """A file of one client, `anna`, whose token is `zp-anna` and who may have one request under way."""
    file = tmp_path / "tokens.json"
    registry = ClientRegistry([Client("anna", digest_of("zp-anna"), max_in_flight=1)])
    file.write_text(json.dumps(registry.as_dict()))
    return file


async def test_a_wrong_token_is_refused_and_takes_no_slot(tokens: Path) -> None:
    async with envoy(client_tokens_file=tokens) as side:
        stream = await side.ask(asking(x_api_key="zp-of-nobody"))

        assert (refusal(stream)[0], stream.noted["refused"]) == (401, "unauthorized")
        assert side.slots.in_flight == 0


async def test_a_client_is_known_by_its_token_and_held_to_its_limit(tokens: Path) -> None:
    async with envoy(client_tokens_file=tokens) as side:
        first = await side.ask(asking(x_api_key="zp-anna"))
        second = await side.ask(asking(authorization="Bearer zp-anna"))
        assert first.noted["client"] == "anna"
        assert (refusal(second)[0], second.noted["refused"]) == (429, "client_limit")

        await side.end(first)

        assert (await side.ask(asking(x_api_key="zp-anna"))).headers["x-zai-admitted"] == "1"


async def test_a_web_page_does_not_get_the_key_unless_its_origin_may_come() -> None:
    async with envoy(cors_origins="https://chat.example.com") as side:
        stranger = await side.ask(asking(origin="https://evil.example.com"))
        assert (refusal(stranger)[0], stranger.noted["refused"]) == (403, "origin")
        assert side.slots.in_flight == 0

        assert (await side.ask(asking(origin="https://chat.example.com"))).headers["x-zai-admitted"] == "1"


async def test_where_clients_have_tokens_the_token_decides_and_not_the_page(tokens: Path) -> None:
    async with envoy(client_tokens_file=tokens) as side:
        page = {"origin": "https://evil.example.com"}
        assert refusal(await side.ask(asking(**page)))[0] == 401
        assert (await side.ask(asking(x_api_key="zp-anna", **page))).headers["x-zai-admitted"] == "1"


async def test_a_processor_that_starts_anew_gives_out_other_ids() -> None:
    async with envoy() as one, envoy() as other:
        first, second = await one.ask(), await other.ask()

        assert first.noted["id"] != second.noted["id"]


async def test_where_requests_are_traced_the_trace_goes_upstream_and_into_the_log() -> None:
    above = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with envoy(otel_exporter_otlp_endpoint="http://127.0.0.1:4318") as side:
        joined = await side.ask(asking(traceparent=above, tracestate="a=b"))
        begun = await side.ask(asking(tracestate="a=b"))

    trace = noted(joined.noted["trace"])
    assert trace is not None
    assert (trace.trace_id, trace.parent_id, trace.state) == (above[3:35], above[36:52], "a=b")
    assert joined.headers["traceparent"] == trace.traceparent
    assert "tracestate" not in removed(joined)
    assert "tracestate" in removed(begun)  # it belongs to a trace that nobody named


async def test_where_nothing_is_traced_a_trace_goes_by_as_it_came() -> None:
    async with envoy() as side:
        stream = await side.ask(asking(traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))

    assert "trace" not in stream.noted
    assert "traceparent" not in stream.headers
    assert "tracestate" not in removed(stream)


def removed(stream: Stream) -> list[str]:
    return list(stream.answers[0].request_headers.response.header_mutation.remove_headers)
