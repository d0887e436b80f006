"""The pictures of the dashboard in README and docs: a small team beside a simulated Z.AI, the same each time.

Real parts all the way. Only the hours before are made up, of what the proxy counted in the last minute.
"""

import math
import random
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import httpx
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from bench.screenshot_team import MEMBERS, Member, work
from dashboard.domain.exposition import PageReader
from dashboard.domain.finished import read_finished
from dashboard.domain.rates import Reading, increase
from dashboard.domain.samples import SeriesKey
from dashboard.store.file import StoreFile
from dashboard.store.samples import TargetSample
from dashboard.store.targets import FeedPosition
from tests.browser.running import DashboardProcess
from tests.harness.processes import ROOT, bare_environment
from tests.harness.stack import ZAI_PROXY, Stack, running_stack

IMAGES: Final = ROOT / "docs/images"
CHROMIUM: Final = "/usr/bin/chromium"
LARGEST: Final = 300_000
SIZE: Final = {"width": 1280, "height": 800}
PLAN: Final = (
    "--speed", "60", "--concurrency", "7", "--model-concurrency", "glm-5.3=4", "--model-concurrency", "glm-4.7=1",
    "--five-hour-credits", "2400", "--five-hour-seconds", "600",
    "--weekly-credits", "8000", "--weekly-seconds", "1800",
)  # fmt: skip
_WATCHED_SECONDS: Final = 45
_LOOK_SECONDS: Final = 1.5
_HOURS: Final = 6 * 3600.0
_ROUND: Final = 10.0
_LOOKS_A_ROUND: Final = 5
_TIMES_AS_MANY: Final = 40


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="zai-proxy-screenshots-") as directory, _team(Path(directory)) as stack:
        growth, finished = _watch(stack, Path(directory))
        path = Path(directory) / "hours"
        path.mkdir()
        _write_hours(path / "dashboard.db", growth, finished)
        dashboard = DashboardProcess(path, f"{stack.metrics_url}/metrics")
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
                for scheme in ("light", "dark"):
                    _take(browser, dashboard, scheme)
                browser.close()
        finally:
            dashboard.kill()


@contextmanager
def _team(directory: Path) -> Iterator[Stack]:
    """The proxy with everybody at work until the block ends."""
    file = directory / "tokens.json"
    tokens = {member.name: _token(file, member.name) for member in MEMBERS}
    with running_stack(
        directory,
        *PLAN,
        CLIENT_TOKENS_FILE=str(file),
        PACING="on",
        CONCURRENCY_LIMIT_INITIAL="7",
        QUOTA_POLL_INTERVAL="5",
        MAX_WORKERS="12",
    ) as stack:
        stop = threading.Event()
        threads = [
            threading.Thread(target=_work, args=(stack.url, tokens[member.name], member, number, stop), daemon=True)
            for member in MEMBERS
            for number in range(member.at_once)
        ]
        for thread in threads:
            thread.start()
        try:
            yield stack
        finally:
            stop.set()


def _token(file: Path, name: str) -> str:
    command = [str(ZAI_PROXY), "token", "add", name]
    environment = bare_environment(CLIENT_TOKENS_FILE=str(file))
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    return output.split()[-1]


def _work(url: str, token: str, member: Member, number: int, stop: threading.Event) -> None:
    # The proxy is stopped while they work.
    with suppress(httpx.HTTPError), httpx.Client(base_url=url, timeout=60) as client:
        work(client, token, member, number, stop)


Growth = tuple[Mapping[SeriesKey, float], Mapping[SeriesKey, float]]


