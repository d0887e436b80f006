"""Our part of OTLP against OpenTelemetry's own: what we write it reads, and what it writes we read."""

from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1 import common_pb2 as common
from opentelemetry.proto.trace.v1 import trace_pb2 as trace
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans
from opentelemetry.proto.trace.v1.trace_pb2 import Span as TheirSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status as TheirStatus

from extproc.domain.tracing.span import Event, Kind, Span
from extproc.transport.otlp import Resource, encode_span, rejected_spans
from extproc.transport.pb import otlp_pb2 as pb

SPAN = Span(
    trace_id="0af7651916cd43dd8448eb211c80319c",
    span_id="b7ad6b7169203331",
    parent_id="00f067aa0ba902b7",
    name="chat glm-5.3",
    kind=Kind.CLIENT,
    began=1_795_417_200.5,
    ended=1_795_417_203.25,
    attributes={"text": "größer", "flag": True, "number": 2**40, "share": 0.5, "list": ("a", "b")},
    events=(Event("first_token", 1_795_417_201.0),),
    failed=True,
    state="a=b",
)
PAIRS: list[tuple[Any, Any]] = [
    (pb.ExportTraceServiceRequest, ExportTraceServiceRequest),
    (pb.ExportTraceServiceResponse, ExportTraceServiceResponse),
    (pb.ExportTracePartialSuccess, ExportTracePartialSuccess),
    (pb.ResourceSpans, ResourceSpans),
    (pb.ScopeSpans, ScopeSpans),
    (pb.Span, TheirSpan),
    (pb.Span.Event, TheirSpan.Event),
    (pb.Status, TheirStatus),
    (pb.KeyValue, common.KeyValue),
    (pb.AnyValue, common.AnyValue),
    (pb.ArrayValue, common.ArrayValue),
    (pb.InstrumentationScope, common.InstrumentationScope),
]
# Of the same form on the wire: a message is bytes with a length, an enum is a number.
SAME_ON_THE_WIRE = {
    FieldDescriptor.TYPE_MESSAGE: FieldDescriptor.TYPE_BYTES,
    FieldDescriptor.TYPE_ENUM: FieldDescriptor.TYPE_INT32,
}


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda message: str(message.DESCRIPTOR.full_name))
def test_every_field_has_the_number_the_name_and_the_form_that_it_has_there(ours: Any, theirs: Any) -> None:
    expected: Descriptor = theirs.DESCRIPTOR
    for field in ours.DESCRIPTOR.fields:
        there = expected.fields_by_name[field.name]
        assert there.number == field.number
        assert field.type in (there.type, SAME_ON_THE_WIRE.get(there.type))
        assert field.is_repeated == there.is_repeated


def test_the_numbers_of_kinds_and_of_a_failure_are_theirs() -> None:
    assert {kind.value: f"SPAN_KIND_{kind.name}" for kind in Kind}.items() <= {
        number: name for name, number in trace.Span.SpanKind.items()
    }.items()
    assert TheirSpan.FromString(encode_span(SPAN)).status.code == TheirStatus.STATUS_CODE_ERROR


def test_a_batch_is_what_opentelemetry_reads() -> None:
    resource = Resource({"service.name": "zai-proxy"}, "0.1.0")

    message = ExportTraceServiceRequest.FromString(resource.batch([encode_span(SPAN), encode_span(SPAN)]))

    [resource_spans] = message.resource_spans
    [scope_spans] = resource_spans.scope_spans
    assert resource_spans.resource.attributes[0].value.string_value == "zai-proxy"
    assert (scope_spans.scope.name, scope_spans.scope.version) == ("zai-proxy", "0.1.0")
    first, second = scope_spans.spans
    assert first == second
    assert (first.trace_id.hex(), first.span_id.hex(), first.parent_span_id.hex()) == (
        SPAN.trace_id,
        SPAN.span_id,
        SPAN.parent_id,
    )
    assert (first.name, first.kind, first.trace_state, first.flags) == ("chat glm-5.3", 3, "a=b", 1)
    assert (first.start_time_unix_nano, first.end_time_unix_nano) == (
        1_795_417_200_500_000_000,
        1_795_417_203_250_000_000,
    )
    assert [(event.name, event.time_unix_nano) for event in first.events] == [
        ("first_token", 1_795_417_201_000_000_000)
    ]
    values = {each.key: each.value for each in first.attributes}
    assert values["text"].string_value == "größer"
    assert values["flag"].bool_value is True
    assert values["number"].int_value == 2**40
    assert values["share"].double_value == 0.5
    assert [each.string_value for each in values["list"].array_value.values] == ["a", "b"]


def test_the_first_span_of_a_trace_has_no_parent_and_what_went_well_no_status() -> None:
    span = Span("0a" * 16, "0b" * 8, "", "POST", Kind.SERVER, 1.0, 2.0, {})

    read = TheirSpan.FromString(encode_span(span))

    assert read.parent_span_id == b""
    assert read.status.code == TheirStatus.STATUS_CODE_UNSET


def test_what_a_collector_has_not_kept_is_read_of_its_answer() -> None:
    answer = ExportTraceServiceResponse(
        partial_success=ExportTracePartialSuccess(rejected_spans=3, error_message="full")
    )

    assert rejected_spans(answer.SerializeToString()) == 3
    assert rejected_spans(b"") == 0


def test_an_answer_that_is_none_says_nothing() -> None:
    assert rejected_spans(b'{"partialSuccess": {}}') == 0
