"""Errors as replies: in the envelope that a surface uses today, or the one that the scenario asks for. Pure."""

from __future__ import annotations

import math

from simulator.api import anthropic, chat, responses
from simulator.api.call import EVENT_STREAM, Reply
from simulator.api.errors import ErrorAnswer, error_answer, status_of, text_of
from simulator.api.sse import Frame
from simulator.plan.keys import Surface
from simulator.plan.models import beijing_text
from simulator.scenario.model import ORDINARY, Envelope, Scenario

_UNTOLD_RESET = 5 * 3600.0
_UNTOLD_RETRY = 60
_USED_UP = frozenset({"1308", "1310"})
_AUTH_CODES = frozenset({"401", "1000", "1001", "1002", "1003", "1004", "1005"})
_DEFAULT_CODE = "500"
_MIDSTREAM_CODE = "1234"


def default_envelope(surface: Surface, code: str) -> Envelope:
    """The envelope in which a surface sends an error today."""
    if surface is Surface.MONITOR:
        return Envelope.MONITOR
    if surface is Surface.ANTHROPIC:
        return Envelope.ANTHROPIC_SHORT if code in _AUTH_CODES else Envelope.ANTHROPIC
    return Envelope.PAAS


def _shown(
    surface: Surface, code: str, scenario: Scenario, log_id: str, now: float, resets_at: float | None, field: str
) -> ErrorAnswer:
    envelope = scenario.envelope or default_envelope(surface, code)
    status = scenario.status
    if status is None:
        status = 200 if envelope is Envelope.MONITOR else status_of(code, anthropic=surface is Surface.ANTHROPIC)
    text = scenario.message
    if text is None:
        reset = beijing_text(now + _UNTOLD_RESET if resets_at is None else resets_at)
        text = text_of(code, request_id=log_id, reset=reset, field=field)
    return error_answer(envelope, status=status, code=code, text=text, request_id=log_id)


def error_reply(
    surface: Surface,
    code: str | None,
    log_id: str,
    now: float,
    *,
    scenario: Scenario = ORDINARY,
    resets_at: float | None = None,
    field: str = "request",
    stream: bool = False,
    beta: bool = False,
) -> Reply:
    """The answer that carries a business error. `stream`: an error in an HTTP 200 comes as an event. `beta`: the
    client sent an anthropic-beta header."""
    code = code or _DEFAULT_CODE
    if resets_at is None and code in _USED_UP:
        resets_at = now + _UNTOLD_RESET
    shown = _shown(surface, code, scenario, log_id, now, resets_at, field)
    headers = retry_headers(scenario)
    unified = beta and surface is Surface.ANTHROPIC and code in _USED_UP and shown.status >= 400
    if unified if scenario.unified_headers is None else scenario.unified_headers:
        headers = _unified_headers(headers, None if resets_at is None else resets_at - now)
    if stream and shown.status == 200:
        frames = iter([_as_frame(surface, scenario.envelope, shown.body)])
        return Reply(frames=frames, content_type=EVENT_STREAM, code=code, headers=headers)
    body = shown.body.encode()
    return Reply(body=body, status=shown.status, content_type=shown.content_type, code=code, headers=headers)


def error_event(surface: Surface, scenario: Scenario, log_id: str, now: float) -> Frame:
    """The error that the fault error_event sends in mid-stream."""
    code = scenario.code or _MIDSTREAM_CODE
    shown = _shown(surface, code, scenario, log_id, now, None, "request")
    return _as_frame(surface, scenario.envelope, shown.body)


def _as_frame(surface: Surface, envelope: Envelope | None, body: str) -> Frame:
    if envelope is Envelope.RESPONSE_FAILED:
        return responses.error_frame(body)
    return anthropic.error_frame(body) if surface is Surface.ANTHROPIC else chat.error_frame(body)


def retry_headers(scenario: Scenario) -> list[tuple[str, str]]:
    """What the scenario tells a client about trying again."""
    headers = []
    if scenario.retry_after is not None:
        headers.append(("retry-after", scenario.retry_after))
    if scenario.should_retry is not None:
        headers.append(("x-should-retry", "true" if scenario.should_retry else "false"))
    return headers


def _unified_headers(headers: list[tuple[str, str]], seconds: float | None) -> list[tuple[str, str]]:
    """What the Anthropic surface adds for clients that know Anthropic's own limits: until when all is used up."""
    added = [("anthropic-ratelimit-unified-status", "rejected")]
    if all(name != "retry-after" for name, _ in headers):
        added.append(("retry-after", str(_UNTOLD_RETRY if seconds is None else max(1, math.ceil(seconds)))))
    return headers + added
