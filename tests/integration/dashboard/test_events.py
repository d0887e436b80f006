"""Live events: replay, order, and readers that do not read."""

import asyncio
import socket
import sqlite3
from collections.abc import Callable
from typing import TypeVar

import pytest

from dashboard.event_hub import EventKind, message
from dashboard.records.base import Problem
from tests.integration.dashboard.fake_proxy import FakeProxy
from tests.integration.dashboard.running import Dashboard, eventually

pytestmark = pytest.mark.slow

T = TypeVar("T")


async def test_a_reader_sees_now_at_once_and_then_each_second(dashboard: Dashboard, proxy: FakeProxy) -> None:
    proxy.arrive("r-1")
    await dashboard.start()
    await eventually(dashboard.now, lambda now: now["workers"]["busy"] == 1)

    async with dashboard.events() as events:
        _, first = await events.next("now")
        _, second = await events.next("now")

    assert first["workers"]["busy"] == 1
    assert 0.5 < second["at"] - first["at"] < 5.0


async def test_a_reader_sees_each_request_as_it_finishes(dashboard: Dashboard, proxy: FakeProxy) -> None:
    await dashboard.start()
    await eventually(dashboard.target, lambda target: target["feed"]["state"] == "up")

    async with dashboard.events(only="request") as events:
        proxy.finish(client="anna")
        event, request = await events.next()

    assert event.name == "request"
    assert request == (await dashboard.get("/api/requests"))["requests"][0]


