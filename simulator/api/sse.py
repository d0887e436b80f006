"""Server-sent events: the frames that the body builders produce, and their bytes. Pure."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class Reports(IntEnum):
    """What an event says about tokens."""

    NOTHING = 0
    RUNNING = 1  # figures that are not the last word
    FINAL = 2


class Frame(NamedTuple):
    """One event. `content` counts the generated pieces in it: 0 or 1. `final`: who has read it needs no more."""

    event: str | None
    data: str
    content: int = 0
    usage: Reports = Reports.NOTHING
    final: bool = False


def frame_text(frame: Frame, line_end: str) -> str:
    """The frame with its blank line, each line ended by `line_end` (LF, CRLF or CR)."""
    if frame.event is None:
        return f"data: {frame.data}{line_end}{line_end}"
    return f"event: {frame.event}{line_end}data: {frame.data}{line_end}{line_end}"


def comment_text(text: str, line_end: str) -> str:
    """A comment, which every client has to skip."""
    return f": {text}{line_end}{line_end}"


DONE = Frame(None, "[DONE]", final=True)
