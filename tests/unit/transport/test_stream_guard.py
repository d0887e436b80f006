"""What the first-event guard answers Envoy, and when."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct

from extproc.domain.request.business_codes import TRANSIENT_CODES
from extproc.domain.request.routes import classify
from extproc.transport.pb import ext_proc_pb2 as pb
from extproc.transport.stream_guard import StreamGuard

BUSY = {"type": "error", "error": {"type": "overloaded_error", "code": "1305", "message": "busy"}}


class Stream:
    """Envoy's side of the stream on which it asks about one head: keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[pb.ProcessingResponse] = []

    def write(self, message: bytes) -> None:
        self.told.append(pb.ProcessingResponse.FromString(message))

    @property
    def common(self) -> pb.CommonResponse:
        [answer] = self.told
        return answer.response_headers.response

    @property
    def head(self) -> dict[str, str]:
        return {each.header.key: each.header.raw_value.decode() for each in self.common.header_mutation.set_headers}

    @property
    def body(self) -> Any:
        return json.loads(self.common.body_mutation.body)


class Call:
    """The reader's call that tells of a first event."""

    def __init__(self, exchange: str, attempt: int, code: str, status: str, text: bytes, *, goes_again: bool) -> None:
        self.headers = {"x-exchange": exchange, "x-attempt": str(attempt), "x-code": code, "x-status": status}
        self.headers["x-goes-again"] = "1" if goes_again else ""
        self.told: list[bytes] = []
        self._text = text

    async def read(self) -> bytes | None:
        return self._text

    def write(self, message: bytes) -> None:
        self.told.append(message)


class Guarded:
    """A guard, and the two ways in which Envoy speaks to it."""

    def __init__(self) -> None:
        self.results: Counter[str] = Counter()
        self.guard = StreamGuard(True, lambda result: self.results.update([result]))

    def ask(
        self,
        exchange: str = "run-1",
        attempt: int = 1,
        headers: Mapping[str, str] = MappingProxyType({}),
        wait: int | None = None,
    ) -> tuple[Stream, "asyncio.Task[None]"]:
        held = [pb.HeaderValue(key=name, raw_value=value.encode()) for name, value in headers.items()]
        head = pb.ProcessingRequest(response_headers=pb.HttpHeaders(headers=pb.HeaderMap(headers=held)))
        answer, processor = Struct(), Struct()
        answer.update({"attempt": attempt} if wait is None else {"attempt": attempt, "wait": wait})
        processor.update({"id": exchange, "path": "/v1/messages"})
        head.metadata_context.filter_metadata["zai"].CopyFrom(processor)
        if attempt > 1:
            head.metadata_context.filter_metadata["zai.answer"].CopyFrom(answer)
        stream = Stream()
        return stream, asyncio.create_task(self.guard.hold(head, stream))  # type: ignore[arg-type]

    async def end(self, headers: Mapping[str, str], exchange: str = "run-1") -> Stream:
        held = [pb.HeaderValue(key=name, raw_value=value.encode()) for name, value in headers.items()]
        head = pb.ProcessingRequest(response_headers=pb.HttpHeaders(headers=pb.HeaderMap(headers=held)))
        processor = Struct()
        processor.update({"id": exchange})
        head.metadata_context.filter_metadata["zai"].CopyFrom(processor)
        stream = Stream()
        await self.guard.answer(head, stream)  # type: ignore[arg-type]
        return stream

    async def tell(
        self,
        code: str = "",
        text: str = "",
        exchange: str = "run-1",
        attempt: int = 1,
        status: str = "",
        *,
        goes_again: bool = False,
    ) -> None:
        call = Call(exchange, attempt, code, status, text.encode(), goes_again=goes_again)
        await self.guard._take(call)  # type: ignore[arg-type]
        assert call.told == [b""]


def event(data: object) -> str:
    return f"event: error\ndata: {json.dumps(data)}\n\n"


async def refused(
    text: str,
    code: str,
    attempt: int = 1,
    headers: Mapping[str, str] = MappingProxyType({}),
    *,
    goes_again: bool = False,
) -> tuple[Stream, Counter[str]]:
    guarded = Guarded()
    stream, asking = guarded.ask(attempt=attempt, headers=headers)
    await guarded.tell(code, text, attempt=attempt, goes_again=goes_again)
    await asking
    return stream, guarded.results


async def test_a_good_answer_goes_on_as_it_is() -> None:
    guarded = Guarded()
    stream, asking = guarded.ask()
    await guarded.tell()
    await asking

    assert stream.common == pb.CommonResponse()
    assert guarded.results == {"passed": 1}


