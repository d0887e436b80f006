"""How urgent a request is among those of its source."""

from enum import StrEnum


class Lane(StrEnum):
    """Within a source the main conversation goes before its sub-agents, and those before background work."""

    MAIN = "main"
    SUBAGENT = "subagent"
    BACKGROUND = "background"


def lane_of(agent: str, priority: str) -> Lane:
    """The lane of a request: `agent` is a sub-agent's id (empty for the main one), `priority` what the client asks for.

    A client can only step back: `background` is obeyed, anything else means nothing.
    """
    if priority.strip().lower() == "background":
        return Lane.BACKGROUND
    return Lane.SUBAGENT if agent else Lane.MAIN
