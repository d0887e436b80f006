"""Between the records that replicas exchange and what the script in the store takes and returns."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from extproc.domain.pacing.limits import UNKNOWN
from extproc.domain.pacing.plan_view import PlanLimits, RefusedAttempt, read_plan_limits
from extproc.domain.quota.gate_state import read_gate_state
from extproc.domain.replicas.messages import Answer, Count, Counted, Event, Report
from extproc.domain.request.business_codes import ErrorClass
from extproc.domain.request.model_names import model_name

SCRIPT: Final = Path(__file__).with_suffix(".lua").with_stem("shared_limits").read_text("utf-8")
"""What runs in the store; its opening lines say what it takes and returns."""

_FIRST_MODEL: Final = 15
_MODEL_WORDS: Final = 4
_COUNT_WORDS: Final = 5


class UnreadableAnswerError(Exception):
    """The store answered something that the script does not answer, or to another report."""


def keys(plan: str) -> tuple[str, str, str]:
    """The keys of a plan, the second for older versions alone; what is in braces keeps all in one slot of a cluster.

    The plan is one account's, so what stands under them is all of that account.
    """
    name = f"zai-proxy:{{{plan}}}"
    return f"{name}:limits", f"{name}:events", f"{name}:models"


def encode(report: Report, now: float = 0.0) -> list[str]:
    """The script's arguments. `now` replaces the store's own time, where time is virtual."""
    limits, models = report.plan_limits, report.demand.models
    ruled = ["", "", "0", "0", "0"]
    if limits is not None:
        text = json.dumps(limits.as_dict(), separators=(",", ":"))
        ruled = [text, _rooms(limits), f"{limits.pace:.9g}", f"{limits.burst:.9g}", str(limits.read_to)]
    arguments = [
        f"{now * 1000:.0f}",
        report.id,
        *map(str, (report.serial, int(report.probe), int(report.leaves))),
        *map(str, (report.epoch, report.read_to, report.plan_limits_seen)),
        *ruled,
        "" if report.gate is None else json.dumps(report.gate.as_dict(), separators=(",", ":")),
        str(report.gate_seen),
        str(len(models)),
    ]
    for model, demand in models.items():
        arguments += [_word(model), str(demand.held), str(demand.want), f"{demand.weight:.3g}", str(demand.retrying)]
    for refusal in report.refusals:
        times = f"{refusal.started:.4f}", f"{refusal.ended:.4f}"
        arguments += [_word(refusal.model), refusal.error_class.value, _code(refusal), *times]
    return arguments


def _rooms(limits: PlanLimits) -> str:
    """How many may be in flight now, in the form that the script deals places out by: words with spaces between."""
    places, usable = limits.places, limits.usable
    rooms = [
        usable,
        usable if places.new is None else places.new,
        usable if places.tools is None else places.tools,
        len(places.groups),
        *(group.usable for group in places.groups),
    ]
    models = [f"{_word(model)} {each.usable} {each.group}" for model, each in places.models.items()]
    return " ".join([*map(str, rooms), *models])


def _word(model: str) -> str:
    """A model's name as one word: the script splits what it keeps at spaces."""
    return model_name(model) or UNKNOWN


def _code(refusal: RefusedAttempt) -> str:
    """The code, followed by `@` and the seconds of a `retry-after` if one came with it. Replicas of an older version
    take the whole for a code."""
    code = refusal.code or "-"
    return code if refusal.retry_after is None else f"{code}@{refusal.retry_after:.3f}"


def decode(answer: object) -> Answer:
    """What the script has returned. Raises UnreadableAnswerError."""
    if not isinstance(answer, list) or len(answer) < _FIRST_MODEL:
        raise UnreadableAnswerError("the report came too late" if answer == ["stale"] else "no answer of the script")
    try:
        return _decode(answer)
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise UnreadableAnswerError(str(error)) from None


def _decode(answer: Sequence[str]) -> Answer:
    events = _FIRST_MODEL + _MODEL_WORDS * int(answer[14])
    models = [answer[at : at + _MODEL_WORDS] for at in range(_FIRST_MODEL, min(events, len(answer)), _MODEL_WORDS)]
    return Answer(
        now=int(answer[0]) / 1000,
        settled=int(answer[1]) == 1,
        up=int(answer[2]) == 1,
        leads=int(answer[3]) == 1,
        epoch=int(answer[4]),
        replicas=max(1, int(answer[5])),
        plan_limits_version=int(answer[6]),
        plan_limits=read_plan_limits(json.loads(answer[7])) if answer[7] else None,
        gate_version=int(answer[8]),
        gate=read_gate_state(json.loads(answer[9])) if answer[9] else None,
        may_probe=int(answer[10]) == 1,
        read_to=int(answer[11]),
        newest=int(answer[12]),
        busy=int(answer[13]),
        held={model_name(model): int(held) for model, held, _, _ in models},
        waiting={model_name(model): int(waiting) for model, _, waiting, _ in models},
        granted={model_name(model): int(granted) for model, _, _, granted in models if int(granted)},
        events=tuple(_event(each) for each in answer[events:]),
    )


def _event(text: str) -> Event:
    kind, at, *rest = text.split(" ")
    if kind == "c":
        counts = [rest[first : first + _COUNT_WORDS] for first in range(0, len(rest), _COUNT_WORDS)]
        return Counted(float(at), tuple(_count(*each) for each in counts))
    model, error_class, code, started_at, ended_at = rest
    code, _, told = code.partition("@")
    return RefusedAttempt(
        at=float(at),
        error_class=ErrorClass(error_class),
        code=code,
        started=float(started_at),
        ended=float(ended_at),
        retry_after=float(told) if told else None,
        model=model,
    )


def _count(model: str, held: str, retrying: str, waiting: str, started: str) -> Count:
    return Count(model, int(held), int(retrying), waiting == "1", int(started))
