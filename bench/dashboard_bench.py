"""`python -m bench.dashboard_bench`: what the dashboard costs and how fast it answers, beside 5 proxies for 30 days."""

import asyncio
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click
import httpx
from rich.console import Console
from rich.table import Table

from bench import usage
from bench.dashboard_browser import CHROMIUM, look
from bench.dashboard_history import make_history
from bench.dashboard_readers import listen
from bench.failure import BenchError
from tests.harness.ports import free_port

_TARGETS: Final = 5
# Of all proxies together, each second: while the collector is measured, and while a page is open.
_REQUESTS: Final = 10.0
_REQUESTS_OF_THE_PAGE: Final = 20.0
_DAYS: Final = 30
_READERS: Final = 200
_LONGEST_CPU: Final = 0.03
_QUIET: Final = 0.1
_MOST_MEMORY: Final = 80e6
_LARGEST_FILE: Final = 500e6
_MEGABYTE: Final = 1e6
_SLOWEST: Final = 0.1
_REPEATS: Final = 7
_LATEST_PAINT: Final = 1.0
_MOST_GROWTH: Final = 1e6
_CHARTS: Final = ("requests", "duration", "first_byte", "wait", "tokens", "cost", "workers", "cache_hit")
_WINDOWS: Final = ("15m", "1h", "6h", "24h", "3d", "7d", "30d", "90d")
_TABLES: Final = (
    "/api/now",
    "/api/targets",
    "/api/requests",
    "/api/requests?client=client-3&status=5xx",
    "/api/requests?sort=duration",
    "/api/requests?search=session",
    "/api/breakdown?by=client&from=-1h",
    "/api/breakdown?by=client&from=-24h",
    "/api/breakdown?by=session&from=-7d",
    "/api/breakdown?by=model&from=-30d",
    "/api/breakdown?by=day&from=-30d",
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One measured number. `goal` is the largest that it should be, None where there is none."""

    what: str
    value: float
    unit: str
    goal: float | None = None

    @property
    def is_reached(self) -> bool:
        return self.goal is None or self.value <= self.goal


@click.command()
@click.option("--quick", is_flag=True, help="A day instead of 30 and a few seconds: shows that it works.")
@click.option("--strict", is_flag=True, help="Exit with 1 if a goal is missed.")
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), default=Path("build/bench"))
def main(quick: bool, strict: bool, output: Path) -> None:
    """Measure the dashboard: 5 proxies, 30 days of history, 200 readers."""
    with tempfile.TemporaryDirectory(prefix="zai-dashboard-bench-") as directory:
        try:
            findings = _measure(Path(directory), quick)
        except BenchError as error:
            raise click.ClickException(str(error)) from None
    output.mkdir(parents=True, exist_ok=True)
    about = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": quick,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
    document = {"about": about, "findings": [{**asdict(each), "is_reached": each.is_reached} for each in findings]}
    (output / "dashboard.json").write_text(json.dumps(document, indent=1) + "\n")
    _show(findings)
    sys.exit(1 if strict and not all(each.is_reached for each in findings) else 0)


def _measure(directory: Path, quick: bool) -> list[Finding]:
    path, now = directory / "dashboard.db", time.time()
    began = time.monotonic()
    make_history(path, now, _TARGETS, 1 if quick else _DAYS, **({"requests": 20_000} if quick else {}))
    click.echo(f"made {1 if quick else _DAYS} days of history in {time.monotonic() - began:.0f} s", err=True)
    findings = [Finding("size of the store", path.stat().st_size / _MEGABYTE, "MB", _LARGEST_FILE / _MEGABYTE)]
    seconds = 5.0 if quick else 40.0
    with _running(directory, path, _REQUESTS) as (url, pid):
        with httpx.Client(base_url=url, timeout=60) as client:
            _wait_until_up(client)
            _wait_until_quiet(pid)
            findings.append(Finding("CPU of its start, the store looked through", usage.cpu_seconds(pid), "s"))
            findings += _rest(pid, seconds)
            findings += _queries(client, 2 if quick else _REPEATS)
        findings += _fan_out(url, pid, seconds / 2)
    with _running(directory, path, _REQUESTS_OF_THE_PAGE) as (url, _):
        with httpx.Client(base_url=url, timeout=60) as client:
            _wait_until_up(client)
        return findings + _page(url, quick)


def _rest(pid: int, seconds: float) -> list[Finding]:
    """The collector alone: nobody looks at the page."""
    before = usage.cpu_seconds(pid)
    time.sleep(seconds)
    cpu = (usage.cpu_seconds(pid) - before) / seconds
    return [
        Finding("CPU of the collector", 100 * cpu, "% of a core", 100 * _LONGEST_CPU),
        Finding("memory of the collector", _memory(pid), "MB", _MOST_MEMORY / _MEGABYTE),
    ]


def _memory(pid: int) -> float:
    """Resident, in megabytes."""
    return 1024 * usage.resident_kib(pid) / _MEGABYTE


def _queries(client: httpx.Client, repeats: int) -> list[Finding]:
    findings = []
    for window in _WINDOWS:
        slowest = ("", 0.0)
        for chart in _CHARTS:
            taken = _time(client, f"/api/series?name={chart}&from=-{window}", repeats)
            slowest = max(slowest, (chart, taken), key=lambda pair: pair[1])
        findings.append(Finding(f"slowest chart of {window}: {slowest[0]}", 1000 * slowest[1], "ms", 1000 * _SLOWEST))
    taken = _time(client, "/api/series?name=requests&from=-24h&target=3", repeats)
    findings.append(Finding("chart of one proxy, 24h", 1000 * taken, "ms", 1000 * _SLOWEST))
    taken = _time(client, f"/api/series?name={','.join(_CHARTS)}&from=-24h", repeats)
    findings.append(Finding("all charts of a page at once, 24h", 1000 * taken, "ms"))
    findings += [Finding(path, 1000 * _time(client, path, repeats), "ms") for path in _TABLES]
    return findings


def _time(client: httpx.Client, path: str, repeats: int) -> float:
    """Seconds, the median of some questions after a first."""
    taken = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        client.get(path).raise_for_status()
        taken.append(time.perf_counter() - began)
    return sorted(taken[1:])[repeats // 2]


def _fan_out(url: str, pid: int, seconds: float) -> list[Finding]:
    before = usage.cpu_seconds(pid)
    found = asyncio.run(listen(url, _READERS, seconds))
    cpu = (usage.cpu_seconds(pid) - before) / seconds
    return [
        Finding(f"CPU with {_READERS} readers", 100 * cpu, "% of a core"),
        Finding(f"memory with {_READERS} readers", _memory(pid), "MB"),
        Finding("events to all readers", found.events / seconds, "1/s"),
        Finding("a request's way to a reader, median", 1000 * found.delay(0.5), "ms"),
        Finding("a request's way to a reader, 99 %", 1000 * found.delay(0.99), "ms"),
    ]


def _page(url: str, quick: bool) -> list[Finding]:
    if not CHROMIUM.exists():
        click.echo(f"the page is not measured: {CHROMIUM} is not installed (make setup-system)", err=True)
        return []
    seconds = 3.0 if quick else 60.0
    visit = look(url, 1 if quick else _REPEATS, seconds)
    return [
        Finding("first paint of the page", 1000 * visit.first_paint, "ms", 1000 * _LATEST_PAINT),
        Finding(f"growth of the page in {seconds:.0f} s", visit.growth / _MEGABYTE, "MB", _MOST_GROWTH / _MEGABYTE),
    ]


@contextmanager
def _running(directory: Path, path: Path, requests: float) -> Iterator[tuple[str, int]]:
    """Five proxies with so many requests a second in all, and a dashboard on this store; its address and process."""
    ports = [free_port() for _ in range(_TARGETS + 1)]
    proxies = [sys.executable, "-m", "bench.dashboard_proxies", str(requests / _TARGETS), *map(str, ports[1:])]
    settings = {
        "SCRAPE_TARGETS": ",".join(f"http://127.0.0.1:{port}/metrics" for port in ports[1:]),
        "DB_PATH": str(path),
        "DASHBOARD_PORT": str(ports[0]),
        "LOG_LEVEL": "error",
    }
    log = (directory / "log").open("wb")
    with (
        log,
        subprocess.Popen(proxies, stdout=log, stderr=log) as busy,
        subprocess.Popen(
            [sys.executable, "-m", "dashboard"], env={**os.environ, **settings}, stdout=log, stderr=log
        ) as dashboard,
    ):
        try:
            yield f"http://127.0.0.1:{ports[0]}", dashboard.pid
        finally:
            busy.kill()
            dashboard.terminate()


def _wait_until_up(client: httpx.Client) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            targets: list[dict[str, Any]] = client.get("/api/targets").raise_for_status().json()["targets"]
        except httpx.HTTPError:
            targets = []
        if len(targets) == _TARGETS and all(each["state"] == "up" for each in targets):
            return
        time.sleep(0.1)
    raise BenchError("the dashboard did not get ready within a minute")


def _wait_until_quiet(pid: int) -> None:
    """Until a second passed in which it took little of the CPU: it has looked through its store once."""
    deadline, before = time.monotonic() + 120, usage.cpu_seconds(pid)
    while time.monotonic() < deadline:
        time.sleep(1)
        now = usage.cpu_seconds(pid)
        if now - before < _QUIET:
            return
        before = now
    raise BenchError("the dashboard did not come to rest within two minutes")


def _show(findings: list[Finding]) -> None:
    table = Table(title=f"Dashboard: {_TARGETS} proxies, {_DAYS} days")
    for column, justify in (("", "left"), ("measured", "right"), ("goal", "right"), ("", "left")):
        table.add_column(column, justify="right" if justify == "right" else "left", overflow="fold")
    for each in findings:
        goal = "" if each.goal is None else f"< {each.goal:g} {each.unit}"
        table.add_row(each.what, f"{each.value:.1f} {each.unit}", goal, "" if each.is_reached else "missed")
    Console().print(table)


if __name__ == "__main__":
    main()
