"""The first-event guard: an error that is a stream's first event becomes the error answer that it should have been.

Envoy holds the head of an answer that could still turn out to be an error and asks here, on a gRPC stream of its own,
what to do with it. The reader within Envoy tells, in a call of its own, what the first event is once it is there, so no
body passes through here but an error's. A good answer goes on as it is. An error's head gets the status that Z.AI gives
it outside of a stream and the headers that the router looks at, and its body becomes JSON; then the router tries again,
or the client is told as plainly as by any refusal. An error answer that does not say how long it is waits here too: it
keeps its status and its JSON, and is over once that is here.
"""

import asyncio
import codecs
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from extproc.domain.request.business_codes import BusinessCode, http_status
from extproc.domain.request.business_codes import classify as classify_code
from extproc.domain.request.error_bodies import error_object, extract_code
from extproc.domain.request.refusals import SHORTEST_WAIT
from extproc.domain.request.routes import Dialect, Route, classify
from extproc.domain.usage.outcome import ENDED_ERROR
from extproc.transport import wire
from extproc.transport.grpc_call import Call, Method
from extproc.transport.pb import ext_proc_pb2 as pb

ANSWER_NAMESPACE: Final = "zai.answer"

_PATH: Final = "/zai.proxy.Guard/FirstEvent"

# Clients count the seconds to the first byte, and a thinking model is silent for minutes.
_LONGEST_HOLD: Final = 10.0
# The longest pause that a refusal which passes may ask of a client, in the unit of the header; as in upstream.lua.
_LONGEST_PAUSE: Final = {"retry-after": 60, "retry-after-ms": 60_000}
_LONGEST_NUMBER: Final = 9  # in digits
# Events for which no head waits any more: at most this many are kept.
_MOST_EVENTS: Final = 1000
# Errors whose end nobody will ask for, because they were tried again or their client has left: this many are kept.
_MOST_ERRORS: Final = 250
_EXCHANGE, _ATTEMPT, _CODE, _STATUS = "x-exchange", "x-attempt", "x-code", "x-status"
_GOES_AGAIN: Final = "x-goes-again"
_END: Final = "x-zai-end"
# Headers of an answer that Envoy sets itself.
_OWN: Final = frozenset({":status", "content-length", "transfer-encoding", "connection", _END})
_ANSWERED: Final = "guard"


class GuardResult(StrEnum):
    """What became of a guarded answer."""

    PASSED = "passed"
    """It was no error, or was not known to be one within the time that its head may wait."""
    RETRIED = "retried"
    """It was an error that waiting can cure, and there were tries left."""
    REFUSED = "refused"
    """It was an error that the client is told of."""


@dataclass(frozen=True, slots=True)
class FirstEvent:
    """What the first event of an answer is. `code` is empty for a good one; `text` is an error as it came, and
    `goes_again` whether Envoy is to make the attempt again.

    `status` is 0 unless the head of the answer says itself that this is an error. The code of such an answer may be
    unknown, and its text is empty if nobody knows where it ends.
    """

    code: str = ""
    text: bytes = b""
    status: int = 0
    goes_again: bool = False


