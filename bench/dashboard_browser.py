"""The page in Chromium: how soon something is painted, and whether it grows while it is left open."""

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM: Final = Path("/usr/bin/chromium")
_PAINTED: Final = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


@dataclass(frozen=True, slots=True)
class Visit:
    """`first_paint` in seconds, the median of some loads with nothing in the cache; `growth` in bytes of the heap."""

    first_paint: float
    growth: float


def look(url: str, loads: int, seconds: float) -> Visit:
    """Loads the page so many times, then leaves the table open for twice so long and compares the halves' ends."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        try:
            painted = [_first_paint(browser, url) for _ in range(loads + 1)]
            # What the browser itself needs for its first page is not the page's.
            return Visit(statistics.median(painted[1:]), _growth(browser, url, seconds))
        finally:
            browser.close()


def _first_paint(browser: Browser, url: str) -> float:
    page = browser.new_page()
    page.goto(url)
    milliseconds = page.wait_for_function(_PAINTED).json_value()
    page.close()
    return float(milliseconds) / 1000


def _growth(browser: Browser, url: str, seconds: float) -> float:
    page = browser.new_page()
    page.goto(f"{url}/requests")
    page.wait_for_timeout(1000 * seconds)
    before = _heap(page)
    page.wait_for_timeout(1000 * seconds)
    growth = _heap(page) - before
    page.close()
    return growth


def _heap(page: Page) -> float:
    """Bytes, once everything that can be forgotten is."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("Performance.enable")
    devtools.send("HeapProfiler.collectGarbage")
    metrics = {each["name"]: each["value"] for each in devtools.send("Performance.getMetrics")["metrics"]}
    devtools.detach()
    return float(metrics["JSHeapUsedSize"])
