"""The table of a comparison, and its JSON."""

from dataclasses import asdict
from typing import Any, Final

from bench.pacing.outcome import Outcome
from bench.pacing.ways import Way
from extproc.domain.request.priority import Lane

TITLES: Final = {
    Way.NO_PROXY: "no proxy",
    Way.FIXED: "fixed `MAX_WORKERS`",
    Way.RATE_AIMD: "requests a second, AIMD",
    Way.PACED: "pacing",
    Way.REPLICAS: "pacing, three replicas",
    Way.SWARM: "pacing, a swarm",
}
_HEAD: Final = (
    "",
    "answers",
    "plan used",
    "429s that clients saw",
    "503s",
    "turns lost",
    "refused upstream",
    "main waits p50 / p95",
    "sub-agents wait",
    "background waits",
    "Jain",
)


def as_markdown(outcomes: list[Outcome]) -> str:
    rows = [_HEAD, ("---",) * len(_HEAD), *(_row(each) for each in outcomes)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def as_json(outcomes: list[Outcome], about: dict[str, Any]) -> dict[str, Any]:
    return {"about": about, "ways": {each.way.value: asdict(each) for each in outcomes}}


def _row(each: Outcome) -> tuple[str, ...]:
    return (
        TITLES[each.way],
        str(each.answers),
        f"{each.used:.0%}",
        str(each.seen_429),
        str(each.seen_other),
        str(each.lost),
        f"{each.refused} of {each.attempts}",
        *(_wait(each, lane) for lane in (Lane.MAIN, Lane.SUBAGENT, Lane.BACKGROUND)),
        f"{each.jain:.3f}",
    )


def _wait(each: Outcome, lane: Lane) -> str:
    wait = each.waits.get(lane)
    return "–" if wait is None else f"{wait.p50:.1f} / {wait.p95:.0f} s"
