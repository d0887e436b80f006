"""The `zai-proxy` command."""

import os
import sys
import tempfile
from pathlib import Path

import click
import structlog

from extproc import service, service_log, version
from extproc.envoy_config import render
from extproc.settings import Settings, SettingsError, load_settings, unknown_settings

log = structlog.get_logger("zai-proxy")


@click.group()
@click.version_option(version.VERSION, prog_name="zai-proxy")
def cli() -> None:
    """Share a Z.AI GLM subscription without sharing its key."""


@cli.command()
def extproc() -> None:
    """Run the processor alone (Envoy runs elsewhere)."""
    settings = _load(needs_key=True)
    service.run(settings, _socket(settings))


@cli.command()
def envoy_config() -> None:
    """Print Envoy's configuration, rendered from the settings."""
    settings = _load(needs_key=False)
    click.echo(render(settings, _socket(settings)), nl=False)


def main() -> None:
    """Entry point: a wrong setting is a line each and exit code 2, never a traceback."""
    try:
        cli(prog_name="zai-proxy")
    except SettingsError as error:
        click.echo(str(error), err=True)
        sys.exit(2)


def _load(needs_key: bool) -> Settings:
    settings = load_settings(needs_key)
    service_log.configure(settings.log_format, settings.log_level)
    for warning in unknown_settings(os.environ):
        log.warning(warning)
    return settings


def _socket(settings: Settings) -> Path:
    if settings.extproc_socket is not None:
        return settings.extproc_socket
    directory = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / f"zai-proxy-{os.getuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    return directory / "extproc.sock"