class StreamGuard:
    """Decides on one answer at a time. `count` hears of each result."""

    def __init__(self, is_on: bool, count: Callable[[str], None]) -> None:
        self._is_on = is_on
        self._count = count
        self._events: OrderedDict[tuple[str, int], asyncio.Future[FirstEvent]] = OrderedDict()
        self._errors: OrderedDict[str, bytes] = OrderedDict()

    def methods(self) -> Mapping[str, Method]:
        """What to serve, by path: the reader within Envoy tells here."""
        return {_PATH: self._take}

    def watches(self, method: str, route: Route) -> bool:
        """Whether the head of such a request's answer is to wait. Other streams may have nothing to say for hours."""
        return self._is_on and method == "POST" and route.llm_protocol is not None

    async def answer(self, head: pb.ProcessingRequest, call: Call) -> None:
        """Answers Envoy, which asks about a head: of an attempt's answer, or of an error that is to be ended."""
        noted = wire.metadata_fields(head, wire.METADATA_NAMESPACE)
        exchange_id = noted["id"].string_value if "id" in noted else ""
        held = {header.key: header.raw_value for header in head.response_headers.headers.headers}
        if _END in held:
            error = self._errors.pop(exchange_id, None)
            call.write(_GO_ON_TO_THE_CLIENT if error is None else _ended(held, error))
        else:
            await self.hold(head, call)

    async def hold(self, head: pb.ProcessingRequest, call: Call) -> None:
        """Answers Envoy once the first event is known, or after ten seconds."""
        noted = wire.metadata_fields(head, wire.METADATA_NAMESPACE)
        answer = wire.metadata_fields(head, ANSWER_NAMESPACE)
        exchange_id = noted["id"].string_value if "id" in noted else ""
        attempt = int(answer["attempt"].number_value) if "attempt" in answer else 1
        event = await self._first_event((exchange_id, attempt))
        if not event.code and not event.status:
            self._count(GuardResult.PASSED)
            call.write(_GO_ON)
            return
        code = classify_code(event.code, 0 if event.status else http_status(event.code))
        if not event.status:
            self._count(GuardResult.RETRIED if event.goes_again else GuardResult.REFUSED)
        path = noted["path"].string_value if "path" in noted else ""
        body = _error_body(event, classify(path, speaks_anthropic=False).dialect)
        if body:
            self._keep(exchange_id, body)
        held = {header.key: header.raw_value for header in head.response_headers.headers.headers}
        wait = int(answer["wait"].number_value) if "wait" in answer else 0
        changed = _head(event, code, exchange_id, held, wait)
        call.write(_error(changed, _misleading(held) if code.transient else [], body))

    def _keep(self, exchange_id: str, body: bytes) -> None:
        self._errors.pop(exchange_id, None)
        self._errors[exchange_id] = body
        if len(self._errors) > _MOST_ERRORS:
            self._errors.popitem(last=False)

    async def _first_event(self, key: tuple[str, int]) -> FirstEvent:
        try:
            async with asyncio.timeout(_LONGEST_HOLD):
                return await self._event(key)
        except TimeoutError:
            return FirstEvent()
        finally:
            self._events.pop(key, None)

    async def _take(self, call: Call) -> None:
        text, told = await call.read(), call.headers
        if text is None:
            return
        attempt, status = told.get(_ATTEMPT, ""), told.get(_STATUS, "")
        event = self._event((told.get(_EXCHANGE, ""), int(attempt) if attempt.isdecimal() else 1))
        if not event.done():
            goes_again = told.get(_GOES_AGAIN) == "1"
            event.set_result(
                FirstEvent(told.get(_CODE, ""), text, int(status) if status.isdecimal() else 0, goes_again)
            )
        call.write(b"")

    def _event(self, key: tuple[str, int]) -> asyncio.Future[FirstEvent]:
        """The event of an attempt, made by whoever comes first: the one that waits for it or the one that tells it."""
        event = self._events.get(key)
        if event is None:
            event = self._events[key] = asyncio.get_running_loop().create_future()
            if len(self._events) > _MOST_EVENTS:
                oldest = next((known for known, waiting in self._events.items() if waiting.done()), None)
                if oldest is not None:
                    del self._events[oldest]
        return event


_GO_ON: Final = pb.ProcessingResponse(response_headers=pb.HeadersResponse()).SerializeToString()
_GO_ON_TO_THE_CLIENT: Final = pb.ProcessingResponse(
    response_headers=pb.HeadersResponse(
        response=pb.CommonResponse(header_mutation=pb.HeaderMutation(remove_headers=[_END]))
    )
).SerializeToString()