async def test_nothing_is_said_before_the_first_event_is_known() -> None:
    guarded = Guarded()
    stream, asking = guarded.ask()
    await asyncio.sleep(0)
    assert stream.told == []

    await guarded.tell()
    await asking
    assert len(stream.told) == 1


async def test_the_event_may_be_told_before_the_head_is_asked_about() -> None:
    guarded = Guarded()
    await guarded.tell("1305", event(BUSY))
    stream, asking = guarded.ask()
    await asking

    assert stream.head[":status"] == "529"


async def test_each_attempt_of_each_exchange_has_an_event_of_its_own() -> None:
    guarded = Guarded()
    first, asking_first = guarded.ask("run-1", 2)
    second, asking_second = guarded.ask("run-2", 2)
    await guarded.tell("1305", event(BUSY), "run-1", 1)  # of the attempt before, late
    await guarded.tell("1308", event(BUSY), "run-2", 2)
    await guarded.tell("", "", "run-1", 2)
    await asyncio.gather(asking_first, asking_second)

    assert first.common == pb.CommonResponse()
    assert second.head["x-zai-code"] == "1308"


async def test_who_leaves_meanwhile_leaves_nothing_behind_and_events_that_nobody_asks_for_are_bounded() -> None:
    guarded = Guarded()
    _, asking = guarded.ask()
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait([asking])
    for number in range(3000):
        await guarded.tell("", "", f"run-{number}")

    assert len(guarded.guard._events) <= 1000


async def test_an_error_with_tries_left_becomes_an_answer_that_the_router_tries_again() -> None:
    stream, results = await refused(event(BUSY), "1305", goes_again=True)

    assert stream.common.status == pb.CommonResponse.CONTINUE_AND_REPLACE
    assert stream.head[":status"] == "529"
    assert stream.head["content-type"] == "application/json"
    assert stream.head["x-zai-transient"] == "1"
    assert (stream.head["x-zai-code"], stream.head["x-zai-exchange"]) == ("1305", "run-1")
    assert "retry-after" not in stream.head, "the router would wait as long"
    assert results == {"retried": 1}


async def test_the_last_try_tells_the_client_when_to_come_back() -> None:
    stream, results = await refused(event(BUSY), "1305", attempt=4)

    assert "x-zai-transient" not in stream.head
    assert stream.head["x-zai-wait"] == "2"
    assert stream.body == BUSY
    assert results == {"refused": 1}


@pytest.mark.parametrize(("known", "told"), [(1, "2"), (17, "17"), (600, "60")])
async def test_when_to_come_back_is_what_the_processor_has_said_to_the_last_try(known: int, told: str) -> None:
    guarded = Guarded()
    stream, asking = guarded.ask(attempt=4, wait=known)
    await guarded.tell("1305", event(BUSY), attempt=4)
    await asking

    assert stream.head["x-zai-wait"] == told


async def test_an_error_that_no_retry_cures_says_so() -> None:
    stream, results = await refused(event({"error": {"code": "1308", "message": "used up"}}), "1308")

    assert stream.head[":status"] == "429"
    assert stream.head["x-should-retry"] == "false"
    assert "x-zai-transient" not in stream.head
    assert results == {"refused": 1}


@pytest.mark.parametrize(
    ("code", "retry_after", "removed"),
    [
        ("1302", "18000", {"retry-after", "anthropic-ratelimit-unified-status"}),
        ("1302", "9" * 5000, {"retry-after", "anthropic-ratelimit-unified-status"}),
        ("1302", "60", {"anthropic-ratelimit-unified-status"}),
        ("1302", "Thu, 26 Nov 2026 09:00:00 GMT", {"retry-after", "anthropic-ratelimit-unified-status"}),
        ("1308", "18000", set()),
    ],
)
async def test_what_stops_a_client_for_good_stays_only_where_the_plan_is_used_up(
    code: str, retry_after: str, removed: set[str]
) -> None:
    headers = {"retry-after": retry_after, "anthropic-ratelimit-unified-status": "rejected"}

    stream, _ = await refused(event({"error": {"code": code, "message": "no"}}), code, attempt=4, headers=headers)

    assert set(stream.common.header_mutation.remove_headers) == removed


@pytest.mark.parametrize(("pause", "removed"), [("60000", set()), ("60001", {"retry-after-ms"})])
async def test_a_pause_in_milliseconds_is_one_too(pause: str, removed: set[str]) -> None:
    stream, _ = await refused(event(BUSY), "1305", attempt=4, headers={"retry-after-ms": pause})

    assert set(stream.common.header_mutation.remove_headers) == removed


async def test_what_z_ai_says_of_a_retry_stays() -> None:
    stream, _ = await refused(event({"error": {"code": "1308"}}), "1308", headers={"x-should-retry": "true"})

    assert "x-should-retry" not in stream.head


