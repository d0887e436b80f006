"""Windows and reports for tests; times are seconds after NOON."""

from extproc.domain.quota.windows import (
    CREDIT_LIMIT,
    FIVE_HOUR,
    TIME_LIMIT,
    TOKENS_LIMIT,
    QuotaReport,
    QuotaSample,
    QuotaWindow,
    seconds_of,
)

NOON = 1_788_264_000.0  # 2026-09-01 12:00:00 UTC, a Tuesday
HOUR = 3600.0
DAY = 24 * HOUR


def window(
    used: float | None,
    resets_in: float | None = 3 * HOUR,
    name: str = FIVE_HOUR,
    limit_type: str = TOKENS_LIMIT,
    at: float = 0.0,
    step: float = 0.01,
) -> QuotaWindow:
    """A window as a report at `at` tells of it."""
    resets_at = None if resets_in is None else NOON + at + resets_in
    return QuotaWindow(name, limit_type, used, resets_at, seconds_of(name), step)


def credit_window(
    used: float, total: float = 2000.0, resets_in: float = 3 * HOUR, name: str = FIVE_HOUR
) -> QuotaWindow:
    """A window of a credit plan, with its counts."""
    return QuotaWindow(
        name,
        CREDIT_LIMIT,
        used / total,
        NOON + resets_in,
        seconds_of(name),
        step=1 / total,
        total=total,
        used=used,
        remaining=total - used,
    )


def report(*windows: QuotaWindow, plan: str = "pro") -> QuotaReport:
    return QuotaReport(plan, windows)


def sample(*windows: QuotaWindow, at: float = 0.0) -> QuotaSample:
    return QuotaSample(report(*windows), NOON + at)


__all__ = [
    "CREDIT_LIMIT",
    "DAY",
    "HOUR",
    "NOON",
    "TIME_LIMIT",
    "TOKENS_LIMIT",
    "credit_window",
    "report",
    "sample",
    "window",
]
