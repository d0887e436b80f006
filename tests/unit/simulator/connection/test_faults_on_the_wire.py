"""Everything that can go wrong with an answer, seen from the other end of the connection."""

import json
import socket
import time
from contextlib import nullcontext
from typing import Any

import httpx
import pytest

from simulator.scenario.model import Fault
from tests.harness.waiting import wait_for
from tests.unit.simulator.talk import (
    CHAT,
    MESSAGES,
    SPOKEN,
    Api,
    dechunked,
    event_names,
    events,
    read_all,
    read_until,
)

CLOSE = "connection: close\r\n"


def received(api: Api, path: str, stream: bool, **scenario: Any) -> tuple[bytes, bool]:
    """All that comes, and whether a reset ended it."""
    parts = []
    with api.raw(path, stream, CLOSE, **scenario) as connection:
        try:
            while data := connection.recv(65536):
                parts.append(data)
        except ConnectionResetError:
            return b"".join(parts), True
    return b"".join(parts), False


def body_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("path", SPOKEN)
@pytest.mark.parametrize("stream", [False, True], ids=["json", "sse"])
def test_a_reset_can_come_before_any_byte(api: Api, path: str, stream: bool) -> None:
    assert received(api, path, stream, fault="reset") == (b"", True)
    assert api.settled()["status"] is None
    assert not api.settled()["aborted"]


def test_a_connection_can_close_before_any_byte(api: Api) -> None:
    assert received(api, MESSAGES, True, fault="close") == (b"", False)


@pytest.mark.parametrize("path", SPOKEN)
@pytest.mark.parametrize("after", [0, 1, 7])
def test_a_reset_can_come_after_a_number_of_events(api: Api, path: str, after: int) -> None:
    answer, reset = received(api, path, True, fault="reset", after_events=after)

    assert reset
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert api.settled()["events_sent"] == after
    assert api.settled()["usage_sent"] is None


def test_a_reset_after_more_events_than_there_are_comes_after_the_last(api: Api) -> None:
    answer, reset = received(api, MESSAGES, True, fault="reset", after_events=999, events=3)

    assert reset
    assert b"message_stop" in answer


@pytest.mark.parametrize("stream", [False, True], ids=["json", "sse"])
@pytest.mark.parametrize("fault", ["reset", "truncate", "close"])
@pytest.mark.parametrize("after", [0, 1, 100])
def test_an_answer_can_break_off_after_any_byte(api: Api, stream: bool, fault: str, after: int) -> None:
    answer, reset = received(api, MESSAGES, stream, fault=fault, after_bytes=after, pieces="batch")

    assert reset == (fault == "reset")
    assert api.settled()["response_bytes"] == after
    body = body_of(answer)
    assert (len(body) == after) if not stream else not body.endswith(b"0\r\n\r\n")


def test_a_truncated_body_is_shorter_than_announced(api: Api) -> None:
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        api.ask(MESSAGES, fault="truncate")


def test_a_truncated_stream_has_no_last_chunk(api: Api) -> None:
    answer, reset = received(api, MESSAGES, True, fault="truncate", after_events=2, events=5)

    assert not reset
    assert not answer.endswith(b"0\r\n\r\n")
    assert api.settled()["events_sent"] == 2


def test_a_stream_can_end_cleanly_too_early(api: Api) -> None:
    text = api.ask(MESSAGES, stream=True, fault="end_early", after_events=3).text

    assert "message_stop" not in text
    assert event_names(text).count("content_block_delta") == 3
    assert api.settled()["usage_sent"] is None


def test_a_body_can_end_cleanly_too_early(api: Api) -> None:
    response = api.ask(MESSAGES, fault="end_early", after_bytes=20)

    assert len(response.content) == 20
    with pytest.raises(json.JSONDecodeError):
        response.json()


@pytest.mark.parametrize("path", SPOKEN)
def test_an_error_can_come_in_mid_stream(api: Api, path: str) -> None:
    text = api.ask(path, stream=True, fault="error_event", after_events=2, code="1305").text

    last = events(text)[-1]
    assert last["error"]["code"] == "1305"
    assert "[DONE]" not in text
    assert (event_names(text)[-1:] == ["error"]) == (path == MESSAGES)
    assert api.settled()["events_sent"] == 2


def test_an_error_in_mid_stream_takes_every_envelope(api: Api) -> None:
    text = api.ask(CHAT, stream=True, fault="error_event", envelope="gateway", code="500", message="gone").text

    assert events(text)[-1] == {"code": 500, "msg": "gone", "success": False}


@pytest.mark.parametrize("path", SPOKEN)
def test_one_event_can_be_malformed_and_the_stream_goes_on(api: Api, path: str) -> None:
    text = api.ask(path, stream=True, fault="malformed", after_events=2, input_tokens=7).text

    assert 'data: {"oops": [1, 2\n' in text
    assert api.settled()["usage_sent"]["input"] == 7


def test_a_malformed_body_is_no_json_but_complete(api: Api) -> None:
    response = api.ask(CHAT, fault="malformed")

    assert int(response.headers["content-length"]) == len(response.content)
    with pytest.raises(json.JSONDecodeError):
        response.json()


