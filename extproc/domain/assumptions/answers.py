"""What is answered, and what a request may have in it."""

from collections.abc import Callable
from typing import Final

from extproc.domain.assumptions import trials
from extproc.domain.assumptions.evidence import (
    NOT_TRIED,
    OF_THE_ACCOUNT,
    REFUSALS,
    UNKNOWN_MODEL,
    Assumption,
    Evidence,
    Judgement,
    answered,
    count_passed,
    is_passing,
    outcome_of,
    row_of,
    told,
    untold,
    why,
)
from extproc.domain.assumptions.wording import GONE, word
from extproc.domain.request.business_codes import ErrorClass

_MOST_COUNTED: Final = 1_000_000_000
_OF_THE_MOMENT: Final = (*OF_THE_ACCOUNT, ErrorClass.CONCURRENCY, ErrorClass.FREQUENCY)
_FIELDS_REFUSED: Final = "Clients that send such fields are refused: set them up to send none."


def _model(evidence: Evidence) -> Judgement:
    if missing := answered(evidence, "cache first"):
        return missing
    exchange = evidence.exchanges["cache first"]
    served = str(exchange.fields.get("model", "none")).lower()
    if served == exchange.model.lower():
        return told(True, f"{exchange.model} for {exchange.model}")
    shown = word(served)
    return told(False, f"{'another name' if shown == GONE else shown} for {exchange.model}")


def _count_tokens(evidence: Evidence) -> Judgement:
    if missing := answered(evidence, "count tokens"):
        return missing
    counted = evidence.exchanges["count tokens"].fields.get("input_tokens")
    is_number = type(counted) is int and 0 <= counted < _MOST_COUNTED
    return told(counted == 0, f"input_tokens is {counted if is_number else 'no number of tokens'}")


def _passes(trial: str, *suspected: ErrorClass) -> Callable[[Evidence], Judgement]:
    """A request that is answered, not refused. What has another cause than the request tells nothing, unless it is
    suspected to be one."""

    def judge(evidence: Evidence) -> Judgement:
        exchange = evidence.exchanges.get(trial)
        if exchange is None:
            return untold(NOT_TRIED)
        passed = count_passed([exchange]) == 1
        kind = row_of(exchange).error_class
        has_cause = kind in _OF_THE_MOMENT or exchange.status in REFUSALS or exchange.code == UNKNOWN_MODEL
        is_about_it = kind in suspected or not has_cause
        if exchange.failure or exchange.status >= 500 or is_passing(exchange) or not (passed or is_about_it):
            return untold(why(exchange))
        return told(passed, outcome_of(exchange))

    return judge


def _let_pass(surface: str, trial: str, more: str = "") -> Assumption:
    assumed = f"{more}fields that Z.AI does not know are let pass"
    return Assumption(f"unknown fields, {surface}", assumed, _FIELDS_REFUSED, _passes(trial))


ANSWERS: Final = (
    Assumption(
        "model",
        "the answer names the model that was asked for",
        "The proxy counts and prices by the answer's model, and so by another one than the client asked for.",
        _model,
    ),
    Assumption(
        "count_tokens",
        "is 0 for glm-5.3",
        "Good news if it is a number above 0: clients can count their prompts on glm-5.3.",
        _count_tokens,
    ),
    Assumption(
        "anthropic-beta",
        "Claude Code's header of that name does not get a request refused",
        "Claude Code sends it with every request and would be refused: tell us, the proxy can leave it out.",
        _passes(trials.BETA, ErrorClass.CONCURRENCY),
    ),
    _let_pass("Anthropic", "unknown fields anthropic"),
    _let_pass("Chat", "stream chat options", "stream_options and "),
    _let_pass("Responses", "unknown fields responses"),
)
