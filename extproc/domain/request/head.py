"""What the processor knows of a request before its body."""

from dataclasses import field

from extproc.domain.request.record import record


@record
class RequestHead:
    """What the processor reads of a request. `path` includes the query; `peer` is the client's address.

    * `session`, `agent` and `priority` are what the agent says of itself, empty if it says nothing; `thread` is the
      conversation as agents other than Claude Code name it.
    * `body_bytes` is the length that the client announced, None for a chunked body.
    * `model`, `stream` and `max_tokens` are what the body asks for, as far as Envoy has read it.
    * `origin` is the origin of the web page for which a browser sends the request, empty if none does; `host` is what
      the client calls the proxy.
    * `token` is the client's own credential; it is read only where tokens are asked for.
    * `traceparent` and `tracestate` name the trace that it is part of; they are read only where requests are traced.
    """

    method: str
    path: str
    request_id: str
    request_id_is_safe: bool
    speaks_anthropic: bool
    session: str
    agent: str
    priority: str
    peer: str
    body_bytes: int | None = None
    thread: str = ""
    model: str = ""
    stream: bool = False
    max_tokens: int | None = None
    origin: str = ""
    host: str = ""
    content_type: str = ""
    user_agent: str = ""
    traceparent: str = ""
    tracestate: str = ""
    token: str = field(default="", repr=False)
