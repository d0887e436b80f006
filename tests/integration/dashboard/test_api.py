"""What the API answers, and that it answers as it is described."""

import csv
import io
import re
import time
from pathlib import Path
from typing import Any

import pytest

from dashboard.api.openapi import OPERATIONS
from tests.integration.dashboard.fake_proxy import FakeProxy, Habit
from tests.integration.dashboard.running import Dashboard, eventually
from tests.integration.dashboard.shapes import differences

pytestmark = pytest.mark.slow

API_PAGE = Path(__file__).parents[3] / "dashboard" / "API.md"
TOKENS = {"input": 100, "output": 50, "cache_read": 10, "cache_write": 0, "reasoning": 5}


@pytest.fixture
async def busy(dashboard: Dashboard, proxy: FakeProxy) -> Dashboard:
    """A dashboard that has seen something of everything."""
    proxy.restart(concurrency_limit_initial=2)
    proxy.arrive("r-0")
    running = {"client": "anna", "model": "glm-5.3", "request_bytes": 10, "response_bytes": 2000}
    proxy.arrive("r-1", started=time.time() - 3, **running)
    proxy.inside.refuse("r-0")
    proxy.inside.leave("r-0")
    proxy.arrive("r-2", client="anna", started=time.time() - 4)
    proxy.inside.report_quota(0.4, time.time() + 3600)
    proxy.count(9)
    proxy.count(1, "429")
    proxy.metrics.tokens.labels("input", "glm-5.3", "peak").inc(100)
    proxy.metrics.estimated_cost.labels("input", "glm-5.3", "peak").inc(0.5)
    proxy.metrics.zai_errors.labels("concurrency", "1302").inc()
    proxy.metrics.upstream_errors.labels("429").inc()
    for number, client in enumerate(("anna", "anna", "=ci()")):
        proxy.finish(
            client=client, session=f"s{number}", lane="main", path="/v1/messages", model="glm-5.3", cost_usd=0.5,
            tokens=TOKENS, response_bytes=5000, tokens_are="complete", first_byte=0.5, attempts=1, credits=2.0,
            user_agent="claude-cli/2.1" if client == "anna" else "",
        )  # fmt: skip
    proxy.finish(client="anna", status=499, error="write_error", cost_usd=0.25, tokens=TOKENS, model="glm-5.3")
    await dashboard.start()
    await eventually(lambda: dashboard.get("/api/requests"), lambda answer: answer["total"] == 4)
    await eventually(dashboard.now, lambda now: now["running"] and now["errors"])
    return dashboard


@pytest.mark.parametrize(
    ("question", "shape"),
    [
        ("/api/now", "Now"),
        ("/api/series?name=requests,duration,tokens,quota,workers,cache_hit", "Series"),
        ("/api/requests?sort=tokens&order=asc", "Requests"),
        ("/api/requests/1", "Request"),
        ("/api/breakdown?by=client&limit=1", "Breakdown"),
        ("/api/breakdown?by=hour&from=-30d", "Breakdown"),
        ("/api/targets", "Targets"),
    ],
)
async def test_every_answer_has_the_shape_that_is_described(busy: Dashboard, question: str, shape: str) -> None:
    document = await busy.get("/api/openapi.json")

    answer = (await busy.client.get(question)).json()

    assert differences(answer, {"$ref": f"#/components/schemas/{shape}"}, document) == []


@pytest.mark.parametrize(
    ("question", "shape"),
    [
        ("/api/now", "Now"),
        ("/api/requests", "Requests"),
        ("/api/breakdown?by=day", "Breakdown"),
        ("/api/targets", "Targets"),
    ],
)
async def test_before_any_proxy_has_answered_the_shapes_are_the_same(
    dashboard: Dashboard, proxy: FakeProxy, question: str, shape: str
) -> None:
    proxy.habit = Habit.FAILING
    await dashboard.start()
    document = await dashboard.get("/api/openapi.json")

    answer = (await dashboard.client.get(question)).json()

    assert differences(answer, {"$ref": f"#/components/schemas/{shape}"}, document) == []


async def test_events_have_the_shapes_of_the_answers(busy: Dashboard, proxy: FakeProxy) -> None:
    document = await busy.get("/api/openapi.json")
    shapes = {"now": "Now", "request": "Request", "alert": "AlertChange", "names": "Names"}
    seen: set[str] = set()

    async with busy.events("0.0") as events:
        await proxy.stop()
        while seen != set(shapes):
            event, data = await events.next()
            assert differences(data, {"$ref": f"#/components/schemas/{shapes[event.name]}"}, document) == []
            seen.add(event.name)


