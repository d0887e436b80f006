"""The programs of a proxy: how the processor and Envoy are started, and what each of them gets to know."""

import asyncio
import errno
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
from extproc.launch.envoy_admin import NOISE, EnvoyAdmin, envoy_command, says_something, until_answers
from extproc.launch.runtime_directory import RuntimeDirectory
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
    state = None if settings.state_dir is None else settings.state_dir.absolute()

    async def until_ready() -> None:
        # On the metrics port another program might answer. The socket is our processor's alone, and it opens that after
        # its port.
        await _until_accepts(socket)
        await until_answers(client, f"{origin}/readyz")

    async def gives_sign() -> bool:
        # If its socket has been deleted, Envoy cannot reach it any more.
        return socket.exists() and await says_something(client, f"{origin}/healthz")

    def prepare() -> None:
        directory.make()
        if state is not None:
            _set_state_directory(state, environment)

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


def _set_state_directory(state: Path, environment: dict[str, str]) -> None:
    """It was there when we started. If something has deleted it, it is made again; if that can't be, the processor is
    better started without it than not at all."""
    for name in [each for each in environment if each.upper() == _STATE_DIR]:
        del environment[name]
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(state, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        log.warning(
            f"{_STATE_DIR}={state} can't be used any more: until the processor is started again nothing is kept",
            why=error.strerror,
        )
        return
    environment[_STATE_DIR] = str(state)


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


async def _until_accepts(socket: Path) -> None:
    """Returns once somebody listens on the Unix socket."""
    while True:
        with suppress(OSError):
            _, writer = await asyncio.open_unix_connection(socket)
            writer.close()
            return
        await asyncio.sleep(_POLL_SECONDS)
