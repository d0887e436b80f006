"""The programs of a proxy: how the processor and Envoy are started, and what each of them gets to know."""

import asyncio
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import httpx
import structlog

from extproc.lasting_counts import LastingCounts
from extproc.launch import envoy_config
from extproc.launch.addresses import metrics_url
from extproc.launch.child import Program
from extproc.launch.envoy_admin import NOISE, EnvoyAdmin, answers, envoy_command, says_something
from extproc.launch.runtime_directory import RuntimeDirectory
from extproc.runtime.state_file import LOCK_NAME
from extproc.settings import Settings, misspelt_settings

log = structlog.get_logger("zai-proxy")

_STATE_DIR: Final = "STATE_DIR"
# Envoy's configuration tells it everything: it can't leak what it does not have.
_ENVOY_KNOWS: Final = ("PATH", "LANG", "TZ")
_POLL_SECONDS: Final = 0.05
# The supervisor itself logs how many requests a shutdown cuts off, so the processor's own line is left out.
_SAID_HERE: Final = ("requests cut off at shutdown",)


def processor(
    settings: Settings,
    directory: RuntimeDirectory,
    client: httpx.AsyncClient,
    counts: LastingCounts,
    overrides: Mapping[str, str],
    merge_output: bool,
) -> Program:
    """`zai-proxy extproc`, the only one that gets the key."""
    origin, socket = metrics_url(settings), directory.socket
    environment = {**known_environment(), **overrides, **counts.environment, "EXTPROC_SOCKET": str(socket)}
    # As it is now: a path from the working directory means nothing once that is deleted.
    state = None if settings.state_dir is None else _StateDirectory(settings.state_dir.absolute())

    async def until_ready() -> None:
        # On the metrics port another program might answer. The socket is our processor's alone, and it opens that after
        # its port.
        await _until_accepts(socket)
        await _until_serves(client, settings)

    async def gives_sign() -> bool:
        # If its socket has been deleted, Envoy cannot reach it any more.
        return socket.exists() and await says_something(client, f"{origin}/healthz")

    def prepare() -> None:
        directory.make()
        if state is not None:
            state.set_in(environment)

    return Program(
        name="extproc",
        command=zai_proxy("extproc"),
        environment=environment,
        until_ready=until_ready,
        gives_sign=gives_sign,
        prepare=prepare,
        descriptors=(counts.descriptor,),
        noise=_SAID_HERE,
        merge_output=merge_output,
    )


class _StateDirectory:
    """STATE_DIR, which is there when the proxy starts, or its place is."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._disk = self._disk_of_path()

    def set_in(self, environment: dict[str, str]) -> None:
        """If something has deleted it, it is made again. If that can't be, or its disk is no longer there, a processor
        is better started without it than not at all: what it would begin anew must not replace what is on that disk."""
        for name in [each for each in environment if each.upper() == _STATE_DIR]:
            del environment[name]
        problem = self._problem()
        if problem is None:
            environment[_STATE_DIR] = str(self._path)
            return
        log.warning(
            f"{_STATE_DIR}={self._path} can't be used any more: until the processor is started again nothing is kept",
            why=problem,
        )

    def _problem(self) -> str | None:
        try:
            # A disk of the network may come back under another number, with what is ours.
            if self._disk_of_path() != self._disk and not (self._path / LOCK_NAME).exists():
                return "another disk is there than at the start"
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            return error.strerror
        return None if os.access(self._path, os.W_OK | os.X_OK) else "it can't be written to"

    def _disk_of_path(self) -> int:
        """The number of the disk on which it is, or would be made."""
        return next(each for each in (self._path, *self._path.parents) if os.path.lexists(each)).stat().st_dev


async def arrived_entries(client: httpx.AsyncClient, settings: Settings) -> int | None:
    """Entries of Envoy's log that a processor on its way down has got, or None if it does not say."""
    try:
        told = (await client.get(f"{metrics_url(settings)}/readyz")).json()
        return int(told["log_entries"])
    except (httpx.HTTPError, ValueError, LookupError, TypeError):
        return None


def envoy(settings: Settings, directory: RuntimeDirectory, admin: EnvoyAdmin) -> Program:
    """Envoy, with its configuration rendered into `directory` before each start."""
    config = directory.envoy_config
    rendered = envoy_config.render(settings, directory.socket).encode()

    def prepare() -> None:
        directory.make()
        if not (config.is_file() and config.read_bytes() == rendered):  # a full disk must not spoil what is there
            config.write_bytes(rendered)

    return Program(
        name="envoy",
        command=envoy_command(config),
        environment={
            **{name: os.environ[name] for name in _ENVOY_KNOWS if name in os.environ},
            **envoy_config.secrets(settings),
        },
        until_ready=lambda: admin.until_ready(config),
        gives_sign=admin.gives_sign,
        prepare=prepare,
        noise=NOISE,
        drops_output=True,
    )


def zai_proxy(*arguments: str) -> tuple[str, ...]:
    """A `zai-proxy` command; -P keeps the directory that we happen to be in out of its imports."""
    return (sys.executable, "-P", "-m", "extproc", *arguments)


def known_environment() -> dict[str, str]:
    """Our environment without variables that only resemble a setting: we have warned of them, and the child need not
    do so again."""
    misspelt = misspelt_settings(os.environ)
    return {name: value for name, value in os.environ.items() if name not in misspelt}


async def _until_serves(client: httpx.AsyncClient, settings: Settings) -> None:
    """Returns once the processor takes requests or, where it was started while the proxy stops, the log alone."""
    while True:
        if await answers(client, f"{metrics_url(settings)}/readyz"):
            return
        if await arrived_entries(client, settings) is not None:
            return
        await asyncio.sleep(_POLL_SECONDS)


async def _until_accepts(socket: Path) -> None:
    """Returns once somebody listens on the Unix socket."""
    while True:
        with suppress(OSError):
            _, writer = await asyncio.open_unix_connection(socket)
            writer.close()
            return
        await asyncio.sleep(_POLL_SECONDS)
