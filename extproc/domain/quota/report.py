"""Reading the monitor API's quota answer, in every shape that it has had.

Percentages alone, counts beside them, credits, accounts with a single window, types of limit that nobody knows yet:
what cannot be read is left out or kept as it is, and never an error. HTTP 200 alone proves nothing: a failure says
`"success": false` in it.
"""

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from extproc.domain.quota.windows import WINDOWS, QuotaReport, QuotaWindow
from extproc.domain.request.business_codes import TRANSIENT_CODES
from extproc.domain.request.error_bodies import extract_code
from extproc.domain.request.labels import OTHER

_MOST_WINDOWS: Final = 32
_LONGEST_NAME: Final = 64
_LONGEST_MESSAGE: Final = 200
_LARGEST_NUMBER: Final = 1e15
_LARGEST_UNIT: Final = 999
_HIGHEST_RATIO: Final = 10.0
_PERCENT: Final = 0.01
# Counts and percentage are rounded separately; further apart than this, the counts mean something else.
_AGREEMENT: Final = 0.02

_PLAN_FIELDS: Final = ("level", "planName", "plan", "planType", "plan_type", "packageName")
_SUCCESS: Final = (200, 0, None)
_NUMBER: Final = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?%?")

_KNOWN: Final = {reported: window for window in WINDOWS.values() for reported in window.reported_as}
_UNITS: Final = {1: ("day", 86400.0), 3: ("hour", 3600.0), 5: ("minute", 60.0), 6: ("week", 7 * 86400.0)}

_EARLIEST_MS: Final = 1e11
_EARLIEST: Final = 1e9
_LATEST: Final = 4_102_444_800.0  # the year 2100


class Trouble(StrEnum):
    """Why an answer is no report."""

    REFUSED = "refused"  # this form of asking, or this key, is not taken
    FAILED = "failed"  # Z.AI could not answer; later it may
    MALFORMED = "malformed"  # an answer, but none that tells of quotas


@dataclass(frozen=True, slots=True)
class UnusableReport:
    """An answer that is no report. `message` is one printable line of at most 200 characters."""

    trouble: Trouble
    message: str
    code: str | None = None

    @property
    def other_form_may_help(self) -> bool:
        """Whether asking in another form may get what this one did not."""
        return self.trouble is Trouble.REFUSED


def read_report(status: int, body: bytes) -> QuotaReport | UnusableReport:
    """Reads the answer of /api/monitor/usage/quota/limit or /api/monitor/usage. Never raises."""
    if status != 200:
        return _failure(body, status)
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):  # no JSON, not UTF-8, or nested beyond the stack
        return UnusableReport(Trouble.MALFORMED, "the answer is not JSON")
    if not isinstance(answer, dict) or not answer.keys() & {"success", "code", "error"}:
        return UnusableReport(Trouble.MALFORMED, "the answer has no code")
    if answer.get("success") is not True or _whole(answer.get("code")) not in _SUCCESS:
        return _failure(body, status)
    return _read_data(answer.get("data"))


def _failure(body: bytes, status: int) -> UnusableReport:
    error = extract_code(body)
    told = error.message or f"HTTP {status}"
    temporary = status >= 500 or status == 429 or error.code in TRANSIENT_CODES
    trouble = Trouble.FAILED if temporary else Trouble.REFUSED
    return UnusableReport(trouble, told[:_LONGEST_MESSAGE], error.code)


def _read_data(data: object) -> QuotaReport | UnusableReport:
    limits = data.get("limits") if isinstance(data, dict) else data
    if not isinstance(limits, list):
        # Accounts whose quota stands at the other address answer with nothing here.
        return UnusableReport(Trouble.REFUSED, "the answer has no list of limits")
    entries = [limit for limit in limits if isinstance(limit, dict)]
    if limits and not entries:
        return UnusableReport(Trouble.MALFORMED, "the limits are no objects")
    plan = _plan(data) if isinstance(data, dict) else ""
    return QuotaReport(plan, tuple(_window(entry) for entry in entries[:_MOST_WINDOWS]))


def _plan(data: dict[str, object]) -> str:
    names = (data.get(field) for field in _PLAN_FIELDS)
    return next((text for name in names if (text := _text(name))), "")


def _window(entry: dict[str, object]) -> QuotaWindow:
    limit_type = _text(entry.get("type")) or OTHER
    name, seconds = _name(limit_type, _whole(entry.get("unit")), _whole(entry.get("number")))
    total, used = _number(entry.get("usage")), _number(entry.get("currentValue"))
    remaining = _number(entry.get("remaining"))
    if used is None and total is not None and remaining is not None:
        used = max(0.0, total - remaining)
    ratio, step = _used_ratio(total, used, _number(entry.get("percentage")))
    return QuotaWindow(
        name=name,
        limit_type=limit_type,
        used_ratio=ratio,
        resets_at=_reset(entry.get("nextResetTime")),
        seconds=seconds,
        step=step,
        total=total,
        used=used,
        remaining=remaining,
    )


def _name(limit_type: str, unit: int | None, number: int | None) -> tuple[str, float | None]:
    """A window's name and how many seconds it lasts, from the API's code of its unit and how many of them it has."""
    if unit is None or number is None or unit > _LARGEST_UNIT or number > _LARGEST_UNIT:
        return OTHER, None
    known = _KNOWN.get((limit_type, unit, number)) or _KNOWN.get((None, unit, number))
    if known is not None:
        return known.name, known.seconds
    if unit not in _UNITS or number == 0:
        return f"unit{unit}-{number}", None
    word, seconds = _UNITS[unit]
    return f"{word}-{number}", number * seconds


def _used_ratio(total: float | None, used: float | None, percentage: float | None) -> tuple[float | None, float]:
    """The share that is used and the smallest change that it can show. `usage` is the allowance, whatever its name."""
    stated = None if percentage is None else min(percentage / 100, _HIGHEST_RATIO)
    if not total or used is None:
        return stated, _PERCENT
    counted = min(used / total, _HIGHEST_RATIO)
    if stated is not None and abs(min(counted, 1.0) - min(stated, 1.0)) > _AGREEMENT:
        return stated, _PERCENT
    return counted, min(_PERCENT, 1 / total)


def _reset(value: object) -> float | None:
    """Unix seconds from the API's milliseconds; None for 0, which says that no window is open."""
    number = _number(value)
    if number is None or number < _EARLIEST:
        return None
    seconds = number / 1000 if number >= _EARLIEST_MS else number
    return seconds if seconds <= _LATEST else None


def _number(value: object) -> float | None:
    """A number of 0 or more, also as text; None for anything else."""
    if isinstance(value, str):
        match = _NUMBER.fullmatch(value.strip())
        return float(match[1]) if match else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= _LARGEST_NUMBER else None  # NaN is in no range


def _whole(value: object) -> int | None:
    number = _number(value)
    return int(number) if number is not None and number.is_integer() else None


def _text(value: object) -> str:
    if not isinstance(value, str):
        return ""
    printable = "".join(character for character in value[: 4 * _LONGEST_NAME] if character.isprintable())
    return printable.strip()[:_LONGEST_NAME]
