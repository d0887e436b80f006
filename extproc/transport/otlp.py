"""Between protobuf and the domain: spans as OTLP has them, and what a collector answers."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from google.protobuf.message import DecodeError

from extproc.domain.tracing.span import Span, Value
from extproc.transport.pb import otlp_pb2 as pb

SCOPE: Final = "zai-proxy"
_MICROSECONDS: Final = 1_000_000  # what a Unix time holds as a float
_NANOSECONDS: Final = 1000
_FAILED: Final = 2
_SAMPLED: Final = 1


def encode_span(span: Span) -> bytes:
    """One span, serialised. `batch` takes it as it is."""
    message = pb.Span(
        trace_id=bytes.fromhex(span.trace_id),
        span_id=bytes.fromhex(span.span_id),
        parent_span_id=bytes.fromhex(span.parent_id),
        trace_state=span.state,
        name=span.name,
        kind=span.kind,
        start_time_unix_nano=_nanoseconds(span.began),
        end_time_unix_nano=_nanoseconds(span.ended),
        attributes=_attributes(span.attributes),
        events=[pb.Span.Event(name=event.name, time_unix_nano=_nanoseconds(event.at)) for event in span.events],
        flags=_SAMPLED,
    )
    if span.failed:
        message.status.code = _FAILED
    return message.SerializeToString()


class Resource:
    """Who sends spans: what stands once in each message."""

    def __init__(self, attributes: Mapping[str, Value], version: str) -> None:
        self._resource = pb.Resource(attributes=_attributes(attributes))
        self._scope = pb.InstrumentationScope(name=SCOPE, version=version)

    def batch(self, spans: Sequence[bytes]) -> bytes:
        """A message to a collector's `/v1/traces`."""
        scope_spans = pb.ScopeSpans(scope=self._scope, spans=spans)
        resource_spans = pb.ResourceSpans(resource=self._resource, scope_spans=[scope_spans])
        return pb.ExportTraceServiceRequest(resource_spans=[resource_spans]).SerializeToString()


def rejected_spans(answer: bytes) -> int:
    """How many spans of a message the collector says that it dropped; 0 for an answer that can't be read."""
    try:
        return pb.ExportTraceServiceResponse.FromString(answer).partial_success.rejected_spans
    except DecodeError:
        return 0


def _attributes(values: Mapping[str, Value]) -> Iterable[pb.KeyValue]:
    return [pb.KeyValue(key=name, value=_any(value)) for name, value in values.items()]


def _any(value: Value) -> pb.AnyValue:
    if isinstance(value, str):
        return pb.AnyValue(string_value=value)
    if isinstance(value, bool):
        return pb.AnyValue(bool_value=value)
    if isinstance(value, int):
        return pb.AnyValue(int_value=value)
    if isinstance(value, float):
        return pb.AnyValue(double_value=value)
    return pb.AnyValue(array_value=pb.ArrayValue(values=[pb.AnyValue(string_value=each) for each in value]))


def _nanoseconds(at: float) -> int:
    return max(0, round(at * _MICROSECONDS)) * _NANOSECONDS
