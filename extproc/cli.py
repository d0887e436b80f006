"""The `zai-proxy` command.

Imports stand inside the commands: each is a process of its own and loads only what it needs, which is most of the time
that it takes to start.
"""

import asyncio
import errno
import importlib.util
import os
import signal
import stat
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import structlog

from common import logs
from common.settings import LogFormat, LogLevel, SettingsError
from extproc import version
from extproc.interrupts import AT_ONCE, NOT_NOW, interrupts
from extproc.settings import (
    Settings,
    load_settings,
    make_state_directory,
    unknown_settings,
    unused_for_the_way,
    unused_for_traces,
)

if TYPE_CHECKING:
    from extproc.launch.runtime_directory import RuntimeDirectory

log = structlog.get_logger("zai-proxy")

_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_NO_DASHBOARD: Final = click.option("--no-dashboard", is_flag=True, help="Leave the dashboard out.")


@click.group()
@click.version_option(version.VERSION, prog_name="zai-proxy")
def cli() -> None:
    """One address for all your tools on a Z.AI GLM subscription; the key stays inside."""


@cli.command()
@_NO_DASHBOARD
def run(no_dashboard: bool) -> None:
    """Run the proxy in the foreground: Envoy, the processor, and the dashboard.

    Needs ZAI_API_KEY (or ZAI_API_KEY_FILE) alone; every other setting has a default. SIGTERM or Ctrl-C lets running
    requests finish, a second one cuts them.
    """
    from extproc.launch import dashboard_program, open_files
    from extproc.launch.banner import ready_text
    from extproc.launch.supervisor import Company, supervise, write_line

    settings = open_files.fit(_load(needs_key=True))
    _check(settings, with_dashboard=not no_dashboard)
    page = None if no_dashboard else dashboard_program.dashboard_url(settings)
    company = Company() if no_dashboard else Company(programs=(partial(dashboard_program.program, settings),))

    def announce() -> None:
        if settings.log_format is LogFormat.JSON:
            ports = {"proxy_port": settings.proxy_port, "metrics_port": settings.metrics_port}
            log.info("ready", program="zai-proxy", **ports, dashboard=page)
        else:
            write_line(ready_text(settings, page))

    _in_foreground(lambda directory: asyncio.run(supervise(settings, directory, announce, company)))


@cli.command()
@_NO_DASHBOARD
def demo(no_dashboard: bool) -> None:
    """Run the proxy in front of a simulated Z.AI, with sample traffic and a live table. Needs no key.

    Ports that are not set and not free are replaced by others.
    """
    _need_simulator()
    from extproc.demo import run as demonstration
    from extproc.launch import open_files

    with demonstration.environment(os.environ) as environment:
        os.environ.update(environment)
        settings = open_files.fit(_load(needs_key=True))
        _check(settings, with_dashboard=not no_dashboard)
        _in_foreground(lambda directory: demonstration.run(settings, directory, with_dashboard=not no_dashboard))


@cli.command()
def dashboard() -> None:
    """Run the dashboard alone: what the proxies do, what the plan has left, who used what."""
    from dashboard.cli import dashboard_command

    dashboard_command.main(args=[], prog_name="zai-proxy dashboard")


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
    from extproc.runtime.api_key import ApiKey

    settings = _load(needs_key=True)
    make_state_directory(settings)
    if warning := ApiKey.from_settings(settings).warning():
        log.warning(warning)
    service.run(settings, _socket_to_make(settings))


@cli.command()
def envoy_config() -> None:
    """Print Envoy's configuration, rendered from the settings."""
    from extproc.launch.envoy_config import render

    settings = _load(needs_key=False)
    click.echo(render(settings, _socket(settings)), nl=False)


@cli.command()
@click.option("--request", "sends_request", is_flag=True, help="Also ask a model for one token.")
def doctor(sends_request: bool) -> None:
    """Check the key, the settings, the way to Z.AI, the plan and the clients' settings, and say what to do.

    Without a key it checks everything else. Exits with 1 if something is wrong.
    """
    from extproc.commands.doctor import run_doctor

    sys.exit(1 if run_doctor(sends_request) else 0)


@cli.command()
@click.option("--spend", type=click.IntRange(min=1), default=9000, show_default=True, help="Tokens, at most.")
@click.option("--model", default="glm-5.3-flash", show_default=True, help="The model that is asked.")
@click.option("--places", is_flag=True, help="Also send more and more at once, until one is refused.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option(
    "--record", type=click.Path(file_okay=False, path_type=Path), help="Where to write what is seen, redacted."
)
@click.option(
    "--idle",
    type=click.FloatRange(0, 120),
    default=41.0,
    show_default=True,
    help="Seconds for which a connection is left alone; 0 leaves that out.",
)
def verify(spend: int, model: str, places: bool, yes: bool, as_json: bool, record: Path | None, idle: float) -> None:
    """Try on Z.AI itself what the proxy takes for true of it. Sends some 30 small requests, and asks before.

    Exits with 1 if something differs or nothing is answered, and with 2 if nothing was sent.
    """
    with interrupts(AT_ONCE):
        from extproc.commands.verify import Options, run_verify

        settings = _load(needs_key=True)
    code = run_verify(settings, Options(spend, model, places, yes, as_json, record, idle))
    signal.signal(signal.SIGINT, NOT_NOW)  # all is said, and Python takes a moment to end
    sys.exit(code)


