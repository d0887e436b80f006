"""Whether what was seen is what the proxy takes for true, and what it means for the user where it is not."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from extproc.domain.assumptions import trials
from extproc.domain.assumptions.answers import ANSWERS
from extproc.domain.assumptions.caches import CACHES
from extproc.domain.assumptions.connection import CONNECTIONS, TIMES
from extproc.domain.assumptions.errors import ERRORS, shape_of
from extproc.domain.assumptions.evidence import (
    UNKNOWN_MODEL,
    Assumption,
    Evidence,
    Judgement,
    Outcome,
    outcome_of,
    untold,
    why,
)
from extproc.domain.assumptions.exchange import Exchange
from extproc.domain.assumptions.limits import HEADERS, PLACES
from extproc.domain.assumptions.quota_reports import QUOTA
from extproc.domain.assumptions.streams import STREAMS

_UNAUTHORIZED: Final = 401
# So many failures in a row, or answers of another form, and nothing else is to be expected.
_IN_VAIN: Final = 2
_STRANGE: Final = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came out for one assumption; `meaning` is empty unless it differs."""

    name: str
    assumed: str
    outcome: Outcome
    seen: str
    meaning: str = ""


def verdicts(evidence: Evidence) -> list[Verdict]:
    """One for each assumption, in a fixed order."""
    return [_verdict(each, each.judge(evidence)) for each in ASSUMPTIONS]


def why_in_vain(exchanges: Sequence[Exchange]) -> str:
    """Why more trials would tell nothing after these; empty while they may."""
    asked = [each for each in exchanges if not each.trial.startswith(trials.WRONG_KEY)]
    answered = [each for each in asked if each.status]
    if not answered:
        return "nothing answers" if len(asked) >= _IN_VAIN else ""
    models = [each for each in answered if each.model]
    if models and all(each.status == _UNAUTHORIZED for each in models):
        return "the key is not accepted"
    if len(answered) < _STRANGE or any(map(_speaks, answered)):
        return ""
    return f"no answer has Z.AI's form ({outcome_of(answered[0])}, as {shape_of(answered[0])})"


def why_not_of(model: str, exchanges: Iterable[Exchange]) -> str:
    """Why more trials of this model would tell nothing: where nothing but the model can be meant, it is not known.
    Empty while they may."""
    sound = (each for each in exchanges if each.model == model and not each.trial.startswith(trials.UNSOUND))
    return next((f"Z.AI has no model {model}: {why(each)}" for each in sound if each.code == UNKNOWN_MODEL), "")


def _speaks(exchange: Exchange) -> bool:
    """Whether this can be an answer of Z.AI's."""
    if exchange.code is not None:
        return True
    return exchange.status == 200 and not exchange.failure and (exchange.is_stream or bool(exchange.fields))


def _verdict(assumption: Assumption, judgement: Judgement) -> Verdict:
    meaning = assumption.otherwise if judgement.outcome is Outcome.DIFFERS else ""
    return Verdict(assumption.name, assumption.assumed, judgement.outcome, judgement.seen, meaning)


# What such requests can't tell; they stand in the table so that nobody takes them for tried.
BEYOND: Final = (
    Assumption(
        "longest silence",
        "a thinking model says nothing for 900 s at most",
        "",
        lambda _: untold("only turns that think for many minutes would tell"),
    ),
    Assumption(
        "pings",
        "streams may have pings and comments, or none",
        "",
        lambda _: untold("they fill long silences, and these streams are short"),
    ),
    Assumption(
        "length of streams",
        "Z.AI breaks off none because it is long",
        "",
        lambda _: untold("only turns of many minutes would tell"),
    ),
    Assumption(
        "prices and credits",
        "those of the packaged table",
        "",
        lambda _: untold("no answer has a price, and so little may not move the quota: compare the account's page"),
    ),
    Assumption(
        "two keys of one account",
        "share its places",
        "",
        lambda _: untold("that takes a second key"),
    ),
    Assumption(
        "MCP tools at once",
        "have places of their own, beside those of the models",
        "",
        lambda _: untold("each call is one of the month's, and one too many can close all tools for 20 minutes"),
    ),
    Assumption(
        "terms",
        "one person may use a plan through a gateway of their own",
        "",
        lambda _: untold("no request tells: Z.AI's usage policy and subscription terms do, and they change"),
    ),
)

ASSUMPTIONS: Final = (
    *ERRORS,
    *HEADERS,
    *CONNECTIONS,
    *CACHES,
    *ANSWERS,
    *STREAMS,
    *PLACES,
    *QUOTA,
    *TIMES,
    *BEYOND,
)
