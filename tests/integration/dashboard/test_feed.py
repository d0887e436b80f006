"""Finished requests: each exactly once, whatever ends and starts anew."""

import secrets
from typing import Any
from unittest.mock import patch

import pytest

from dashboard.settings import Settings
from dashboard.store.file import StoreFile
from tests.integration.dashboard.fake_proxy import FakeProxy
from tests.integration.dashboard.running import Dashboard, eventually


async def scrapes(proxy: FakeProxy) -> int:
    return proxy.scrapes


async def table(dashboard: Dashboard) -> list[str]:
    """The requests' ids at the proxy, newest first."""
    answer = await dashboard.get("/api/requests", limit=500)
    return [request["request_id"] for request in answer["requests"]]


async def test_a_finished_request_shows_in_the_table_with_all_that_the_proxy_tells(
    dashboard: Dashboard, proxy: FakeProxy
) -> None:
    await dashboard.start()
    proxy.finish(
        exchange_id="run-9", client="anna", session="s1", lane="main", path="/v1/messages", model="glm-5.3", status=200,
        tokens={"input": 10, "output": 5, "cache_read": 100, "cache_write": 0, "reasoning": 2}, cost_usd=0.25,
        first_byte=0.5, waited=0.1, attempts=2, tokens_are="complete", credits=1.5, request_bytes=7, response_bytes=8,
    )  # fmt: skip

    await eventually(lambda: table(dashboard), lambda ids: ids == ["request-1"])

    (request,) = (await dashboard.get("/api/requests"))["requests"]
    assert (request["client"], request["session"], request["running_id"]) == ("anna", "s1", "run-9")
    assert request["tokens"] == {"input": 10, "output": 5, "cache_read": 100, "cache_write": 0, "reasoning": 2}
    assert (request["cost_usd"], request["attempts"], request["outcome"]) == (0.25, 2, "ok")
    assert await dashboard.get(f"/api/requests/{request['id']}") == request


async def test_what_finished_before_the_dashboard_came_is_replayed(dashboard: Dashboard, proxy: FakeProxy) -> None:
    for _ in range(3):
        proxy.finish()

    await dashboard.start()

    await eventually(lambda: table(dashboard), lambda ids: ids == ["request-3", "request-2", "request-1"])
    assert (await dashboard.get("/api/requests"))["lost"] == {"requests": 0, "unknown_gaps": 0}


async def test_a_dashboard_that_restarts_gets_what_it_missed_once(dashboard: Dashboard, proxy: FakeProxy) -> None:
    await dashboard.start()
    proxy.finish()
    await eventually(lambda: table(dashboard), lambda ids: len(ids) == 1)
    await dashboard.stop()
    proxy.finish()
    proxy.finish()

    await dashboard.start()

    await eventually(lambda: table(dashboard), lambda ids: ids == ["request-3", "request-2", "request-1"])
    assert (await dashboard.target())["feed"]["lost"] == 0


async def test_what_a_proxy_no_longer_holds_is_counted_as_lost(dashboard: Dashboard, proxy: FakeProxy) -> None:
    await dashboard.start()
    proxy.finish()
    await eventually(lambda: table(dashboard), lambda ids: len(ids) == 1)
    await dashboard.stop()
    for _ in range(8):  # it holds 5
        proxy.finish()

    await dashboard.start()

    await eventually(lambda: table(dashboard), lambda ids: len(ids) == 6)
    assert (await dashboard.get("/api/requests"))["lost"] == {"requests": 3, "unknown_gaps": 0}
    await dashboard.stop()
    await dashboard.start()
    assert (await dashboard.target())["feed"]["lost"] == 3


async def test_of_a_proxy_that_started_anew_meanwhile_nobody_knows_what_was_lost(
    dashboard: Dashboard, proxy: FakeProxy
) -> None:
    await dashboard.start()
    proxy.finish()
    await eventually(lambda: table(dashboard), lambda ids: len(ids) == 1)
    await dashboard.stop()
    proxy.restart()
    proxy.finish(request_id="of-the-new-run")

    await dashboard.start()

    await eventually(lambda: table(dashboard), lambda ids: ids == ["of-the-new-run", "request-1"])
    assert (await dashboard.get("/api/requests"))["lost"] == {"requests": 0, "unknown_gaps": 1}


