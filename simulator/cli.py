"""The command `simulator`, which `zai-proxy` mounts and `python -m simulator` runs."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from common import logs
from common.line_writer import LineWriter
from common.settings import LogFormat, LogLevel
from simulator.plan.keys import KEY_FORM
from simulator.plan.limit_changes import model_concurrency as read_model_concurrency
from simulator.plan.limit_changes import shared_pools as read_shared_pools
from simulator.plan.limits import MCP_RECOVERY_SECONDS, UNLIMITED_CREDITS
from simulator.scenario.parsing import ScenarioError
from simulator.scenario.replay import load_recording
from simulator.scenario.rulebook import Rulebook, load_rulebook
from simulator.server.app import serve, tls_context
from simulator.server.settings import FIVE_HOURS, KEEP_ALIVE_SECONDS, MCP_CALLS, MONTH, WEEK, SimulatorSettings, plan
from simulator.server.threaded import new_event_loop

_STANDARD_OUTPUT = 1
_ABOVE_ZERO = click.FloatRange(min=0, min_open=True)


def _read_key(key: str | None, key_file: Path | None) -> str | None:
    """The key, from the file when there is one. Without either, every well-formed key is right."""
    if key_file is not None:
        try:
            key = key_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise click.BadParameter(f"{error}", param_hint="--key-file") from None
    if not key:
        return None
    if not KEY_FORM.fullmatch(key):
        raise click.BadParameter(
            f"a text of {len(key)} characters: need 32 hexadecimal digits, a dot and 16 letters or digits",
            param_hint="--key",
        )
    return key


def _by_model(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> Mapping[str, int]:
    """The limits in NAME=N, …"""
    wanted: dict[str, object] = {}
    for value in values:
        name, _, number = value.rpartition("=")
        if not number.isdecimal() or len(number) > 9:
            raise click.BadParameter(f"{value}: need a model and a number such as glm-5.3=2")
        wanted[name] = int(number)
    try:
        return read_model_concurrency(wanted)
    except ScenarioError as error:
        raise click.BadParameter(str(error)) from None


def _pools(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    try:
        return read_shared_pools([value.split(",") for value in values])
    except ScenarioError as error:
        raise click.BadParameter(str(error)) from None


def _read_rules(path: Path | None, recording: Path | None) -> Rulebook:
    if path is not None and recording is not None:
        raise click.UsageError("--scenario does not go with --replay: both say what is answered")
    if recording is not None:
        try:
            return load_recording(recording)
        except ScenarioError as error:
            raise click.BadParameter(str(error), param_hint="--replay") from None
    if path is None:
        return Rulebook()
    try:
        return load_rulebook(path)
    except ScenarioError as error:
        raise click.BadParameter(str(error), param_hint="--scenario") from None


def _check_tls(settings: SimulatorSettings) -> None:
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise click.UsageError("--tls-cert and --tls-key: need both or neither")
    try:
        tls_context(settings)
    except OSError as error:
        files = f"{settings.tls_cert} with {settings.tls_key}"
        raise click.BadParameter(f"{files}: {error}", param_hint="--tls-cert, --tls-key") from None


@click.command(name="simulator", context_settings={"show_default": True, "help_option_names": ["-h", "--help"]})
@click.option("--host", default="127.0.0.1", envvar="SIMULATOR_HOST", help="Address to listen on.")
@click.option(
    "--port", default=8090, type=click.IntRange(0, 65535), envvar="SIMULATOR_PORT", help="0 picks a free one."
)
@click.option("--key", envvar="ZAI_API_KEY", show_default=False, help="The right key; without one, any well-formed.")
@click.option(
    "--key-file", type=click.Path(path_type=Path), envvar="ZAI_API_KEY_FILE", help="A file with the right key."
)
@click.option("--scenario", type=click.Path(path_type=Path), envvar="SIMULATOR_SCENARIO", help="YAML or JSON rules.")
@click.option(
    "--replay",
    type=click.Path(path_type=Path),
    envvar="SIMULATOR_REPLAY",
    help="Answers that `zai-proxy verify --record` has seen.",
)
@click.option("--speed", default=0.0, type=click.FloatRange(min=0), envvar="SIMULATOR_SPEED", help="Tokens a second.")
@click.option("--concurrency", type=click.IntRange(min=0), envvar="SIMULATOR_CONCURRENCY", help="Requests at once.")
@click.option(
    "--model-concurrency",
    multiple=True,
    metavar="NAME=N",
    envvar="SIMULATOR_MODEL_CONCURRENCY",
    callback=_by_model,
    help="The same for one model that serves; repeatable.",
)
@click.option(
    "--shared-pool",
    multiple=True,
    metavar="NAME,NAME",
    envvar="SIMULATOR_SHARED_POOL",
    callback=_pools,
    help="Models that share their places; repeatable.",
)
@click.option(
    "--mcp-concurrency", type=click.IntRange(min=0), envvar="SIMULATOR_MCP_CONCURRENCY", help="MCP calls at once."
)
@click.option(
    "--mcp-recovery-seconds",
    default=MCP_RECOVERY_SECONDS,
    type=click.FloatRange(min=0),
    envvar="SIMULATOR_MCP_RECOVERY_SECONDS",
    help="How long one MCP call too many shuts them all out.",
)
@click.option(
    "--release-seconds",
    default=0.0,
    type=click.FloatRange(min=0),
    envvar="SIMULATOR_RELEASE_SECONDS",
    help="How long after its answer has ended a place is free again.",
)
@click.option("--requests-per-second", type=_ABOVE_ZERO, envvar="SIMULATOR_REQUESTS_PER_SECOND")
@click.option("--five-hour-credits", default=UNLIMITED_CREDITS, type=_ABOVE_ZERO, envvar="SIMULATOR_FIVE_HOUR_CREDITS")
@click.option("--weekly-credits", default=UNLIMITED_CREDITS, type=_ABOVE_ZERO, envvar="SIMULATOR_WEEKLY_CREDITS")
@click.option("--monthly-calls", default=MCP_CALLS, type=_ABOVE_ZERO, envvar="SIMULATOR_MONTHLY_CALLS")
@click.option("--five-hour-seconds", default=FIVE_HOURS, type=_ABOVE_ZERO, envvar="SIMULATOR_FIVE_HOUR_SECONDS")
@click.option("--weekly-seconds", default=WEEK, type=_ABOVE_ZERO, envvar="SIMULATOR_WEEKLY_SECONDS")
@click.option("--monthly-seconds", default=MONTH, type=_ABOVE_ZERO, envvar="SIMULATOR_MONTHLY_SECONDS")
@click.option("--plan-level", default="max", type=click.Choice(["lite", "pro", "max"]), envvar="SIMULATOR_PLAN_LEVEL")
@click.option("--expected-host", envvar="SIMULATOR_EXPECTED_HOST", help="Answer 403 to any other Host header.")
@click.option("--general-balance/--no-general-balance", default=True, help="Without: the general API answers 1113.")
@click.option(
    "--prefix-cache",
    type=_ABOVE_ZERO,
    metavar="SECONDS",
    envvar="SIMULATOR_PREFIX_CACHE",
    help="Prompts stay in memory so long after their last use, and what the next has in common with them is cached.",
)
@click.option(
    "--keep-alive-seconds",
    default=KEEP_ALIVE_SECONDS,
    type=click.FloatRange(min=0),
    envvar="SIMULATOR_KEEP_ALIVE_SECONDS",
    help="How long a connection without a request stays open.",
)
@click.option("--tls-cert", type=click.Path(path_type=Path), envvar="SIMULATOR_TLS_CERT")
@click.option("--tls-key", type=click.Path(path_type=Path), envvar="SIMULATOR_TLS_KEY")
def simulator_command(
    host: str,
    port: int,
    key: str | None,
    key_file: Path | None,
    scenario: Path | None,
    replay: Path | None,
    speed: float,
    concurrency: int | None,
    model_concurrency: Mapping[str, int],
    shared_pool: tuple[tuple[str, ...], ...],
    mcp_concurrency: int | None,
    mcp_recovery_seconds: float,
    release_seconds: float,
    requests_per_second: float | None,
    five_hour_credits: float,
    weekly_credits: float,
    monthly_calls: float,
    five_hour_seconds: float,
    weekly_seconds: float,
    monthly_seconds: float,
    plan_level: str,
    expected_host: str | None,
    general_balance: bool,
    prefix_cache: float | None,
    keep_alive_seconds: float,
    tls_cert: Path | None,
    tls_key: Path | None,
) -> None:
    """A fake Z.AI: every surface, limit and fault of api.z.ai, for tests and demonstrations."""
    limits = plan(
        five_hour_credits=five_hour_credits,
        weekly_credits=weekly_credits,
        monthly_calls=monthly_calls,
        five_hour_seconds=five_hour_seconds,
        weekly_seconds=weekly_seconds,
        monthly_seconds=monthly_seconds,
        concurrency=concurrency,
        requests_per_second=requests_per_second,
        model_concurrency=model_concurrency,
        shared_pools=shared_pool,
        mcp_concurrency=mcp_concurrency,
        mcp_recovery_seconds=mcp_recovery_seconds,
        release_seconds=release_seconds,
    )
    settings = SimulatorSettings(
        host=host,
        port=port,
        key=_read_key(key, key_file),
        rulebook=_read_rules(scenario, replay),
        limits=limits,
        speed=speed,
        plan_level=plan_level,
        expected_host=expected_host,
        general_balance=general_balance,
        prefix_cache_seconds=prefix_cache,
        keep_alive_seconds=keep_alive_seconds,
        tls_cert=tls_cert,
        tls_key=tls_key,
    )
    _check_tls(settings)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_serve_until_told(settings))


async def _serve_until_told(settings: SimulatorSettings) -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    try:
        async with serve(settings) as running:
            logs.configure(LogFormat.CONSOLE, LogLevel.WARNING)
            # Nothing that runs in the loop waits for whoever reads the outputs.
            LineWriter(_STANDARD_OUTPUT).write(f"simulator listening on {running.url}\n")
            await told.wait()
    except OSError as error:
        place = f"{settings.host}:{settings.port}"
        why = os.strerror(error.errno) if error.errno else str(error)
        raise click.BadParameter(f"cannot listen on {place}: {why}", param_hint="--host, --port") from None


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command; exits with 2 for a bad option."""
    logs.open_what_is_closed()
    simulator_command(args=argv, prog_name="simulator")
