"""One request on its way: what the processor knows of it while it holds a slot."""

from dataclasses import dataclass

from extproc.domain.request.priority import Lane
from extproc.domain.request.trace_context import Trace


@dataclass(slots=True)
class Exchange:
    """A request and what has been seen of its answer so far.

    * `client` is the name behind the token, empty without tokens. `principal` is who takes turns with others in the
      queue, `source` the same as a label. `program` is what the user agent is known as, empty if it is on no list.
    * `session` is Claude Code's name for the conversation, `thread` that of other agents.
    * `asked` is the model that it asks for, `max_tokens` the most that it wants to have generated, `stream` whether it
      wants events; all three are empty if its body was not read. `model` is what answers, which need not be `asked`.
    * `started` is a Unix time in seconds. `request_bytes`, `response_bytes` and `model` are what Envoy has reported so
      far, while the request runs.
    * `failures` is how often it failed on its way, or in Z.AI, for another reason than the plan's limits.
    * `waits` is true while it is in the queue, `waited` the seconds that it was there.
    * `trace` is the trace that it is part of, None where nothing is traced.
    """

    id: str
    request_id: str
    method: str
    path: str
    source: str
    started: float
    principal: str = ""
    client: str = ""
    session: str = ""
    agent: str = ""
    thread: str = ""
    program: str = ""
    lane: Lane = Lane.MAIN
    asked: str = ""
    stream: bool = False
    max_tokens: int | None = None
    model: str = ""
    request_bytes: int = 0
    response_bytes: int = 0
    failures: int = 0
    waits: bool = False
    waited: float = 0.0
    trace: Trace | None = None
