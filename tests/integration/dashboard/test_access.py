"""Who may see the dashboard, and what a browser is told."""

import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.integration.dashboard.fake_proxy import FakeProxy
from tests.integration.dashboard.running import Dashboard, eventually

pytestmark = pytest.mark.slow

TOKEN = secrets.token_urlsafe()
PATHS = (
    "/api/now", "/api/series?name=cost", "/api/requests", "/api/breakdown?by=client", "/api/targets", "/api/events",
    "/api/docs", "/api/openapi.json",
)  # fmt: skip


@pytest.fixture
async def locked(tmp_path: Path, proxy: FakeProxy) -> AsyncIterator[Dashboard]:
    dashboard = await Dashboard(tmp_path / "x.db", proxy.url, dashboard_token=TOKEN, admin_token="its-own").start()
    yield dashboard
    await dashboard.stop()


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.wrong_tokens._FIRST_PAUSE", 0.05)


async def sign_in(dashboard: Dashboard, token: str = TOKEN, **fields: str) -> httpx.Response:
    return await dashboard.client.post("/login", data={"token": token, **fields})


async def test_with_a_token_set_nobody_sees_anything_without_it(locked: Dashboard) -> None:
    for path in PATHS:
        response = await locked.client.get(path)
        assert (path, response.status_code) == (path, 401)
        assert response.json()["login"] == "/login"
        assert "x-frame-options" in response.headers
    assert (await locked.client.post("/api/requests/x/cancel")).status_code == 401
    assert (await locked.client.get("/healthz")).status_code == 200


async def test_the_token_in_a_header_opens_everything(locked: Dashboard) -> None:
    locked.client.headers["authorization"] = f"Bearer {TOKEN}"

    for path in PATHS:
        async with locked.client.stream("GET", path) as response:
            assert (path, response.status_code) == (path, 200)


async def test_a_person_is_sent_to_a_form_and_back_to_where_they_wanted(locked: Dashboard) -> None:
    response = await locked.client.get("/history?from=-6h&by=model")
    assert (response.status_code, response.headers["location"]) == (
        303,
        "/login?next=/history%3Ffrom%3D-6h%26by%3Dmodel",
    )
    form = await locked.client.get(response.headers["location"])
    assert '<input type="hidden" name="next" value="/history?from=-6h&amp;by=model">' in form.text

    response = await sign_in(locked, next="/history?from=-6h&by=model")

    assert (response.status_code, response.headers["location"]) == (303, "/history?from=-6h&by=model")
    cookie = response.headers["set-cookie"]
    assert all(part in cookie for part in ("HttpOnly", "SameSite=strict", "Max-Age=2592000", "Path=/"))
    assert TOKEN not in cookie
    assert (await locked.client.get("/api/now")).status_code == 200


async def test_signing_out_takes_the_cookie_away(locked: Dashboard) -> None:
    await sign_in(locked)

    response = await locked.client.post("/logout")

    assert response.headers["location"] == "/login"
    assert (await locked.client.get("/api/now")).status_code == 401


@pytest.mark.parametrize("elsewhere", ["//evil.test", "https://evil.test", "/\\evil.test", "evil", "/a\nb"])
async def test_the_form_leads_nowhere_else(locked: Dashboard, elsewhere: str) -> None:
    assert (await sign_in(locked, next=elsewhere)).headers["location"] == "/"


async def test_a_wrong_token_is_answered_slowly_and_ever_more_so(locked: Dashboard) -> None:
    durations = []
    for _ in range(7):
        begin = time.monotonic()
        response = await sign_in(locked, "wrong")
        durations.append(time.monotonic() - begin)
        assert (response.status_code, "This is not the token." in response.text) == (401, True)

    assert durations[6] > 0.35
    right = []
    for _ in range(5):
        begin = time.monotonic()
        assert (await sign_in(locked)).status_code == 303
        right.append(time.monotonic() - begin)
    assert min(right) < 0.3


async def test_who_tries_tokens_does_not_choose_the_address_that_is_slowed(locked: Dashboard) -> None:
    begin = time.monotonic()
    for number in range(7):
        forwarded = {"x-forwarded-for": f"203.0.113.{number}"}
        assert (await locked.client.post("/login", data={"token": "wrong"}, headers=forwarded)).status_code == 401

    assert time.monotonic() - begin > 0.7


async def test_a_cookie_of_before_is_worth_nothing_after_the_token_was_changed(
    tmp_path: Path, proxy: FakeProxy
) -> None:
    first = await Dashboard(tmp_path / "x.db", proxy.url, dashboard_token=TOKEN).start()
    await sign_in(first)
    await first.stop()
    second = Dashboard(tmp_path / "x.db", proxy.url, dashboard_token=TOKEN + "x", dashboard_port=first.port)
    second.url, second.client, second.port = first.url, first.client, first.port

    await second.start()

    assert (await second.client.get("/api/now")).status_code == 401
    await second.stop()


