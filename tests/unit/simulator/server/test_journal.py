"""The journal: what is written down of each request, and how it is read."""

import hashlib
import json
from typing import Any

import httpx
import pytest

from simulator.plan.keys import KeyRing, report
from simulator.server.journal import Entry, Journal
from tests.harness.waiting import wait_for
from tests.unit.simulator.talk import CHAT, MESSAGES, RESPONSES, SPOKEN, Api, read_until


def entry(entry_id: int) -> Entry:
    credentials = report(KeyRing(None), [], [], 0.0)
    return Entry(entry_id, None, 1, "GET", "/", {}, credentials, 0, 0.0, 0.0)


@pytest.mark.parametrize("path", SPOKEN)
@pytest.mark.parametrize("stream", [False, True], ids=["json", "sse"])
def test_both_directions_can_be_compared_byte_for_byte(api: Api, path: str, stream: bool) -> None:
    response = api.ask(path, stream=stream)

    written = api.settled()
    assert written["request_bytes"] == len(response.request.content)
    assert written["request_sha256"] == hashlib.sha256(response.request.content).hexdigest()
    assert written["response_bytes"] == len(response.content)
    assert written["response_sha256"] == hashlib.sha256(response.content).hexdigest()


@pytest.mark.parametrize("path", SPOKEN)
@pytest.mark.parametrize("stream", [False, True], ids=["json", "sse"])
def test_the_tokens_that_were_sent_are_written_down_apart(api: Api, path: str, stream: bool) -> None:
    figures: dict[str, Any] = {"input_tokens": 11, "cached_tokens": 7, "cache_creation_tokens": 5, "output_tokens": 3}

    api.ask(path, stream=stream, **figures, reasoning_tokens=2)

    tokens = {"input": 11, "cached": 7, "cache_creation": 5, "output": 3, "reasoning": 2}
    assert api.settled()["usage_sent"] == tokens
    assert api.settled()["generated"] == tokens


@pytest.mark.parametrize(("form", "sent"), [("none", None), ("zero", 0)])
def test_what_was_generated_is_told_even_where_no_usage_was_sent(api: Api, form: str, sent: int | None) -> None:
    api.ask(MESSAGES, stream=True, usage=form, output_tokens=30)

    written = api.settled()
    assert (written["usage_sent"] and written["usage_sent"]["output"]) == sent
    assert written["generated"]["output"] == 30


def test_usage_that_ran_along_is_what_a_broken_stream_reported(api: Api) -> None:
    scenario: dict[str, Any] = {
        "fault": "end_early",
        "after_events": 2,
        "events": 4,
        "output_tokens": 20,
        "input_tokens": 9,
    }

    api.ask(MESSAGES, stream=True, usage="every_chunk", **scenario)
    assert api.settled()["usage_sent"]["output"] == 10

    api.ask(MESSAGES, stream=True, usage="at_start", **scenario)
    assert api.settled()["usage_sent"] == {
        "input": 9,
        "cached": 0,
        "cache_creation": 0,
        "output": 0,
        "reasoning": 0,
    }


def test_an_entry_tells_who_came_when_and_how(api: Api) -> None:
    api.http.headers["x-request-id"] = "abc"

    response = api.ask(CHAT, stream=True, model="glm-x")

    written = api.settled()
    assert written["request_id"] == "abc"
    assert written["method"] == "POST"
    assert written["path"] == CHAT
    assert written["surface"] == "coding"
    assert written["status"] == 200
    assert written["stream"]
    assert written["model"] == "glm-x"
    assert written["scenario_from"] == "header"
    assert written["log_id"] == response.headers["x-log-id"]
    assert written["headers"]["x-request-id"] == "abc"
    assert "authorization" not in written["headers"]
    assert written["started_monotonic"] <= written["first_byte_monotonic"] <= written["ended_monotonic"]
    assert written["started_wall"] <= written["ended_wall"]
    assert written["in_flight_at_arrival"] == 0


def test_in_flight_counts_what_is_not_answered_to_the_end(api: Api) -> None:
    with api.raw(MESSAGES, True, events=1000, pause=0.05) as connection:
        read_until(connection, b"content_block_delta")
        api.ask(RESPONSES)
        assert api.entry()["in_flight_at_arrival"] == 1

    stats = wait_for(api.simulator.stats, lambda stats: stats["in_flight"] == 0)
    assert stats["max_in_flight"] == 2
    assert stats["aborted"] == 1


def test_the_log_is_read_from_where_one_left_off(api: Api) -> None:
    for _ in range(3):
        api.ask(MESSAGES)
    first = httpx.get(f"{api.simulator.url}/_simulator/log").json()

    api.ask(MESSAGES)
    then = httpx.get(f"{api.simulator.url}/_simulator/log", params={"since": first["last"]}).json()

    assert len(first["entries"]) == 3
    assert [entry["id"] for entry in then["entries"]] == [first["last"] + 1]


def test_questions_to_the_simulator_itself_are_not_written_down(api: Api) -> None:
    httpx.get(f"{api.simulator.url}/_simulator/stats")

    assert api.simulator.log() == []


def test_a_wrong_place_to_read_from_is_refused(api: Api) -> None:
    response = httpx.get(f"{api.simulator.url}/_simulator/log?since=yesterday")

    assert response.status_code == 400
    assert "need the id of an entry" in response.json()["error"]


def test_the_log_can_be_cleared(api: Api) -> None:
    api.ask(MESSAGES)

    httpx.delete(f"{api.simulator.url}/_simulator/log")

    assert api.simulator.log() == []
    assert api.simulator.stats()["requests"] == 0


def test_totals_add_up(api: Api) -> None:
    first, second = api.ask(MESSAGES, output_tokens=5), api.ask(CHAT, code="1302")
    api.settled()

    stats = httpx.get(f"{api.simulator.url}/_simulator/stats").json()
    assert stats["requests"] == stats["finished"] == 2
    assert stats["by_status"] == {"200": 1, "429": 1}
    assert stats["tokens_sent"]["output"] == 5
    assert stats["response_bytes"] == len(first.content) + len(second.content)


def test_the_ring_forgets_the_oldest() -> None:
    journal = Journal(max_entries=3)
    for _ in range(5):
        journal.begin(entry(journal.next_id()))

    assert [kept.id for kept in journal.since(0)] == [3, 4, 5]
    assert journal.stats()["requests"] == 5


def test_clearing_keeps_what_is_in_flight() -> None:
    journal = Journal()
    running = entry(journal.next_id())
    journal.begin(running)

    journal.clear()
    assert journal.stats()["in_flight"] == 1
    journal.end(running, monotonic=1.0, wall=1.0)

    assert journal.stats()["in_flight"] == 0
    assert journal.next_id() == 2


def test_an_entry_is_json() -> None:
    assert json.loads(json.dumps(entry(1).as_json()))["id"] == 1
