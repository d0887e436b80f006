"""`python -m bench.pacing`: compares ways to share one plan, and keeps the report in build/bench/."""

import json
import os
import platform
import signal
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Final

import click

from bench.pacing import load, plot, report
from bench.pacing.outcome import Outcome, outcome
from bench.pacing.ways import Way, run

_INTERRUPTED: Final = 130
_SPEED: Final = 2.0
_QUICK: Final = 60.0


def _ways(_context: click.Context, _option: click.Parameter, value: str) -> list[Way]:
    try:
        return [Way(name.strip()) for name in value.split(",")]
    except ValueError:
        raise click.BadParameter(f"need some of {','.join(Way)}") from None


@click.command()
@click.option("--quick", is_flag=True, help="Five seconds of each way: shows that it works, not how well.")
@click.option("--only", default=",".join(Way), callback=_ways, help=f"Some of {','.join(Way)}.")
@click.option("--speed", type=click.FloatRange(1, 100), help=f"Seconds of the plan in one of ours; {_SPEED:g}.")
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), default=Path("build/bench"))
def main(quick: bool, only: list[Way], speed: float | None, output: Path) -> None:
    """Compare ways to share one plan: the same agents, the same five minutes, the same limits that nobody is told."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)  # leaves every block, and so ends every process
    speed = speed or (_QUICK if quick else _SPEED)
    about = {
        "began": datetime.now(UTC).isoformat(timespec="seconds"),
        "speed": speed,
        "seconds": load.HORIZON,
        "capacity": load.CAPACITY,
        "requests_per_second": load.REQUESTS_PER_SECOND,
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
    }
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="zai-pacing-") as name:
        for way in only:
            try:
                outcomes.append(outcome(way, run(way, Path(name) / way.value, speed), speed))
            except (AssertionError, OSError) as error:
                raise click.ClickException(f"{way.value}: {error}") from None
            click.echo(f"{way.value}: done", err=True)
    table = report.as_markdown(outcomes)
    output.mkdir(parents=True, exist_ok=True)
    (output / "pacing.md").write_text(table)
    (output / "pacing.json").write_text(json.dumps(report.as_json(outcomes, about), indent=1) + "\n")
    plot.draw(outcomes, output / "pacing")
    click.echo(table)


def _stop(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