@pytest.mark.parametrize(
    ("data", "code", "status"),
    [
        ('{"code": 1302, "msg": "slow down", "success": false}', "1302", "429"),
        ("[1303][too fast][2026112500000001]", "1303", "429"),
        ('{"type": "response.failed", "response": {"error": {"code": "1234", "message": "inside"}}}', "1234", "500"),
        ("no JSON", "unknown", "500"),
    ],
)
async def test_an_error_of_any_shape_is_told_in_the_dialect_of_the_api_that_was_called(
    data: str, code: str, status: str
) -> None:
    stream, _ = await refused(f"event: error\ndata: {data}\n\n", code)

    assert stream.head[":status"] == status
    assert stream.body["type"] == "error"
    assert {"type", "message"} <= set(stream.body["error"])
    assert stream.body["error"]["code"] == code


async def test_half_a_surrogate_pair_does_no_harm() -> None:
    stream, _ = await refused('data: {"type": "error", "error": {"type": "x", "message": "\\ud800"}}\n\n', "x")

    assert stream.body["error"]["message"] == "\ud800"


@pytest.mark.parametrize(
    ("method", "path", "watched"),
    [
        ("POST", "/v1/messages", True),
        ("POST", "/v1/responses", True),
        ("POST", "/api/coding/paas/v4/chat/completions", True),
        ("GET", "/v1/responses/resp_1", False),
        ("POST", "/api/mcp/zread/mcp", False),
        ("POST", "/api/paas/v4/audio/speech", False),
    ],
)
def test_only_answers_of_models_are_watched(method: str, path: str, watched: bool) -> None:
    route = classify(path, speaks_anthropic=False)

    assert StreamGuard(True, print).watches(method, route) is watched
    assert not StreamGuard(False, print).watches(method, route)


async def test_an_error_that_is_to_be_ended_is_answered_once_with_the_head_that_is_held() -> None:
    guarded = Guarded()
    _, asking = guarded.ask()
    await guarded.tell("1210", event({"error": {"code": "1210", "message": "x"}}))
    await asking
    held = {":status": "400", "x-zai-end": "1", "retry-after": "2", "content-type": "application/json"}

    first, second = await guarded.end(held), await guarded.end(held)

    answer = first.told[0].immediate_response
    assert answer.status.code == 400
    assert json.loads(answer.body)["error"] == {"type": "invalid_request_error", "code": "1210", "message": "x"}
    assert [each.header.key for each in answer.headers.set_headers] == ["retry-after", "content-type"]
    assert first.told[0].dynamic_metadata.fields["zai"].struct_value.fields["answered"].string_value == "guard"
    assert list(second.common.header_mutation.remove_headers) == ["x-zai-end"]


async def opened(status: str, code: str, text: str, held: Mapping[str, str] = MappingProxyType({})) -> Stream:
    """What is said of an error answer that does not say how long it is, and after which there are tries left if its
    code is a transient one."""
    guarded = Guarded()
    stream, asking = guarded.ask(headers=held)
    await guarded.tell(code, text, status=status, goes_again=code in TRANSIENT_CODES)
    await asking
    assert guarded.results == {}
    return stream


async def test_an_open_error_keeps_its_status_and_its_json() -> None:
    text = '{"error":  {"code": "1302", "message": "x"}}'

    stream = await opened("429", "1302", text, {"retry-after": "18000"})

    assert stream.head == {
        "x-zai-exchange": "run-1",
        "x-zai-code": "1302",
        "x-zai-transient": "1",
        "x-zai-wait": "2",
        "x-zai-end": "1",
    }
    assert stream.common.body_mutation.body == text.encode()
    assert list(stream.common.header_mutation.remove_headers) == ["retry-after"]


async def test_an_event_that_is_an_open_error_becomes_json() -> None:
    stream = await opened("529", "1305", event(BUSY))

    assert (stream.head[":status"], stream.head["content-type"]) == ("529", "application/json")
    assert stream.body["error"]["code"] == "1305"


async def test_an_open_error_that_nobody_knows_is_over_too_and_not_tried_again() -> None:
    stream = await opened("529", "", "\n {}")

    assert stream.head == {"x-zai-exchange": "run-1", "x-zai-end": "1"}
    assert stream.common.body_mutation.body == b"\n {}"


async def test_an_open_error_whose_end_nobody_knows_goes_on_with_its_code() -> None:
    stream = await opened("401", "1002", "")

    assert stream.head == {"x-zai-exchange": "run-1", "x-zai-code": "1002", "x-should-retry": "false"}
    assert stream.common.status == pb.CommonResponse.CONTINUE