async def test_a_feed_that_breaks_off_is_taken_up_again(dashboard: Dashboard, proxy: FakeProxy) -> None:
    await dashboard.start()
    proxy.finish()
    await eventually(lambda: table(dashboard), lambda ids: len(ids) == 1)

    proxy.hang_up()
    proxy.finish()

    await eventually(lambda: table(dashboard), lambda ids: ids == ["request-2", "request-1"])


async def test_while_nobody_looks_what_ends_is_stored_together(
    dashboard: Dashboard, proxy: FakeProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.feed._UNWATCHED_PAUSE", 2.0)
    await dashboard.start()
    proxy.finish()
    await eventually(lambda: table(dashboard), lambda ids: len(ids) == 1)
    assert dashboard.service is not None
    with patch.object(StoreFile, "save_requests", autospec=True, side_effect=StoreFile.save_requests) as save:
        for rounds in range(proxy.scrapes + 1, proxy.scrapes + 4):
            proxy.finish()
            await eventually(lambda: scrapes(proxy), lambda count, least=rounds: count >= least)

        await eventually(lambda: table(dashboard), lambda ids: len(ids) == 4)

    assert save.call_count == 1


async def test_who_comes_to_look_sees_each_request_without_delay(
    dashboard: Dashboard, proxy: FakeProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.feed._UNWATCHED_PAUSE", 3600.0)
    await dashboard.start()
    proxy.finish()
    async with dashboard.events() as listener:
        for number in (1, 2, 3):
            _, seen = await listener.next("request")
            assert seen["request_id"] == f"request-{number}"
            proxy.finish()


async def test_a_record_that_can_not_be_read_is_passed_over(dashboard: Dashboard, proxy: FakeProxy) -> None:
    await dashboard.start()
    proxy.finish(started="yesterday")
    proxy.finish(tokens={"input": "many"}, status=[], client={"a": 1})

    await eventually(lambda: table(dashboard), lambda ids: ids == ["request-2"])
    (request,) = (await dashboard.get("/api/requests"))["requests"]
    assert (request["status"], request["client"], request["tokens"]["input"]) == (None, None, 0)


async def test_the_feed_is_read_with_the_admin_token(tmp_path: Any, proxy: FakeProxy) -> None:
    proxy.token = secrets.token_urlsafe()
    stranger = await Dashboard(tmp_path / "x.db", proxy.url).start()
    await eventually(stranger.target, lambda target: target["feed"]["state"] == "denied")
    now = await eventually(stranger.now, lambda now: now["alerts"])
    assert now["alerts"][0]["advice"] == "Set ADMIN_TOKEN, here and for the proxy, to the same word."
    await stranger.stop()

    owner = await Dashboard(tmp_path / "y.db", proxy.url, admin_token=proxy.token).start()
    proxy.finish()
    await eventually(lambda: table(owner), lambda ids: ids == ["request-1"])
    await owner.stop()


async def test_a_proxy_without_a_feed_is_none_to_worry_about(dashboard: Dashboard, proxy: FakeProxy) -> None:
    proxy.has_feed = False
    await dashboard.start()

    await eventually(dashboard.target, lambda target: target["feed"]["state"] == "absent")
    assert (await dashboard.now())["alerts"] == []


async def test_requests_of_several_proxies_are_told_apart(tmp_path: Any, proxy: FakeProxy, other: FakeProxy) -> None:
    dashboard = await Dashboard(tmp_path / "x.db", proxy.url, other.url).start()
    proxy.finish()
    other.finish()
    await eventually(lambda: table(dashboard), lambda ids: len(ids) == 2)

    for number in (1, 2):
        answer = await dashboard.get("/api/requests", target=number)
        assert [request["target"] for request in answer["requests"]] == [number]
    await dashboard.stop()


def test_the_settings_hide_the_tokens() -> None:
    token = secrets.token_urlsafe()

    assert token not in repr(Settings(admin_token=token, dashboard_token=token))  # type: ignore[arg-type]
