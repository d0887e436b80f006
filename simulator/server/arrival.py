"""The journal's entry for a request that has just arrived: what it is and what it carries, secrets left out."""

from __future__ import annotations

import time

from aiohttp import web

from simulator.api.endpoints import Endpoint
from simulator.plan.keys import HIDDEN, hides_parameter, is_credential_header, report
from simulator.server.journal import Entry
from simulator.server.state import State


def new_entry(state: State, request: web.Request, endpoint: Endpoint | None, log_id: str) -> Entry:
    """The entry of a request, counted as an attempt of its x-request-id."""
    journal, keys = state.journal, state.keys
    wall = time.time()
    headers = [(name.lower(), value) for name, value in request.headers.items()]
    query = list(request.rel_url.query.items())
    request_id = request.headers.get("x-request-id")
    return Entry(
        id=journal.next_id(),
        request_id=None if request_id is None else keys.redact(request_id),
        attempt=_attempt(state, request, request_id),
        method=request.method,
        path=_shown_path(state, request.rel_url.raw_path, query),
        headers={name: keys.redact(value) for name, value in headers if not is_credential_header(name)},
        credentials=report(keys, headers, query, wall),
        in_flight_at_arrival=journal.in_flight,
        started_monotonic=time.monotonic(),
        started_wall=wall,
        surface=None if endpoint is None else endpoint.surface.value,
        log_id=log_id,
    )


def _attempt(state: State, request: web.Request, request_id: str | None) -> int:
    """Which attempt it is: by x-request-id, which retries keep, or as the SDKs of OpenAI and Anthropic say."""
    if request_id is not None:
        return state.journal.attempt_of(request_id)
    retries = request.headers.get("x-stainless-retry-count", "0")
    return int(retries) + 1 if retries.isdecimal() and len(retries) < 6 else 1


def _shown_path(state: State, path: str, query: list[tuple[str, str]]) -> str:
    redact = state.keys.redact
    if not query:
        return redact(path)
    shown = "&".join(f"{redact(name)}={HIDDEN if hides_parameter(name) else redact(value)}" for name, value in query)
    return f"{redact(path)}?{shown}"