def _ended(held: Mapping[str, bytes], body: bytes) -> bytes:
    """An error answer that is over: the head that is held, and its body."""
    headers = [wire.set_header(name, value.decode("latin-1")) for name, value in held.items() if name not in _OWN]
    answer = pb.ImmediateResponse(
        status=pb.HttpStatus(code=int(held[":status"])),
        headers=pb.HeaderMutation(set_headers=headers),
        body=body,
        details=ENDED_ERROR,
    )
    return wire.metadata({"answered": _ANSWERED}) + pb.ProcessingResponse(immediate_response=answer).SerializeToString()


def _is_certain(status: int, code: str) -> bool:
    """Whether it is known that no retry cures this: upstream.lua says the same of errors that do not wait here."""
    return status == 401 or (status == 429 and code.isdecimal() and len(code) == 4)


def _head(
    event: FirstEvent, code: BusinessCode, exchange_id: str, held: Mapping[str, bytes], wait: int
) -> dict[str, str]:
    """The headers that make an error answer of a head that holds these. `wait` is after how many seconds the client may
    come back, 0 if nobody knows."""
    status = event.status or http_status(event.code)
    changed = {"x-zai-exchange": exchange_id}
    if event.code:
        changed["x-zai-code"] = event.code
    if event.text or not event.status:
        changed[_END] = "1"
    if not event.status or (event.text and not _is_json(event.text)):
        changed |= {":status": str(status), "content-type": "application/json"}
    if event.goes_again:
        changed["x-zai-transient"] = "1"
    if code.transient:
        # Where the answer has no retry-after, Envoy makes one of this on its way to the client. It is not set here
        # because the router, which may try again, would wait as long as that itself.
        changed["x-zai-wait"] = str(max(SHORTEST_WAIT, min(wait, _LONGEST_PAUSE["retry-after"])))
    elif event.code and _is_certain(status, event.code) and "x-should-retry" not in held:
        changed["x-should-retry"] = "false"
    return changed


def _misleading(held: Mapping[str, bytes]) -> list[str]:
    """The names of those headers that would be right only if the plan were used up.

    A `retry-after` above a minute makes Claude Code give up its turn at once, and other clients sleep for all of it. A
    date in it counts as too long, because the clock that it was made by is not known here.
    """
    names = [name for name in held if name.startswith("anthropic-ratelimit-unified")]
    return names + [name for name, longest in _LONGEST_PAUSE.items() if name in held and _is_long(held[name], longest)]


def _is_long(told: bytes, longest: int) -> bool:
    return not told.isdigit() or len(told) > _LONGEST_NUMBER or int(told) > longest


def _error(changed: Mapping[str, str], removed: list[str], body: bytes) -> bytes:
    head = [wire.set_header(name, value) for name, value in changed.items()]
    common = pb.CommonResponse(header_mutation=pb.HeaderMutation(set_headers=head, remove_headers=removed))
    if body:
        common.status = pb.CommonResponse.CONTINUE_AND_REPLACE
        common.body_mutation.body = body
    return pb.ProcessingResponse(response_headers=pb.HeadersResponse(response=common)).SerializeToString()


def _error_body(event: FirstEvent, dialect: Dialect) -> bytes:
    """The error as the API that was called says it: Z.AI's own object where the event has one, its JSON as it came."""
    if event.status and (not event.text or _is_json(event.text)):
        return event.text
    known = extract_code(event.text)
    unnamed = {"message": known.message or "The answer began with an error.", "code": event.code}
    error = error_object(event.text) or unnamed
    if dialect is Dialect.ANTHROPIC:
        error = {"type": _anthropic_type(event.code), **error}
    envelope: dict[str, object] = {"type": "error"} if dialect is Dialect.ANTHROPIC else {}
    envelope["error"] = error
    if known.request_id is not None:
        envelope["request_id"] = known.request_id
    return json.dumps(envelope).encode()  # in ASCII: half a surrogate pair is JSON, but no UTF-8


def _is_json(text: bytes) -> bool:
    return text.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"{")


def _anthropic_type(told: str) -> str:
    status = http_status(told)
    if status in (429, 529):
        return "rate_limit_error" if status == 429 else "overloaded_error"
    return "api_error" if status >= 500 else "invalid_request_error"
