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

from bench.pacing import decisions, load, plot, report
from bench.pacing.load import Plan
from bench.pacing.outcome import Outcome, outcome
from bench.pacing.ways import Way, run, ways_of

_INTERRUPTED: Final = 130
_QUICK: Final = 60.0
_DECISIONS, _QUICK_DECISIONS = 2000, 20


def _ways(_context: click.Context, _option: click.Parameter, value: str) -> list[Way]:
    try:
        return [Way(name.strip()) for name in value.split(",")]
    except ValueError:
        raise click.BadParameter(f"need some of {','.join(Way)}") from None


def _plans(_context: click.Context, _option: click.Parameter, value: str) -> list[Plan]:
    plans = {plan.name: plan for plan in load.PLANS}
    try:
        return [plans[name.strip()] for name in value.split(",")]
    except KeyError:
        raise click.BadParameter(f"need some of {','.join(plans)}") from None


@click.command()
@click.option("--quick", is_flag=True, help="Five seconds of each way: shows that it works, not how well.")
@click.option("--plans", default=",".join(plan.name for plan in load.PLANS), callback=_plans, help="Some of them.")
@click.option("--only", default=",".join(Way), callback=_ways, help=f"Some of {','.join(Way)}.")
@click.option("--speed", type=click.FloatRange(1, 100), help="Seconds of the plan in one of ours; each has its own.")
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), default=Path("build/bench"))
def main(quick: bool, plans: list[Plan], only: list[Way], speed: float | None, output: Path) -> None:
    """Compare ways to share one plan: the same agents, the same minutes, the same limits that nobody is told."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)  # leaves every block, and so ends every process
    about = {
        "began": datetime.now(UTC).isoformat(timespec="seconds"),
        "speed": speed or (_QUICK if quick else None),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
    }
    costs = decisions.measure(_QUICK_DECISIONS if quick else _DECISIONS)
    outcomes: dict[Plan, list[Outcome]] = {plan: [] for plan in plans}
    with tempfile.TemporaryDirectory(prefix="zai-pacing-") as name:
        for plan in plans:
            pace = speed or (_QUICK if quick else plan.speed)
            for way in ways_of(plan):
                if way not in only:
                    continue
                try:
                    ran = run(way, plan, Path(name) / plan.name / way.value, pace)
                except (AssertionError, OSError) as error:
                    raise click.ClickException(f"{plan.name}, {way.value}: {error}") from None
                outcomes[plan].append(outcome(way, plan, ran, pace))
                click.echo(f"{plan.name}, {way.value}: done", err=True)
    table = f"{decisions.as_markdown(costs)}\n{report.as_markdown(outcomes)}"
    output.mkdir(parents=True, exist_ok=True)
    (output / "pacing.md").write_text(table)
    (output / "pacing.json").write_text(json.dumps(report.as_json(outcomes, costs, about), indent=1) + "\n")
    for plan, ways in outcomes.items():
        plot.draw(plan, ways, output / f"pacing-{plan.name}")
    click.echo(table)


def _stop(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
