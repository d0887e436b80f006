"""What Envoy is told before it sends a refused request again."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from extproc.transport.retry_gate import RetryGate
from tests.harness.waiting import eventually
from tests.unit.transport.envoy_side import Envoy, Stream, asking, envoy

_LONGER_THAN_IT_MAY_WAIT = 30.0


class Question:
    """One attempt's question, and what it is answered."""

    def __init__(self, gate: RetryGate, exchange_id: str) -> None:
        self.headers = {"x-exchange": exchange_id}
        self.told: list[bytes] = []
        (method,) = gate.methods().values()
        self.task = asyncio.ensure_future(method(self))  # type: ignore[arg-type]

    def write(self, message: bytes) -> None:
        self.told.append(message)


@pytest.fixture
async def side() -> AsyncIterator[Envoy]:
    """A plan of two places that turns out to have one, and a queue in which nobody may wait but for a retry's least."""
    async with envoy(concurrency_limit_initial=2, queue_timeout=0) as side:
        yield side


async def refused(side: Envoy, path: str = "/v1/messages") -> Stream:
    """The second of two requests, for which there was no place upstream."""
    await side.ask()
    stream = await side.ask(asking(path))
    side.proxy.refuse(stream.noted["id"])
    return stream


@pytest.mark.parametrize(
    ("path", "field", "value"),
    [("/v1/messages", "type", "rate_limit_error"), ("/v1/chat/completions", "code", "rate")],
    ids=["anthropic", "openai"],
)
async def test_who_has_waited_too_long_gets_its_429_and_the_attempt_no_answer(
    side: Envoy, path: str, field: str, value: str
) -> None:
    stream = await refused(side, path)

    question = Question(side.proxy.service.retry_gate, stream.noted["id"])
    await eventually(lambda: len(stream.answers), lambda count: count == 2, within=_LONGER_THAN_IT_MAY_WAIT)

    answer = stream.answers[-1].immediate_response
    headers = {each.header.key: each.header.raw_value.decode() for each in answer.headers.set_headers}
    assert answer.status.code == 429
    assert int(headers["retry-after"]) >= 1
    assert headers["x-should-retry"] == "true"
    assert json.loads(answer.body)["error"][field] == value
    noted = stream.answers[-1].dynamic_metadata.fields["zai"].struct_value.fields
    assert (noted["refused"].string_value, noted["answered"].string_value) == ("rate", "rate")
    assert (noted["limit"].string_value, noted["remaining"].string_value) == ("1", "0")
    assert int(noted["queue_ms"].string_value) >= 1900
    assert not question.told
    assert not question.task.done()
    question.task.cancel()


async def test_where_nobody_can_be_told_the_attempt_goes(side: Envoy) -> None:
    stream = await refused(side)
    service = side.proxy.service
    gate = RetryGate(service.admission, service.pacer, lambda exchange_id, refusal: False)

    question = Question(gate, stream.noted["id"])
    await asyncio.wait_for(question.task, _LONGER_THAN_IT_MAY_WAIT)

    assert question.told == [b""]


async def test_an_attempt_goes_when_its_place_comes_and_knows_when_its_client_may_come_back(side: Envoy) -> None:
    first = await side.ask()
    second = await side.ask()
    side.proxy.refuse(second.noted["id"])
    question = Question(side.proxy.service.retry_gate, second.noted["id"])

    await side.end(first)
    await asyncio.wait_for(question.task, _LONGER_THAN_IT_MAY_WAIT)

    assert int(question.told[0]) >= 1
    assert len(second.answers) == 1


async def test_an_attempt_of_a_request_that_nobody_knows_goes_at_once(side: Envoy) -> None:
    question = Question(side.proxy.service.retry_gate, "of a processor before")
    await asyncio.wait_for(question.task, _LONGER_THAN_IT_MAY_WAIT)

    assert question.told == [b""]
