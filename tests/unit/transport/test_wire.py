"""Our subset of Envoy's messages against an independent implementation of the whole API."""

import json
from typing import Any

import pytest
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.service.ext_proc import v3 as envoy

from extproc.domain.request.head import RequestHead
from extproc.domain.request.refusals import at_capacity
from extproc.domain.request.routes import CredentialForm, Dialect
from extproc.transport import wire
from extproc.transport.pb import ext_proc_pb2 as pb


def request_headers(**headers: str) -> pb.ProcessingRequest:
    values = [
        core.HeaderValue(key=name.replace("__", ":"), raw_value=value.encode()) for name, value in headers.items()
    ]
    message = envoy.ProcessingRequest(
        request_headers=envoy.HttpHeaders(headers=core.HeaderMap(headers=values), end_of_stream=True),
        observability_mode=False,
        protocol_config=envoy.ProtocolConfiguration(),
    )
    return pb.ProcessingRequest.FromString(bytes(message))


def envoys_view(serialised: bytes) -> envoy.ProcessingResponse:
    # Concatenated messages merge; protobuf's own parser does that as Envoy's does, the other one does not.
    return envoy.ProcessingResponse.parse(pb.ProcessingResponse.FromString(serialised).SerializeToString())


def test_a_head_is_read_from_what_envoy_sends() -> None:
    head = wire.read_head(
        request_headers(
            **{
                "__method": "POST",
                "__path": "/v1/messages?beta=true",
                "x-request-id": "r-1",
                "anthropic-version": "",
                "x-claude-code-session-id": "session-9",
                "x-claude-code-agent-id": "agent-3",
                "session-id": "codex-session",
                "thread-id": "codex-thread",
                "x-zai-priority": "background",
                "x-forwarded-for": "203.0.113.1, 10.1.2.3",
            }
        )
    )

    assert head == RequestHead(
        method="POST",
        path="/v1/messages?beta=true",
        request_id="r-1",
        request_id_is_safe=True,
        speaks_anthropic=True,
        session="session-9",
        agent="agent-3",
        thread="codex-thread",
        priority="background",
        peer="10.1.2.3",
    )


def asks(**body: Any) -> pb.ProcessingRequest:
    """A request whose body Envoy's reader has seen."""
    message = request_headers(__path="/v1/messages")
    message.metadata_context.filter_metadata["zai.request"].update({"body": body})
    return message


def test_what_the_body_asks_for_is_read_from_what_envoy_forwards() -> None:
    head = wire.read_head(asks(model="claude-sonnet-4-5", stream=True, max_tokens=32000))

    assert (head.model, head.stream, head.max_tokens) == ("claude-sonnet-4-5", True, 32000)


@pytest.mark.parametrize(
    "message",
    [
        request_headers(__path="/v1/messages"),
        asks(),
        asks(unread="size"),
        asks(model=5, stream="yes", max_tokens="many"),
        asks(model=None, stream=None, max_tokens=None),
        asks(model={"model": "x"}, stream=[True], max_tokens={}),
    ],
)
def test_what_was_not_read_or_is_none_of_it_is_unknown(message: pb.ProcessingRequest) -> None:
    head = wire.read_head(message)

    assert (head.model, head.stream, head.max_tokens) == ("", False, None)


def test_a_model_that_could_hurt_a_log_is_harmless() -> None:
    assert wire.read_head(asks(model="glm\n5\x1b[31m" + "x" * 500)).model == "glm_5_[31m" + "x" * 54


@pytest.mark.parametrize(
    ("number", "tokens"), [(1.0, 1), (4096.7, 4096), (0.0, None), (-1.0, None), (1e300, None), (float("nan"), None)]
)
def test_the_most_tokens_are_a_number_that_a_request_can_mean(number: float, tokens: int | None) -> None:
    assert wire.read_head(asks(max_tokens=number)).max_tokens == tokens


