"""A decision as text for people and as JSON for programs."""

import json
import math
from typing import Any, Final

from canary.domain.intervals import Interval
from canary.domain.verdict import SHARES, Comparison, Decision, Measure

_UNITS: Final = {Measure.FIRST_BYTE: " s", Measure.DURATION: " s", Measure.COST: " USD"}


def as_text(decision: Decision) -> str:
    """A line for the verdict, then one for each measure."""
    lines = [f"{decision.verdict}: {decision.reason}"]
    if decision.comparisons:
        lines.append(f"requests: canary {decision.canary_requests}, production {decision.production_requests}")
        lines += [_line(each) for each in decision.comparisons]
    return "\n".join(lines)


def as_json(decision: Decision) -> str:
    """One object. Differences and margins are of shares, or parts of production's value."""
    return json.dumps(
        {
            "verdict": decision.verdict,
            "reason": decision.reason,
            "requests": {"canary": decision.canary_requests, "production": decision.production_requests},
            "comparisons": [_object(each) for each in decision.comparisons],
        }
    )


def _object(comparison: Comparison) -> dict[str, Any]:
    bounds = _worse(comparison)
    return {
        "measure": comparison.measure,
        "judgement": comparison.judgement,
        "canary": comparison.canary,
        "production": comparison.production,
        "worse_by": bounds.estimate if bounds else None,
        "lower": bounds.lower if bounds else None,
        "upper": bounds.upper if bounds else None,
        "tolerated": _part(comparison, comparison.tolerated),
    }


def _line(comparison: Comparison) -> str:
    name = f"{comparison.measure:15} {comparison.judgement:8}"
    bounds = _worse(comparison)
    if bounds is None:
        return f"{name} too little data"
    values = f"canary {_shown(comparison, comparison.canary)}, production {_shown(comparison, comparison.production)}"
    tolerated = _part(comparison, comparison.tolerated)
    unit = " points" if comparison.measure in SHARES else " %"
    worse = f"{100 * bounds.estimate:+.1f} ({100 * bounds.lower:+.1f} to {100 * bounds.upper:+.1f}){unit}"
    return f"{name} {values}; worse by {worse}, tolerated {100 * tolerated:.1f}"


def _shown(comparison: Comparison, value: float | None) -> str:
    if value is None:
        return "–"
    if comparison.measure in SHARES:
        return f"{100 * value:.2f} %"
    return f"{value:.3g}{_UNITS.get(comparison.measure, '')}"


def _worse(comparison: Comparison) -> Interval | None:
    worse = comparison.worse
    if worse is None:
        return None
    return Interval(*(_part(comparison, each) for each in (worse.estimate, worse.lower, worse.upper)))


def _part(comparison: Comparison, value: float) -> float:
    """A logarithm of a ratio as the part by which it differs from 1; a difference of shares as it is."""
    return value if comparison.measure in SHARES else math.expm1(value)
