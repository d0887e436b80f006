"""The charts and the sums of the page, in a real browser beside the real stack."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.running import DashboardProcess, Tab
from tests.browser.traffic import Caller
from tests.harness.stack import Stack
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.slow

expect.set_options(timeout=30_000)


@pytest.fixture
def caller(shared_stack: Stack) -> Iterator[Caller]:
    calling = Caller(shared_stack)
    yield calling
    calling.close()


def chart(page: Page, title: str) -> Locator:
    return page.get_by_role("region", name=title, exact=True)


def answered(dashboard: DashboardProcess) -> int:
    """How many answers with 200 the store knows of."""
    lines = dashboard.get("/api/series", name="requests", **{"from": "-15m"})["charts"][0]["lines"]
    return sum(line["total"] for line in lines if line["label"] == "200")


def crosshairs(page: Page) -> set[str]:
    """What stands below the charts: the moment under the crosshair, where there is one."""
    return {text.split(" · ")[0] for text in page.locator("figcaption > p").all_inner_texts()}


def query(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def test_a_chart_counts_what_the_simulated_z_ai_answered_and_can_be_saved(
    tab: Tab, caller: Caller, dashboard: DashboardProcess
) -> None:
    before = answered(dashboard)
    for _ in range(5):
        assert caller.ask().is_success
    wait_until(lambda: answered(dashboard) == before + 5, "the dashboard has looked at the proxy")

    page = tab.open("/history?from=-15m")

    requests = chart(page, "Requests by status")
    expect(requests.get_by_role("button", name=f"200 {before + 5}")).to_be_visible()
    expect(requests.get_by_role("img")).to_have_attribute("aria-label", re.compile(rf"200: {before + 5} in all"))
    with page.expect_download() as download:
        requests.get_by_role("link", name="Requests by status as CSV").click()
    rows = list(csv.DictReader(Path(download.value.path()).read_text().splitlines()))
    assert sum(int(row["requests 200 (requests)"] or 0) for row in rows) == before + 5


def test_a_brush_over_a_chart_zooms_all_of_them_and_there_are_two_ways_back(tab: Tab, caller: Caller) -> None:
    caller.ask()
    page = tab.open("/history?from=-15m")
    area = chart(page, "Requests by status").locator(".u-over")
    box = area.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + 40, steps=4)
    page.mouse.up()
    page.wait_for_url(re.compile(r"from=\d+&to=\d+"))
    assert 200 < int(query(page)["to"][0]) - int(query(page)["from"][0]) < 400

    page.go_back()
    assert query(page) == {"from": ["-15m"]}
    page.go_forward()
    page.get_by_role("button", name="Back to the last 15 minutes").click()
    assert query(page) == {"from": ["-15m"]}


def test_the_arrow_keys_move_one_crosshair_over_all_charts(tab: Tab, caller: Caller) -> None:
    caller.ask()
    page = tab.open("/history?from=-15m")
    chart(page, "Requests by status").get_by_role("img").focus()

    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")

    expect(page.locator("figcaption > p").first).to_contain_text(re.compile(r"\d\d:\d\d:\d\d"))
    assert len(crosshairs(page)) == 1
    page.keyboard.press("Escape")
    expect(page.locator("figcaption > p").first).to_have_text("Totals of the time shown")


def test_the_start_of_the_proxy_is_a_mark_whose_text_a_keyboard_reaches(tab: Tab) -> None:
    page = tab.open("/history?from=-1h")

    page.locator("summary").press("Enter")

    listed = page.get_by_role("listitem").filter(has_text=re.compile(r"127\.0\.0\.1:\d+ started"))
    expect(listed.first).to_be_visible()
    listed.first.get_by_role("button", name=re.compile("^Look closer")).press("Enter")
    page.wait_for_url(re.compile(r"from=\d+&to=\d+"))


def test_usage_says_what_a_session_used_and_what_came_to_nothing(
    tab: Tab, caller: Caller, dashboard: DashboardProcess
) -> None:
    spent = sum(caller.ask(output_tokens=80).json()["usage"]["output_tokens"] for _ in range(3))
    assert caller.ask(code="1308").status_code == 429
    seen = {"by": "session", "session": caller.session}
    wait_until(lambda: dashboard.get("/api/breakdown", **seen)["total"]["requests"] == 4, "all four are stored")

    page = tab.open(f"/usage?by=session&session={caller.session}")

    expect(page.get_by_text("1 of 4 requests (25 %) came to nothing: 1 failed.")).to_be_visible()
    cells = dict(
        zip(
            [re.sub(r"\W+$", "", head) for head in page.get_by_role("columnheader").all_inner_texts()],
            page.locator("tbody tr").first.locator("td").all_inner_texts(),
            strict=True,
        )
    )
    assert {name: cells[name] for name in ("Requests", "OK", "Failed", "Output")} == {
        "Requests": "4",
        "OK": "3",
        "Failed": "1",
        "Output": str(spent),
    }
    page.get_by_role("link", name=f"Requests of {caller.session}").click()
    expect(page.get_by_role("heading", name="Requests")).to_be_visible()
    assert query(page)["session"] == [caller.session]


def test_usage_by_client_leads_to_the_sessions_of_one(tab: Tab, caller: Caller, dashboard: DashboardProcess) -> None:
    caller.ask()
    wait_until(
        lambda: dashboard.get("/api/breakdown", by="session", session=caller.session)["rows"], "the request is stored"
    )
    page = tab.open("/usage?from=-1h")

    expect(page.locator("tbody")).to_contain_text("Claude Code")
    page.locator("tbody").get_by_role("link").first.click()

    expect(page.get_by_role("button", name="Session", exact=True)).to_have_attribute("aria-pressed", "true")
    assert query(page)["by"] == ["session"]
    page.get_by_role("button", name=re.compile("^Take away the filter client")).click()
    assert "client" not in query(page)


def test_charts_that_are_out_of_date_stay_and_say_so_until_the_dashboard_is_back(
    tab: Tab, caller: Caller, dashboard: DashboardProcess
) -> None:
    tab.may_lose_the_network = True
    caller.ask()
    page = tab.open("/history?from=-15m")
    expect(chart(page, "Requests by status").get_by_role("img")).to_be_visible()
    dashboard.kill()
    expect(page.get_by_text("The charts are not up to date")).to_be_visible()
    expect(chart(page, "Requests by status").get_by_role("img")).to_be_visible()

    dashboard.restart()

    expect(page.get_by_text("The charts are not up to date")).to_have_count(0)
