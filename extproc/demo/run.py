"""`zai-proxy demo`: the proxy in front of a simulated Z.AI, with sample traffic and a live look at what it counts.

The numbers come from /metrics and /status, as anyone else would read them.
"""

import asyncio
import ipaddress
import os
import secrets
import string
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import IO, Final, Protocol, cast

import httpx
from rich.console import Console
from rich.live import Live

from common import logs, ports
from extproc.demo import conversation, table
from extproc.demo.numbers import History, Numbers, read_totals
from extproc.demo.screen import Screen
from extproc.demo.table import Running
from extproc.demo.traffic import Traffic
from extproc.launch import dashboard_program, programs
from extproc.launch.addresses import client_url, metrics_url
from extproc.launch.banner import ready_text
from extproc.launch.child import Program
from extproc.launch.envoy_admin import says_something, until_answers
from extproc.launch.runtime_directory import RuntimeDirectory, demo_directory
from extproc.launch.supervisor import Company, supervise, trusting_client
from extproc.settings import Settings

_DRAIN_TIMEOUT: Final = "10"
_REFRESH_SECONDS: Final = 1.0
_LINE_SECONDS: Final = 5.0
# An answer of the samples takes 9 s at most, but a person may set other limits.
_ANSWER_SECONDS: Final = 60.0
_PORTS: Final = {"PROXY_PORT": 8080, "METRICS_PORT": 9090, "ENVOY_ADMIN_PORT": 9901, "DASHBOARD_PORT": 8081}
# Tokens a second, requests at once in all and of two models (the traffic stays below that but for its crowds), and
# seconds in the cache. The windows are short, so that one sees them move, and never used up: at the hours when credits
# count twice the traffic takes four fifths of what they allow.
_PLAN: Final = (
    "--speed", "60", "--concurrency", "12", "--model-concurrency", "glm-5.3=6", "--model-concurrency", "glm-4.7=2",
    "--five-hour-credits", "13000", "--five-hour-seconds", "900",
    "--weekly-credits", "104000", "--weekly-seconds", "7200",
    "--prefix-cache", "300",
)  # fmt: skip
_NOTICE: Final = "This is a demo: Z.AI is simulated on this machine, the requests are samples. Nothing goes to Z.AI."
_QUOTA_SECONDS: Final = "5"
# Settings that would tell others of the staged traffic, keep what it taught, or turn it away.
_UNSET: Final = (
    "ZAI_API_KEY_FILE",
    "ZAI_CA_FILE",
    "CLIENT_TOKENS_FILE",
    "QUOTA_WEBHOOK_URL",
    "SCRAPE_TARGETS",
    "STATE_DIR",
    "LIMITS_URL",
    "LIMITS_PLAN",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
)


