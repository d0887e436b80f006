"""What an older version has left is all there, and goes on."""

import asyncio
import json
import re
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from dashboard.api.app import create_app
from dashboard.domain.finished import read_finished
from dashboard.scraper import Clocks
from dashboard.service import Service
from dashboard.settings import Settings
from dashboard.store import journal
from dashboard.store.targets import FeedPosition
from tests.harness import plain_http
from tests.harness.proxy_in_process import ProxyInProcess
from tests.harness.stack import PROMPT, Simulator
from tests.harness.supervised import KEY, running_proxy
from tests.harness.valkey import Valkey
from tests.harness.waiting import eventually

FIXTURES = Path(__file__).parent / "fixtures"
SEEN: Final[dict[str, Any]] = json.loads((FIXTURES / "seen.json").read_text())
RECORDED_AT: Final[float] = SEEN["recorded_at"]
LIMITS: Final = {each["name"]: each for each in SEEN["limits"]}
PLAN: Final = "our-plan"

_MOMENT = re.compile(r"\b1795\d{6}(\d{3})?(\.\d+)?\b")
"""A Unix time of that day, in seconds or milliseconds."""


def as_of_now(text: str) -> str:
    """The same as if it had been recorded just now."""
    later = time.time() - RECORDED_AT

    def moved(match: re.Match[str]) -> str:
        if match[1]:
            return str(int(match[0]) + round(later * 1000))
        return repr(float(match[0]) + later) if match[2] else str(int(match[0]) + round(later))

    day = datetime.fromtimestamp(RECORDED_AT, UTC).date()
    return _MOMENT.sub(moved, text).replace(str(day), str(datetime.now(UTC).date()))


def limits_of(status: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in status["limits"]}


# STATE_DIR


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    for name in ("limits.json", "usage.json"):
        (tmp_path / name).write_text(as_of_now((FIXTURES / name).read_text()))
    return tmp_path


async def test_the_limits_that_were_learned_are_held_from_the_first_request_on(state_dir: Path) -> None:
    proxy = ProxyInProcess(state_dir=state_dir, concurrency_limit_initial=4)

    limits = limits_of((await proxy.get("/status")).json())

    assert limits["in flight"]["limit"] == LIMITS["in flight"]["limit"] == 3
    assert limits["in flight"]["ceiling"] == LIMITS["in flight"]["ceiling"] == 4
    assert limits["requests/s"]["limit"] == pytest.approx(LIMITS["requests/s"]["limit"], abs=0.01)


def as_shown_now(row: dict[str, Any]) -> dict[str, Any]:
    """What an earlier version showed: it noted no program, and called credits that nobody knows none."""
    is_unknown = row["credits"] == 0.0 and row["input_tokens"] > 0
    return {**row, "program": None, "credits": None if is_unknown else row["credits"]}


async def test_what_the_clients_have_used_is_still_on_their_account(state_dir: Path) -> None:
    proxy = ProxyInProcess(state_dir=state_dir)

    usage = (await proxy.get("/status")).json()["usage"]

    seen = json.loads(as_of_now(json.dumps(SEEN["usage"])))
    assert usage == [as_shown_now(row) for row in seen]


# The store of the shared limits


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    """As if a replica of the older version still ran: it was heard of just now."""
    store = Valkey(tmp_path)
    client = store.client()
    for key, kept in json.loads(as_of_now((FIXTURES / "store.json").read_text())).items():
        if kept["type"] == "hash":
            client.hset(key, mapping=kept["value"])
        else:
            client.rpush(key, *kept["value"])
    client.close()
    yield store
    store.process.kill()


@pytest.fixture
async def replica(valkey: Valkey) -> AsyncIterator[ProxyInProcess]:
    proxy = ProxyInProcess(limits_url=valkey.url, limits_plan=PLAN, concurrency_limit_initial=20)
    assert proxy.service.shared is not None
    sharing = asyncio.create_task(proxy.service.shared.run())
    yield proxy
    sharing.cancel()
    with suppress(asyncio.CancelledError):
        await sharing


async def test_a_replica_beside_older_ones_takes_their_limits_and_leads_once_they_are_gone(
    replica: ProxyInProcess,
) -> None:
    async with asyncio.timeout(60):
        while not (status := (await replica.get("/status")).json())["shared_limits"]["up"]:
            await asyncio.sleep(0.05)
    limits = limits_of(status)
    assert status["shared_limits"]["replicas"] == 2
    assert limits["in flight"]["limit"] == LIMITS["in flight"]["limit"]
    assert limits["requests/s"]["limit"] == pytest.approx(LIMITS["requests/s"]["limit"], abs=0.01)

    async with asyncio.timeout(60):
        while not (status := (await replica.get("/status")).json())["shared_limits"]["leads"]:
            await asyncio.sleep(0.05)
    assert limits_of(status)["in flight"]["limit"] == LIMITS["in flight"]["limit"]


async def test_a_window_that_was_used_up_is_still_closed(replica: ProxyInProcess) -> None:
    async with asyncio.timeout(60):
        while not (gate := (await replica.get("/status")).json()["quota"]["gate"]):
            await asyncio.sleep(0.05)

    assert [each["window"] for each in gate] == ["five_hour"]


# The dashboard's file


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "dashboard.db"
    connection = sqlite3.connect(path)
    connection.executescript((FIXTURES / "dashboard.sql").read_text())
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    connection.close()
    return path