@pytest.mark.parametrize("request_id", ["", "x" * 129, "a\nb", "ü", "\x00"])
def test_a_request_id_that_could_hurt_a_log_is_not_safe(request_id: str) -> None:
    assert not wire.read_head(request_headers(**{"x-request-id": request_id})).request_id_is_safe


def test_header_bytes_that_are_no_utf8_are_read_all_the_same() -> None:
    message = pb.ProcessingRequest()
    message.request_headers.headers.headers.add(key=":path", raw_value=b"/v1/\xff\xfe")

    assert wire.read_head(message).path == "/v1/\ufffd\ufffd"


@pytest.mark.parametrize(
    ("form", "secret"), [(CredentialForm.X_API_KEY, "the-key"), (CredentialForm.BEARER, "Bearer the-key")]
)
def test_an_admission_is_what_envoy_expects(form: CredentialForm, secret: str) -> None:
    answer = envoys_view(
        wire.admission_mutation(form, "the-key") + wire.metadata({"id": "x-1", "path": "/v1/messages"})
    )

    assert answer.request_headers is not None
    common = answer.request_headers.response
    assert common is not None
    assert common.clear_route_cache
    mutation = common.header_mutation
    assert mutation is not None
    headers = {option.header.key: option.header.raw_value.decode() for option in mutation.set_headers if option.header}
    assert headers == {"x-zai-admitted": "1", "accept-encoding": "identity", form.value: secret}
    assert {option.append_action for option in mutation.set_headers} == {
        core.HeaderValueOptionHeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD
    }
    removed = {"authorization", "proxy-authorization", "x-api-key", "api-key", "cookie", "x-goog-api-key"}
    assert set(mutation.remove_headers) == removed - {form.value}
    assert answer.dynamic_metadata is not None
    assert answer.dynamic_metadata.to_dict() == {"zai": {"id": "x-1", "path": "/v1/messages"}}


def test_what_only_one_request_needs_is_added_to_the_common_mutation() -> None:
    head = wire.read_head(request_headers(**{"__path": "/v1/messages?api_key=x&beta=true", "x-request-id": "a\nb"}))

    answer = envoys_view(wire.admission_mutation(CredentialForm.BEARER, "k") + wire.own_mutation(head, "safe-id"))

    assert answer.request_headers is not None
    assert answer.request_headers.response is not None
    mutation = answer.request_headers.response.header_mutation
    assert mutation is not None
    headers = {option.header.key: option.header.raw_value.decode() for option in mutation.set_headers if option.header}
    assert headers[":path"] == "/v1/messages?beta=true"
    assert headers["x-request-id"] == "safe-id"
    assert headers["authorization"] == "Bearer k"
    assert "x-api-key" in mutation.remove_headers


def test_an_ordinary_request_needs_nothing_of_its_own() -> None:
    head = wire.read_head(request_headers(**{"__path": "/v1/messages?beta=true", "x-request-id": "r-1"}))

    assert wire.own_mutation(head, "r-1") == b""


def test_a_refusal_is_what_envoy_expects() -> None:
    answer = envoys_view(wire.answer(at_capacity(4), Dialect.OPENAI, "r-1"))

    refusal = answer.immediate_response
    assert refusal is not None
    assert refusal.status is not None
    assert refusal.headers is not None
    assert refusal.status.code == 503
    assert refusal.details == "processor_capacity"
    assert json.loads(refusal.body)["request_id"] == "r-1"
    headers = {
        option.header.key: option.header.raw_value.decode() for option in refusal.headers.set_headers if option.header
    }
    assert headers["retry-after"] == "2"


def test_trailers_are_recognised_and_answered() -> None:
    message = envoy.ProcessingRequest(response_trailers=envoy.HttpTrailers(trailers=core.HeaderMap()))

    assert pb.ProcessingRequest.FromString(bytes(message)).HasField("response_trailers")
    assert envoys_view(wire.CONTINUE_TRAILERS).response_trailers is not None
    assert envoys_view(wire.CONTINUE).request_headers is not None