async def test_now_tells_what_runs_waits_and_goes_wrong(busy: Dashboard) -> None:
    now = await busy.now()

    assert now["health"]["headline"] == "Working: 1 of 1 places busy, 1 waiting."
    assert now["workers"] == {"busy": 2, "limit": 1, "wall": 20, "draining": False}
    assert now["running"][0]["tokens_estimated"] == 20  # 2000 bytes at 100 a token
    assert now["waiting"][0]["waited"] >= 4
    assert [move["text"] for move in now["limits"][0]["moves"]] == ["upstream 1302: 2 → 1 in flight"]
    assert now["quota"][0]["text"].startswith("five-hour window: 40 % used, resets ")
    assert now["per_minute"]["requests"] == 10
    assert now["per_minute"]["tokens"]["input"] == 100
    assert [(each["class"], each["count"]) for each in now["errors"]] == [("concurrency", 1)]


async def test_requests_are_filtered_sorted_and_paged(busy: Dashboard) -> None:
    first = await busy.get("/api/requests", client="anna", limit=2)
    second = await busy.get("/api/requests", client="anna", limit=2, after=first["next"])

    assert [each["request_id"] for each in first["requests"]] == ["request-4", "request-2"]
    assert [each["request_id"] for each in second["requests"]] == ["request-1"]
    assert (first["total"], second["next"]) == (3, None)
    cheapest = await busy.get("/api/requests", sort="cost_usd", order="asc", limit=1)
    assert cheapest["requests"][0]["request_id"] == "request-4"
    assert (await busy.get("/api/requests", outcome="aborted", status="4xx"))["total"] == 1
    assert (await busy.get("/api/requests", search="REQUEST-3"))["total"] == 1


async def test_usage_is_broken_down_with_what_was_wasted(busy: Dashboard) -> None:
    answer = await busy.get("/api/breakdown", by="client")

    assert answer["resolution"] == 0
    anna, ci = answer["rows"]
    assert (anna["key"], anna["requests"], anna["cost_usd"], anna["tokens"]["input"]) == ("anna", 3, 1.25, 300)
    assert anna["wasted"] == {"requests": 1, "tokens": 160, "cost_usd": 0.25}
    assert (anna["programs"], ci["programs"], answer["total"]["programs"]) == (["Claude Code"], [], [])
    assert (ci["key"], ci["credits"], ci["mean_duration"]) == ("=ci()", 2.0, 1.0)
    assert answer["total"]["requests"] == 4
    assert (anna["credits"], answer["total"]["credits"]) == (4.0, 6.0), "what is known of some counts"
    of_sessions = (await busy.get("/api/breakdown", by="session"))["rows"]
    assert {each["key"]: each["programs"] for each in of_sessions}["s0"] == ["Claude Code"]
    assert {each["key"]: each["credits"] for each in of_sessions} == {"s0": 2.0, "s1": 2.0, "s2": 2.0, None: None}
    assert [each["programs"] for each in (await busy.get("/api/breakdown", by="model"))["rows"]] == [[]]
    cut = await busy.get("/api/breakdown", by="client", limit=1)
    assert (cut["other"]["requests"], cut["other"]["key"]) == (1, None)


async def test_tables_and_charts_come_as_csv_that_no_spreadsheet_takes_for_formulas(busy: Dashboard) -> None:
    async def rows(question: str) -> list[dict[str, str]]:
        response = await busy.client.get(question)
        assert response.headers["content-type"] == "text/csv; charset=utf-8"
        assert response.headers["content-disposition"].startswith("attachment")
        return list(csv.DictReader(io.StringIO(response.text)))

    requests = await rows("/api/requests?format=csv")
    assert [each["client"] for each in requests] == ["anna", "'=ci()", "anna", "anna"]
    assert requests[0]["tokens_input"] == "100"
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", requests[0]["started"])
    usage = await rows("/api/breakdown?by=client&format=csv")
    assert usage[0]["wasted_cost_usd"] == "0.25"
    assert [each["programs"] for each in usage] == ["Claude Code", ""]
    series = await rows("/api/series?name=requests&step=3600&format=csv")
    assert sum(int(each["requests 200 (requests)"] or 0) for each in series) == 9


