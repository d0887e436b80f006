"""What tells of the limits of a plan: headers, and refusals of what is sent at once."""

from collections.abc import Iterable
from typing import Final

from extproc.domain.assumptions import trials
from extproc.domain.assumptions.errors import ANTHROPIC_ERROR, OTHER_ENVELOPE, PAAS_ERROR, shape_of
from extproc.domain.assumptions.evidence import (
    NOT_TRIED,
    NOTHING,
    OF_THE_ACCOUNT,
    ONLY_WITH_PLACES,
    Assumption,
    Evidence,
    Judgement,
    count_passed,
    is_over_a_limit,
    is_passing,
    outcome_of,
    row_of,
    told,
    untold,
    why,
)
from extproc.domain.assumptions.wording import LIMIT_HEADERS, header_name

_MOST_HEADERS: Final = 8
_UNIFIED: Final = "anthropic-ratelimit-unified-"
_WITH_BETA: Final = (trials.BETA, trials.BURST)


def _header_names(headers: Iterable[str]) -> str:
    return ", ".join(sorted({header_name(name, LIMIT_HEADERS) for name in headers})[:_MOST_HEADERS])


def _limit_headers(evidence: Evidence) -> Judgement:
    answers = [each for each in evidence.all if each.status]
    if not answers:
        return untold(NOTHING)
    names = {name for each in answers for name in each.headers if name.startswith(LIMIT_HEADERS)}
    found = _header_names(name for name in names if not name.startswith(_UNIFIED))
    if found:
        return told(False, found)
    refused = sum(map(is_over_a_limit, answers))
    if not refused:
        return untold(f"none in {len(answers)} answers, but nothing was refused; {_told_by(evidence)}")
    return told(True, f"none in {len(answers)} answers, {refused} of them refusals")


def _unified(evidence: Evidence) -> Judgement:
    """Of the answers to requests with Claude Code's beta header."""
    beta = [each for each in evidence.all if each.path == trials.MESSAGES_PATH and each.trial.startswith(_WITH_BETA)]
    if not any(each.status for each in beta):
        return untold(NOT_TRIED if not beta else NOTHING)
    refused = [each for each in beta if is_over_a_limit(each)]
    for each in beta:
        names = _header_names(name for name in each.headers if name.startswith(_UNIFIED))
        if names:
            return told(False, f"{names} in an answer of {outcome_of(each)}")
    if not refused:
        return untold(f"nothing with that header was refused; {_told_by(evidence)}")
    return told(True, f"none in {len(refused)} refusals: {outcome_of(refused[0])}")


def _told_by(evidence: Evidence) -> str:
    """What may tell of refusals where there was none."""
    return f"{'a plan that is used up' if evidence.burst else '--places, or a plan that is used up,'} may tell"


def _two_models(evidence: Evidence) -> Judgement:
    pair = [evidence.exchanges.get(trial) for trial in ("pair one", "pair two")]
    if any(each is None for each in pair):
        return untold(NOT_TRIED)
    both = [each for each in pair if each is not None]
    seen = "; ".join(f"{each.model}: {outcome_of(each)}" for each in both)
    if any(each.failure for each in both):
        return untold(seen)
    refused = [each for each in both if not each.is_answered]
    if any(each.code not in ("1302", "1303") for each in refused):
        return untold(seen)
    return told(not refused, seen)


def _places(evidence: Evidence) -> Judgement:
    if not evidence.burst:
        return untold(ONLY_WITH_PLACES)
    for step in evidence.burst:
        refused = [each for each in step if not each.is_answered]
        if not refused:
            continue
        passed = len(step) - len(refused)
        right = all(each.status in (200, 429) and each.code == "1302" for each in refused)
        is_other = any(
            each.failure or is_passing(each) or row_of(each).error_class in OF_THE_ACCOUNT for each in refused
        )
        seen = f"{passed} of {len(step)} at once passed, the others got "
        return untold(seen + why(refused[0])) if is_other else told(right, seen + outcome_of(refused[0]))
    return untold(f"{len(evidence.burst[-1])} at once passed, no more were tried")


