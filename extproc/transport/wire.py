"""Between protobuf and the domain: Envoy's ext_proc messages, read and written."""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Final

from google.protobuf.struct_pb2 import Value

from extproc.domain.request import refusals
from extproc.domain.request.credentials import CREDENTIAL_HEADERS, token_in, without_credentials
from extproc.domain.request.head import RequestHead
from extproc.domain.request.model_names import model_name
from extproc.domain.request.refusals import Refusal
from extproc.domain.request.routes import CredentialForm, Dialect
from extproc.domain.request.trace_context import Trace
from extproc.transport.pb import ext_proc_pb2 as pb

METADATA_NAMESPACE: Final = "zai"
"""Where the processor writes untyped dynamic metadata; the access log carries it back."""

BODY_NAMESPACE: Final = "zai.request"
"""Where Envoy's reader of requests (`envoy/request.lua`) writes what a body asks for, for the processor to see."""

REFUSED: Final = "processor_"
"""What the log's details of an answer of the processor's begin with; the reason follows."""

ADMITTED_HEADER: Final = "x-zai-admitted"
_LONGEST_REQUEST_ID: Final = 128
_LONGEST_IDENTITY: Final = 64
_THREADS: Final = ("thread-id", "session-id", "x-session-id")
_LONGEST_LENGTH: Final = 15
_PATIENCE_SECONDS: Final = 3600  # as much as Envoy's configuration allows
_MOST_TOKENS: Final = 1e9


def read_head(message: pb.ProcessingRequest) -> RequestHead:
    """Reads the request-headers message. Header bytes that are not UTF-8 are replaced, never refused."""
    values = {header.key: header.raw_value for header in message.request_headers.headers.headers}
    request_id = _text(values.get("x-request-id"))
    model, stream, max_tokens = _asked(message)
    return RequestHead(
        method=_text(values.get(":method")),
        path=_text(values.get(":path")),
        request_id=request_id,
        request_id_is_safe=_is_safe_id(request_id),
        speaks_anthropic="anthropic-version" in values,
        session=_text(values.get("x-claude-code-session-id"))[:_LONGEST_IDENTITY],
        agent=_text(values.get("x-claude-code-agent-id"))[:_LONGEST_IDENTITY],
        priority=_text(values.get("x-zai-priority")),
        thread=_thread(values)[:_LONGEST_IDENTITY],
        # Envoy appends the peer's address; what stands before it is the client's own claim.
        peer=_text(values.get("x-forwarded-for")).rpartition(",")[2].strip(),
        body_bytes=_length(values.get("content-length")),
        model=model,
        stream=stream,
        max_tokens=max_tokens,
        traceparent=_text(values.get("traceparent")),
        tracestate=_text(values.get("tracestate")),
        origin=_text(values.get("origin")),
        host=_text(values.get(":authority")),
        content_type=_text(values.get("content-type")),
        user_agent=_text(values.get("user-agent"))[:_LONGEST_IDENTITY],
        token=token_in(partial(_header, values)),
    )


def admission_mutation(form: CredentialForm, key: str) -> bytes:
    """The part of an admission that is the same for every request of a surface, serialised.

    Protobuf merges concatenated messages, so each answer is this plus its own metadata.
    """
    secret = key if form is CredentialForm.X_API_KEY else f"Bearer {key}"
    mutation = pb.HeaderMutation(
        set_headers=[
            set_header(ADMITTED_HEADER, "1"),
            set_header("accept-encoding", "identity"),
            set_header(form.value, secret),
        ],
        remove_headers=[name for name in CREDENTIAL_HEADERS if name != form.value],
    )
    return _headers_response(mutation).SerializeToString()


def own_mutation(head: RequestHead, safe_request_id: str) -> bytes:
    """What this one request needs beyond the common mutation, serialised; empty for nearly all."""
    changed = []
    path = without_credentials(head.path)
    if path != head.path:
        changed.append(set_header(":path", path))
    if safe_request_id != head.request_id:
        changed.append(set_header("x-request-id", safe_request_id))
    if not changed:
        return b""
    return _headers_response(pb.HeaderMutation(set_headers=changed)).SerializeToString()


def trace_mutation(trace: Trace) -> bytes:
    """The part of an admission that hands the trace on, serialised. A state that belongs to no known trace goes."""
    removed = [] if trace.state else ["tracestate"]
    handed_on = pb.HeaderMutation(set_headers=[set_header("traceparent", trace.traceparent)], remove_headers=removed)
    return _headers_response(handed_on).SerializeToString()