@pytest.mark.parametrize(
    ("question", "sentence"),
    [
        ("/api/series", "name: need one to 12 charts; see /api/docs"),
        ("/api/series?name=" + ",".join(["requests"] * 13), "name: need one to 12 charts; see /api/docs"),
        ("/api/series?name=latency", "there is no chart 'latency'; there are requests,"),
        ("/api/series?name=cost&by=client", "cost has lines by model, direction, not by 'client'"),
        ("/api/series?name=cost&from=yesterday", "from=yesterday: need Unix seconds, or a time before now like -15m"),
        ("/api/series?name=cost&from=20&to=10", "from and to: need a time before another"),
        ("/api/series?name=cost&step=0", "step=0: need a number of seconds"),
        ("/api/series?name=cost&target=x", "target=x: need a whole number"),
        ("/api/series?name=cost&format=xml", "format=xml: need one of json, csv"),
        ("/api/requests?limit=501", "limit=501: need a whole number from 1 to 500"),
        ("/api/requests?sort=colour", "sort=colour: need one of ended, duration"),
        ("/api/requests?status=ok", "status=ok: need a status like 200 or a class like 4xx"),
        ("/api/requests?after=!!!", "after: need what `next` of the page before said"),
        ("/api/requests?after=WzEsMiwzXQ==", "after: need what `next` of the page before said"),
        ("/api/requests?clint=anna", "there is no parameter 'clint' here"),
        ("/api/requests?search=" + "x" * 301, "search: need at most 300 characters"),
        ("/api/breakdown", "by=: need one of client, session"),
        ("/api/now/later", "there is nothing at /api/now/later"),
        ("/api/requests/none", "there is no such request (any more)"),
        ("/api/requests/" + "9" * 100, "there is no such request (any more)"),
    ],
)
async def test_a_wrong_question_is_answered_with_what_would_be_right(
    dashboard: Dashboard, question: str, sentence: str
) -> None:
    await dashboard.start()

    response = await dashboard.client.get(question)

    assert response.status_code == (404 if "there is no such" in sentence or "nothing at" in sentence else 400)
    assert response.json()["error"].startswith(sentence)


async def test_every_chart_answers_before_there_is_anything_to_show(dashboard: Dashboard) -> None:
    await dashboard.start()
    for name in ("requests", "duration", "quota", "cache_hit", "zai_proxy_no_such_thing"):
        for window in ("-15m", "-24h", "-30d", "-90d", "0"):
            answer = await dashboard.get("/api/series", name=name, **{"from": window})
            assert answer["charts"][0]["lines"] == []
            assert answer["points"] <= 720


async def test_the_description_is_a_page_without_anything_from_elsewhere(dashboard: Dashboard) -> None:
    await dashboard.start()

    page = (await dashboard.client.get("/api/docs")).text

    assert "<script" not in page
    assert not re.findall(r"(?:src|href)=\"(?:https?:)?//", page)
    for operation in OPERATIONS:
        assert operation.path in page


def test_the_written_description_names_everything_that_can_be_asked_for() -> None:
    text = API_PAGE.read_text()

    for operation in OPERATIONS:
        assert f"`{operation.method.upper()} {operation.path}`" in text
        assert all(f"`{name}`" in text or f"{name}=" in text for name in operation.parameters), operation.path


async def test_every_route_is_described(dashboard: Dashboard) -> None:
    document: dict[str, Any] = await (await dashboard.start()).get("/api/openapi.json")

    assert document["openapi"] == "3.1.0"
    assert {f"{method} {path}" for path, each in document["paths"].items() for method in each} == {
        f"{operation.method} {operation.path}" for operation in OPERATIONS
    }


async def test_without_a_built_page_a_plain_one_tells_what_goes_on(busy: Dashboard) -> None:
    page = (await busy.client.get("/")).text

    assert "Working: 1 of 1 places busy, 1 waiting." in page
    assert "/v1/messages" in page
    assert "<script" not in page


async def test_what_a_caller_calls_itself_is_no_markup(dashboard: Dashboard, proxy: FakeProxy) -> None:
    proxy.arrive("r-1", client="<script>alert(1)</script>")
    await dashboard.start()
    await eventually(dashboard.now, lambda now: now["running"])

    page = (await dashboard.client.get("/")).text

    assert "<script" not in page
    assert "&lt;script&gt;" in page


async def test_the_built_page_is_served_with_its_assets(dashboard: Dashboard, tmp_path: Path) -> None:
    static = tmp_path / "static"
    (static / "assets").mkdir(parents=True)
    (static / "index.html").write_text("<html>the page</html>")
    (static / "assets" / "index-abc123.js").write_text("console.log(1)")
    (tmp_path / "secret.txt").write_text("a secret")
    await dashboard.start()

    async def get(path: str) -> tuple[int, str, str]:
        response = await dashboard.client.get(path)
        return response.status_code, response.text, response.headers["cache-control"]

    assert await get("/") == (200, "<html>the page</html>", "no-cache")
    assert await get("/history") == (200, "<html>the page</html>", "no-cache")
    assert await get("/assets/index-abc123.js") == (200, "console.log(1)", "public, max-age=31536000, immutable")
    assert (await get("/assets/index-gone.js"))[0] == 404
    for path in (
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/assets/..%2f..%2fsecret.txt",
        "/%2fetc/passwd",
        "/a%00b.txt",
    ):
        status, text, _ = await get(path)
        assert "a secret" not in text
        assert status in (200, 404)
