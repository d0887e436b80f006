"""Draws how pacing learns, from runs in virtual time: `python -m bench.pacing_plots [FOLDER]`.

Writes `pacing-cold-start` and `pacing-changes`, each as PNG and SVG, by default into docs/images. The pictures are the
same each time.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl

mpl.use("agg")
import matplotlib.pyplot as plt

from tests.unit.domain.pacing.plan_model import Agent, Plan, World
from tests.unit.domain.pacing.scenarios import pacing_for

_FOLDER: Final = Path(__file__).parent.parent / "docs" / "images"
_SHARED: Final = "used by somebody else"
_AGENTS: Final = [Agent(f"agent-{number}") for number in range(24)]
_CAPACITY, _OTHERS, _LIMIT, _RUNNING, _REFUSED = "#9aa0a6", "#f2c14e", "#1a73e8", "#aecbfa", "#d93025"


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    mpl.rcParams["svg.hashsalt"] = "pacing"
    cold = World(Plan([(0.0, 9)], mean=8.0), pacing_for(24), 3, 180.0).run(_AGENTS)
    _draw(cold, "A cold start: nine places, and nobody says so", folder / "pacing-cold-start")
    plan = Plan([(0.0, 9), (900.0, 4), (1800.0, 12)], mean=8.0, others=[(2700.0, 3), (3300.0, 0)])
    hour = World(plan, pacing_for(24), 5, 3600.0).run(_AGENTS)
    _draw(hour, "An hour: the plan shrinks, grows, and is shared", folder / "pacing-changes")


def _draw(world: World, title: str, path: Path) -> None:
    figure, axes = plt.subplots(figsize=(9.0, 3.6), layout="constrained")
    end = world.horizon
    at = [state.at for state in world.usage]
    running = [state.ours for state in world.usage]
    capacity = [state.capacity for state in world.usage]
    free = [state.capacity - state.others for state in world.usage]
    axes.fill_between(at, running, step="post", color=_RUNNING, linewidth=0.0, rasterized=True, label="running")
    axes.fill_between(at, free, capacity, step="post", color=_OTHERS, linewidth=0.0, rasterized=True, label=_SHARED)
    axes.step(at, capacity, where="post", color=_CAPACITY, linewidth=2.0, label="capacity (hidden)")
    _steps(axes, world.limits, end)
    refused = [at for at, error in world.attempts if error is not None]
    axes.plot(refused, [0.25] * len(refused), "|", color=_REFUSED, markersize=12, label=f"refused: {_share(world)}")
    axes.set(title=title, xlabel="seconds", ylabel="requests in flight", xlim=(0.0, end), ylim=(0.0, None))
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    figure.savefig(path.with_suffix(".png"), dpi=130, metadata={"Software": None})
    figure.savefig(path.with_suffix(".svg"), dpi=130, metadata={"Date": None})
    plt.close(figure)


def _steps(axes: Any, limits: Sequence[tuple[float, int]], end: float) -> None:
    times = [at for at, _ in limits] + [end]
    levels = [limit for _, limit in limits]
    axes.step(times, [*levels, levels[-1]], where="post", color=_LIMIT, linewidth=1.4, label="limit (learned)")


def _share(world: World) -> str:
    refused, attempts = world.refusals(0.0, world.horizon)
    return f"{refused} of {attempts}"


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else _FOLDER)
