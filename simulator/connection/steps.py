"""An answer as a list of steps on the wire: bytes, waits and the ways to end badly. Pure; `wire` plays them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

from simulator.api.sse import Frame, Reports, comment_text, frame_text
from simulator.connection.faults import Broken, broken_body, broken_stream
from simulator.scenario.model import Fault, Gzip, Pieces, Scenario

_BATCH_BYTES = 16 * 1024
_GZIP_LEVEL = 1
_GZIP_WINDOW = 31  # zlib's number for the gzip format


class Send(NamedTuple):
    """One packet of the body, the content events that it completes, whether it reports usage, and whether the answer
    is complete with it."""

    data: bytes
    events: int = 0
    usage: Reports = Reports.NOTHING
    final: bool = False


class Wait(NamedTuple):
    seconds: float


class Stop(NamedTuple):
    """Ends the answer without its proper end: `how` is RESET, CLOSE (of the connection) or HANG."""

    how: Fault


Step = Send | Wait | Stop


def stream_steps(
    frames: Iterable[Frame], scenario: Scenario, *, total: int, pause: float, error: Frame
) -> Iterator[Step]:
    """The steps of a stream of `total` content events, `pause` seconds between them, broken as the scenario says."""
    line_end = scenario.line_end.characters
    gap_after = max(1, total // 2) if scenario.gap_after is None else scenario.gap_after
    sent = 0
    if scenario.first_event_delay:
        yield Wait(scenario.first_event_delay)
    for item in broken_stream(frames, scenario, total, error):
        if isinstance(item, Broken):
            if item.data:
                yield Send(item.data)
            if item.stop is not None:
                yield Stop(item.stop)
                return
            continue
        if item.content:
            if pause and sent:
                yield Wait(pause)
            sent += 1
        yield Send(frame_text(item, line_end).encode(), item.content, item.usage, item.final)
        if item.content and scenario.comments and sent % scenario.comments == 0:
            yield Send(comment_text("keep-alive", line_end).encode())
        if item.content and scenario.gap and sent == gap_after:
            yield Wait(scenario.gap)
    if scenario.end_pause:
        yield Wait(scenario.end_pause)


def body_steps(body: bytes, scenario: Scenario) -> tuple[Iterator[Step], int]:
    """The steps of a body that is sent whole, broken as the scenario says, and what content-length announces.

    That is the truth for a clean end, and the whole length for an answer that breaks off.
    """
    data, stop = broken_body(body, scenario)
    steps: list[Step] = []
    if scenario.first_event_delay:
        steps.append(Wait(scenario.first_event_delay))
    if data:
        whole = len(data) >= len(body)
        steps.append(Send(data, 0, Reports.FINAL if whole else Reports.NOTHING, whole))
    if stop is not None:
        steps.append(Stop(stop))
    return _in_pieces(iter(steps), scenario), len(data) if stop is None else len(body)


def packed(steps: Iterator[Step], scenario: Scenario, *, compress: bool) -> Iterator[Step]:
    """The steps of a stream with the scenario's compression, byte limit and packets."""
    if compress:
        steps = _compressed(steps)
    if scenario.after_bytes is not None and scenario.fault is not None:
        steps = _limited(steps, scenario.after_bytes, scenario.fault)
    return _in_pieces(steps, scenario)


def _in_pieces(steps: Iterator[Step], scenario: Scenario) -> Iterator[Step]:
    match scenario.pieces:
        case Pieces.BYTE:
            return _cut(steps, lambda data: [data[n : n + 1] for n in range(len(data))])
        case Pieces.UTF8:
            return _cut(steps, split_inside_characters)
        case Pieces.BATCH:
            return _batched(steps)
        case _:
            return steps


def wants_gzip(scenario: Scenario, accept_encoding: str, *, stream: bool) -> bool:
    """Whether the body goes out compressed."""
    match scenario.gzip:
        case Gzip.NEVER:
            return False
        case Gzip.FORCED:
            return True
        case Gzip.JSON if stream:
            return False
        case _:
            return "gzip" in accept_encoding.lower()


def gzip_bytes(data: bytes) -> bytes:
    """`data` compressed, always to the same bytes."""
    packer = zlib.compressobj(_GZIP_LEVEL, wbits=_GZIP_WINDOW)
    return packer.compress(data) + packer.flush()


def _compressed(steps: Iterator[Step]) -> Iterator[Step]:
    packer = zlib.compressobj(_GZIP_LEVEL, wbits=_GZIP_WINDOW)
    for step in steps:
        if not isinstance(step, Send):
            yield step
            continue
        data = packer.compress(step.data) + packer.flush(zlib.Z_SYNC_FLUSH)
        yield step._replace(data=data)
    yield Send(packer.flush())


def _limited(steps: Iterator[Step], limit: int, fault: Fault) -> Iterator[Step]:
    """The first `limit` bytes of the body, then the fault."""
    left = limit
    for step in steps:
        if isinstance(step, Send):
            if len(step.data) >= left:
                yield step if len(step.data) == left else Send(step.data[:left])
                break
            left -= len(step.data)
        yield step
    if fault is not Fault.END_EARLY:
        yield Stop(Fault.CLOSE if fault is Fault.TRUNCATE else fault)


def _cut(steps: Iterator[Step], cut: Callable[[bytes], list[bytes]]) -> Iterator[Step]:
    for step in steps:
        if not isinstance(step, Send):
            yield step
            continue
        parts = cut(step.data)
        for part in parts[:-1]:
            yield Send(part)
        yield step._replace(data=parts[-1] if parts else b"")


def split_inside_characters(data: bytes) -> list[bytes]:
    """`data` cut after the first byte of every multi-byte UTF-8 character."""
    cuts = [n + 1 for n, byte in enumerate(data) if byte >= 0xC0]
    edges = [0, *cuts, len(data)]
    return [data[start:end] for start, end in pairwise(edges) if end > start]


def _batched(steps: Iterator[Step]) -> Iterator[Step]:
    parts: list[bytes] = []
    size, events, usage, final = 0, 0, Reports.NOTHING, False
    for step in steps:
        if isinstance(step, Send):
            parts.append(step.data)
            size += len(step.data)
            events += step.events
            usage, final = max(usage, step.usage), final or step.final
            if size < _BATCH_BYTES:
                continue
        if parts:
            yield Send(b"".join(parts), events, usage, final)
            parts, size, events, usage, final = [], 0, 0, Reports.NOTHING, False
        if not isinstance(step, Send):
            yield step
    if parts:
        yield Send(b"".join(parts), events, usage, final)
