"""Which trace a request is part of: what its client says (W3C Trace Context), and what the proxy makes of it."""

import re
from dataclasses import dataclass
from typing import Final

from extproc.domain.request.record import record

_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NOTE: Final = re.compile(
    r"([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{16}|)-([0-9a-f]{16})-([0-9]{1,16})-([01])(?: (.*))?"
)
_LONGEST_STATE: Final = 512
_MILLISECONDS: Final = 1000


@dataclass(frozen=True, slots=True)
class Parent:
    """The span that a request says it is part of. `state` is the `tracestate` that came with it, in one line."""

    trace_id: str
    span_id: str
    is_sampled: bool
    state: str = ""


@record
class Trace:
    """The trace of one request: the ids (hexadecimal) of its own span and of the one below which its attempts hang.

    The second goes upstream, and is the first where no model is asked. `parent_id` is empty for the first span of a
    trace. `arrived` is the Unix time at which the processor saw the request, None where it did not.
    """

    trace_id: str
    span_id: str
    parent_id: str
    upstream_id: str
    is_sampled: bool
    arrived: float | None = None
    state: str = ""

    @property
    def traceparent(self) -> str:
        """What goes upstream."""
        return f"00-{self.trace_id}-{self.upstream_id}-{'01' if self.is_sampled else '00'}"

    def note(self) -> str:
        """The trace as a text that `noted` reads: Envoy keeps it until the request's log entry."""
        arrived = round((self.arrived or 0.0) * _MILLISECONDS)
        ids = f"{self.trace_id}-{self.span_id}-{self.parent_id}-{self.upstream_id}-{arrived}-{self.is_sampled:d}"
        return f"{ids} {self.state}" if self.state else ids


def parent_of(traceparent: str, tracestate: str = "") -> Parent | None:
    """What a client says; None if it says nothing that can be read. Of a later version the known part is read."""
    match = _TRACEPARENT.fullmatch(traceparent.strip())
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if version == "ff" or (version == "00" and more) or not int(trace_id, 16) or not int(span_id, 16):
        return None
    state = tracestate.strip()
    is_usable = len(state) <= _LONGEST_STATE and state.isascii() and state.isprintable()
    return Parent(trace_id, span_id, bool(int(flags, 16) & 1), state if is_usable else "")


def noted(text: str) -> Trace | None:
    """The trace that `Trace.note` has written; None for any other text."""
    match = _NOTE.fullmatch(text)
    if match is None:
        return None
    trace_id, span_id, parent_id, upstream_id, arrived, is_sampled, state = match.groups()
    at = int(arrived) / _MILLISECONDS
    return Trace(trace_id, span_id, parent_id, upstream_id, is_sampled == "1", at or None, state or "")