def _watch(stack: Stack, directory: Path) -> tuple[list[Growth], list[dict[str, Any]]]:
    """What the counters grew by and the gauges stood at, look by look, and what finished meanwhile."""
    reader, before, growth = PageReader(), None, list[Growth]()
    dashboard = DashboardProcess(directory, f"{stack.metrics_url}/metrics")
    try:
        for number in range(int(_WATCHED_SECONDS / _LOOK_SECONDS)):
            page = reader.read(httpx.get(f"{stack.metrics_url}/metrics").raise_for_status().text)
            reading = Reading(float(number), float(number), None, dict(page.counters))
            if before is not None:
                growth.append((increase(before, reading).amounts, dict(page.gauges)))
            before = reading
            time.sleep(_LOOK_SECONDS)
        finished: list[dict[str, Any]] = dashboard.get("/api/requests", limit=500)["requests"]
    finally:
        dashboard.kill()
    return growth[len(growth) // 5 :], finished


def _write_hours(path: Path, growth: list[Growth], finished: list[dict[str, Any]]) -> None:
    chance, now = random.Random(7), time.time()
    file = StoreFile(path, lambda: now)
    try:
        target = file.target("http://127.0.0.1:9/metrics").id
        totals: dict[SeriesKey, float] = {}
        for number in range(int(_HOURS / _ROUND)):
            at = now - _HOURS + number * _ROUND
            looks = chance.choices(growth, k=round(_LOOKS_A_ROUND * _wave(number * _ROUND)))
            grown: dict[SeriesKey, float] = {}
            for amounts, _ in looks:
                for key, amount in amounts.items():
                    grown[key] = grown.get(key, 0.0) + amount
            for key, amount in grown.items():
                totals[key] = totals.get(key, 0.0) + amount
            gauges = chance.choice(growth)[1]
            file.save_round(
                at, _ROUND, [TargetSample(target, _ROUND, grown, gauges, Reading(at, None, 0.0, totals), None)]
            )
        _write_requests(file, target, chance, now, finished)
    finally:
        file.close()


def _wave(seconds: float) -> float:
    """How busy the team is, 0.4 to 1.4: nobody works evenly."""
    return 0.9 + 0.35 * math.sin(seconds / 2500) + 0.15 * math.sin(seconds / 600)


def _write_requests(
    file: StoreFile, target: int, chance: random.Random, now: float, finished: list[dict[str, Any]]
) -> None:
    moments = sorted(now - chance.random() * _HOURS for _ in range(len(finished) * _TIMES_AS_MANY))
    rows = []
    for number, at in enumerate(moments):
        row = chance.choice(finished)
        changed = {"id": row["running_id"], "started": at - row["duration"], "request_id": str(uuid.uuid4())}
        rows.append(read_finished(f"made-{number}", {**row, **changed}))
    file.save_requests(target, rows, FeedPosition("made", len(rows)))


def _take(browser: Browser, dashboard: DashboardProcess, scheme: Any) -> None:
    context = browser.new_context(viewport=SIZE, color_scheme=scheme, reduced_motion="reduce")
    context.request.post(f"{dashboard.url}/login", form={"token": dashboard.token}, max_redirects=0)
    page = context.new_page()
    for name, address in (
        ("now", "/"),
        ("history", "/history?from=-6h"),
        ("requests", "/requests"),
        ("usage", "/usage"),
    ):
        page.goto(dashboard.url + address)
        _settle(page, name)
        _save(page, f"{name}-{scheme}")
        if name == "now":
            _save(page.get_by_role("region", name="Learned limits"), f"limits-{scheme}")
    context.close()


def _save(shown: Page | Locator, name: str) -> None:
    picture = IMAGES / f"dashboard-{name}.png"
    shown.screenshot(path=picture)
    if picture.stat().st_size > LARGEST:
        raise SystemExit(f"{picture}: {picture.stat().st_size} bytes, need at most {LARGEST}")
    sys.stdout.write(f"{picture.relative_to(ROOT)}\n")


def _settle(page: Page, name: str) -> None:
    """Until there is something to see, and a moment more for the numbers of the minute."""
    page.locator("main h1").first.wait_for(state="attached")
    # Not a function that the page evaluates: its policy forbids that.
    expect(page.locator(".animate-pulse")).to_have_count(0, timeout=60_000)
    page.wait_for_timeout(3000)
    if name == "requests":
        page.get_by_role("region", name="Finished requests").locator("tbody tr").first.click()
        page.wait_for_timeout(500)


if __name__ == "__main__":
    main()
