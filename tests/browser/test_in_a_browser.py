"""The page in a real browser, beside the real proxy and the real dashboard.

A file is run by one process with one browser: the fewer of them, the fewer browsers at a time.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.an_hour import write_history
from tests.browser.running import PHONE, WIDE, DashboardProcess, Tab, new_tab
from tests.browser.traffic import Caller
from tests.harness.processes import ROOT
from tests.harness.shared_places import models_that_share
from tests.harness.stack import Stack, running_stack
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.slow

expect.set_options(timeout=30_000)

AXE = ROOT / "dashboard/frontend/node_modules/axe-core/axe.min.js"
PAGES = ("/", "/history", "/requests", "/usage")
CUT = "[...document.querySelectorAll('main section')].filter(e => e.scrollWidth > e.clientWidth).map(e => e.ariaLabel)"
"""The names of the parts of a page that are wider than their place."""


@pytest.fixture
def caller(stack: Stack) -> Iterator[Caller]:
    caller = Caller(stack)
    yield caller
    caller.close()


def rows(page: Page) -> Any:
    """Those of the table of finished requests, without what is open."""
    return page.get_by_role("region", name="Finished requests").locator("tbody tr:has(button[aria-expanded])")


# What it shows


def test_the_table_shows_what_the_simulated_z_ai_did(tab: Tab, caller: Caller, dashboard: DashboardProcess) -> None:
    answers = [caller.ask(output_tokens=70 + number) for number in range(4)] + [caller.ask(code="1308")]
    assert [answer.status_code for answer in answers] == [200] * 4 + [429]
    spent = sum(answer.json()["usage"]["output_tokens"] for answer in answers[:4])

    page = tab.open(f"/requests?session={caller.session}")

    expect(rows(page)).to_have_count(5)
    expect(page.get_by_text("5 requests", exact=True)).to_be_visible()
    expect(rows(page).filter(has_text="200 answered")).to_have_count(4)
    used = dashboard.get("/api/breakdown", by="session", session=caller.session)["total"]
    assert (used["requests"], used["ok"], used["failed"], used["tokens"]["output"]) == (5, 4, 1, spent)
    page.get_by_label("Status").select_option("429")
    expect(rows(page)).to_have_count(1)
    page.get_by_role("button", name=re.compile("^Details of")).click()
    expect(page.get_by_text("Z.AI answered 1308: 5-hour limit reached.")).to_be_visible()
    expect(page.get_by_text("Wait for the reset shown under quota, or buy a larger plan.")).to_be_visible()


def test_a_stream_is_listed_while_it_runs_and_then_among_the_finished_ones(
    tab: Tab, caller: Caller, stack: Stack
) -> None:
    page = tab.open("/")
    with caller.stream():
        listed = page.get_by_role("region", name="Running requests").get_by_role("row").nth(1)
        expect(listed).to_contain_text("/v1/messages")
        expect(listed).to_contain_text(caller.session[:8])
        expect(page.get_by_role("meter", name="Workers busy")).to_have_attribute(
            "aria-valuetext", re.compile("^1 running")
        )

    expect(page.get_by_text("Nothing runs", exact=True)).to_be_visible()
    page.get_by_role("link", name="Requests").click()
    page.get_by_label("Search").fill(caller.session)
    expect(rows(page)).to_have_count(1)
    expect(rows(page)).to_contain_text("499 client left")
    assert page.evaluate("location.search") == f"?search={caller.session}"


def test_new_requests_come_by_themselves_unless_they_are_told_to_wait(tab: Tab, caller: Caller) -> None:
    page = tab.open(f"/requests?session={caller.session}")
    expect(page.get_by_text("No request matches")).to_be_visible()
    caller.ask()
    expect(rows(page)).to_have_count(1)

    page.get_by_role("switch", name="Follow live").click()
    caller.ask()
    caller.ask()
    page.get_by_role("button", name="2 new").click()

    expect(rows(page)).to_have_count(3)
    expect(page.get_by_role("switch", name="Follow live")).to_have_attribute("aria-checked", "true")


def test_what_the_table_shows_can_be_saved(tab: Tab, caller: Caller) -> None:
    caller.ask()
    page = tab.open(f"/requests?session={caller.session}")
    expect(rows(page)).to_have_count(1)

    with page.expect_download() as download:
        page.get_by_role("link", name="Save as CSV").click()

    header, row = Path(download.value.path()).read_text().splitlines()
    assert dict(zip(header.split(","), row.split(","), strict=True))["session"] == caller.session


def test_a_long_table_has_pages_and_the_way_back(tab: Tab, caller: Caller, dashboard: DashboardProcess) -> None:
    caller.list_models(70)
    wait_until(
        lambda: dashboard.get("/api/breakdown", by="session", session=caller.session)["total"]["requests"] == 70,
        "all are known",
    )
    page = tab.open(f"/requests?session={caller.session}")
    expect(page.get_by_text("70 requests", exact=True)).to_be_visible()
    expect(rows(page)).to_have_count(50)
    pages = page.get_by_role("navigation", name="Pages of the table")
    expect(pages.get_by_role("button", name="Page before")).to_be_disabled()

    pages.get_by_role("button", name="Next page").click()
    expect(rows(page)).to_have_count(20)
    expect(pages.get_by_role("button", name="Next page")).to_be_disabled()
    pages.get_by_role("button", name="Page before").click()
    expect(rows(page)).to_have_count(50)


def test_an_address_that_names_a_request_shows_it_wherever_the_table_is(
    tab: Tab, caller: Caller, dashboard: DashboardProcess
) -> None:
    caller.ask(code="1308")
    wait_until(lambda: dashboard.get("/api/requests", session=caller.session)["requests"], "the request is known")
    [request] = dashboard.get("/api/requests", session=caller.session)["requests"]

    page = tab.open(f"/requests?session=nobody&open={request['id']}")

    expect(page.get_by_text("No request matches")).to_be_visible()
    expect(page.get_by_text("Z.AI answered 1308: 5-hour limit reached.")).to_be_visible()
    page.get_by_role("button", name="Close").click()
    expect(page.get_by_text("Z.AI answered 1308: 5-hour limit reached.")).to_have_count(0)
    page.get_by_role("button", name=re.compile("^Take away the filter session: nobody")).click()
    expect(rows(page).first).to_be_visible()


def test_a_client_that_z_ai_refuses_is_named_where_one_looks_first(tab: Tab, caller: Caller, stack: Stack) -> None:
    page = tab.open("/")
    stack.simulator.limit(refused_identities=["unloved-sdk"])
    unloved = Caller(stack, user_agent="unloved-sdk/1.2")
    unloved.ask()
    caller.ask()
    caller.ask()
    unloved.ask()

    expect(page.get_by_text(re.compile(r"^Z\.AI refuses this client: .+ \(unloved-sdk\)$")).first).to_be_visible()
    expect(page.get_by_text("Look at docs/clients.md#when-zai-refuses-a-client.").first).to_be_visible()

    page.get_by_role("link", name="Requests").click()
    page.get_by_label("Search").fill(unloved.session)
    expect(rows(page)).to_have_count(2)
    rows(page).first.get_by_role("button").click()
    expect(page.get_by_role("main").get_by_text("Z.AI refuses this client: ")).to_be_visible()

    stack.simulator.reset()
    assert unloved.ask().is_success
    unloved.close()
    page.get_by_role("link", name="Now").click()
    expect(page.get_by_role("main").get_by_text("Z.AI refuses this client: ")).to_have_count(0)


def test_who_misses_the_prompt_cache_is_told_with_what_that_costs(tab: Tab, caller: Caller) -> None:
    card = tab.open("/").get_by_role("region", name="Prompt cache")
    for tokens in range(20_000, 28_000, 1000):
        caller.ask(input_tokens=tokens)

    expect(card).to_contain_text(re.compile(r"Claude Code: \d+ % cached, could be \d\d %"))
    expect(card).to_contain_text(re.compile(r"\$\d\.\d\d and \d+ credits an hour"))
    expect(card).to_contain_text("CACHE_DOCTOR=on finds out what changes.")


def test_what_was_learned_is_a_table_by_model(browser: Browser, tmp_path: Path) -> None:
    with running_stack(tmp_path, PACING="on", MAX_RETRIES="0") as paced:
        caller = Caller(paced)
        beside = DashboardProcess(tmp_path, f"{paced.metrics_url}/metrics")
        try:
            assert [caller.ask(code="1302").status_code, caller.ask().status_code] == [429, 200]
            with new_tab(browser, beside.url) as tab:
                tab.sign_in(beside.token)
                page = tab.open("/")

                table = page.get_by_role("region", name="Places by model")
                expect(table.get_by_role("row")).to_have_count(2)
                row = table.get_by_role("row").filter(has_text="glm-5.3")
                expect(row).to_contain_text("3 → 1, refused with 1302")
                assert row.get_by_role("cell").all_inner_texts()[:4] == ["glm-5.3", "0", "1", "0"]
        finally:
            beside.kill()
            caller.close()


def test_a_model_that_shares_its_places_says_with_which_other(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "limits.json").write_text(json.dumps(models_that_share("glm-5.3", "glm-4.7", places=6)))
    with running_stack(tmp_path, PACING="on", STATE_DIR=str(tmp_path)) as paced:
        caller = Caller(paced)
        beside = DashboardProcess(tmp_path, f"{paced.metrics_url}/metrics")
        try:
            assert caller.ask().status_code == 200
            with new_tab(browser, beside.url) as tab:
                tab.sign_in(beside.token)
                page = tab.open("/")

                table = page.get_by_role("region", name="Places by model")
                for model, other in (("glm-5.3", "glm-4.7"), ("glm-4.7", "glm-5.3")):
                    cell = table.get_by_role("cell", name=f"{model} shares 6 places with {other}, 0 in use", exact=True)
                    expect(cell).to_be_visible()
                for size in (PHONE, {"width": 520, "height": 800}, WIDE):
                    page.set_viewport_size(size)
                    assert page.evaluate(CUT) == [], size
        finally:
            beside.kill()
            caller.close()


def test_of_two_proxies_one_can_be_looked_at_alone(
    browser: Browser, stack: Stack, caller: Caller, tmp_path: Path
) -> None:
    with running_stack(tmp_path) as other:
        elsewhere = Caller(other)
        beside = DashboardProcess(tmp_path, f"{stack.metrics_url}/metrics,{other.metrics_url}/metrics")
        try:
            caller.ask()
            elsewhere.ask()
            sessions = {caller.session, elsewhere.session}
            wait_until(lambda: sessions <= sessions_of(beside), "both are known")
            with new_tab(browser, beside.url) as tab:
                tab.sign_in(beside.token)
                page = tab.open("/usage?by=session")
                used = page.get_by_role("region", name="Usage by session")
                expect(used).to_contain_text(caller.session[:8])
                expect(used).to_contain_text(elsewhere.session[:8])

                page.get_by_label("Proxy").select_option(label=f"127.0.0.1:{other.metrics_port}")

                expect(used).not_to_contain_text(caller.session[:8])
                expect(used).to_contain_text(elsewhere.session[:8])
                assert tab.problems == []
        finally:
            elsewhere.close()
            beside.kill()


def sessions_of(dashboard: DashboardProcess) -> set[str]:
    return {each["session"] for each in dashboard.get("/api/requests")["requests"]}


def test_usage_adds_up_what_the_simulated_z_ai_did(tab: Tab, caller: Caller, dashboard: DashboardProcess) -> None:
    for tokens in (70, 71, 72):
        caller.ask(output_tokens=tokens, input_tokens=1000)
    caller.ask(code="1308")
    wait_until(
        lambda: dashboard.get("/api/breakdown", by="session", session=caller.session)["total"]["requests"] == 4,
        "all four are known",
    )

    page = tab.open(f"/usage?by=session&session={caller.session}")

    used = page.get_by_role("region", name="Usage by session").get_by_role("row").nth(1)
    cells = used.get_by_role("cell")
    expect(cells.filter(has_text=re.compile("^4$"))).to_have_count(1)
    expect(cells.filter(has_text=re.compile("^213$"))).to_have_count(1)


def test_an_hour_of_history_is_on_the_page(browser: Browser, stack: Stack, tmp_path: Path) -> None:
    count = write_history(tmp_path / "dashboard.db", seconds=3000)
    beside = DashboardProcess(tmp_path, f"{stack.metrics_url}/metrics")
    try:
        with new_tab(browser, beside.url) as tab:
            tab.sign_in(beside.token)
            page = tab.open("/history?from=-1h")

            chart = page.get_by_role("region", name="Requests by status")
            expect(chart.get_by_role("button", name=f"200 {count}")).to_be_visible()
            assert tab.problems == []
    finally:
        beside.kill()


# What it does


def test_a_request_that_is_ended_on_the_page_breaks_off_for_the_client_and_frees_its_place(
    stranger: Tab, dashboard: DashboardProcess, caller: Caller, stack: Stack
) -> None:
    page = stranger.open("/")
    page.get_by_label("Token").fill(dashboard.token)
    page.get_by_role("button", name="Sign in").click()
    with caller.stream() as pieces:
        page.get_by_role("button", name=re.compile("^End .*glm-5.3|^End .*messages")).click()
        page.get_by_role("button", name="End it").click()

        with pytest.raises(httpx.HTTPError):
            list(pieces)

    expect(page.get_by_text("Nothing runs", exact=True)).to_be_visible()
    wait_until(lambda: stack.simulator.log()[-1]["aborted"] is True, "Z.AI was told")
    wait_until(lambda: stack.metric("zai_proxy_concurrent_requests") == 0, "the place is free")


def test_a_name_is_given_with_the_keyboard_and_every_open_page_shows_it(
    browser: Browser, tab: Tab, caller: Caller, dashboard: DashboardProcess
) -> None:
    caller.ask()
    page = tab.open(f"/requests?session={caller.session}")
    expect(rows(page)).to_have_count(1)
    with new_tab(browser, dashboard.url) as other:
        other.sign_in(dashboard.token)
        elsewhere = other.open("/usage?by=session").get_by_role("region", name="Usage by session")
        expect(elsewhere).to_contain_text(caller.session[:8])

        page.get_by_role("button", name=re.compile("^Details of")).click()
        press_until(page, "Tab", f"Name session {caller.session}")
        page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog", name="Names")
        expect(dialog.get_by_role("textbox")).to_be_focused()
        assert violations(page) == {}
        page.set_viewport_size(WIDE)
        page.keyboard.type("  the big refactoring ")
        page.keyboard.press("Enter")

        expect(dialog).to_have_count(0)
        expect(rows(page)).to_contain_text("the big refactoring")
        expect(elsewhere).to_contain_text("the big refactoring")
        assert other.problems == []
    with caller.stream():
        page.get_by_role("link", name="Now").click()
        running = page.get_by_role("region", name="Running requests")
        expect(running).to_contain_text("the big refactoring")
        expect(running).to_contain_text("Claude Code")
    page.reload()
    page.get_by_role("link", name="Usage").click()
    page.get_by_role("button", name="Session", exact=True).click()
    page.get_by_role("button", name=f"Name session the big refactoring ({caller.session})").click()
    page.get_by_role("dialog", name="Names").get_by_role("textbox").fill("")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("the big refactoring")).to_have_count(0)
    expect(page.get_by_role("region", name="Usage by session")).to_contain_text(caller.session)


def test_a_wrong_token_is_told_and_the_right_one_leads_where_one_wanted_to_go(
    stranger: Tab, dashboard: DashboardProcess
) -> None:
    stranger.may_lose_the_network = True  # a form that is answered with 401
    page = stranger.open("/requests?outcome=failed")
    page.get_by_label("Token").fill("not this one")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()

    page.get_by_label("Token").fill(dashboard.token)
    page.get_by_role("button", name="Sign in").click()

    expect(page.get_by_role("heading", name="Requests")).to_be_visible()
    assert page.evaluate("location.pathname + location.search") == "/requests?outcome=failed"


def test_a_session_that_has_ended_leads_to_the_form_and_back(tab: Tab, dashboard: DashboardProcess) -> None:
    tab.may_lose_the_network = True  # the question that is answered with 401
    page = tab.open("/")
    expect(page.get_by_role("meter", name="Workers busy")).to_be_visible()
    tab.context.clear_cookies()

    page.get_by_role("link", name="Requests").click()

    expect(page.get_by_label("Token")).to_be_visible()
    assert page.evaluate("location.search") == "?next=%2Frequests"


# When something goes away


def test_a_dashboard_that_is_killed_is_missed_and_its_return_noticed_without_loading_the_page_anew(
    tab: Tab, dashboard: DashboardProcess, caller: Caller
) -> None:
    tab.may_lose_the_network = True
    page = tab.open(f"/requests?session={caller.session}")
    expect(page.get_by_text("No request matches")).to_be_visible()
    page.evaluate("window.isTheSame = true")
    dashboard.kill()
    expect(page.get_by_text(re.compile(r"Connection lost, since \d+ s"))).to_be_visible()
    caller.ask()

    dashboard.restart()

    expect(page.get_by_text("Connection lost")).to_have_count(0)
    expect(rows(page)).to_have_count(1)
    assert page.evaluate("window.isTheSame") is True


def test_a_proxy_that_is_killed_is_shown_as_silent_until_it_is_back(tab: Tab, caller: Caller, stack: Stack) -> None:
    page = tab.open("/")
    expect(page.get_by_role("meter", name="Workers busy")).to_be_visible()
    stack.processor.kill()
    expect(page.get_by_text(re.compile("has not answered for")).first).to_be_visible()
    expect(page.get_by_text("0 of 1 proxy")).to_be_visible()

    stack.restart_processor()

    expect(page.get_by_text("0 of 1 proxy")).to_have_count(0)
    stack.envoy.kill()
    stack.restart_envoy()
    caller.ask()
    page.get_by_role("link", name="Requests").click()
    page.get_by_label("Search").fill(caller.session)
    expect(rows(page)).to_have_count(1)


# For everybody


def test_the_keyboard_alone_is_enough(tab: Tab, caller: Caller) -> None:
    caller.ask()
    page = tab.open(f"/requests?session={caller.session}")
    expect(rows(page)).to_have_count(1)
    press_until(page, "Tab", "Skip to the content")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"

    press_until(page, "Tab", "Details of")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Sent to Z.AI")).to_be_visible()
    assert re.search(r"open=\d+", page.evaluate("location.search"))

    press_until(page, "Shift+Tab", "Now")
    page.keyboard.press("Enter")
    with caller.stream():
        expect(page.get_by_role("button", name=re.compile("^End "))).to_be_visible()
        press_until(page, "Tab", "End ")
        page.keyboard.press("Enter")
        expect(page.get_by_role("dialog")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)


def press_until(page: Page, key: str, name: str) -> None:
    """Goes on with the keyboard until something with this name has the focus."""
    named = "document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent"
    for _ in range(60):
        page.keyboard.press(key)
        if page.evaluate(named).startswith(name):
            return
    raise AssertionError(f"{key} leads nowhere near {name!r}")


@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_nothing_on_a_page(tab: Tab, caller: Caller, path: str) -> None:
    caller.ask()
    caller.ask(code="1308")
    page = tab.open(path)
    if path == "/requests":
        page.get_by_role("button", name=re.compile("^Details of")).first.click()
    with caller.stream():
        expect(page.locator("h1")).to_be_visible()
        expect(page.locator(".animate-pulse")).to_have_count(0)

        assert violations(page) == {}


def test_axe_finds_nothing_on_the_form_to_sign_in(stranger: Tab) -> None:
    page = stranger.open("/login")

    assert violations(page) == {}


def violations(page: Page) -> dict[str, list[str]]:
    """What axe has to say against it, wide and on a phone, light and dark, by the rule."""
    page.evaluate(AXE.read_text())
    found: dict[str, list[str]] = {}
    for size in (WIDE, PHONE):
        page.set_viewport_size(size)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            for rule in page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]:
                found[f"{rule['id']}, {size['width']} px, {scheme}"] = [node["html"][:300] for node in rule["nodes"]]
    return found


@pytest.mark.parametrize("path", PAGES)
def test_neither_a_phone_nor_a_usual_screen_has_to_be_scrolled_sideways(tab: Tab, caller: Caller, path: str) -> None:
    caller.ask()
    page = tab.open(path)
    if path == "/usage":
        expect(page.get_by_role("region", name="Usage by client").get_by_role("row").nth(1)).to_be_visible()
    for size in (PHONE, WIDE):
        page.set_viewport_size(size)
        expect(page.locator(".animate-pulse")).to_have_count(0)

        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        assert page.evaluate(CUT) == []


# For hours


def test_a_page_that_is_left_open_does_not_grow(tab: Tab, caller: Caller) -> None:
    """1,200 requests are a minute at 20/s: the first half fills all that the page keeps, the second adds nothing."""
    page = tab.open(f"/requests?session={caller.session}")
    expect(page.get_by_text("No request matches")).to_be_visible()
    caller.list_models(600)
    expect(page.get_by_text("600 requests", exact=True)).to_be_visible()
    before = heap(page)

    caller.list_models(600)

    expect(page.get_by_text("1,200 requests", exact=True)).to_be_visible()
    assert rows(page).count() <= 100
    after = heap(page)
    assert after["JSHeapUsedSize"] - before["JSHeapUsedSize"] < 2 * 2**20
    assert after["Nodes"] < 1.5 * before["Nodes"] + 500


def heap(page: Page) -> dict[str, float]:
    """Bytes of the heap and nodes of the document, once everything that can be forgotten is."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("Performance.enable")
    devtools.send("HeapProfiler.collectGarbage")
    found = devtools.send("Performance.getMetrics")["metrics"]
    devtools.detach()
    return {each["name"]: each["value"] for each in found}
