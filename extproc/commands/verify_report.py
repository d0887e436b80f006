"""What `zai-proxy verify` says to people and to programs, whatever becomes of its outputs."""

import json
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final

import click

from common.logs import drop_what_is_left
from extproc.domain.assumptions.budget import Budget
from extproc.domain.assumptions.evidence import NOT_TRIED, ONLY_WITH_PLACES, Outcome
from extproc.domain.assumptions.judging import Verdict

_SIGNS: Final = {Outcome.HOLDS: "holds  ", Outcome.DIFFERS: "DIFFERS", Outcome.UNTOLD: "untold "}
_INDENT: Final = " " * 9
_LEFT_OUT: Final = {NOT_TRIED: "not tried", ONLY_WITH_PLACES: "not tried without --places"}
_MANY: Final = 3
_NARROWEST: Final = 40


def tell(line: str) -> None:
    """Says how it goes, where it is not in the way of what is printed for programs. If nobody reads there, nothing
    stops."""
    width = _width(sys.stderr.isatty())
    with suppress(OSError):
        _write(line if width is None else textwrap.fill(line, width), err=True)


def put(text: str) -> bool:
    """Prints what came out; False, and it is said, if it can't be written. A reader that leaves has seen enough."""
    try:
        _write(text, err=False)
    except BrokenPipeError:
        return True
    except OSError as error:
        tell(f"what came out could not be printed: {error.strerror or type(error).__name__}")
        return False
    return True


def agrees() -> bool:
    """Whether the user says so; Ctrl-C, an end of the input, and nobody to be asked are no."""
    try:
        return click.confirm("Go on?", err=True)
    except (click.Abort, OSError):
        tell("")
        return False


def _write(text: str, *, err: bool) -> None:
    """Raises OSError if nobody takes the text; what is written to that output afterwards is dropped."""
    try:
        click.echo(text, err=err)
    except OSError:
        drop_what_is_left(sys.stderr if err else sys.stdout)
        raise


def spent_of(budget: Budget) -> str:
    requests = f"{budget.sent} request{'' if budget.sent == 1 else 's'}"
    if budget.spent > budget.tokens:
        more = f"more than the {budget.tokens:,} of --spend, as an answer took more than its request asked for"
        return f"{requests} sent, {budget.spent:,} tokens spent: {more}"
    return f"{requests} sent, {budget.spent:,} of at most {budget.tokens:,} tokens spent"


def table(found: Sequence[Verdict]) -> str:
    """All rows, in lines as wide as the terminal; in a pipe or a file each in one."""
    return "\n".join(lines(found, _width(sys.stdout.isatty())))


def _width(is_terminal: bool) -> int | None:
    """How many columns the terminal has; None where lines may have any length."""
    return max(_NARROWEST, shutil.get_terminal_size().columns) if is_terminal else None


def lines(found: Sequence[Verdict], width: int | None = None) -> Iterator[str]:
    """What is printed, in lines of at most `width` columns: what differs comes last, where it is seen. What was not
    tried, and what can't be told for one and the same reason, is told together."""
    reasons = Counter(verdict.seen for verdict in found if verdict.outcome is Outcome.UNTOLD)
    shared = {seen: _LEFT_OUT.get(seen, seen) for seen, n in reasons.items() if n >= _MANY or seen in _LEFT_OUT}
    together = [verdict for verdict in found if verdict.outcome is Outcome.UNTOLD and verdict.seen in shared]
    for seen, said in shared.items():
        names = "; ".join(verdict.name for verdict in together if verdict.seen == seen)
        yield from _wrapped(f"{_SIGNS[Outcome.UNTOLD]}  {said}: {names}", width)
    order = (Outcome.UNTOLD, Outcome.HOLDS, Outcome.DIFFERS)
    alone = (verdict for verdict in found if verdict not in together)
    for verdict in sorted(alone, key=lambda each: order.index(each.outcome)):
        yield from _wrapped(f"{_SIGNS[verdict.outcome]}  {verdict.name}: {verdict.assumed}", width)
        if verdict.seen != verdict.assumed:
            told = "because" if verdict.outcome is Outcome.UNTOLD else "seen"
            yield from _wrapped(f"{_INDENT}{told}: {verdict.seen}", width)
        if verdict.meaning:
            yield from _wrapped(f"{_INDENT}-> {verdict.meaning}", width)
    counts = {outcome: sum(verdict.outcome is outcome for verdict in found) for outcome in Outcome}
    yield f"{counts[Outcome.HOLDS]} hold, {counts[Outcome.DIFFERS]} differ, {counts[Outcome.UNTOLD]} could not be told"


def _wrapped(line: str, width: int | None) -> list[str]:
    return [line] if width is None else textwrap.wrap(line, width, subsequent_indent=_INDENT)


def as_json(found: Sequence[Verdict], budget: Budget, stopped: str, model: str) -> str:
    """One document for programs."""
    rows = [
        {
            "name": verdict.name,
            "assumed": verdict.assumed,
            "outcome": verdict.outcome.value,
            "seen": verdict.seen,
            "meaning": verdict.meaning,
        }
        for verdict in found
    ]
    spent = {"requests": budget.sent, "tokens": budget.spent}
    return json.dumps({"model": model, **spent, "stopped": stopped, "assumptions": rows}, indent=2)
