"""Draws what ran at the upstream on each way, under the capacity that none of them was told."""

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("agg")
import matplotlib.pyplot as plt

from bench.pacing.load import Plan
from bench.pacing.outcome import Outcome
from bench.pacing.report import TITLES

_CAPACITY, _RUNNING, _REFUSED = "#5f6368", "#8ab4f8", "#d93025"


def draw(plan: Plan, outcomes: list[Outcome], path: Path) -> None:
    """Writes `path` as PNG and SVG."""
    mpl.rcParams["svg.hashsalt"] = "pacing"
    height = 1.35 * len(outcomes) + 0.8
    figure, rows = plt.subplots(
        len(outcomes), 1, figsize=(9.0, height), sharex=True, layout="constrained", squeeze=False
    )
    for axes, each in zip(rows[:, 0], outcomes, strict=True):
        _row(axes, plan, each)
    rows[-1, 0].set_xlabel("seconds of the plan's time")
    rows[0, 0].legend(loc="upper center", bbox_to_anchor=(0.5, 1.75), ncols=3, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path.with_suffix(".png"), dpi=130, metadata={"Software": None})
    figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
    plt.close(figure)


def _row(axes: Any, plan: Plan, each: Outcome) -> None:
    capacity = plan.in_all()
    edges = [*capacity, (plan.horizon, capacity[-1][1])]
    axes.fill_between(
        [at for at, _ in each.running],
        [level for _, level in each.running],
        step="post",
        color=_RUNNING,
        linewidth=0.0,
        label="running upstream",
    )
    axes.step(*zip(*edges, strict=True), where="post", color=_CAPACITY, linewidth=1.6, label="capacity (hidden)")
    axes.plot(
        each.refused_at, [0.35] * len(each.refused_at), "|", color=_REFUSED, markersize=7, label="refused upstream"
    )
    axes.set(xlim=(0.0, plan.horizon), ylim=(0.0, 11.0), yticks=(0, 4, 8))
    title = TITLES[each.way].replace("`", "")
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_title(
        f"{each.used:.0%} of the plan used · {each.refused} refused upstream · {each.seen_429} 429s seen by clients",
        loc="right",
        fontsize=9,
    )
