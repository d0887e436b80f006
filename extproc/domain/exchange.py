"""One request on its way: what the processor knows of it while it holds a slot."""

from dataclasses import dataclass

from extproc.domain.lanes import Lane


@dataclass(slots=True)
class Exchange:
    """A request and what has been seen of its answer so far.

    `client` is the name behind the token, empty without tokens; `principal` is who takes
    turns with others in the queue, `source` the same as a label.
    `started` is a Unix time in seconds. `request_bytes`, `response_bytes` and `model` grow while the request runs, as
    Envoy reports progress. `waits` is true while it is in the queue, `waited` the seconds that it was there.
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
    lane: Lane = Lane.MAIN
    model: str = ""
    request_bytes: int = 0
    response_bytes: int = 0
    waits: bool = False
    waited: float = 0.0