async def test_a_reader_sees_a_request_that_finishes_while_it_is_being_let_in(
    dashboard: Dashboard, proxy: FakeProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    await dashboard.start()
    await dashboard.until_up()
    assert dashboard.service is not None
    parts = dashboard.service.parts
    read = parts.store.read

    async def read_late(look: Callable[[sqlite3.Connection], T]) -> T:
        monkeypatch.setattr(parts.store, "read", read)
        proxy.finish()
        await eventually(position, lambda newest: newest[0] == 1)
        return await read(look)

    async def position() -> tuple[int, int]:
        return parts.hub.position

    monkeypatch.setattr(parts.store, "read", read_late)
    async with dashboard.events() as listener:
        _, seen = await listener.next("request", within=10.0)
    assert seen["request_id"] == "request-1"


async def test_a_reader_that_comes_back_gets_what_it_missed(dashboard: Dashboard, proxy: FakeProxy) -> None:
    await dashboard.start()
    await eventually(dashboard.target, lambda target: target["feed"]["state"] == "up")
    async with dashboard.events(only="request") as events:
        proxy.finish()
        event, _ = await events.next()
    proxy.finish()
    proxy.finish()
    await eventually(lambda: dashboard.get("/api/requests"), lambda answer: answer["total"] == 3)

    async with dashboard.events(event.id, only="request") as events:
        proxy.finish()
        names = [(await events.next())[1]["request_id"] for _ in range(3)]

    assert names == ["request-2", "request-3", "request-4"]


async def test_replay_outlives_a_restart_of_the_dashboard(dashboard: Dashboard, proxy: FakeProxy) -> None:
    await dashboard.start()
    async with dashboard.events(only="request") as events:
        proxy.finish()
        event, _ = await events.next()
    await dashboard.stop()
    proxy.finish()
    await dashboard.start()

    async with dashboard.events(event.id, only="request") as events:
        _, request = await events.next()

    assert request["request_id"] == "request-2"


async def test_a_reader_that_missed_too_much_is_told_how_much(
    dashboard: Dashboard, proxy: FakeProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.api.events._MOST_REPLAYED", 2)
    for _ in range(5):
        proxy.finish()
    await dashboard.start()
    await eventually(lambda: dashboard.get("/api/requests"), lambda answer: answer["total"] == 5)

    async with dashboard.events("1.0", only="request") as events:
        seen = [await events.next() for _ in range(3)]

    assert [(event.name, data.get("request_id", data)) for event, data in seen] == [
        ("gap", {"lost": 2}), ("request", "request-4"), ("request", "request-5"),
    ]  # fmt: skip


async def test_a_reader_whose_place_is_beyond_all_that_there_is_begins_anew(
    dashboard: Dashboard, proxy: FakeProxy
) -> None:
    proxy.finish()
    await dashboard.start()
    await eventually(lambda: dashboard.get("/api/requests"), lambda answer: answer["total"] == 1)

    async with dashboard.events("700.3", only="request") as events:
        event, _ = await events.next()

    assert (event.name, event.id) == ("reset", "1.0")


async def test_alerts_are_sent_as_they_are_raised_and_cleared(dashboard: Dashboard, proxy: FakeProxy) -> None:
    await dashboard.start()
    await dashboard.until_up()

    async with dashboard.events(only="alert") as events:
        await proxy.stop()
        event, alert = await events.next()

    assert (alert["state"], alert["severity"]) == ("raised", "critical")
    assert event.id == "0.1"
    async with dashboard.events("0.0", only="alert") as events:
        assert (await events.next())[1] == alert


async def test_a_reader_that_does_not_read_is_cut_and_others_go_on(dashboard: Dashboard, proxy: FakeProxy) -> None:
    await dashboard.start()
    assert dashboard.service is not None
    hub = dashboard.service.parts.hub
    large = Problem(error="x" * 50_000)
    stuck = _reader_that_does_not_read(dashboard.port)
    await eventually(lambda: _value(hub.readers), lambda readers: readers == 1)

    async with dashboard.events(only="request") as events:
        for number in range(1, 1200):
            hub.publish(message(EventKind.REQUEST, large, (number, 0)))
            if number % 20 == 0:
                await events.next()
                await asyncio.sleep(0)
        await eventually(lambda: _value(hub.readers), lambda readers: readers == 1)
        hub.publish(message(EventKind.REQUEST, Problem(error="last"), (2000, 0)))
        while (await events.next())[1]["error"] != "last":
            pass
    stuck.close()


async def test_readers_that_leave_free_their_place(dashboard: Dashboard, proxy: FakeProxy) -> None:
    await dashboard.start()
    assert dashboard.service is not None
    hub = dashboard.service.parts.hub

    async with dashboard.events(), dashboard.events():
        await eventually(lambda: _value(hub.readers), lambda readers: readers == 2)

    await eventually(lambda: _value(hub.readers), lambda readers: readers == 0)


async def test_a_quiet_connection_is_kept_open(dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.api.events._HEARTBEAT_SECONDS", 0.1)
    await dashboard.start()

    async with dashboard.client.stream("GET", "/api/events", params={"only": "alert"}) as response:
        chunks = response.aiter_bytes()
        seen = [await anext(chunks) for _ in range(3)]

    assert seen == [b"retry: 2000\n\n", b": alive\n\n", b": alive\n\n"]


async def test_a_dashboard_with_readers_ends_at_once(dashboard: Dashboard) -> None:
    await dashboard.start()
    async with dashboard.events() as events:
        await events.next("now")
        begin = asyncio.get_running_loop().time()
        await dashboard.stop()
        assert asyncio.get_running_loop().time() - begin < 2


@pytest.mark.parametrize(
    ("query", "message_part"),
    [("only=nothing", "need some of now, request, alert"), ("what=1", "there is no parameter 'what' here")],
)
async def test_a_wrong_question_is_a_sentence(dashboard: Dashboard, query: str, message_part: str) -> None:
    await dashboard.start()

    response = await dashboard.client.get(f"/api/events?{query}")

    assert (response.status_code, message_part in response.json()["error"]) == (400, True)


def _reader_that_does_not_read(port: int) -> socket.socket:
    stuck = socket.socket()
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stuck.connect(("127.0.0.1", port))
    stuck.sendall(f"GET /api/events HTTP/1.1\r\nhost: localhost:{port}\r\n\r\n".encode())
    return stuck


async def _value(value: int) -> int:
    return value