@cli.command()
@click.option("--days", type=click.IntRange(1, 31), default=7, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("--cache", "cache_alone", is_flag=True, help="Only what the cache of prompts gave in the last hour.")
def usage(days: int, as_json: bool, cache_alone: bool) -> None:
    """Show who used what, by day, client, program and model, as the running proxy has counted it."""
    from extproc.commands.usage import show_usage

    show_usage(_load(needs_key=False), days, as_json, cache_alone)


@cli.command(add_help_option=False, context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def token(arguments: tuple[str, ...]) -> None:
    """Make, list and remove the tokens of clients."""
    from extproc.commands.token import token as command

    command.main(args=list(arguments), prog_name="zai-proxy token")


@cli.command(
    name="canary-check",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def canary_check(arguments: tuple[str, ...]) -> None:
    """Compare a canary with production: promote, wait or roll back."""
    from canary.cli import canary_check as command

    command.main(args=list(arguments), prog_name="zai-proxy canary-check")


@cli.command(name="version")
def show_version() -> None:
    """Show what is installed: version, commit, Envoy."""
    from extproc.launch.envoy_admin import envoy_version

    click.echo(f"zai-proxy  {version.VERSION}")
    click.echo(f"commit     {version.commit()}")
    click.echo(f"built      {version.BUILD_TIME}")
    click.echo(f"Envoy      {envoy_version()}")
    click.echo(f"Python     {sys.version.split()[0]}")


def main() -> None:
    """Entry point: a wrong setting is a line each and exit code 2 (75 if it may pass), never a traceback."""
    logs.open_what_is_closed()
    logs.print_whatever_comes()
    try:
        cli(prog_name="zai-proxy")
    except SettingsError as error:
        logs.StandardError().write(f"{error}\n")
        sys.exit(error.exit_code)
    except OSError as error:
        # Only an error of the standard output names no file.
        if error.errno not in _NO_ROOM or error.filename is not None:
            raise
        logs.StandardError().write(f"not all could be written ({error.strerror})\n")
        logs.drop_what_is_left(sys.stdout)
        sys.exit(1)


def _check(settings: Settings, with_dashboard: bool) -> None:
    """Checks what can be checked beforehand. Raises SettingsError; warns of what is right but dangerous."""
    from extproc.launch import dashboard_program, preflight
    from extproc.launch.banner import exposures

    preflight.check(settings, *(dashboard_program.CHECKS if with_dashboard else ()))
    unused = (*unused_for_the_way(settings, os.environ), *unused_for_traces(settings, os.environ))
    for warning in (*exposures(settings), *unused):
        log.warning(warning)


def _in_foreground(supervised: Callable[["RuntimeDirectory"], None]) -> None:
    """Gives the supervisor a private directory, and exits with 1 if it fails."""
    from extproc.launch.child import ChildError
    from extproc.launch.runtime_directory import runtime_directory

    try:
        with runtime_directory(os.environ) as directory:
            supervised(directory)
    except ChildError as error:
        log.error(str(error))
        sys.exit(1)
    log.info("stopped")


def _load(needs_key: bool) -> Settings:
    try:
        settings = load_settings(needs_key)
    except SettingsError:
        logs.configure(LogFormat.CONSOLE, LogLevel.INFO)
        _warn_of_unknown_settings()  # the one that is missing may be among the misspelt ones
        raise
    logs.configure(settings.log_format, settings.log_level)
    _warn_of_unknown_settings()
    return settings


def _warn_of_unknown_settings() -> None:
    for warning in unknown_settings(os.environ):
        log.warning(warning)


def _need_simulator() -> None:
    missing = [name for name in ("aiohttp", "yaml", "simulator") if importlib.util.find_spec(name) is None]
    if missing:
        raise click.UsageError(
            f"{missing[0]} is not installed: need what a whole installation has, `pip install zai-proxy`"
        )


def _socket_to_make(settings: Settings) -> Path:
    """The socket, if it can be made."""
    path = _socket(settings)
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise SettingsError([Settings.problem("extproc_socket")])
    return path


def _socket(settings: Settings) -> Path:
    from extproc.launch.runtime_directory import LONGEST_SOCKET_PATH

    path = settings.extproc_socket or _own_directory() / "extproc.sock"
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        return path
    if settings.extproc_socket is None:
        raise SettingsError([f"EXTPROC_SOCKET is not set: need it, {path} is too long for a socket"])
    raise SettingsError([Settings.problem("extproc_socket")])


def _own_directory() -> Path:
    directory = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / f"zai-proxy-{os.getuid()}"
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            [f"EXTPROC_SOCKET is not set: need it, {directory} can't be made ({error.strerror})"]
        ) from None
    status = directory.lstat()
    if status.st_uid != os.getuid() or not stat.S_ISDIR(status.st_mode) or status.st_mode & 0o077:
        raise SettingsError([f"EXTPROC_SOCKET is not set: need it, {directory} is not a private directory of ours"])
    return directory