@pytest.fixture
async def dashboard(database: Path) -> AsyncIterator[Service]:
    """Today's, a moment later."""
    settings = Settings(scrape_targets="http://127.0.0.1:18802/metrics", db_path=database)
    service = Service(settings, Clocks(wall=lambda: RECORDED_AT + 5.0))
    yield service
    await service.parts.store.close()


async def ask(dashboard: Service, path: str, **parameters: Any) -> Any:
    app = create_app(dashboard.parts)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8081") as client:
        answer = await client.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()


def as_then(now: Any, then: Any) -> Any:
    """What an answer of today says that one of then said too."""
    if isinstance(then, dict):
        return {name: as_then(now[name], value) for name, value in then.items()}
    return list(map(as_then, now, then)) if isinstance(then, list) and len(now) == len(then) else now


async def test_each_request_is_still_in_the_table_word_for_word(dashboard: Service) -> None:
    answer = await ask(dashboard, "/api/requests", limit=500)

    assert as_then(answer["requests"], SEEN["requests"]) == SEEN["requests"]
    assert {each["model_asked"] for each in answer["requests"]} == {None}
    assert answer["total"] == len(SEEN["requests"]) > 20


@pytest.mark.parametrize("by", ["client", "session"])
async def test_who_used_what_adds_up_to_the_same(dashboard: Service, by: str) -> None:
    seen = SEEN[f"by_{by}"]

    answer = await ask(dashboard, "/api/breakdown", by=by, **{"from": seen["from"], "to": seen["to"]})

    assert as_then(answer, seen) == seen


async def test_the_charts_show_the_same(dashboard: Service) -> None:
    seen = SEEN["series"]
    names = ",".join(chart["name"] for chart in seen["charts"])
    window = {"from": seen["from"], "to": seen["to"], "step": seen["step"]}

    answer = await ask(dashboard, "/api/series", name=names, **window)

    for chart, before in zip(answer["charts"], seen["charts"], strict=True):
        # One more look was stored before it stopped: nothing was counted by then, but a mean is of one value more.
        exactly = before["kind"] == "sum"
        for line, old in zip(chart["lines"], before["lines"], strict=True):
            assert (line["label"], line["total"]) == (old["label"], old["total"])
            assert line["values"] == (old["values"] if exactly else pytest.approx(old["values"], abs=0.1))
    assert answer["marks"] == seen["marks"]
    assert any(line["total"] for chart in answer["charts"] for line in chart["lines"])


async def test_alerts_that_were_told_can_still_be_read_up_on(dashboard: Service) -> None:
    count, alerts = await dashboard.parts.store.read(lambda connection: journal.alerts_after(connection, 0, 10))

    assert count == len(alerts) == len(SEEN["alerts"]) == 1
    (_, alert), (seen,) = alerts[0], SEEN["alerts"]
    assert (alert.id, alert.severity, alert.title, alert.at) == (
        seen["id"], seen["severity"], seen["title"], seen["since"],
    )  # fmt: skip


async def test_the_feed_is_read_on_from_where_it_was_and_new_requests_come_on_top(
    database: Path, dashboard: Service
) -> None:
    store = dashboard.parts.store
    (target,) = sqlite3.connect(database).execute("SELECT id FROM target").fetchone()
    before = SEEN["requests"][0]
    told = {"started": RECORDED_AT + 1, "duration": 0.5, "status": 200, "model_asked": "sonnet"}

    again = read_finished(before["feed_id"], {**told, "started": before["started"]})
    position = FeedPosition("run-of-today-1")
    stored = await store.save_requests(target, [again, read_finished("run-of-today-1", told)], position)
    assert len(stored) == 1

    newest, second, *_ = (await ask(dashboard, "/api/requests", limit=500))["requests"]
    assert (newest["feed_id"], newest["model_asked"]) == ("run-of-today-1", "sonnet")
    assert as_then(second, before) == before


# All of it at once


@pytest.mark.slow
async def test_zai_proxy_run_goes_on_with_the_state_and_the_database_of_the_older_version(
    state_dir: Path, simulator: Simulator
) -> None:
    connection = sqlite3.connect(state_dir / "dashboard.db")
    connection.executescript(as_of_now((FIXTURES / "dashboard.sql").read_text()))
    connection.close()
    settings = {"STATE_DIR": str(state_dir), "PACING": "on", "CONCURRENCY_LIMIT_INITIAL": "4"}

    with running_proxy(state_dir, simulator, KEY, **settings) as proxy:
        status = plain_http.get(f"{proxy.metrics_url}/status").json()
        assert limits_of(status)["in flight"]["limit"] == LIMITS["in flight"]["limit"]
        assert [row["requests"] for row in status["usage"]] == [row["requests"] for row in SEEN["usage"]]

        answer = httpx.post(f"{proxy.url}/v1/messages", json=PROMPT, timeout=30)
        assert answer.status_code == 200, answer.text
        table = await eventually(
            lambda: plain_http.get(f"{proxy.dashboard_url}/api/requests", limit="500").json()["requests"],
            lambda table: table[0]["path"] == "/v1/messages" and table[0]["model_asked"] == PROMPT["model"],
        )
        assert {each["feed_id"] for each in SEEN["requests"]} < {each["feed_id"] for each in table}


def test_no_key_and_no_token_is_in_what_was_recorded() -> None:
    text = "".join(path.read_text() for path in sorted(FIXTURES.iterdir()))

    assert not re.search(r"[0-9a-f]{32}\.[0-9A-Za-z]{16}", text)
    assert "zp-" not in text
