"""The bytes of the benchmark are what agents and model servers send."""

import json
from itertools import product
from typing import Any

import pytest

from bench import traffic
from bench.traffic import CHAT, MESSAGES, Dialect, Order

DIALECTS = pytest.mark.parametrize("dialect", [MESSAGES, CHAT], ids=["messages", "chat"])


def events(chunked: bytes) -> list[Any]:
    """The data of each event of some chunks; a chunk is one event."""
    found = []
    while chunked:
        size, _, rest = chunked.partition(b"\r\n")
        length = int(size, 16)
        assert rest[length : length + 2] == b"\r\n"
        if length:
            event = rest[:length].decode()
            assert event.endswith("\n\n")
            found.append(event.rstrip().rpartition("data: ")[2])
        chunked = rest[length + 2 :]
    return [data if data == "[DONE]" else json.loads(data) for data in found]


@pytest.mark.parametrize(("size", "order"), list(product((1_000, 2_000, 2_001, 200_000), Order)))
def test_a_prompt_is_json_of_exactly_the_wanted_size(size: int, order: Order) -> None:
    body = traffic.prompt(size, order, stream=True)

    assert len(body) == size
    request = json.loads(body)
    assert (request["model"], request["stream"]) == ("glm-5.3", True)
    fields = list(request)
    assert (fields.index("model") < fields.index("messages")) == (order is Order.MODEL_FIRST)


def test_a_prompt_has_models_that_are_not_the_requests_and_escapes_to_stumble_over() -> None:
    body = traffic.prompt(20_000)

    request = json.loads(body)
    assert {"model", "stream"} <= request["tools"][0]["input_schema"]["properties"].keys()
    assert request["messages"][1]["content"][1]["input"]["model"] != request["model"]
    assert rb"\"model\": \"of-a-file\"" in body
    assert body.count(rb"\n") > 100


@DIALECTS
def test_an_event_has_one_mark_and_the_size_of_those_of_zai(dialect: Dialect) -> None:
    lengths = [len(delta) - len(b"XX\r\n\r\n") for delta in dialect.deltas]

    assert all(delta.count(traffic.MARK) == 1 for delta in dialect.deltas)
    assert traffic.MARK not in traffic.stream_head() + dialect.start + dialect.end(7)
    assert (min(lengths), max(lengths)) == pytest.approx((120, 130) if dialect is MESSAGES else (178, 190), abs=5)


@DIALECTS
def test_a_stream_ends_with_its_usage_and_its_final_event(dialect: Dialect) -> None:
    writes = traffic.writes(dialect, events_per_write=64)
    assert all(write.count(traffic.MARK) == 64 for write in writes)

    came = events(dialect.start + writes[0] + dialect.end(64))

    last, final = came[-2:]
    if dialect is MESSAGES:
        assert last["usage"]["output_tokens"] == 64
        assert final == {"type": "message_stop"}
    else:
        assert last["usage"]["completion_tokens"] == 64
        assert final == "[DONE]"
