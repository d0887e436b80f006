"""Asking proxies that answer, fall silent, start anew and misbehave."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest

from dashboard.addresses import TargetResolver
from dashboard.fetch import fetch, make_client
from dashboard.scraper import Clocks
from tests.integration.dashboard.fake_proxy import FakeProxy, Habit, running_proxy
from tests.integration.dashboard.running import Dashboard, eventually

pytestmark = pytest.mark.slow

_SELDOM: Final = 60
"""The longest interval of rounds, in seconds. They begin with whole minutes, so a test sees one more at most."""


@dataclass
class Wall:
    """A clock that can be set."""

    ahead: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


async def test_what_a_proxy_counts_shows_in_the_charts(dashboard: Dashboard, proxy: FakeProxy) -> None:
    proxy.count(3)
    proxy.count(2, "429")
    await dashboard.start()
    await eventually(dashboard.counted, lambda count: count == 5)

    proxy.count(4)

    await eventually(dashboard.counted, lambda count: count == 9)
    (chart,) = (await dashboard.get("/api/series", name="requests"))["charts"]
    assert {line["label"]: line["total"] for line in chart["lines"]} == {"200": 7, "429": 2}


async def test_a_connection_is_kept_from_one_round_to_the_next(
    proxy: FakeProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make_client()
    for later in (0.0, 30.0, 60.0):
        clock = SimpleNamespace(monotonic=lambda ahead=later: time.monotonic() + ahead)
        monkeypatch.setattr("httpcore._async.http11.time", clock)
        await fetch(client, proxy.url, 5.0)

    assert len(proxy.connections) == 1
    await client.aclose()


async def test_a_proxy_that_starts_anew_counts_on_from_zero(dashboard: Dashboard, proxy: FakeProxy) -> None:
    await dashboard.start()
    await dashboard.until_up()
    proxy.count(10)
    await eventually(dashboard.counted, lambda count: count == 10)

    proxy.restart()
    proxy.count(12)  # more than before, so that no counter fell

    await eventually(dashboard.counted, lambda count: count == 22)
    series = await dashboard.get("/api/series", name="requests")
    assert [mark["kind"] for mark in series["marks"]] == ["started", "started"]
    values = [value for line in series["charts"][0]["lines"] for value in line["values"] if value is not None]
    assert min(values) >= 0


async def test_a_start_that_is_told_a_second_too_early_is_marked_after_the_loss(
    dashboard: Dashboard, proxy: FakeProxy
) -> None:
    await dashboard.start()
    await dashboard.until_up()
    await proxy.stop()
    await eventually(dashboard.target, lambda target: target["state"] == "stale")

    proxy.restart()
    lost = (await _marks(dashboard))[-1]["at"]
    proxy.begin_at(lost - 0.8)
    await proxy.start()

    marks = await eventually(lambda: _marks(dashboard), lambda marks: len(marks) == 4)
    assert [mark["kind"] for mark in marks] == ["started", "lost", "started", "back"]


async def test_another_version_is_marked_as_a_deployment(dashboard: Dashboard, proxy: FakeProxy) -> None:
    await dashboard.start()
    await dashboard.until_up()

    proxy.restart()
    proxy.metrics.registry.unregister(proxy.metrics.registry._names_to_collectors["zai_proxy_build_info"])
    proxy.metrics.build_info("2.0.0", "def", "today")

    marks = await eventually(lambda: _marks(dashboard), lambda marks: "deployed" in [mark["kind"] for mark in marks])
    assert marks[-1]["text"].endswith("started (2.0.0)")
    assert (await dashboard.target())["version"] == "2.0.0"


async def test_a_proxy_that_vanishes_is_stale_after_three_misses_and_comes_back(
    dashboard: Dashboard, proxy: FakeProxy
) -> None:
    proxy.count(2)
    proxy.arrive("r-1")
    await dashboard.start()
    await eventually(dashboard.counted, lambda count: count == 2)
    await eventually(dashboard.now, lambda now: now["running_total"] == 1)

    await proxy.stop()

    target = await eventually(dashboard.target, lambda target: target["state"] == "stale")
    assert target["error"] == "nobody listens there"
    now = await eventually(dashboard.now, lambda now: now["health"]["level"] == "critical")
    assert now["running"] == []
    assert now["alerts"][0]["id"] == f"target-stale:{target['id']}"

    proxy.count(3)
    await proxy.start()
    await eventually(dashboard.target, lambda target: target["state"] == "up")
    marks = await eventually(lambda: _marks(dashboard), lambda marks: len(marks) == 3)
    assert [mark["kind"] for mark in marks] == ["started", "lost", "back"]
    # What was counted meanwhile is known to within the minute, not to within five seconds.
    await eventually(lambda: dashboard.counted(step=60), lambda count: count == 5)


@pytest.mark.parametrize("habit", [Habit.SLOW, Habit.ENDLESS, Habit.DRIPPING, Habit.BROKEN, Habit.FAILING])
async def test_a_proxy_that_misbehaves_disturbs_no_other(
    tmp_path: Path, proxy: FakeProxy, other: FakeProxy, habit: Habit
) -> None:
    proxy.habit = habit
    dashboard = await Dashboard(tmp_path / "x.db", proxy.url, other.url).start()
    await eventually(dashboard.target, lambda target: target["state"] == "stale")
    scrapes = other.scrapes
    other.count(5)

    await eventually(dashboard.counted, lambda count: count == 5)

    targets = (await dashboard.get("/api/targets"))["targets"]
    assert [target["state"] for target in targets] == ["stale", "up"]
    assert targets[0]["error"]
    await eventually(lambda: _value(other.scrapes), lambda count: count >= scrapes + 3)
    proxy.habit = Habit.GOOD
    await eventually(dashboard.target, lambda target: target["state"] == "up")
    await dashboard.stop()


@pytest.mark.parametrize("jump", [-7200.0, -30.0, 30.0, 7200.0, 400 * 86400.0])
async def test_a_clock_that_jumps_neither_invents_nor_deletes_anything(
    tmp_path: Path, proxy: FakeProxy, jump: float
) -> None:
    wall = Wall()
    dashboard = await Dashboard(tmp_path / "x.db", proxy.url, clocks=Clocks(wall=wall)).start()
    await dashboard.until_up()
    begin = time.time()
    proxy.count(5)
    await eventually(dashboard.counted, lambda count: count == 5)

    wall.ahead = jump
    proxy.count(2)

    window = {"from": begin - 60 + min(jump, 0), "to": begin + 60 + max(jump, 0), "step": 60}
    await eventually(lambda: dashboard.counted(**window), lambda count: count == 7)
    assert dashboard.service is not None
    await dashboard.service.parts.store.prune(dashboard.service._careful_now(), _retention(dashboard))
    assert await dashboard.counted(**window) == 7
    values = (await dashboard.get("/api/series", name="requests", **window))["charts"][0]["lines"][0]["values"]
    assert sum(1 for value in values if value) <= 4  # nothing was spread over the time in between
    assert min(value for value in values if value is not None) >= 0
    await dashboard.stop()


async def test_every_address_of_a_name_is_asked_and_follows_the_name(
    tmp_path: Path, proxy: FakeProxy, other: FakeProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two names, since two addresses of one have the same port; what they resolve to is what changes.
    monkeypatch.setattr("dashboard.addresses._AGAIN_AFTER", 0.1)
    names: dict[str, list[str]] = {"one.test": ["127.0.0.1"], "two.test": []}

    async def look_up(host: str, _port: int) -> list[str]:
        return names[host]

    sources = (f"dns+http://one.test:{proxy.port}/metrics", f"dns+http://two.test:{other.port}/metrics")
    dashboard = Dashboard(tmp_path / "x.db", *sources)
    monkeypatch.setattr("dashboard.service.TargetResolver", lambda urls: TargetResolver(urls, look_up))
    await dashboard.start()

    await dashboard.until_up()
    answer = await dashboard.get("/api/targets")
    assert [target["url"] for target in answer["targets"]] == [proxy.url]
    assert answer["names"][1]["error"] == "the name has no address"
    now = await eventually(dashboard.now, lambda now: now["alerts"])
    assert now["alerts"][0]["title"] == f"{sources[1]} has no address"

    names["two.test"] = ["127.0.0.1"]
    await eventually(lambda: dashboard.get("/api/targets"), lambda answer: len(answer["targets"]) == 2)
    assert proxy.hosts[0] == f"one.test:{proxy.port}"

    names["two.test"] = []
    await eventually(lambda: dashboard.get("/api/targets"), lambda answer: answer["names"][1]["error"])
    assert len((await dashboard.get("/api/targets"))["targets"]) == 2  # the last known addresses stay
    await dashboard.stop()


async def test_a_name_server_that_does_not_answer_holds_nothing_up(
    tmp_path: Path, proxy: FakeProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.addresses._LONGEST_LOOKUP", 0.3)

    async def look_up(_host: str, _port: int) -> list[str]:
        await asyncio.Event().wait()  # for ever
        return []

    monkeypatch.setattr("dashboard.service.TargetResolver", lambda urls: TargetResolver(urls, look_up))
    dashboard = await Dashboard(tmp_path / "x.db", "dns+http://silent.test:9/metrics", proxy.url).start()

    await dashboard.until_up()
    answer = await eventually(lambda: dashboard.get("/api/targets"), lambda answer: answer["names"][0]["error"])
    assert answer["names"][0]["error"] == "no answer of the name server within 0.3 s"
    await dashboard.stop()


async def test_several_processes_behind_one_address_are_told_of_and_add_nothing_up(
    dashboard: Dashboard, proxy: FakeProxy
) -> None:
    proxy.begin_at(proxy.started - 5000)
    proxy.count(1000)
    await dashboard.start()
    await dashboard.until_up()
    proxy.begin_at(proxy.started + 3000)

    now = await eventually(dashboard.now, lambda now: now["alerts"])

    assert now["alerts"][0]["id"].startswith("target-several")
    assert await dashboard.counted() == 0


async def test_a_proxy_without_a_status_tells_by_its_metrics(dashboard: Dashboard, proxy: FakeProxy) -> None:
    proxy.has_status = False
    await dashboard.start()
    await dashboard.until_up()

    target = await eventually(dashboard.target, lambda target: target["status"]["state"] == "absent")

    assert target["state"] == "up"
    assert (await dashboard.now())["health"]["level"] == "ok"


async def test_a_dashboard_that_was_away_for_a_moment_misses_nothing(dashboard: Dashboard, proxy: FakeProxy) -> None:
    proxy.count(3)
    await dashboard.start()
    await eventually(dashboard.counted, lambda count: count == 3)
    await dashboard.stop()
    proxy.count(4)

    await dashboard.start()

    await eventually(lambda: dashboard.counted(step=60), lambda count: count == 7)


async def test_while_somebody_looks_what_runs_is_asked_for_each_second(tmp_path: Path) -> None:
    async with running_proxy() as proxy:
        dashboard = await Dashboard(tmp_path / "x.db", proxy.url, scrape_interval=_SELDOM, scrape_timeout=2).start()
        await dashboard.until_up()
        async with dashboard.events() as events:
            proxy.arrive("r-1", client="anna")

            while True:
                _, now = await events.next("now")
                if now["running"]:
                    break
        assert now["running"][0]["client"] == "anna"
        assert proxy.scrapes <= 2
        await dashboard.stop()


async def test_a_status_that_takes_long_does_not_hold_up_the_picture_of_the_others(
    tmp_path: Path, proxy: FakeProxy, other: FakeProxy
) -> None:
    dashboard = Dashboard(tmp_path / "x.db", proxy.url, other.url, scrape_interval=_SELDOM, scrape_timeout=20)
    await dashboard.start()
    await eventually(lambda: dashboard.target(1), lambda target: target["status"]["state"] == "up")
    await dashboard.until_up()
    proxy.status_pause = 15.0
    other.arrive("r-1", client="anna")

    async with dashboard.events(only="now") as events:
        seen = [(await events.next("now"))[1] for _ in range(3)]

    assert seen[-1]["at"] - seen[0]["at"] < 4.0
    assert [each["client"] for each in seen[-1]["running"]] == ["anna"]
    await dashboard.stop()


async def _marks(dashboard: Dashboard) -> list[dict[str, Any]]:
    marks: list[dict[str, Any]] = (await dashboard.get("/api/series", name="requests"))["marks"]
    return marks


async def _value(value: int) -> int:
    return value


def _retention(dashboard: Dashboard) -> Any:
    from dashboard.store.file import Retention

    settings = dashboard._settings
    return Retention(settings.retention_5s, settings.retention_1m, settings.retention_requests)
