"""One request on its way through the simulator: read, judged, answered, played, written down."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import time
from collections.abc import Iterator
from dataclasses import replace

from aiohttp import web

from simulator.api.call import Call, Reply
from simulator.api.dispatch import answer
from simulator.api.endpoints import METERED, Action, Endpoint, find, is_wrong_coding_path
from simulator.api.error_replies import error_reply
from simulator.api.errors import html_page
from simulator.api.fields import BadRequestError
from simulator.api.mcp import is_tool_call
from simulator.api.turn import Usage, reported
from simulator.connection.faults import strikes_first
from simulator.connection.head import head_of
from simulator.connection.playback import played_reply, played_steps
from simulator.connection.steps import Step, body_steps, gzip_bytes, packed, stream_steps, wants_gzip
from simulator.connection.wire import Wire
from simulator.plan.keys import Surface, accepted
from simulator.plan.limits import LimitRefusal
from simulator.plan.models import beijing_text, plan_credits, served_model
from simulator.scenario.model import ORDINARY, Fault, Scenario
from simulator.scenario.parsing import ScenarioError, scenario_from_json
from simulator.server.arrival import new_entry
from simulator.server.state import State

SCENARIO_HEADER = "x-sim"
_WRONG_PATH = Scenario(message="404 NOT_FOUND")
MAX_JSON_BYTES = 50 * 1024 * 1024
MAX_UPLOAD_BYTES = 110 * 1024 * 1024
_UPLOADS = frozenset({Action.FILE_UPLOAD, Action.TRANSCRIPTION})


class TooLargeError(Exception):
    """A body beyond what nginx lets in."""


class Exchange:
    """One request and its answer. `run` returns when all is sent, and the journal has it."""

    def __init__(self, state: State, request: web.Request) -> None:
        self._state = state
        self._request = request
        self._path = request.rel_url.raw_path
        self._endpoint = find(request.method, self._path)
        self._log_id = new_log_id(time.time())
        self._wire = Wire(request)
        self._reply: Reply | None = None
        self._raw = b""
        self._body: object = None
        self._metered = False
        self._calls_tool = False
        self._judges_key = False
        self._is_over_limit = False
        self._entry = new_entry(state, request, self._endpoint, self._log_id)

    async def run(self) -> Wire:
        """Answers the request; the entry in the journal tells how it ended, whatever happens."""
        journal = self._state.journal
        journal.begin(self._entry)
        try:
            await self._run()
        except ConnectionError:
            self._entry.aborted = True
        except asyncio.CancelledError:
            self._entry.aborted = self._request.transport is None
            raise
        except Exception:
            self._wire.give_up()
            raise
        finally:
            self._settle()
            journal.end(self._entry, monotonic=time.monotonic(), wall=time.time())
        return self._wire

    async def _run(self) -> None:
        scenario = ORDINARY
        try:
            await self._read_body()
            scenario = self._scenario()
            reply = self._reply_to(scenario)
        except TooLargeError:
            reply = _page(413)
        except ScenarioError as error:
            body = json.dumps({"error": {"code": "x-sim", "message": f"simulator: {error}"}})
            reply = Reply(body.encode(), status=400)
        if scenario.delay:
            await asyncio.sleep(scenario.delay)
        if self._is_over_limit:
            scenario = replace(scenario, first_event_delay=0.0)  # no model thinks about a refusal
        await self._play(reply, scenario)

    async def _read_body(self) -> None:
        """Reads the body whole, and takes note of its size and digest. Raises TooLargeError."""
        action = None if self._endpoint is None else self._endpoint.action
        limit = MAX_UPLOAD_BYTES if action in _UPLOADS else MAX_JSON_BYTES
        digest = hashlib.sha256()
        parts: list[bytes] = []
        async for part in self._request.content.iter_any():
            digest.update(part)
            self._entry.request_bytes += len(part)
            if self._entry.request_bytes <= limit:
                parts.append(part)
        self._entry.request_sha256 = digest.hexdigest()
        if self._entry.request_bytes > limit:
            raise TooLargeError
        self._raw = parts[0] if len(parts) == 1 else b"".join(parts)
        if self._state.keys.find_in_bytes(self._raw):
            self._entry.key_in_body = True
        if self._raw and self._request.content_type != "multipart/form-data":
            self._body = _parsed(self._raw)

    def _scenario(self) -> Scenario:
        """The scenario of this request, for the attempt that it is. Raises ScenarioError."""
        entry, state = self._entry, self._state
        text = self._request.headers.get(SCENARIO_HEADER)
        if text is not None:
            scenario, entry.scenario_from = scenario_from_json(text), "header"
        else:
            right = self._endpoint is None or accepted(self._endpoint.surface, entry.credentials) is None
            model = self._named_model()
            chosen = state.reader.choose(
                self._request.method,
                self._path,
                model,
                key_is_right=right,
                headers={name.lower() for name in self._request.headers},
                body=self._raw,
            )
            scenario, entry.scenario_from = chosen.scenario, chosen.place
            self._judges_key = chosen.for_wrong_key
        first = scenario.fail_first
        if first is None or first.key is None:
            return scenario.for_attempt(entry.attempt)
        return scenario.for_attempt(state.journal.attempt_of(f"key:{first.key}"))

    def _reply_to(self, scenario: Scenario) -> Reply:
        endpoint, settings = self._endpoint, self._state.settings
        if settings.expected_host is not None and self._request.headers.get("host") != settings.expected_host:
            return _page(403)
        if endpoint is None and scenario.play is not None:
            return played_reply(scenario)
        if endpoint is None and is_wrong_coding_path(self._path):
            return error_reply(Surface.CODING, "500", self._log_id, time.time(), scenario=_WRONG_PATH)
        if endpoint is None:
            return _page(404)
        return self._refusal(endpoint, scenario) or self._answer(endpoint, scenario)

    def _refusal(self, endpoint: Endpoint, scenario: Scenario) -> Reply | None:
        """The answer to a request that is not let in."""
        refused = accepted(endpoint.surface, self._entry.credentials)
        if refused is not None and not self._judges_key:
            return self._error(endpoint, refused)
        if scenario.is_error:
            return self._error(endpoint, scenario.code, scenario=scenario)
        on_balance = endpoint.surface is Surface.PAAS and endpoint.action in METERED
        if on_balance and not self._state.settings.general_balance:
            return self._error(endpoint, "1113")
        return self._limited(endpoint)

    def _limited(self, endpoint: Endpoint) -> Reply | None:
        refusal: LimitRefusal | None = None
        now, limits = time.time(), self._state.limits
        if limits.refuses(self._request.headers.get("user-agent", "")):
            refusal = LimitRefusal("1305")
        elif endpoint.action in METERED:
            self._entry.served_by = self._serving(endpoint)
            refusal = limits.enter(now, on_plan=endpoint.surface is not Surface.PAAS, model=self._entry.served_by)
            self._metered = refusal is None
        elif endpoint.action is Action.MCP and is_tool_call(self._body):
            refusal = limits.call_tool(now)
            self._calls_tool = refusal is None
        if refusal is None:
            return None
        self._is_over_limit = True
        return self._error(endpoint, refusal.code, resets_at=refusal.resets_at)

    def _serving(self, endpoint: Endpoint) -> str | None:
        """The model that serves the request, if it names one that is known."""
        named = self._named_model()
        return None if named is None else served_model(named, anthropic=endpoint.surface is Surface.ANTHROPIC)

    def _named_model(self) -> str | None:
        model = self._body.get("model") if isinstance(self._body, dict) else None
        return model if isinstance(model, str) else None

    def _error(
        self,
        endpoint: Endpoint,
        code: str | None,
        *,
        scenario: Scenario = ORDINARY,
        resets_at: float | None = None,
        field: str = "request",
    ) -> Reply:
        stream = isinstance(self._body, dict) and self._body.get("stream") is True
        return error_reply(
            endpoint.surface,
            code,
            self._log_id,
            time.time(),
            scenario=scenario,
            resets_at=resets_at,
            field=field,
            stream=stream,
            beta="anthropic-beta" in self._request.headers,
        )

    def _answer(self, endpoint: Endpoint, scenario: Scenario) -> Reply:
        if scenario.play is not None:
            return played_reply(scenario)
        state, now = self._state, time.time()
        call = Call(
            endpoint=endpoint,
            scenario=scenario,
            log_id=self._log_id,
            now=now,
            raw=self._raw,
            body=self._body,
            content_type=self._request.headers.get("content-type", ""),
            accept=self._request.headers.get("accept", ""),
            windows=state.limits.windows(now),
            plan_level=state.settings.plan_level,
            model_use=state.model_use,
            files=state.files,
            account=self._entry.credentials.account,
            prefix_cache=state.prefix_cache,
        )
        try:
            return answer(call)
        except BadRequestError as error:
            return self._error(endpoint, error.code, field=error.field)

    async def _play(self, reply: Reply, scenario: Scenario) -> None:
        entry = self._entry
        self._reply = reply
        entry.model, entry.code = reply.model, reply.code
        entry.stream, entry.played = reply.is_stream, reply.is_played
        if scenario.fault is not None:
            entry.fault = scenario.fault.value
            if strikes_first(scenario):
                await self._wire.stop(scenario.fault)
                return
        entry.status = reply.status
        offered = self._request.headers.get("accept-encoding", "")
        compress = not reply.is_played and wants_gzip(scenario, offered, stream=entry.stream)
        pause = self._pause(reply, scenario)
        if reply.frames is None:
            await asyncio.sleep(pause * reply.total)
        steps, length = _steps(reply, scenario, pause=pause, compress=compress)
        took = time.monotonic() - entry.started_monotonic
        head = head_of(reply, scenario, log_id=self._log_id, now=time.time(), took=took, compress=compress)
        await self._wire.play(head, steps, length)

    def _pause(self, reply: Reply, scenario: Scenario) -> float:
        """Seconds between two events: the scenario's (streams alone), or what the speed in tokens makes of it."""
        if scenario.pause is not None:
            return scenario.pause if reply.frames is not None else 0.0
        speed, turn = self._state.settings.speed, reply.turn
        if not speed or turn is None or not turn.pieces:
            return 0.0
        return turn.usage.output / turn.pieces / speed

    def _settle(self) -> None:
        """Writes down what went out, and charges the plan for it."""
        entry, sent, reply = self._entry, self._wire.sent, self._reply
        entry.response_bytes = sent.bytes
        entry.response_sha256 = self._wire.sha256
        entry.events_sent = sent.events
        entry.left_after_final = entry.aborted and sent.final
        entry.first_byte_monotonic = sent.first_byte_at
        now = time.time()
        if reply is not None and reply.turn is not None:
            turn = reply.turn
            entry.usage_sent = reported(turn, sent.usage, sent.events)
            whole = not entry.stream or (sent.final and entry.fault != Fault.ERROR_EVENT)
            entry.generated = turn.usage if whole else turn.usage.share(sent.events, turn.pieces)
            entry.credits = self._credits(turn.model, entry.generated, now)
            self._state.count(turn.model, entry.generated, entry.credits)
        elif reply is not None and reply.usage is not None and sent.usage:
            entry.usage_sent = entry.generated = reply.usage
        if self._metered:
            self._give_back(self._state.limits.release_seconds)
        if self._calls_tool:
            self._state.limits.tools.leave()

    def _give_back(self, seconds: float) -> None:
        if seconds > 0.0:
            asyncio.get_running_loop().call_later(seconds, self._give_back, 0.0)
        else:
            self._state.limits.leave(time.time(), self._entry.credits, self._entry.served_by)

    def _credits(self, model: str, usage: Usage, now: float) -> float:
        """What the plan is charged; the general API is paid from the balance."""
        if self._endpoint is None or self._endpoint.surface is Surface.PAAS:
            return 0.0
        return plan_credits(
            model,
            input_tokens=usage.input + usage.cache_creation,
            cached_tokens=usage.cached,
            output_tokens=usage.output,
            unix_time=now,
        )


def _steps(reply: Reply, scenario: Scenario, *, pause: float, compress: bool) -> tuple[Iterator[Step], int | None]:
    """The steps of the answer, and what content-length says where its body is no stream."""
    if reply.is_played:
        return played_steps(scenario)
    if reply.frames is None:
        return body_steps(gzip_bytes(reply.body) if compress else reply.body, scenario)
    steps = stream_steps(reply.frames, scenario, total=reply.total, pause=pause, error=reply.error)
    return packed(steps, scenario, compress=compress), None


def _page(status: int) -> Reply:
    return Reply(html_page(status).encode(), status=status, content_type="text/html")


def _parsed(raw: bytes) -> object:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def new_log_id(unix_time: float) -> str:
    """An id as Z.AI makes them: the time in UTC+8 and sixteen hexadecimal digits."""
    return f"{beijing_text(unix_time, '%Y%m%d%H%M%S')}{random.getrandbits(64):016x}"
