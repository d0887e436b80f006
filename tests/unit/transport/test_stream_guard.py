"""What the first-event guard answers Envoy, message by message."""

import json
from collections import Counter
from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct

from extproc.domain.routes import classify
from extproc.transport.pb import ext_proc_pb2 as pb
from extproc.transport.stream_guard import StreamGuard

BUSY = {"type": "error", "error": {"type": "overloaded_error", "code": "1305", "message": "busy"}}


class Envoy:
    """Envoy's side of one stream of messages: sends what it has, and keeps what it is told."""

    def __init__(self, *messages: pb.ProcessingRequest) -> None:
        self._messages = list(messages)
        self.told: list[pb.ProcessingResponse] = []

    async def read(self) -> pb.ProcessingRequest | None:
        return self._messages.pop(0) if self._messages else None

    async def write(self, message: bytes) -> None:
        self.told.append(pb.ProcessingResponse.FromString(message))

    @property
    def head(self) -> dict[str, str]:
        mutation = self.told[0].response_headers.response.header_mutation
        return {option.header.key: option.header.raw_value.decode() for option in mutation.set_headers}

    @property
    def body(self) -> Any:
        return json.loads(self.told[1].response_body.response.body_mutation.body)


def piece(body: str, read: dict[str, object], attempt: int = 1, end: bool = False) -> pb.ProcessingRequest:
    message = pb.ProcessingRequest(response_body=pb.HttpBody(body=body.encode(), end_of_stream=end))
    noted = message.metadata_context.filter_metadata
    answer, processor = Struct(), Struct()
    answer.update({"read": read, "attempt": attempt})
    processor.update({"id": "run-1", "path": "/v1/messages"})
    noted["zai.answer"].CopyFrom(answer)
    noted["zai"].CopyFrom(processor)
    return message


def event(data: object) -> str:
    return f"event: error\ndata: {json.dumps(data)}\n\n"


async def hold(*messages: pb.ProcessingRequest, max_retries: int = 3) -> tuple[Envoy, Counter[str]]:
    results: Counter[str] = Counter()
    envoy = Envoy(*messages)
    guard = StreamGuard(True, max_retries, lambda result: results.update([result]))
    await guard.hold(envoy)  # type: ignore[arg-type]
    return envoy, results


async def test_a_good_answer_is_let_go_without_a_word() -> None:
    envoy, results = await hold(piece("data: {}\n\n", {"first": "good"}))

    assert envoy.told == []
    assert results == {"passed": 1}


@pytest.mark.parametrize("read", [{}, {"kind": "empty"}])
async def test_an_answer_that_ends_before_its_first_event_is_let_go(read: dict[str, object]) -> None:
    envoy, results = await hold(piece("", read, end=True))

    assert (envoy.told, results) == ([], {"passed": 1})


async def test_an_answer_whose_stream_breaks_off_is_let_go() -> None:
    envoy, results = await hold(piece(": wait\n\n", {}))

    assert (envoy.told, results) == ([], {"passed": 1})


async def test_a_transient_error_becomes_an_answer_that_the_router_tries_again() -> None:
    envoy, results = await hold(piece(event(BUSY), {"first": "error", "code": "1305"}))

    assert envoy.head[":status"] == "529"
    assert envoy.head["content-type"] == "application/json"
    assert envoy.head["x-zai-transient"] == "1"
    assert (envoy.head["x-zai-code"], envoy.head["x-zai-exchange"]) == ("1305", "run-1")
    assert "retry-after" not in envoy.head, "the router would wait as long"
    assert results == {"retried": 1}


async def test_the_last_try_tells_the_client_when_to_come_back() -> None:
    envoy, results = await hold(piece(event(BUSY), {"first": "error", "code": "1305"}, attempt=4))

    assert envoy.head["retry-after"] == "2"
    assert envoy.body == BUSY
    assert results == {"refused": 1}


async def test_without_retries_the_first_try_is_the_last() -> None:
    _, results = await hold(piece(event(BUSY), {"first": "error", "code": "1305"}), max_retries=0)

    assert results == {"refused": 1}


async def test_an_error_that_no_retry_cures_says_so() -> None:
    error = {"error": {"code": "1308", "message": "used up"}}

    envoy, results = await hold(piece(event(error), {"first": "error", "code": "1308"}))

    assert envoy.head[":status"] == "429"
    assert envoy.head["x-should-retry"] == "false"
    assert "x-zai-transient" not in envoy.head
    assert results == {"refused": 1}


async def test_each_piece_of_an_error_is_answered_once_and_only_the_json_remains() -> None:
    text = event(BUSY)

    envoy, _ = await hold(
        piece(text[:10], {}),
        piece(text[10:], {"first": "error", "code": "1305"}),
        piece("data: more\n\n", {"first": "error", "code": "1305"}),
        piece("", {"first": "error", "code": "1305"}, end=True),
    )

    bodies = [answer.response_body.response.body_mutation for answer in envoy.told[1:]]
    assert len(bodies) == 4
    assert json.loads(bodies[0].body) == BUSY
    assert all(body.clear_body for body in bodies[1:])


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
    envoy, _ = await hold(piece(f"event: error\ndata: {data}\n\n", {"first": "error", "code": code}))

    assert envoy.head[":status"] == status
    assert envoy.body["type"] == "error"
    assert {"type", "message"} <= set(envoy.body["error"])
    assert envoy.body["error"]["code"] == code


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

    assert StreamGuard(True, 3, print).watches(method, route) is watched
    assert not StreamGuard(False, 3, print).watches(method, route)