def _places_form(evidence: Evidence) -> Judgement:
    """Of all that was sent at once and got 1302: on each surface the form of its other errors."""
    if not evidence.burst:
        return untold(ONLY_WITH_PLACES)
    sent = [each for step in (*evidence.burst, evidence.of_two_models) for each in step]
    refused = [each for each in sent if each.code == "1302" and not each.failure]
    if not refused:
        return untold("nothing was refused with 1302")
    found = {(each.path == trials.MESSAGES_PATH, shape_of(each)) for each in refused}
    seen = (f"{shape} on {'Anthropic' if is_anthropic else 'Chat'}" for is_anthropic, shape in sorted(found))
    return told(found <= {(True, ANTHROPIC_ERROR), (False, PAAS_ERROR)}, ", ".join(seen))


def _limit_by_model(evidence: Evidence) -> Judgement:
    """Told by a burst that was refused, and as many again of two models: whether they have room where one had none."""
    if not evidence.burst:
        return untold(ONLY_WITH_PLACES)
    alone, both = evidence.burst[-1], evidence.of_two_models
    before = count_passed(alone)
    if before == len(alone):
        return untold(f"{len(alone)} at once of one model passed: its limit was not met")
    if not before:
        return untold(f"none of {len(alone)} at once passed, one got {why(alone[0])}")
    if not both:
        return untold("a limit was met, but --spend allowed no more to compare it with")
    own = [each for each in both if each.model == alone[0].model]
    others = [each for each in both if each.model != alone[0].model]
    seen = (
        f"of {len(alone)} at once for {own[0].model} {before} passed; of as many for two models {count_passed(own)} of "
        f"{len(own)} for {own[0].model}, and {count_passed(others)} of {len(others)} for {others[0].model}"
    )
    refused = [each for each in (*alone, *both) if not count_passed([each])]
    if other := [each for each in refused if each.failure or each.code != "1302"]:
        return untold(f"{seen}; one got {why(other[0])}")
    if count_passed(own) == len(own):
        return told(True, seen) if count_passed(both) > before else untold(seen)
    # No more of the first model were asked than had passed alone. If no more passed in all, the second took its places.
    return told(False, seen) if count_passed(both) <= before and len(own) <= before else untold(seen)


def _overload(evidence: Evidence) -> Judgement:
    for exchange in evidence.all:
        if exchange.code == "1305":
            return told(exchange.status in (200, 429, 529), f"HTTP {exchange.status}, as {shape_of(exchange)}")
    was_answered = any(exchange.status for exchange in evidence.all)
    return untold("Z.AI was not overloaded meanwhile" if was_answered else NOTHING)


HEADERS: Final = (
    Assumption(
        "headers about limits",
        "none, in refusals either: limits are found out from refusals alone",
        "The proxy honours retry-after and x-should-retry; the others it ignores, and could learn from: tell us.",
        _limit_headers,
    ),
    Assumption(
        "unified status",
        "a refusal of Claude Code's beta header has no anthropic-ratelimit-unified-status",
        "Nothing breaks: Claude Code stops for good on that status, and the proxy takes it off where waiting helps.",
        _unified,
    ),
)


PLACES: Final = (
    Assumption(
        "two models at once",
        "both are served",
        "The models share their places: the proxy finds that out from refusals, at the price of some.",
        _two_models,
    ),
    Assumption(
        "too many at once",
        "HTTP 429 with code 1302, or 1302 in a 200",
        "The proxy learns the plan's places from 1302; from this it learns something else, or nothing.",
        _places,
    ),
    Assumption(
        "form of 1302",
        f"as {ANTHROPIC_ERROR} on Anthropic, and {PAAS_ERROR} on Chat",
        OTHER_ENVELOPE,
        _places_form,
    ),
    Assumption(
        "limit by model",
        "each model has places of its own: where one has no more, another is served",
        "The two share places, of a pool or of the account: the proxy learns that from refusals, at the price of some.",
        _limit_by_model,
    ),
    Assumption(
        "overload",
        "1305 comes as HTTP 429 or 529, or in a 200",
        OTHER_ENVELOPE,
        _overload,
    ),
)
