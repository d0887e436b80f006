"""Names that people give to clients and sessions, over the API."""

import secrets
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from extproc.domain.request.identity import Caller
from tests.integration.dashboard.fake_proxy import FakeProxy
from tests.integration.dashboard.running import Dashboard, eventually

pytestmark = pytest.mark.slow

ANNA = {"kind": "client", "key": "source-17", "name": "Anna's laptop"}


async def give(dashboard: Dashboard, name: Any, **headers: str) -> httpx.Response:
    return await dashboard.client.put("/api/names", json=name, headers=headers)


@pytest.fixture
async def asked(dashboard: Dashboard, proxy: FakeProxy) -> Dashboard:
    """A dashboard that knows a request of source-17, in a session."""
    proxy.finish(client="source-17", session="s-1")
    await dashboard.start()
    await eventually(lambda: dashboard.get("/api/requests"), lambda answer: answer["total"] == 1)
    return dashboard


async def test_a_name_is_kept_over_a_restart_and_goes_when_it_is_emptied(asked: Dashboard) -> None:
    answer = await give(asked, {**ANNA, "name": "  Anna's laptop "})
    assert (answer.status_code, answer.json()) == (200, {"names": [ANNA]})
    of_session = {"kind": "session", "key": "s-1", "name": "the big refactoring"}
    assert (await give(asked, of_session)).status_code == 200
    await asked.stop()
    await asked.start()
    assert await asked.get("/api/names") == {"names": [of_session, ANNA]}

    assert (await give(asked, {**ANNA, "name": " "})).json() == {"names": [of_session]}


async def test_every_open_page_hears_of_a_name_and_a_new_one_of_all(asked: Dashboard) -> None:
    async with asked.events() as page, asked.events(only="names") as other:
        assert (await page.next("names"))[1] == (await other.next())[1] == {"names": []}
        await give(asked, ANNA)
        assert (await page.next("names"))[1] == (await other.next())[1] == {"names": [ANNA]}

    async with asked.events() as new:
        event, told = await new.next("names")
    assert told == {"names": [ANNA]}
    assert not event.id


async def test_what_runs_can_be_named_before_it_has_ended(dashboard: Dashboard, proxy: FakeProxy) -> None:
    proxy.arrive("r-1", client="source-17")
    await dashboard.start()
    await eventually(dashboard.now, lambda now: now["running_total"] == 1)

    assert (await give(dashboard, ANNA)).status_code == 200


@pytest.mark.parametrize(
    ("name", "status", "says"),
    [
        ({**ANNA, "name": "x" * 61}, 400, "at most 60"),
        ({**ANNA, "name": "two\nlines"}, 400, "control characters"),
        ({**ANNA, "kind": "agent"}, 400, "client or session"),
        ({**ANNA, "key": ""}, 400, "as its requests have it"),
        ({**ANNA, "key": "a\x00b"}, 400, "as its requests have it"),
        ({**ANNA, "more": 1}, 400, "need JSON"),
        ({**ANNA, "name": 7}, 400, "need JSON"),
        ([], 400, "need JSON"),
        ({**ANNA, "name": "x" * 5000}, 413, "too large"),
        ({**ANNA, "key": "zp-a-token-of-somebody"}, 404, "no such client"),
        ({**ANNA, "kind": "session"}, 404, "no such session"),
    ],
)
async def test_what_can_be_no_name_is_refused_in_one_sentence(
    asked: Dashboard, name: Any, status: int, says: str
) -> None:
    answer = await give(asked, name)

    assert answer.status_code == status
    assert says in answer.json()["error"]
    assert await asked.get("/api/names") == {"names": []}


async def test_a_search_finds_requests_by_the_name_of_their_client(asked: Dashboard) -> None:
    await give(asked, ANNA)

    assert (await asked.get("/api/requests", search="ANNA'S"))["total"] == 1
    assert (await asked.get("/api/requests", search="Bert"))["total"] == 0


async def test_an_alert_calls_a_client_by_its_name(asked: Dashboard, proxy: FakeProxy) -> None:
    await give(asked, ANNA)
    refused, now = Caller("source-17", "openai-python"), time.time()
    identities = proxy.inside.service.recorder.identities
    identities.refused(refused, "1305", now - 30)
    for number in range(2):
        identities.answered(Caller(f"source-{number}", ""), now - 20 + number)
    identities.refused(refused, "1305", now - 5)

    seen = await eventually(asked.now, lambda seen: seen["alerts"])

    assert [each["title"] for each in seen["alerts"]] == [
        "Z.AI refuses this client: Anna's laptop (source-17, openai-python)"
    ]


async def test_names_are_given_and_seen_by_those_alone_who_may_see_the_dashboard(
    tmp_path: Path, proxy: FakeProxy
) -> None:
    token = secrets.token_urlsafe()
    proxy.finish(client="source-17")
    locked = await Dashboard(tmp_path / "x.db", proxy.url, dashboard_token=token, admin_token="its-own").start()
    try:
        assert (await locked.client.get("/api/names")).status_code == 401
        assert (await give(locked, ANNA)).status_code == 401
        mine = {"authorization": f"Bearer {token}"}
        locked.client.headers.update(mine)
        await eventually(lambda: locked.get("/api/requests"), lambda answer: answer["total"] == 1)

        assert (await locked.now())["can_name"] is True
        assert (await give(locked, ANNA, origin="https://elsewhere.example")).status_code == 403
        assert await locked.get("/api/names") == {"names": []}
        assert (await give(locked, ANNA)).status_code == 200
    finally:
        await locked.stop()


async def test_on_a_dashboard_that_everybody_reaches_nobody_gives_names(tmp_path: Path, proxy: FakeProxy) -> None:
    proxy.finish(client="source-17")
    dashboard = await Dashboard(tmp_path / "x.db", proxy.url, bind_address="0.0.0.0").start()  # noqa: S104 - meant
    try:
        await eventually(lambda: dashboard.get("/api/requests"), lambda answer: answer["total"] == 1)
        assert (await dashboard.now())["can_name"] is False

        answer = await give(dashboard, ANNA)

        assert answer.status_code == 403
        assert "DASHBOARD_TOKEN" in answer.json()["error"]
    finally:
        await dashboard.stop()
