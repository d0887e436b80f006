"""Where and how an answer breaks. Pure: frames and bodies go in, broken ones come out."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import NamedTuple

from simulator.api.sse import Frame, frame_text
from simulator.scenario.model import Fault, Scenario

# Faults that come before the first byte unless the scenario gives them a place.
_BEFORE_EVERYTHING = frozenset({Fault.RESET, Fault.CLOSE, Fault.NOT_HTTP})

NO_HTTP = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 this is no HTTP\r\n\r\n"


class Broken(NamedTuple):
    """Bytes that are no event, and how the connection ends after them (None: the stream goes on)."""

    data: bytes
    stop: Fault | None


def strikes_first(scenario: Scenario) -> bool:
    """Whether the fault comes instead of the whole answer, status line included."""
    placed = scenario.after_events is not None or scenario.after_bytes is not None
    return scenario.fault is Fault.NOT_HTTP or (scenario.fault in _BEFORE_EVERYTHING and not placed)


def broken_stream(frames: Iterable[Frame], scenario: Scenario, total: int, error: Frame) -> Iterator[Frame | Broken]:
    """The frames, with the scenario's fault after its `after_events` content events (half of them by default)."""
    fault = scenario.fault
    if fault is None or scenario.after_bytes is not None:
        yield from frames
        return
    if fault is Fault.EMPTY:
        return
    place = total // 2 if scenario.after_events is None else scenario.after_events
    sent = 0
    struck = False
    for frame in frames:
        if sent == place and not struck:
            struck = True
            if (yield from _strike(fault, scenario, frame, error)):
                return
        yield frame
        sent += frame.content
    if not struck:
        yield from _strike(fault, scenario, error, error)


def _strike(fault: Fault, scenario: Scenario, frame: Frame, error: Frame) -> Generator[Frame | Broken, None, bool]:
    """What comes in the place of the fault. Returns (as a generator) whether the stream is over."""
    line_end = scenario.line_end.characters
    match fault:
        case Fault.RESET | Fault.CLOSE | Fault.HANG:
            yield Broken(b"", fault)
            return True
        case Fault.TRUNCATE:
            yield Broken(frame_text(frame, line_end).encode()[:-9], Fault.CLOSE)
            return True
        case Fault.ERROR_EVENT:
            yield error
            return True
        case Fault.MALFORMED:
            yield Broken(frame_text(Frame(frame.event, '{"oops": [1, 2'), line_end).encode(), None)
            return False
        case Fault.GARBLED:
            yield Broken(garbled(frame, line_end), None)
            return False
        case _:
            return True


def garbled(frame: Frame, line_end: str) -> bytes:
    """Frames as a bad proxy leaves them: cut short, glued together, not UTF-8, an unknown field, a lone colon."""
    text = frame_text(frame, line_end)
    return b"".join(
        (
            text[: len(text) // 2].encode(),
            line_end.encode() * 2,
            b"data: \xff\xfe\xc3(\x00" + line_end.encode() * 2,
            f"data:{frame.data}data:{frame.data[:5]}{line_end}{line_end}".encode(),
            f"shape: odd{line_end}:{line_end}{line_end}".encode(),
        )
    )


def broken_body(body: bytes, scenario: Scenario) -> tuple[bytes, Fault | None]:
    """What is sent of a whole body, and how the answer ends after it (None: properly)."""
    fault = scenario.fault
    half = len(body) // 2 if scenario.after_bytes is None else min(scenario.after_bytes, len(body))
    match fault:
        case None:
            return body, None
        case Fault.RESET | Fault.CLOSE | Fault.HANG:
            return body[:half], fault
        case Fault.TRUNCATE:
            return body[:half], Fault.CLOSE
        case Fault.EMPTY:
            return b"", None
        case Fault.GARBLED:
            return body[:half] + b"\xff\xfe\xc3(\x00" + body[half:], None
        case _:
            return body[:half], None