@contextmanager
def environment(given: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The settings that make a demo of the given ones: a key of nobody, a simulated upstream, ports that are free.

    A port that is set stays as it is, and so does DB_PATH; else the dashboard's file goes when the block ends.
    """
    with demo_directory() as directory:
        yield {**_chosen(given), "DB_PATH": given.get("DB_PATH") or str(directory / "dashboard.db")}


def _chosen(given: Mapping[str, str]) -> dict[str, str]:
    chosen = {name: given[name] for name in _PORTS if given.get(name)}
    address = _bind_address(given)
    for name, default in _PORTS.items():
        if name not in chosen:
            chosen[name] = str(_port(address, default, {int(each) for each in chosen.values() if each.isdecimal()}))
    taken = {int(each) for each in chosen.values() if each.isdecimal()}
    return {
        **chosen,
        **dict.fromkeys(_UNSET, ""),
        "ZAI_API_KEY": _random_key(),
        "ZAI_TARGET_URL": f"http://127.0.0.1:{ports.free_port('127.0.0.1', taken)}",
        "DRAIN_TIMEOUT": given.get("DRAIN_TIMEOUT") or _DRAIN_TIMEOUT,
        # The quota errors of the sample traffic are staged: the gate would believe them and refuse all the rest.
        "QUOTA_GATE": given.get("QUOTA_GATE") or "off",
        "QUOTA_POLL_INTERVAL": given.get("QUOTA_POLL_INTERVAL") or _QUOTA_SECONDS,
        "DASHBOARD_NOTICE": given.get("DASHBOARD_NOTICE") or _NOTICE,
        "CACHE_DOCTOR": given.get("CACHE_DOCTOR") or "on",
    }


def run(settings: Settings, directory: RuntimeDirectory, with_dashboard: bool) -> None:
    """Runs the demo until it is told to stop. Raises ChildError if a part of it can't be kept running."""
    if sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        asyncio.run(_show_live(settings, directory, with_dashboard))
    else:
        asyncio.run(_show_plainly(settings, directory, with_dashboard))


class Display(Protocol):
    """Where the numbers go."""

    def show(self, numbers: Numbers, running: Running, stopping: bool) -> None: ...


class _LiveTable:
    def __init__(self, live: Live) -> None:
        self._live = live

    def show(self, numbers: Numbers, running: Running, stopping: bool) -> None:
        size = self._live.console.size
        state = "stopping, running requests may finish" if stopping else "Ctrl-C stops it"
        self._live.update(table.table(numbers, running, state, width=size.width, height=size.height), refresh=True)


class _PlainLines:
    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._next = 0.0

    def show(self, numbers: Numbers, running: Running, stopping: bool) -> None:
        if numbers.totals.at >= self._next:
            self._next = numbers.totals.at + _LINE_SECONDS
            self._screen.write(f"{table.line(numbers)}\n")


async def _show_live(settings: Settings, directory: RuntimeDirectory, with_dashboard: bool) -> None:
    console = Console(file=cast(IO[str], Screen()), highlight=False)
    starting = "Starting the simulator, the processor and Envoy …"
    with Live(starting, console=console, auto_refresh=False, redirect_stderr=sys.stderr.isatty()) as live:
        # Only now, so that log lines appear above the table instead of in it.
        logs.configure(settings.log_format, settings.log_level)

        def announce() -> None:
            console.print(_ready_text(settings, with_dashboard), soft_wrap=True)

        await _supervise(settings, directory, announce, _LiveTable(live), with_dashboard, merge_output=True)


async def _show_plainly(settings: Settings, directory: RuntimeDirectory, with_dashboard: bool) -> None:
    screen = Screen()

    def announce() -> None:
        screen.write(f"{_ready_text(settings, with_dashboard)}\n")

    await _supervise(settings, directory, announce, _PlainLines(screen), with_dashboard, merge_output=False)


async def _supervise(
    settings: Settings,
    directory: RuntimeDirectory,
    announce: Callable[[], None],
    display: Display,
    with_dashboard: bool,
    merge_output: bool,
) -> None:
    async with trusting_client(timeout=_ANSWER_SECONDS) as client:

        async def beside(stopping: asyncio.Event) -> None:
            traffic = Traffic(client, client_url(settings), settings.max_workers)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(traffic.run(stopping))
                for member in conversation.MEMBERS:
                    tasks.create_task(conversation.converse(client, client_url(settings), member, stopping))
                tasks.create_task(_watch(client, settings, display, stopping))

        level = os.environ.get("LOG_LEVEL") or "warning"
        page = partial(dashboard_program.program, settings, merge_output=merge_output, LOG_LEVEL=level)
        company = Company(
            programs=(partial(_simulator, settings), *([page] if with_dashboard else [])),
            beside=beside,
            processor_environment={"LOG_LEVEL": level},
            merge_output=merge_output,
        )
        await supervise(settings, directory, announce, company)


async def _watch(client: httpx.AsyncClient, settings: Settings, display: Display, stopping: asyncio.Event) -> None:
    """Reads and shows, for ever. While the processor is away, the last numbers stay."""
    history, url = History(), metrics_url(settings)
    while True:
        with suppress(httpx.HTTPError):
            metrics = (await client.get(f"{url}/metrics")).raise_for_status().text
            status = (await client.get(f"{url}/status")).raise_for_status().json()
            numbers = history.add(read_totals(metrics, at=time.monotonic()))
            display.show(numbers, status["requests"], stopping.is_set())
        await asyncio.sleep(_REFRESH_SECONDS)


def _simulator(settings: Settings, client: httpx.AsyncClient) -> Program:
    url = settings.zai_target_url
    stats = f"{url}/_simulator/stats"
    own = {name: value for name, value in os.environ.items() if not name.startswith(("SIMULATOR_", "ZAI_"))}
    return Program(
        name="simulator",
        command=programs.zai_proxy("simulator", "--port", url.rpartition(":")[2], *_PLAN),
        environment={**own, "ZAI_API_KEY": os.environ["ZAI_API_KEY"]},
        until_ready=lambda: _until_used(client, settings, stats),
        gives_sign=lambda: says_something(client, stats),
        noise=("simulator listening on",),
        merge_output=True,
    )


async def _until_used(client: httpx.AsyncClient, settings: Settings, stats: str) -> None:
    """Returns once the simulator answers, and uses the plan with one request: its windows open with their first use,
    and only an open window has a forecast."""
    await until_answers(client, stats)
    key = settings.zai_api_key
    headers = {"x-api-key": key.get_secret_value() if key else "", "anthropic-version": "2023-06-01"}
    body = {"model": "glm-5.3", "max_tokens": 1, "messages": [{"role": "user", "content": "Are you there?"}]}
    # If it fails, the forecasts come some minutes later.
    with suppress(httpx.HTTPError):
        await client.post(f"{settings.zai_target_url}/api/anthropic/v1/messages", json=body, headers=headers)


def _ready_text(settings: Settings, with_dashboard: bool) -> str:
    page = dashboard_program.dashboard_url(settings) if with_dashboard else None
    return ready_text(settings, page, upstream="a simulated Z.AI on this machine")


def _bind_address(given: Mapping[str, str]) -> str:
    try:
        return str(ipaddress.ip_address(given.get("BIND_ADDRESS", "").strip("[]")))
    except ValueError:
        return "127.0.0.1"  # the default; a wrong one is reported with the other settings


def _port(address: str, default: int, taken: set[int]) -> int:
    if default not in taken and ports.is_free(address, default):
        return default
    try:
        return ports.free_port(address, taken)
    except OSError:
        return default  # no address of this machine: reported with the other settings


def _random_key() -> str:
    """A key in Z.AI's form, of nobody."""
    alphanumerics = string.ascii_letters + string.digits
    return f"{secrets.token_hex(16)}.{''.join(secrets.choice(alphanumerics) for _ in range(16))}"
