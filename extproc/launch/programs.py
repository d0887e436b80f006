"""The programs of a proxy: how the processor and Envoy are started, and what each of them gets to know."""

import asyncio
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import httpx

from extproc.lasting_counts import LastingCounts
from extproc.launch import envoy_config
from extproc.launch.addresses import metrics_url
from extproc.launch.child import Program
from extproc.launch.envoy_admin import NOISE, EnvoyAdmin, envoy_command, says_something, until_answers
from extproc.launch.runtime_directory import RuntimeDirectory
from extproc.settings import Settings, misspelt_settings

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
        if settings.state_dir is not None:  # it was there when we started; if it is gone, something has deleted it
            settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)

    return Program(
        name="extproc",
        command=zai_proxy("extproc"),
        environment={**known_environment(), **overrides, **counts.environment, "EXTPROC_SOCKET": str(socket)},
        until_ready=until_ready,
        gives_sign=gives_sign,
        prepare=prepare,
        descriptors=(counts.descriptor,),
        noise=_SAID_HERE,
        merge_output=merge_output,
    )


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
