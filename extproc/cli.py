"""The `zai-proxy` command.

Imports stand inside the commands: each is a process of its own and loads only what it needs, which is most of the time
that it takes to start.
"""

import asyncio
import importlib.util
import os
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import click
import structlog

from extproc import service_log, version
from extproc.settings import LogFormat, Settings, SettingsError, load_settings, unknown_settings

log = structlog.get_logger("zai-proxy")


@click.group()
@click.version_option(version.VERSION, prog_name="zai-proxy")
def cli() -> None:
    """One address for all your tools on a Z.AI GLM subscription; the key stays inside."""


@cli.command()
@click.option("--no-dashboard", is_flag=True, hidden=True)
def run(no_dashboard: bool) -> None:
    """Run the proxy in the foreground: Envoy and the processor.

    Needs ZAI_API_KEY (or ZAI_API_KEY_FILE) alone; every other setting has a default. SIGTERM or Ctrl-C lets running
    requests finish, a second one cuts them.
    """
    from extproc.announcement import announcement
    from extproc.supervisor import supervise

    settings = _load(needs_key=True)

    def announce() -> None:
        if settings.log_format is LogFormat.JSON:
            log.info("ready", proxy_port=settings.proxy_port, metrics_port=settings.metrics_port)
        else:
            click.echo(announcement(settings), err=True)

    _in_foreground(settings, lambda directory: asyncio.run(supervise(settings, directory, announce)))


@cli.command()
def demo() -> None:
    """Run the proxy in front of a simulated Z.AI, with sample traffic and a live table. Needs no key.

    Ports that are not set and not free are replaced by others.
    """
    _need_simulator()
    from extproc import demo as demonstration

    os.environ.update(demonstration.environment(os.environ))
    settings = _load(needs_key=True)
    _in_foreground(settings, lambda directory: demonstration.run(settings, directory))


@cli.command(add_help_option=False, context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def simulator(options: tuple[str, ...]) -> None:
    """Run a fake Z.AI, for tests and demonstrations."""
    _need_simulator()
    from simulator.cli import simulator_command

    simulator_command.main(args=list(options), prog_name="zai-proxy simulator")


@cli.command()
def extproc() -> None:
    """Run the processor alone (Envoy runs elsewhere)."""
    from extproc import service

    settings = _load(needs_key=True)
    service.run(settings, _socket(settings))


@cli.command()
def envoy_config() -> None:
    """Print Envoy's configuration, rendered from the settings."""
    from extproc.envoy_config import render

    settings = _load(needs_key=False)
    click.echo(render(settings, _socket(settings)), nl=False)


@cli.command(name="version")
def show_version() -> None:
    """Show what is installed: version, commit, Envoy."""
    from extproc.envoy_admin import envoy_version

    click.echo(f"zai-proxy  {version.VERSION}")
    click.echo(f"commit     {version.COMMIT}")
    click.echo(f"built      {version.BUILD_TIME}")
    click.echo(f"Envoy      {envoy_version()}")
    click.echo(f"Python     {sys.version.split()[0]}")


def main() -> None:
    """Entry point: a wrong setting is a line each and exit code 2, never a traceback."""
    try:
        cli(prog_name="zai-proxy")
    except SettingsError as error:
        click.echo(str(error), err=True)
        sys.exit(2)


def _in_foreground(settings: Settings, supervised: Callable[[Path], None]) -> None:
    """Checks what can be checked beforehand, gives the supervisor a private directory, and exits with 1 if it fails."""
    from extproc import preflight
    from extproc.announcement import exposure
    from extproc.child import ChildError
    from extproc.supervisor import runtime_directory

    preflight.check(settings)
    if warning := exposure(settings):
        log.warning(warning)
    try:
        with runtime_directory() as directory:
            supervised(directory)
    except ChildError as error:
        log.error(str(error))
        sys.exit(1)
    log.info("stopped")


def _load(needs_key: bool) -> Settings:
    try:
        settings = load_settings(needs_key)
    except SettingsError:
        _warn_of_unknown_settings()  # the one that is missing may be among the misspelt ones
        raise
    service_log.configure(settings.log_format, settings.log_level)
    _warn_of_unknown_settings()
    return settings


def _warn_of_unknown_settings() -> None:
    for warning in unknown_settings(os.environ):
        log.warning(warning)


def _need_simulator() -> None:
    missing = [name for name in ("aiohttp", "yaml", "simulator") if importlib.util.find_spec(name) is None]
    if missing:
        raise click.UsageError(f"{missing[0]} is not installed: need `pip install 'zai-proxy[simulator]'`")


def _socket(settings: Settings) -> Path:
    if settings.extproc_socket is not None:
        return settings.extproc_socket
    directory = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / f"zai-proxy-{os.getuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    status = directory.lstat()
    if status.st_uid != os.getuid() or not stat.S_ISDIR(status.st_mode) or status.st_mode & 0o077:
        raise SettingsError([f"EXTPROC_SOCKET is not set: need it, {directory} is not a private directory of ours"])
    return directory / "extproc.sock"