def test_frames_can_be_garbled_and_the_stream_goes_on(api: Api) -> None:
    content = api.ask(MESSAGES, stream=True, fault="garbled", after_events=2).content

    assert b"\xff\xfe" in content
    assert content.endswith(b'data: {"type": "message_stop"}\n\n')


def test_an_answer_can_be_empty(api: Api) -> None:
    whole, stream = api.ask(MESSAGES, fault="empty"), api.ask(MESSAGES, stream=True, fault="empty")

    assert (whole.status_code, whole.content) == (200, b"")
    assert (stream.status_code, stream.content) == (200, b"")


def test_an_answer_can_be_no_http(api: Api) -> None:
    answer, _ = received(api, MESSAGES, False, fault="not_http")

    assert answer
    assert not answer.startswith(b"HTTP/")


@pytest.mark.parametrize("stream", [False, True], ids=["json", "sse"])
def test_an_answer_can_hang_until_the_client_leaves(api: Api, stream: bool) -> None:
    with api.raw(MESSAGES, stream, fault="hang") as connection:
        read_until(connection, b"\r\n\r\n")
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            read_all(connection)

    assert api.settled()["aborted"]


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("stream", [False, True], ids=["json", "sse"])
def test_the_simulator_goes_on_after_every_fault(api: Api, fault: Fault, stream: bool) -> None:
    ends = {Fault.HANG: pytest.raises(TimeoutError), Fault.RESET: pytest.raises(ConnectionResetError)}
    with api.raw(CHAT, stream, CLOSE, fault=fault.value) as connection:
        connection.settimeout(0.1)
        with ends.get(fault, nullcontext()):
            read_all(connection)

    assert api.settled()["fault"] == fault.value
    assert api.ask(CHAT, stream=stream).status_code == 200


def test_a_fault_of_the_first_attempts_is_over_at_the_next(api: Api) -> None:
    scenario: dict[str, Any] = {"fail_first": {"fault": "reset", "times": 1, "key": "once"}}

    with pytest.raises(httpx.ReadError):
        api.ask(MESSAGES, **scenario)
    assert api.ask(MESSAGES, **scenario).status_code == 200


def test_a_scenario_file_plays_faults_as_the_header_does(api: Api) -> None:
    rules = [
        {"match": {"path": "/api/anthropic/*", "model": "glm-5*", "nth": 1}, "answer": {"fault": "reset"}},
        {"match": {"path": "*/chat/completions"}, "answer": {"fault": "end_early", "after_events": 1}},
    ]
    api.simulator.set_default_scenario({"rules": rules})

    with pytest.raises(httpx.ReadError):
        api.ask(MESSAGES)
    assert api.ask(MESSAGES).status_code == 200
    assert "[DONE]" not in api.ask(CHAT, stream=True).text
    assert [entry["scenario_from"] for entry in api.simulator.log()] == ["rule 1", "default", "rule 2"]


def test_an_error_answer_can_break_off_too(api: Api) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        api.ask(MESSAGES, code="1302", fault="truncate")

    assert api.settled()["status"] == 429


@pytest.mark.parametrize("stream", [False, True], ids=["json", "sse"])
def test_a_client_that_leaves_is_noticed_at_once(api: Api, stream: bool) -> None:
    connection = api.raw(MESSAGES, stream, delay=30)
    wait_for(lambda: api.simulator.stats()["in_flight"], lambda count: count == 1)

    left_at = time.monotonic()
    connection.close()
    entry = wait_for(api.entry, lambda entry: entry["aborted"])

    assert time.monotonic() - left_at < 20
    assert entry["status"] is None
    assert api.simulator.stats()["in_flight"] == 0


def test_a_client_that_leaves_in_mid_stream_is_charged_for_what_was_generated(api: Api) -> None:
    with api.raw(MESSAGES, True, events=100, pause=0.05, output_tokens=1000, input_tokens=50) as connection:
        read_until(connection, b"content_block_delta")

    entry = wait_for(api.entry, lambda entry: entry["aborted"])
    assert entry["usage_sent"] is None
    assert entry["generated"]["input"] == 50
    assert entry["generated"]["output"] == entry["events_sent"] * 10
    assert entry["credits"] > 0


def test_a_slow_reader_does_not_fill_the_memory(api: Api) -> None:
    with api.raw(MESSAGES, True, events=100_000, event_bytes=1000) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        read_until(connection, b"content_block_delta")
        wait_for(lambda: api.simulator.stats()["in_flight"], lambda count: count == 1)

    entry = wait_for(api.entry, lambda entry: entry["ended_wall"] is not None)
    assert entry["aborted"]
    assert entry["response_bytes"] < 50_000_000


def test_chunks_decode_to_what_the_journal_says_was_sent(api: Api) -> None:
    with api.raw(MESSAGES, True, CLOSE, pieces="byte", events=2) as connection:
        decoded, _ = dechunked(body_of(read_all(connection)))

    assert len(decoded) == api.settled()["response_bytes"]
