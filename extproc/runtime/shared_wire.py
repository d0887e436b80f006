"""Between the records that replicas exchange and what the script in the store takes and returns."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from extproc.domain.pacing.plan_view import RefusedAttempt, read_plan_limits
from extproc.domain.quota.gate_state import read_gate_state
from extproc.domain.replicas.messages import Answer, Counted, Event, Report
from extproc.domain.request.business_codes import ErrorClass

SCRIPT: Final = Path(__file__).with_suffix(".lua").with_stem("shared_limits").read_text()
"""What runs in the store; its opening lines say what it takes and returns."""

_FIRST_EVENT: Final = 17


class UnreadableAnswerError(Exception):
    """The store answered something that the script does not answer, or to another report."""


def keys(plan: str) -> tuple[str, str]:
    """The two keys of a plan; what is in braces keeps both in one slot of a cluster."""
    return f"zai-proxy:{{{plan}}}:limits", f"zai-proxy:{{{plan}}}:events"


def encode(report: Report, now: float = 0.0) -> list[str]:
    """The script's arguments. `now` replaces the store's own time, where time is virtual."""
    demand, ruling = report.demand, report.ruling
    ruled = ("", "0", "0", "0", "0")
    if ruling is not None:
        figures = (ruling.usable, f"{ruling.pace:.9g}", f"{ruling.burst:.9g}", ruling.read_to)
        ruled = (json.dumps(ruling.as_dict(), separators=(",", ":")), *map(str, figures))  # type: ignore[assignment]
    arguments = [
        f"{now * 1000:.0f}",
        report.id,
        *map(str, (report.serial, demand.held, demand.want, demand.weight, demand.retrying)),
        *map(str, (int(report.probe), int(report.leaves), report.epoch, report.read_to, report.ruling_seen)),
        *ruled,
        "" if report.gate is None else json.dumps(report.gate.as_dict(), separators=(",", ":")),
        str(report.gate_seen),
    ]
    for refusal in report.refusals:
        arguments += [refusal.error_class.value, _code(refusal), f"{refusal.started:.4f}", f"{refusal.ended:.4f}"]
    return arguments


def _code(refusal: RefusedAttempt) -> str:
    """The code, and behind an `@` the seconds that came with it: replicas of an older version take it as it is."""
    code = refusal.code or "-"
    return code if refusal.retry_after is None else f"{code}@{refusal.retry_after:.3f}"


def decode(answer: object) -> Answer:
    """What the script has returned. Raises UnreadableAnswerError."""
    if not isinstance(answer, list) or len(answer) < _FIRST_EVENT:
        raise UnreadableAnswerError("the report came too late" if answer == ["stale"] else "no answer of the script")
    try:
        return _decode(answer)
    except (ValueError, TypeError) as error:
        raise UnreadableAnswerError(str(error)) from None


def _decode(answer: Sequence[str]) -> Answer:
    return Answer(
        now=int(answer[0]) / 1000,
        settled=int(answer[1]) == 1,
        up=int(answer[2]) == 1,
        granted=int(answer[3]),
        leads=int(answer[4]) == 1,
        epoch=int(answer[5]),
        replicas=max(1, int(answer[6])),
        held=int(answer[7]),
        waiting=int(answer[8]),
        ruling_version=int(answer[9]),
        ruling=read_plan_limits(json.loads(answer[10])) if answer[10] else None,
        gate_version=int(answer[11]),
        gate=read_gate_state(json.loads(answer[12])) if answer[12] else None,
        may_probe=int(answer[13]) == 1,
        read_to=int(answer[14]),
        newest=int(answer[15]),
        busy=int(answer[16]),
        events=tuple(_event(each) for each in answer[_FIRST_EVENT:]),
    )


def _event(text: str) -> Event:
    kind, at, *rest = text.split(" ")
    if kind == "c":
        held, retrying, waiting, started = map(int, rest)
        return Counted(float(at), held, retrying, bool(waiting), started)
    error_class, code, started_at, ended_at = rest
    code, _, told = code.partition("@")
    retry_after = float(told) if told else None
    return RefusedAttempt(float(at), ErrorClass(error_class), code, float(started_at), float(ended_at), retry_after)
