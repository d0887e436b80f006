"""Bodies that are played as they stand, and clients that leave before or after the final event."""

import json
import socket
import time
from typing import Any

import httpx
import pytest

from simulator.api.sse import DONE
from simulator.connection.steps import Wait, stream_steps
from simulator.scenario.parsing import scenario_from
from tests.unit.simulator.talk import (
    CHAT,
    MESSAGES,
    RESPONSES,
    SPOKEN,
    Api,
    dechunked,
    read_all,
    read_until,
)

CLOSE = "connection: close\r\n"
PAUSE = 1.0
"""Seconds: long enough that a busy machine sees what stands before it and what stands behind it apart."""
ERROR = 'event: error\ndata: {"type": "error", "error": {"type": "1305", "message": "busy"}}\n\n'
STREAM = ["data: {}\n\n", 0.01, "data: [DONE]\n\n", "<end>"]
FINAL = {MESSAGES: b"message_stop", CHAT: b"[DONE]", RESPONSES: b"response.completed"}


def head_and_body(api: Api, path: str = CHAT, **scenario: Any) -> tuple[str, bytes]:
    """The head in lower case, and the body as it came."""
    with api.raw(path, True, CLOSE, **scenario) as connection:
        head, _, body = read_all(connection).partition(b"\r\n\r\n")
    return head.decode().lower(), body


def leave_after(api: Api, path: str, end: bytes, **scenario: Any) -> dict[str, Any]:
    """The entry of a request whose client hung up once it had read `end`."""
    with api.raw(path, True, **scenario) as connection:
        read_until(connection, end)
    return api.settled()


@pytest.mark.parametrize("path", SPOKEN)
def test_a_played_body_comes_as_it_stands(api: Api, path: str) -> None:
    head, body = head_and_body(api, path, play=STREAM)

    assert head.startswith("http/1.1 200 ok")
    assert "content-type: text/event-stream\r\n" in head
    assert body == b"a\r\ndata: {}\n\n\r\n" + b"e\r\ndata: [DONE]\n\n\r\n" + b"0\r\n\r\n"


def test_the_journal_knows_a_played_body_by_its_bytes(api: Api) -> None:
    response = api.ask(CHAT, play=STREAM)

    entry = api.settled()
    assert entry["played"]
    assert entry["stream"]
    assert entry["response_bytes"] == len(response.content) == 24
    assert entry["usage_sent"] is entry["generated"] is entry["model"] is None
    assert entry["credits"] == 0


def test_every_text_is_a_packet_and_every_number_a_pause(api: Api) -> None:
    with api.raw(CHAT, True, play=[0.05, "one", 0.05, "two", 0.05]) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        packets = [connection.recv(65536) for _ in range(4)]

    assert packets[0].endswith(b"\r\n\r\n")
    assert packets[1:] == [b"3\r\none\r\n", b"3\r\ntwo\r\n", b"0\r\n\r\n"]


def test_a_reset_can_be_played(api: Api) -> None:
    with api.raw(CHAT, True, play=["data: {}\n\n", "<reset>"]) as connection:
        read_until(connection, b"data: {}\n\n\r\n")
        with pytest.raises(ConnectionResetError):
            read_all(connection)


@pytest.mark.parametrize("play", [[], ["<end>"], [""]])
def test_an_empty_stream_is_a_last_chunk(api: Api, play: list[str]) -> None:
    assert head_and_body(api, play=play)[1] == b"0\r\n\r\n"


def test_an_empty_body_can_say_its_length(api: Api) -> None:
    head, body = head_and_body(api, MESSAGES, play=[], content_type="application/json", framing="length")

    assert "content-length: 0\r\n" in head
    assert "content-type: application/json\r\n" in head
    assert body == b""
    assert not api.settled()["stream"]


def test_a_page_of_a_firewall_can_be_played(api: Api) -> None:
    page = f"<!doctype html><title>405</title>{'x' * 860}"

    response = api.ask(MESSAGES, play=[page], content_type="text/html", framing="length")

    assert response.status_code == 200
    assert response.headers["content-length"] == "893"
    assert response.text == page


@pytest.mark.parametrize("content_type", ["application/problem+json", "", "text/event-stream"])
def test_an_error_can_come_in_chunks_under_any_type(api: Api, content_type: str) -> None:
    error = {"type": "error", "error": {"type": "rate_limit_error", "code": "1302", "message": "x"}}

    response = api.ask(MESSAGES, play=[json.dumps(error)], status=429, content_type=content_type, retry_after=3)

    assert response.status_code == 429
    assert response.headers.get("content-type", "") == content_type
    assert response.headers["transfer-encoding"] == "chunked"
    assert response.headers["retry-after"] == "3"
    assert response.json() == error


def test_a_wrong_length_can_be_announced(api: Api) -> None:
    head, body = head_and_body(api, play=["abc"], framing="length", headers={"content-length": "2"})

    assert head.count("content-length:") == 1
    assert "content-length: 2\r\n" in head
    assert body == b"abc"


def test_a_body_without_an_end_ends_with_the_connection(api: Api) -> None:
    head, body = head_and_body(api, play=["abc"], framing="close")

    assert "content-length" not in head
    assert "transfer-encoding" not in head
    assert body == b"abc"


