"""Compares the tuning strategies over a working day, in virtual time: `python -m bench.autoscale [FOLDER]`.

Prints the tables of docs/tuning.md and docs/autoscaling.md and draws `autoscale` as PNG and SVG, by default into
docs/images. The same each time.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl

mpl.use("agg")
import matplotlib.pyplot as plt

from bench.autoscale_cluster import SUM_METRICS, SYNC, Outcome, Strategy, run_day
from bench.autoscale_day import DAY, arrivals
from bench.autoscale_hpa import Autoscaler, Metric, Target

SEED: Final = 4
POD_HOUR_USD: Final = 0.02
"""What 0.4 cores and 256 MiB, the requests of a pod, cost about."""

STRATEGIES: Final = (
    Strategy("fixed pool: 5 × 20", max_workers=20, least=5, most=5),
    Strategy("dynamic: 1–5 × 20", max_workers=20, least=1, most=5),
    Strategy("cost: 1–2 × 50", max_workers=50, least=1, most=2),
    Strategy("dynamic, by the sum", max_workers=20, least=1, most=5, metrics=SUM_METRICS),
)

_FOLDER: Final = Path(__file__).parent.parent / "docs" / "images"
_RUNNING, _REPLICAS, _REFUSED = "#aecbfa", "#1a73e8", "#d93025"


def compare(seed: int) -> list[Outcome]:
    """A day under each strategy, the same requests for all."""
    day = list(arrivals(seed))
    return [run_day(strategy, day, seed) for strategy in STRATEGIES]


def table(outcomes: Sequence[Outcome]) -> str:
    """One row a strategy."""
    rows = [
        "| strategy | pods, mean | changes | 503s | 503s a 1,000 | gave up | waited, p99 | pod-hours | USD a day |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for each in outcomes:
        mean = sum(count for _, count in each.replicas) / len(each.replicas)
        rows.append(
            f"| {each.strategy.name} | {mean:.1f} | {each.changes} | {each.refusals:,} "
            f"| {1000 * each.refusals / each.requests:.1f} | {each.given_up} | {each.wait_quantile(0.99):.1f} s "
            f"| {each.pod_hours:.0f} | {each.pod_hours * POD_HOUR_USD:.2f} |"
        )
    return "\n".join(rows)


def settled(metric: Metric, demand: float) -> int:
    """Pods after an hour of a steady demand, in requests at once, that began with 1 pod of 20 slots."""
    hpa, replicas = Autoscaler([metric], 1, 5), 1
    for sync in range(240):
        share = demand / 20 / replicas
        reading = share * replicas if metric.kind is Target.SUM else [share] * replicas
        replicas = hpa.scale(sync * SYNC, replicas, {metric.name: reading})
    return replicas


def settled_table() -> str:
    """Where the mean and the sum of the ratios lead."""
    rows = [
        "| requests at once | pods by the mean | utilization | pods by the sum | utilization |",
        "|---|---|---|---|---|",
    ]
    for demand in (8, 14, 17, 18, 24, 36, 52, 70):
        counts = [settled(Metric("ratio", 0.8, kind), demand) for kind in (Target.PER_POD, Target.SUM)]
        cells = " | ".join(f"{count} | {demand / 20 / count:.0%}".replace("%", " %") for count in counts)
        rows.append(f"| {demand} | {cells} |")
    return "\n".join(rows)


def draw(outcomes: Sequence[Outcome], path: Path) -> None:
    """One panel a strategy: slots, requests in flight, and when somebody was refused."""
    mpl.rcParams["svg.hashsalt"] = "autoscale"
    figure, panels = plt.subplots(len(outcomes), 1, figsize=(9.0, 8.0), sharex=True, layout="constrained")
    for axes, outcome in zip(panels, outcomes, strict=True):
        _panel(axes, outcome)
    panels[0].legend(loc="center left", frameon=False, ncols=3)
    panels[-1].set(xlabel="hour of the day", xticks=range(0, 25, 2), xlim=(0, DAY / 3600))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path.with_suffix(".png"), dpi=110, metadata={"Software": None})
    figure.savefig(path.with_suffix(".svg"), dpi=110, metadata={"Date": None})
    plt.close(figure)


def _panel(axes: Any, outcome: Outcome) -> None:
    hours = [at / 3600 for at, _ in outcome.running]
    running = [count for _, count in outcome.running]
    slots = [count * outcome.strategy.max_workers for _, count in outcome.replicas]
    axes.fill_between(hours, running, step="post", color=_RUNNING, linewidth=0, rasterized=True, label="in flight")
    axes.step(hours, slots, where="post", color=_REPLICAS, linewidth=1.2, label="slots (pods × MAX_WORKERS)")
    refused = [at / 3600 for at in outcome.refused_at]
    axes.plot(refused, [3.0] * len(refused), "|", color=_REFUSED, markersize=9, rasterized=True, label="503")
    title = f"{outcome.strategy.name}: {outcome.pod_hours:.0f} pod-hours, {outcome.refusals:,} times 503"
    axes.set_title(title, loc="left", fontsize=10)
    axes.set(ylim=(0, 118), ylabel="requests")


def main(folder: Path) -> None:
    outcomes = compare(SEED)
    sys.stdout.write(table(outcomes) + "\n\n" + settled_table() + "\n")
    draw(outcomes, folder / "autoscale")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else _FOLDER)