async def test_another_sites_page_can_change_nothing(locked: Dashboard) -> None:
    locked.client.headers["authorization"] = f"Bearer {TOKEN}"
    foreign = ("https://evil.test", "null", "http://[", "", f"{locked.url}.evil.test")
    for headers in (*({"origin": origin} for origin in foreign), {"sec-fetch-site": "cross-site"}):
        response = await locked.client.post("/api/requests/x/cancel", headers=headers)
        assert (response.status_code, response.json()["error"]) == (403, "this came from another site's page")

    response = await locked.client.post("/api/requests/x/cancel", headers={"origin": locked.url})
    assert response.status_code == 404


async def test_without_a_token_only_this_machines_names_are_answered(dashboard: Dashboard) -> None:
    await dashboard.start()
    for host in (
        "evil.test",
        f"evil.test:{dashboard.port}",
        "192.168.0.1",
        "evil.test:99999",
        "evil.test:",
        "[::1",
        "a b",
    ):
        response = await dashboard.client.get("/api/now", headers={"host": host})
        assert response.status_code == 403
    for host in ("localhost", f"localhost:{dashboard.port}", "127.0.0.1", "[::1]:80"):
        assert (await dashboard.client.get("/api/now", headers={"host": host})).status_code == 200


async def test_a_browser_is_told_to_run_nothing_from_elsewhere(dashboard: Dashboard) -> None:
    await dashboard.start()
    for path in ("/", "/api/now", "/login", "/plain.css", "/no/such.thing", "/api/docs"):
        headers = (await dashboard.client.get(path)).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        assert "http:" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "same-origin"
        assert "server" not in headers


async def test_tokens_are_in_no_answer(locked: Dashboard) -> None:
    locked.client.headers["authorization"] = f"Bearer {TOKEN}"
    for path in PATHS:
        if path != "/api/events":
            text = (await locked.client.get(path)).text
            assert TOKEN not in text
            assert "its-own" not in text


async def test_a_form_that_is_none_is_an_answer(locked: Dashboard) -> None:
    assert (await locked.client.post("/login", content=b"x" * 10_000)).status_code == 413
    assert (await locked.client.post("/login", content=b"\xff\xfe")).status_code == 400
    assert (await locked.client.put("/login")).status_code == 405


class TestCancel:
    """Ending a request through its proxy."""

    async def test_a_running_request_is_ended_at_the_proxy_that_runs_it(
        self, locked: Dashboard, proxy: FakeProxy
    ) -> None:
        proxy.token = "its-own"
        proxy.arrive("run-1")
        locked.client.headers["authorization"] = f"Bearer {TOKEN}"
        await eventually(locked.now, lambda now: now["running"])
        assert (await locked.now())["can_cancel"] is True

        response = await locked.client.post("/api/requests/run-1/cancel")

        assert (response.status_code, response.json()) == (202, {"cancelled": "run-1"})
        assert proxy.cancelled == ["run-1"]

    async def test_a_request_that_has_just_begun_is_found_too(self, locked: Dashboard, proxy: FakeProxy) -> None:
        locked.client.headers["authorization"] = f"Bearer {TOKEN}"
        await locked.until_up()
        proxy.arrive("run-2")

        assert (await locked.client.post("/api/requests/run-2/cancel")).status_code == 202
        assert (await locked.client.post("/api/requests/run-3/cancel")).status_code == 404
        assert (await locked.client.post(f"/api/requests/{'x' * 500}/cancel")).status_code == 404

    @pytest.mark.parametrize(
        ("answer", "status", "sentence"),
        [
            (404, 404, "this request runs no longer"),
            (403, 403, "the proxy does not let the dashboard end requests"),
            (500, 502, "the proxy did not end it: it answers 500"),
        ],
    )
    async def test_what_the_proxy_answers_is_passed_on_in_words(
        self, locked: Dashboard, proxy: FakeProxy, answer: int, status: int, sentence: str
    ) -> None:
        proxy.arrive("run-1")
        proxy.cancel_status = answer
        locked.client.headers["authorization"] = f"Bearer {TOKEN}"
        await eventually(locked.now, lambda now: now["running"])

        response = await locked.client.post("/api/requests/run-1/cancel")

        assert (response.status_code, response.json()["error"].startswith(sentence)) == (status, True)

    async def test_without_a_token_nothing_can_be_ended(self, dashboard: Dashboard, proxy: FakeProxy) -> None:
        proxy.arrive("run-1")
        await dashboard.start()
        now = await eventually(dashboard.now, lambda now: now["running"])

        response = await dashboard.client.post("/api/requests/run-1/cancel")

        assert response.status_code == 403
        assert (now["can_cancel"], now["cancel_hint"]) == (False, "Set DASHBOARD_TOKEN to end requests from here.")
        assert proxy.cancelled == []
