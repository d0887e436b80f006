"""Draws how pacing learns, from runs in virtual time: `python -m bench.pacing_plots [FOLDER]`.

Writes `pacing-cold-start`, `pacing-changes` and `pacing-models`, each as PNG and SVG, by default into docs/images. The
pictures are the same each time.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl

mpl.use("agg")
import matplotlib.pyplot as plt

from extproc.domain.pacing.scheduler import Pacing
from tests.unit.domain.pacing.plan_model import Agent, Changes, Gate, Plan, World
from tests.unit.domain.pacing.scenarios import pacing_for
from tests.unit.domain.pacing.visits import Visit

_FOLDER: Final = Path(__file__).parent.parent / "docs" / "images"
_SHARED: Final = "used by somebody else"
_AGENTS: Final = [Agent(f"agent-{number}") for number in range(24)]
_MIXED: Final[dict[str, Changes]] = {
    "a large model": [(0.0, 2)],
    "a small one, which swings": [(0.0, 6), (120.0, 3), (240.0, 8)],
    "an older one": [(0.0, 1)],
}
_UNLIMITED: Final = 10_000
_CAPACITY, _OTHERS, _LIMIT, _RUNNING, _REFUSED = "#9aa0a6", "#f2c14e", "#1a73e8", "#aecbfa", "#d93025"


@dataclass(frozen=True, slots=True)
class _Level:
    """What runs of a model and how many may, from a moment on."""

    at: float
    running: int
    limit: int


class _WorldByModel(World):
    """Also notes what runs of each model, and what is learned of it."""

    def __init__(self, plan: Plan, pacing: Pacing, seed: int, horizon: float) -> None:
        super().__init__(plan, pacing, seed, horizon)
        self.learner = pacing
        self.levels: dict[str, list[_Level]] = {model: [_Level(0.0, 0, 0)] for model in _MIXED}

    def _note(self) -> None:
        super()._note()
        for model, levels in self.levels.items():
            level = _Level(self.now, self._running[model], self.learner.limit_of(model))
            if (level.running, level.limit) != (levels[-1].running, levels[-1].limit):
                levels.append(level)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    mpl.rcParams["svg.hashsalt"] = "pacing"
    cold = World(Plan([(0.0, 9)], mean=8.0), pacing_for(24), 3, 180.0).run(_AGENTS)
    _draw(cold, "A cold start: nine places, and nobody says so", folder / "pacing-cold-start")
    plan = Plan([(0.0, 9), (900.0, 4), (1800.0, 12)], mean=8.0, others=[Visit(2700.0, 3300.0, 3, longest_pause=3.0)])
    hour = World(plan, pacing_for(24), 5, 3600.0).run(_AGENTS)
    _draw(hour, "An hour: the plan shrinks, grows, and is shared", folder / "pacing-changes")
    gates = [Gate(frozenset([model]), capacity) for model, capacity in _MIXED.items()]
    crowd = [Agent(f"agent-{number}", model=model) for model in _MIXED for number in range(12)]
    mixed = _WorldByModel(Plan([(0.0, _UNLIMITED)], gates, mean=4.0), pacing_for(36), 3, 360.0)
    mixed.run(crowd)
    _draw_models(mixed, "Limits by model: one swings, the others lose nothing", folder / "pacing-models")


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
    _save(figure, path)


def _draw_models(world: _WorldByModel, title: str, path: Path) -> None:
    figure, rows = plt.subplots(len(_MIXED), 1, figsize=(9.0, 5.4), sharex=True, layout="constrained")
    for axes, (model, capacity) in zip(rows, _MIXED.items(), strict=True):
        levels = [*world.levels[model], _Level(world.horizon, 0, world.levels[model][-1].limit)]
        at = [level.at for level in levels]
        running = [level.running for level in levels]
        axes.fill_between(at, running, step="post", color=_RUNNING, linewidth=0.0, rasterized=True, label="running")
        edges = [*capacity, (world.horizon, capacity[-1][1])]
        axes.step(*zip(*edges, strict=True), where="post", color=_CAPACITY, linewidth=2.0, label="capacity (hidden)")
        limits = [level.limit for level in levels]
        axes.step(at, limits, where="post", color=_LIMIT, linewidth=1.4, label="limit (learned)")
        axes.set(xlim=(0.0, world.horizon), ylim=(0.0, 10.0), yticks=(0, 4, 8))
        axes.set_title(model, loc="left", fontsize=10)
    rows[0].legend(loc="upper right", ncols=3, frameon=False, fontsize=9)
    rows[-1].set_xlabel("seconds")
    figure.supylabel("requests in flight", fontsize=10)
    figure.suptitle(f"{title} (refused: {_share(world)})", fontsize=12)
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
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
