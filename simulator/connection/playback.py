"""A body that is played as it stands: texts, pauses, and the mark that ends it. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.api.call import Reply
from simulator.api.error_replies import retry_headers
from simulator.connection.steps import Send, Step, Stop, Wait, packed
from simulator.scenario.model import PLAY_RESET, Fault, LineEnd, Scenario, is_mark, played_bytes

_CONTENT_TYPE = "text/event-stream"


def played_reply(scenario: Scenario) -> Reply:
    """The head of a played answer; `played_steps` are its body."""
    return Reply(
        status=200 if scenario.status is None else scenario.status,
        content_type=_CONTENT_TYPE if scenario.content_type is None else scenario.content_type,
        headers=retry_headers(scenario),
        is_played=True,
    )


def played_steps(scenario: Scenario) -> tuple[Iterator[Step], int]:
    """Each text as one packet, unless `pieces` cuts it further, and the length of all texts together."""
    steps = list(_steps(scenario))
    length = sum(len(step.data) for step in steps if isinstance(step, Send))
    return packed(iter(steps), scenario, compress=False), length


def _steps(scenario: Scenario) -> Iterator[Step]:
    """The steps; the last text counts as the final event."""
    play = scenario.play or ()
    last = max((n for n, item in enumerate(play) if isinstance(item, str) and not is_mark(item)), default=-1)
    if scenario.first_event_delay:
        yield Wait(scenario.first_event_delay)
    for number, item in enumerate(play):
        if not isinstance(item, str):
            yield Wait(item)
        elif item == PLAY_RESET:
            yield Stop(Fault.RESET)
        elif not is_mark(item):
            yield Send(played_bytes(_with_line_end(item, scenario.line_end)), final=number == last)


def _with_line_end(text: str, line_end: LineEnd) -> str:
    """The text as it stands, unless the scenario wants another end of its lines."""
    return text if line_end is LineEnd.LF else text.replace("\n", line_end.characters)
