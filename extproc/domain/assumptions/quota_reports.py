"""What the monitor API tells of a plan, before the requests and after them."""

from collections.abc import Sequence
from typing import Final

from extproc.domain.assumptions.errors import KEY_CODES
from extproc.domain.assumptions.evidence import (
    NOT_TRIED,
    Assumption,
    Evidence,
    Judgement,
    is_passing,
    told,
    untold,
    why,
)
from extproc.domain.assumptions.wording import message, word
from extproc.domain.quota.report import UnusableReport, read_report
from extproc.domain.quota.windows import QuotaReport
from extproc.domain.request.labels import OTHER

_LONGEST_SHOWN: Final = 200


def _quota_form(evidence: Evidence) -> Judgement:
    exchange = evidence.exchanges.get("quota before")
    if exchange is None or exchange.failure or is_passing(exchange):
        return untold(NOT_TRIED if exchange is None else why(exchange))
    report = read_report(exchange.status, exchange.body)
    if isinstance(report, UnusableReport):
        if report.code in KEY_CODES:
            return untold("the key is not accepted")
        return told(False, f"no report: {message(report.message)[:_LONGEST_SHOWN]}")
    names = sorted({window.name for window in report.windows})
    unknown = [name for name in names if name == OTHER or name.startswith("unit")]
    plan = word(report.plan.lower()) if report.plan else "without a name"
    return told(bool(names) and not unknown, f"plan {plan}: {', '.join(names)}")


def _quota_moves(evidence: Evidence) -> Judgement:
    reports = []
    for trial in ("quota before", "quota after"):
        exchange = evidence.exchanges.get(trial)
        report = None if exchange is None or exchange.failure else read_report(exchange.status, exchange.body)
        if not isinstance(report, QuotaReport):
            return untold("there are no two reports to compare")
        reports.append({(window.name, window.limit_type): window for window in report.windows})
    before, after = reports
    both = [(before[key], after[key]) for key in before.keys() & after.keys()]
    since = evidence.exchanges["quota before"].began
    until = evidence.exchanges["quota after"].began + evidence.exchanges["quota after"].ended
    # A window that was reset between the two reports has less used, and that says nothing.
    both = [(then, now) for then, now in both if then.resets_at is None or not since <= then.resets_at <= until]
    shares = [(then.used_ratio, now.used_ratio) for then, now in both]
    counts = [(then.used, now.used) for then, now in both]
    if any(now < then for then, now in _pairs(shares)):
        return told(False, "a window has less used after these requests than before")
    if any(now > then for then, now in (*_pairs(shares), *_pairs(counts))):
        return told(True, "more of a window is used after these requests")
    return untold("nothing moved yet: too little was spent, or the report lags behind")


def _pairs(values: Sequence[tuple[float | None, float | None]]) -> list[tuple[float, float]]:
    """Those of which both are known."""
    return [(then, now) for then, now in values if then is not None and now is not None]


QUOTA: Final = (
    Assumption(
        "quota",
        "the monitor API tells windows of known lengths",
        "The gate and the forecast work without what can't be read: requests run into the plan's own refusals.",
        _quota_form,
    ),
    Assumption(
        "quota after requests",
        "what requests cost shows in it, and nothing falls",
        "The forecast and the gate start from figures that do not hold.",
        _quota_moves,
    ),
)