def metadata(values: dict[str, str]) -> bytes:
    """A response part, serialised, that makes Envoy remember these values until the access log."""
    response = pb.ProcessingResponse()
    fields = response.dynamic_metadata.fields[METADATA_NAMESPACE].struct_value.fields
    for name, value in values.items():
        fields[name].string_value = value
    return response.SerializeToString()


def answer(decision: Refusal, dialect: Dialect, request_id: str) -> bytes:
    """An answer that Envoy gives to the client in place of the upstream's, serialised.

    Comes with the metadata `answered`: without it Envoy would wrap the body in an error of its own.
    """
    return pb.ProcessingResponse(
        immediate_response=pb.ImmediateResponse(
            status=pb.HttpStatus(code=decision.status),
            headers=pb.HeaderMutation(set_headers=_set_all(refusals.headers(decision, dialect))),
            body=refusals.body(decision, dialect, request_id),
            details=f"{REFUSED}{decision.reason.value}",
        )
    ).SerializeToString()


def _patience(seconds: int) -> bytes:
    response = pb.ProcessingResponse()
    response.override_message_timeout.FromSeconds(seconds)
    return response.SerializeToString()


CONTINUE: Final = pb.ProcessingResponse(request_headers=pb.HeadersResponse()).SerializeToString()
PATIENCE: Final = _patience(_PATIENCE_SECONDS)
"""Tells Envoy that the answer will take a while, an hour at most. If the processor dies meanwhile, Envoy notices."""
CONTINUE_TRAILERS: Final = pb.ProcessingResponse(response_trailers=pb.TrailersResponse()).SerializeToString()


def metadata_fields(message: pb.ProcessingRequest, namespace: str) -> Mapping[str, Value]:
    """What Envoy's filters have noted under a namespace, as far as it is forwarded; empty if nothing."""
    # Indexing a protobuf map creates what is missing, so look first.
    noted = message.metadata_context.filter_metadata
    return noted[namespace].fields if namespace in noted else {}


def set_header(name: str, value: str) -> pb.HeaderValueOption:
    """Sets a header of a head on its way through Envoy."""
    header = pb.HeaderValue(key=name, raw_value=value.encode())
    return pb.HeaderValueOption(header=header, append_action=pb.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD)


def _headers_response(mutation: pb.HeaderMutation) -> pb.ProcessingResponse:
    common = pb.CommonResponse(header_mutation=mutation, clear_route_cache=True)
    return pb.ProcessingResponse(request_headers=pb.HeadersResponse(response=common))


def _set_all(headers: Iterable[tuple[str, str]]) -> list[pb.HeaderValueOption]:
    return [set_header(name, value) for name, value in headers]


def _text(raw: bytes | None) -> str:
    return raw.decode(errors="replace") if raw else ""


def _thread(values: Mapping[str, bytes]) -> str:
    """The name of the conversation, as agents other than Claude Code send it. Codex has a name for each conversation,
    its sub-agents' included, and one for the session of all of them; opencode has only one for the session."""
    return next((_text(values[name]) for name in _THREADS if name in values), "")


def _header(values: Mapping[str, bytes], name: str) -> str | None:
    return _text(values[name]) if name in values else None


def _length(raw: bytes | None) -> int | None:
    return int(raw) if raw and raw.isdigit() and len(raw) <= _LONGEST_LENGTH else None


def _asked(message: pb.ProcessingRequest) -> tuple[str, bool, int | None]:
    """The model that a body asks for, whether as a stream, and the most tokens; what was not read is empty."""
    body = metadata_fields(message, BODY_NAMESPACE).get("body")
    if body is None:
        return "", False, None
    fields = body.struct_value.fields
    model, stream, tokens = fields.get("model"), fields.get("stream"), fields.get("max_tokens")
    return (
        "" if model is None else model_name(model.string_value),
        stream is not None and stream.bool_value,
        None if tokens is None else _tokens(tokens.number_value),
    )


def _tokens(number: float) -> int | None:
    return int(number) if 0.0 < number <= _MOST_TOKENS else None


def _is_safe_id(request_id: str) -> bool:
    return 0 < len(request_id) <= _LONGEST_REQUEST_ID and request_id.isascii() and request_id.isprintable()
