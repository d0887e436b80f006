"""Envoy as a child: how it is started, and what its admin interface is asked."""

import asyncio
import os
import subprocess
from pathlib import Path
from typing import Final

import httpx

import envoy

_ENVOY: Final = Path(envoy.__file__).parent / "_bin" / "envoy"
# Beyond any DRAIN_TIMEOUT that makes sense: when it has passed, Envoy would close what still runs.
_DRAIN_SECONDS: Final = "3000"
_ACTIVE_REQUESTS: Final = "http.clients.downstream_rq_active"
# Those of them that ask for health or metrics: a probe comes again and again, and cutting one costs nobody anything.
_ACTIVE_PROBES: Final = "cluster.processor_(health|http).upstream_rq_(pending_)?active"
_LOG_ENTRIES: Final = "access_logs.grpc_access_log.logs_written"
# Envoy writes it anew each second (stats_flush_interval), once every one of its threads has handed in what it counted.
_LAST_GATHERED: Final = "server.uptime"

_POLL_SECONDS: Final = 0.1
_PATIENCE_SECONDS: Final = 2.0

# Lines of Envoy's that tell us nothing: that filters of ours are unfinished (tests show that they do what we need), and
# that it ends (we have told it to).
NOISE: Final = ("marked as work-in-progress", "caught SIGINT")
# It would warn at each request while there is no processor, whose crash is logged once.
_LOG_LEVELS: Final = ("-l", "warning", "--component-log-level", "ext_proc:error")


def envoy_command(config: Path) -> tuple[str, ...]:
    """The command line: as many threads as cores that we may use, warnings only (of ext_proc errors only)."""
    return (
        str(_ENVOY),
        *("-c", str(config)),
        "--disable-hot-restart",
        *("--concurrency", str(_cores())),
        *("--drain-time-s", _DRAIN_SECONDS),
        *("--drain-strategy", "immediate"),
        *_LOG_LEVELS,
    )


def _cores() -> int:
    """How many cores this process may use; all of the machine's, where the system does not say which."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def envoy_version() -> str:
    """The version and commit that Envoy's program itself reports."""
    told = subprocess.run((str(_ENVOY), "--version"), capture_output=True, text=True, timeout=10)
    # "/path/to/envoy  version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL"
    commit, number, *_ = told.stdout.rpartition("version: ")[2].strip().split("/")
    return f"{number} ({commit[:12]})"


class EnvoyAdmin:
    """What Envoy's admin interface on `port` says; it may be down at any time."""

    def __init__(self, client: httpx.AsyncClient, port: int) -> None:
        self._client = client
        self._url = f"http://127.0.0.1:{port}"
        self._gathered_at: int | None = None

    async def until_ready(self, config: Path) -> None:
        """Returns once the Envoy of this configuration, and no other that has our port, has taken it and listens."""
        while True:
            if await self._serves(config):
                return
            await asyncio.sleep(_POLL_SECONDS)

    async def _serves(self, config: Path) -> bool:
        try:
            told = (await self._client.get(f"{self._url}/server_info")).json()
            return bool(told["state"] == "LIVE" and told["command_line_options"]["config_path"] == str(config))
        except (httpx.HTTPError, ValueError, LookupError, TypeError):
            return False

    async def gives_sign(self) -> bool:
        """Whether all of its threads live: the main one answers, and has heard of every other since it was last asked.
        The answer may take as long as it likes."""
        before, self._gathered_at = self._gathered_at, await self._stat(_LAST_GATHERED, patience=None)
        return self._gathered_at not in (None, before)

    async def start_draining(self) -> bool:
        """Tells clients to come back on a new connection, to whoever serves then. False if Envoy does not answer."""
        try:
            return (await self._client.post(f"{self._url}/drain_listeners?graceful&inboundonly&skip_exit")).is_success
        except httpx.HTTPError:
            return False

    async def active_requests(self) -> int | None:
        """Requests between their first and last byte on the client port, without those that ask for health or metrics.
        None if Envoy does not answer."""
        counted = await self._stats(f"{_ACTIVE_REQUESTS}|{_ACTIVE_PROBES}")
        if counted is None:
            return None
        requests = counted.pop(_ACTIVE_REQUESTS, 0)
        return max(0, requests - sum(counted.values()))

    async def log_entries(self) -> int | None:
        """Entries that it has taken up for delivery to the processor, or None if Envoy does not answer."""
        return await self._stat(_LOG_ENTRIES)

    async def _stat(self, name: str, patience: float | None = _PATIENCE_SECONDS) -> int | None:
        counted = await self._stats(name, patience)
        return None if counted is None else counted.get(name, 0)

    async def _stats(self, names: str, patience: float | None = _PATIENCE_SECONDS) -> dict[str, int] | None:
        """What it counts under the names that this expression matches, or None if Envoy does not answer."""
        try:
            response = await self._client.get(f"{self._url}/stats", params={"filter": f"^({names})$"}, timeout=patience)
            counted = (line.rpartition(": ") for line in response.text.splitlines())
            return {name: int(number) for name, _, number in counted}
        except (httpx.HTTPError, ValueError):
            return None


async def until_answers(client: httpx.AsyncClient, url: str) -> None:
    """Returns once there is a success at `url`."""
    while True:
        if await answers(client, url):
            return
        await asyncio.sleep(_POLL_SECONDS)


async def answers(client: httpx.AsyncClient, url: str) -> bool:
    """Whether there is a success at `url`."""
    try:
        return (await client.get(url)).is_success
    except httpx.HTTPError:
        return False


async def says_something(client: httpx.AsyncClient, url: str) -> bool:
    """Whether there is an answer at `url`, be it an error; it may take as long as it likes."""
    try:
        await client.get(url, timeout=None)
    except httpx.HTTPError:
        return False
    return True