@pytest.mark.parametrize(("line_end", "end"), [("crlf", b"\r\n"), ("cr", b"\r")])
def test_a_played_body_takes_other_line_ends_and_packets(api: Api, line_end: str, end: bytes) -> None:
    _, body = head_and_body(api, play=[ERROR], line_end=line_end, pieces="byte")

    assert dechunked(body)[0] == ERROR.encode().replace(b"\n", end)
    assert body.count(b"\r\n1\r\n") > 50


def test_a_character_can_be_played_in_halves(api: Api) -> None:
    halves = [half.decode(errors="surrogateescape") for half in (b"data: \xe6\x98", b"\x8e\n\n")]

    assert api.ask(CHAT, play=halves).content == "data: 明\n\n".encode()


@pytest.mark.parametrize("pause", [[], [0.05]])
def test_an_error_can_be_the_first_event_of_the_first_attempts(api: Api, pause: list[float]) -> None:
    scenario: dict[str, Any] = {
        "events": 3,
        "fail_first": {"times": 2, "key": f"played {pause}", "play": [*pause, ERROR]},
    }

    texts = [api.ask(MESSAGES, stream=True, **scenario).text for _ in range(3)]

    assert texts[:2] == [ERROR, ERROR]
    assert texts[2].endswith('data: {"type": "message_stop"}\n\n')
    assert [entry["played"] for entry in api.simulator.log()] == [True, True, False]


def test_a_played_body_can_follow_first_attempts_that_fail_otherwise() -> None:
    scenario = scenario_from(
        {"play": ["x"], "status": 201, "fail_first": {"play": ["y"], "status": 500, "framing": "length"}}
    )
    first, second = scenario.for_attempt(1), scenario.for_attempt(2)

    assert (first.play, first.status, first.is_error) == (("y",), 500, False)
    assert (second.play, second.status, second.is_error, second.framing) == (("x",), 201, False, None)
    refused = scenario_from({"play": ["x"], "fail_first": {"code": "1302"}}).for_attempt(1)
    assert (refused.play, refused.is_error) == (None, True)


def test_a_played_body_needs_the_key_and_a_place(api: Api) -> None:
    httpx.put(f"{api.simulator.url}/_simulator/limits", json={"concurrency": 0}).raise_for_status()
    assert api.ask(CHAT, play=["x"]).status_code == 429

    api.http.headers["authorization"] = "Bearer none"
    assert api.ask(CHAT, play=["x"]).status_code == 401


@pytest.mark.parametrize("path", SPOKEN)
def test_a_client_that_leaves_after_the_final_event_got_all(api: Api, path: str) -> None:
    tokens = {"input_tokens": 11, "cached_tokens": 7, "output_tokens": 30}

    entry = leave_after(api, path, FINAL[path], end_pause=5, **tokens)

    assert entry["aborted"]
    assert entry["left_after_final"]
    assert entry["usage_sent"] == entry["generated"]
    assert (entry["generated"]["input"], entry["generated"]["cached"], entry["generated"]["output"]) == (11, 7, 30)


@pytest.mark.parametrize("path", SPOKEN)
def test_a_client_that_leaves_before_the_final_event_did_not(api: Api, path: str) -> None:
    entry = leave_after(api, path, b"answer ", events=100, pause=0.05)

    assert entry["aborted"]
    assert not entry["left_after_final"]


def test_the_tokens_of_an_answer_without_a_word_are_charged_whole(api: Api) -> None:
    entry = leave_after(api, CHAT, b"[DONE]", end_pause=5, events=0, thinking=0, output_tokens=5)

    assert entry["generated"]["output"] == 5


def test_the_last_text_of_a_played_body_is_its_final_event(api: Api) -> None:
    assert not leave_after(api, CHAT, b"one", play=["one", 5, "two"])["left_after_final"]
    assert leave_after(api, CHAT, b"two", play=["one", "two", 5])["left_after_final"]


def test_the_last_chunk_comes_a_moment_after_the_last_event(api: Api) -> None:
    started = time.monotonic()
    with api.raw(CHAT, True, end_pause=PAUSE) as connection:
        events = read_until(connection, b"data: [DONE]\n\n\r\n")
        read_until(connection, b"0\r\n\r\n")

    assert not events.endswith(b"0\r\n\r\n")
    assert time.monotonic() - started >= PAUSE
    assert not api.settled()["aborted"]


@pytest.mark.parametrize(("scenario", "pauses"), [({}, [0.02]), ({"end_pause": 0}, []), ({"end_pause": 2}, [2])])
def test_the_pause_at_the_end_can_be_switched_off(scenario: dict[str, Any], pauses: list[float]) -> None:
    steps = list(stream_steps([DONE], scenario_from(scenario), total=0, pause=0, error=DONE))

    assert [step.seconds for step in steps if isinstance(step, Wait)] == pauses


def test_an_error_in_mid_stream_leaves_the_rest_ungenerated(api: Api) -> None:
    entry = leave_after(
        api, MESSAGES, b"event: error", fault="error_event", after_events=2, events=4, output_tokens=20, end_pause=5
    )

    assert entry["left_after_final"]
    assert entry["generated"]["output"] == 10


def test_a_stream_that_ends_too_early_has_no_final_event(api: Api) -> None:
    entry = leave_after(api, MESSAGES, b"content_block_delta", fault="end_early", after_events=1, end_pause=5)

    assert entry["aborted"]
    assert not entry["left_after_final"]
