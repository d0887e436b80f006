"""Everything that someone could read of a running proxy, to search for what must not be in it."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

import httpx

from tests.harness.plain_http import PATIENCE
from tests.harness.stack import Stack

PROCESSOR_PAGES: Final = ("/metrics", "/status", "/healthz", "/readyz")
ADMIN_PAGES: Final = (
    "/certs",
    "/clusters",
    "/clusters?format=json",
    "/config_dump",
    "/config_dump?include_eds",
    "/listeners",
    "/memory",
    "/server_info",
    "/stats",
    "/stats/prometheus",
)
DASHBOARD_PAGES: Final = (
    "/",
    "/api/now",
    "/api/requests?limit=500",
    "/api/series?name=requests",
    "/api/targets",
    "/api/docs",
    *(f"/api/breakdown?by={what}" for what in ("client", "session", "agent", "model", "path", "day")),
)
# Envoy's loggers that write whole headers at debug and trace level. No other does: a test holds on to that.
WRITE_HEADERS: Final = ("http", "router", "ext_proc")


class Shown(Protocol):
    """A proxy, by the addresses of its ports."""

    @property
    def url(self) -> str: ...
    @property
    def metrics_url(self) -> str: ...
    @property
    def admin_url(self) -> str: ...


def parts_of(key: str) -> tuple[str, ...]:
    """A key whole and in halves."""
    name, _, secret = key.partition(".")
    return key, name, secret


def leaks(readable: Mapping[str, str], secrets: Iterable[str]) -> list[str]:
    """The names of the places in which any of the secrets stands."""
    wanted = list(secrets)
    return [place for place, text in readable.items() if any(secret in text for secret in wanted)]


def written_files(directory: Path) -> dict[str, str]:
    """Every file below a directory: logs, the rendered configuration, whatever else was written."""
    files = (path for path in sorted(directory.rglob("*")) if path.is_file())
    return {str(path): path.read_text(errors="replace") for path in files}


def pages(stack: Shown, token: str = "") -> dict[str, str]:
    """Everything that the processor and Envoy show over HTTP, to the owner and to others."""
    with httpx.Client(timeout=PATIENCE) as client:
        shown = {url: client.get(url) for url in _urls(stack)}
        openmetrics = {"accept": "application/openmetrics-text"}
        shown["openmetrics"] = client.get(f"{stack.metrics_url}/metrics", headers=openmetrics)
    return {**{name: _as_text(response) for name, response in shown.items()}, "/requests": _feed(stack, token)}


def dashboard_pages(url: str) -> dict[str, str]:
    """Everything that a dashboard shows, page and API."""
    with httpx.Client(base_url=url, timeout=PATIENCE) as client:
        return {page: _as_text(client.get(page).raise_for_status()) for page in DASHBOARD_PAGES}


def _feed(stack: Shown, token: str) -> str:
    """What the feed of finished requests tells of the past."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    patience = httpx.Timeout(10, read=0.5)
    told = ""
    with (
        suppress(httpx.ReadTimeout),
        httpx.stream("GET", f"{stack.metrics_url}/requests?since=0", headers=headers, timeout=patience) as response,
    ):
        response.raise_for_status()
        for piece in response.iter_text():
            told += piece
    return told


def _urls(stack: Shown) -> Iterator[str]:
    yield from (f"{stack.metrics_url}{page}" for page in PROCESSOR_PAGES)
    yield from (f"{stack.admin_url}{page}" for page in ADMIN_PAGES)
    yield from (f"{stack.url}{page}" for page in ("/health", "/metrics"))


def _as_text(response: httpx.Response) -> str:
    headers = "\n".join(f"{name}: {value}" for name, value in response.headers.items())
    return f"{headers}\n\n{response.text}"


def command_lines() -> dict[str, str]:
    """The command line of every process that can be seen."""
    return dict(_proc_files("cmdline"))


def environment_of(pid: int) -> dict[str, str]:
    """The environment that a process was started with."""
    path = Path(f"/proc/{pid}/environ")
    return {str(path): path.read_text(errors="replace")}


def _proc_files(name: str) -> Iterator[tuple[str, str]]:
    for path in Path("/proc").glob(f"[0-9]*/{name}"):
        try:
            yield str(path), path.read_text(errors="replace")
        except OSError:
            continue  # ended meanwhile


def restart_envoy_talkative(stack: Stack) -> None:
    """Replaces a stack's Envoy by one that logs all that it can, but for the loggers that write whole headers."""
    stack.envoy.kill()
    stack.restart_envoy("-l", "trace", "--component-log-level", ",".join(f"{name}:info" for name in WRITE_HEADERS))
