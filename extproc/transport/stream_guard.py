"""The first-event guard: an error that is a stream's first event becomes the error answer that it should have been.

Envoy holds the head of an answer that could still turn out to be an error, asks here, and shows its body piece by piece
until it has an answer. What the first event is, the reader within Envoy has said already (metadata `zai.answer`), so no
body is parsed here but an error's. Of a good answer the stream of messages is ended: Envoy passes on what it holds, and
the rest goes by. An error's head gets the status that Z.AI gives it outside of a stream and the headers that the router
looks at, and its body becomes JSON; then the router tries again, or the client is told as plainly as by any refusal.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final, TypeAlias

import grpc.aio
from google.protobuf.struct_pb2 import Struct, Value

from extproc.domain.business_codes import BusinessCode, http_status
from extproc.domain.business_codes import classify as classify_code
from extproc.domain.error_bodies import error_object, extract_code
from extproc.domain.routes import Dialect, Route, classify
from extproc.transport import wire
from extproc.transport.pb import ext_proc_pb2 as pb

Context: TypeAlias = grpc.aio.ServicerContext[pb.ProcessingRequest, bytes]

ANSWER_NAMESPACE: Final = "zai.answer"

# Clients count the seconds to the first byte, and a thinking model is silent for minutes.
_LONGEST_HOLD: Final = 10.0
_RETRY_AFTER: Final = 2
_LARGEST_ERROR: Final = 64 * 1024


class GuardResult(StrEnum):
    """What became of a guarded answer."""

    PASSED = "passed"
    """It was none, or was not known to be one within the time."""
    RETRIED = "retried"
    """An error that waiting can cure, with tries left."""
    REFUSED = "refused"
    """An error that the client is told of."""


class StreamGuard:
    """Looks at one answer at a time. `count` hears of each result; `max_retries` is how often Envoy tries again."""

    def __init__(self, is_on: bool, max_retries: int, count: Callable[[str], None]) -> None:
        self._is_on = is_on
        self._max_retries = max_retries
        self._count = count

    def watches(self, method: str, route: Route) -> bool:
        """Whether the head of such a request's answer is to wait. Other streams may have nothing to say for hours."""
        return self._is_on and method == "POST" and route.llm_protocol is not None

    async def hold(self, context: Context) -> None:
        """Returns when the answer may go on as it is; an error has been answered for by then."""
        pieces: list[bytes] = []
        try:
            async with asyncio.timeout(_LONGEST_HOLD):
                piece = await self._first_event(context, pieces)
        except TimeoutError:
            piece = None
        if piece is None:
            self._count(GuardResult.PASSED)
            return
        await self._refuse(context, piece, pieces)

    async def _first_event(self, context: Context, pieces: list[bytes]) -> pb.ProcessingRequest | None:
        """Reads until the first event is known; the message that came with it if it is an error, else None."""
        while isinstance(message := await context.read(), pb.ProcessingRequest):
            if not message.HasField("response_body"):
                continue
            pieces.append(message.response_body.body)
            first = _read(message).get("first")
            if first is not None or message.response_body.end_of_stream:
                return message if first is not None and first.string_value == "error" else None
        return None

    async def _refuse(self, context: Context, message: pb.ProcessingRequest, pieces: list[bytes]) -> None:
        noted = wire.metadata_fields(message, wire.METADATA_NAMESPACE)
        told = _read(message)["code"].string_value
        code = classify_code(told, http_status(told))
        attempt = wire.metadata_fields(message, ANSWER_NAMESPACE).get("attempt")
        tries = int(attempt.number_value) if attempt is not None else 1
        is_retried = code.transient and tries <= self._max_retries
        self._count(GuardResult.RETRIED if is_retried else GuardResult.REFUSED)
        dialect = classify(_text(noted, "path"), speaks_anthropic=False).dialect
        await context.write(_head(told, code, _text(noted, "id"), is_retried))
        await context.write(_body(_error_body(b"".join(pieces)[:_LARGEST_ERROR], told, dialect)))
        for _ in pieces[1:]:
            await context.write(_NOTHING)
        while isinstance(await context.read(), pb.ProcessingRequest):
            await context.write(_NOTHING)


def _read(message: pb.ProcessingRequest) -> Mapping[str, Value]:
    read = wire.metadata_fields(message, ANSWER_NAMESPACE).get("read")
    return read.struct_value.fields if read is not None else Struct().fields


def _text(fields: Mapping[str, Value], name: str) -> str:
    return fields[name].string_value if name in fields else ""


def _head(told: str, code: BusinessCode, exchange_id: str, is_retried: bool) -> bytes:
    status = http_status(told)
    changed = {
        ":status": str(status),
        "content-type": "application/json",
        "x-zai-code": told,
        "x-zai-exchange": exchange_id,
    }
    absent = {}
    if code.transient:
        changed["x-zai-transient"] = "1"
        if not is_retried:  # or Envoy would sleep as long before it tries again
            absent["retry-after"] = str(_RETRY_AFTER)
    elif status in (401, 429):
        absent["x-should-retry"] = "false"
    options = [wire.set_header(name, value) for name, value in changed.items()]
    options += [wire.set_header(name, value, only_if_absent=True) for name, value in absent.items()]
    common = pb.CommonResponse(header_mutation=pb.HeaderMutation(set_headers=options))
    return pb.ProcessingResponse(response_headers=pb.HeadersResponse(response=common)).SerializeToString()


def _body(body: bytes) -> bytes:
    common = pb.CommonResponse(body_mutation=pb.BodyMutation(body=body))
    return pb.ProcessingResponse(response_body=pb.BodyResponse(response=common)).SerializeToString()


_NOTHING: Final = pb.ProcessingResponse(
    response_body=pb.BodyResponse(response=pb.CommonResponse(body_mutation=pb.BodyMutation(clear_body=True)))
).SerializeToString()


def _error_body(event: bytes, told: str, dialect: Dialect) -> bytes:
    """The error as the API that was called says it: Z.AI's own object where the event has one."""
    known = extract_code(event)
    error = error_object(event) or {"message": known.message or "The answer began with an error.", "code": told}
    if dialect is Dialect.ANTHROPIC:
        error = {"type": _anthropic_type(told), **error}
    envelope: dict[str, object] = {"type": "error"} if dialect is Dialect.ANTHROPIC else {}
    envelope["error"] = error
    if known.request_id is not None:
        envelope["request_id"] = known.request_id
    return json.dumps(envelope, ensure_ascii=False).encode()


def _anthropic_type(told: str) -> str:
    status = http_status(told)
    if status in (429, 529):
        return "rate_limit_error" if status == 429 else "overloaded_error"
    return "api_error" if status >= 500 else "invalid_request_error"
