"""The table of a comparison, and its JSON."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from bench.pacing.decisions import DecisionCost
from bench.pacing.load import Plan
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


def as_markdown(outcomes: Mapping[Plan, list[Outcome]]) -> str:
    """A table for each plan."""
    return "\n".join(f"{plan.title}:\n\n{_table(each)}" for plan, each in outcomes.items())


def as_json(
    outcomes: Mapping[Plan, list[Outcome]], decisions: list[DecisionCost], about: dict[str, Any]
) -> dict[str, Any]:
    plans = {
        plan.name: {
            "places": plan.places,
            "seconds": plan.horizon,
            "requests_per_second": plan.requests_per_second,
            "ways": {each.way.value: asdict(each) for each in ways},
        }
        for plan, ways in outcomes.items()
    }
    return {"about": about, "decisions": [asdict(each) for each in decisions], "plans": plans}


def _table(outcomes: list[Outcome]) -> str:
    rows = [_HEAD, ("---",) * len(_HEAD), *(_row(each) for each in outcomes)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _row(each: Outcome) -> tuple[str, ...]:
    return (
        TITLES[each.way],
        str(each.answers),
        _used(each),
        str(each.seen_429),
        str(each.seen_other),
        str(each.lost),
        f"{each.refused} of {each.attempts}",
        *(_wait(each, lane) for lane in (Lane.MAIN, Lane.SUBAGENT, Lane.BACKGROUND)),
        f"{each.jain:.3f}",
    )


def _used(each: Outcome) -> str:
    by_model = f" ({' / '.join(f'{used:.0%}' for used in each.used_by.values())})" if each.used_by else ""
    return f"{each.used:.0%}{by_model}"


def _wait(each: Outcome, lane: Lane) -> str:
    wait = each.waits.get(lane)
    return "–" if wait is None else f"{wait.p50:.1f} / {wait.p95:.0f} s"
