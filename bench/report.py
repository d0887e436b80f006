"""The results for people (Markdown) and for machines (JSON)."""

from collections.abc import Mapping
from typing import Any, Final

from bench.cases import Case
from bench.results import (
    ENOUGH_ALONE,
    Results,
    Spread,
    Verdict,
    client_and_upstream_alone,
    difference,
    events_per_second_count,
    ratio,
)
from bench.stacks import Way

_TITLES: Final = {
    Way.DIRECT: "no proxy",
    Way.BARE: "bare Envoy",
    Way.FLOOR: "floor",
    Way.FILTERS: "our Envoy, floor's processor",
    Way.UNPACED: "this proxy, PACING=off",
    Way.UNGUARDED: "this proxy, STREAM_GUARD=off",
    Way.DOCTORED: "this proxy, CACHE_DOCTOR=on",
    Way.BEFORE: "before",
    Way.ALSO: "this proxy, settings as below",
    Way.PROXY: "this proxy",
}
_ADDED: Final = (
    (Way.BARE, Way.DIRECT),
    (Way.FLOOR, Way.BARE),
    (Way.FILTERS, Way.FLOOR),
    (Way.PROXY, Way.FILTERS),
    (Way.PROXY, Way.UNPACED),
    (Way.BEFORE, Way.BARE),
    (Way.PROXY, Way.BEFORE),
    (Way.PROXY, Way.FLOOR),
    (Way.PROXY, Way.BARE),
    (Way.PROXY, Way.DIRECT),
)

_GUARD: Final = (
    ("requests_per_second", "requests/s", " ×", ratio),
    ("p50_ms", "p50", " ms more", difference),
    ("processor_cpu_ms_per_stream", "processor's CPU a stream", " ms more", difference),
    ("envoy_cpu_ms_per_stream", "Envoy's CPU a stream", " ms more", difference),
)


def as_markdown(results: Results, cases: list[Case], verdicts: list[Verdict], about: Mapping[str, Any]) -> str:
    """Goals first, then a table for each case: the median of the rounds, and from least to most."""
    parts = ["# Benchmark", ", ".join(f"{name} {value}" for name, value in about.items())]
    if about.get("quick"):
        parts.append("A quick run shows that everything works: none of its figures counts.")
    if verdicts:
        parts += ["## Goals (median of the rounds' own comparisons)", _goals(verdicts)]
    if "json_1" in results.cases:
        parts += ["## Latency added, one connection (ms)", _added_latency(results)]
    for case in cases:
        if case.name in results.cases:
            parts += [f"## {case.title}", _case(results, case.name)]
    return "\n\n".join(parts) + "\n"


def as_json(results: Results, cases: list[Case], verdicts: list[Verdict], about: Mapping[str, Any]) -> dict[str, Any]:
    """Everything, each round included."""
    return {
        "about": dict(about),
        "goals": [
            {
                "goal": verdict.goal.text,
                "bound": f"{verdict.goal.bound.value} {verdict.goal.value:g}{verdict.goal.unit}",
                "reached": verdict.is_reached,
                **_spread(verdict.spread),
            }
            for verdict in verdicts
        ],
        "cases": {
            case.name: {
                "title": case.title,
                **_alone_as_json(results, case.name),
                "ways": {way.value: _measures(results, case.name, way) for way in results.ways(case.name)},
            }
            for case in cases
            if case.name in results.cases
        },
    }


def _alone_as_json(results: Results, case: str) -> dict[str, Any]:
    spread = client_and_upstream_alone(results, case)
    if spread is None:
        return {}
    counts = events_per_second_count(results, case)
    return {"client_and_upstream_alone": _spread(spread), "events_per_second_count": counts}


def _goals(verdicts: list[Verdict]) -> str:
    rows = [
        [
            verdict.goal.text,
            f"{verdict.goal.bound.value} {verdict.goal.value:g}{verdict.goal.unit}",
            _number(verdict.spread),
            "reached" if verdict.is_reached else "MISSED",
        ]
        for verdict in verdicts
    ]
    return _table(["goal", "bound", "measured", ""], rows)


def _added_latency(results: Results) -> str:
    rows = []
    for way, other in _ADDED:
        spreads = [results.compare("json_1", name, way, other, difference) for name in ("p50_ms", "p99_ms")]
        if all(spreads):
            rows.append([f"{_TITLES[way]} over {_TITLES[other]}", *(_number(spread) for spread in spreads)])
    return _table(["", "p50", "p99"], rows)


def _case(results: Results, case: str) -> str:
    ways = results.ways(case)
    counts = events_per_second_count(results, case)
    rows = [
        [_words(measure, counts), *(_number(results.spread(case, way, measure)) for way in ways)]
        for measure in results.measures(case)
    ]
    told = (_guard_price, _envoys_cpu, _alone)
    parts = [_table(["", *(_TITLES[way] for way in ways)], rows), *(tell(results, case) for tell in told)]
    return "\n\n".join(part for part in parts if part)


def _guard_price(results: Results, case: str) -> str:
    told = []
    for measure, words, unit, relation in _GUARD:
        spread = results.compare(case, measure, Way.PROXY, Way.UNGUARDED, relation)
        if spread is not None:
            told.append(f"{words} {_number(spread)}{unit}")
    return f"The guard, on to off: {', '.join(told)}." if told else ""


def _envoys_cpu(results: Results, case: str) -> str:
    to_bare = {
        _TITLES[way]: spread
        for way in results.ways(case)
        if way is not Way.BARE and (spread := results.compare(case, "envoy_cpu_us_per_event", way, Way.BARE, ratio))
    }
    told = [f"{name} {_number(spread)}" for name, spread in to_bare.items()]
    return f"Envoy's CPU an event, to bare Envoy: {', '.join(told)}." if told else ""


def _alone(results: Results, case: str) -> str:
    spread = client_and_upstream_alone(results, case)
    if spread is None:
        return ""
    told = f"Client and upstream alone reach {_number(spread)} times the events/s of bare Envoy"
    return (
        f"{told}." if spread.median >= ENOUGH_ALONE else f"{told}, less than {ENOUGH_ALONE:g}: events/s do not count."
    )


def _measures(results: Results, case: str, way: Way) -> dict[str, dict[str, Any]]:
    spreads = {measure: results.spread(case, way, measure) for measure in results.measures(case)}
    return {measure: _spread(spread) for measure, spread in spreads.items() if spread is not None}


def _spread(spread: Spread) -> dict[str, Any]:
    return {"median": spread.median, "least": spread.least, "most": spread.most, "rounds": list(spread.rounds)}


def _words(measure: str, events_count: bool) -> str:
    words = measure.replace("_per_", "/").replace("_us/", " µs/").replace("_", " ")
    return f"{words} (do not count)" if measure == "events_per_second" and not events_count else words


def _number(spread: Spread | None) -> str:
    if spread is None:
        return "–"
    return f"{_digits(spread.median)} ({_digits(spread.least)}–{_digits(spread.most)})"


def _digits(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join(
        "| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |" for line in lines
    )
