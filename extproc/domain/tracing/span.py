"""A span, in OpenTelemetry's sense: a part of what became of a request, with its begin and its end."""

from collections.abc import Mapping
from enum import IntEnum
from typing import TypeAlias

from extproc.domain.request.record import record

Value: TypeAlias = str | bool | int | float | tuple[str, ...]


class Kind(IntEnum):
    """On which side of a call a span is; the numbers are OTLP's."""

    INTERNAL = 1
    SERVER = 2
    CLIENT = 3


@record
class Event:
    """Something that happened at a moment (Unix time) within a span."""

    name: str
    at: float


@record
class Span:
    """Ids are hexadecimal, `parent_id` is empty for the first span of a trace, times are Unix times.

    `failed` is whether it ended in an error, as far as the side that it is on is concerned.
    """

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: Kind
    began: float
    ended: float
    attributes: Mapping[str, Value]
    events: tuple[Event, ...] = ()
    failed: bool = False
    state: str = ""
