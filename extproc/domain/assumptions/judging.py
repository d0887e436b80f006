"""Whether what was seen is what the proxy takes for true, and what it means for the user where it is not."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from extproc.domain.assumptions import trials
from extproc.domain.assumptions.exchange import Event, Exchange, usage_of
from extproc.domain.assumptions.wording import (
    GONE,
    LIMIT_HEADERS,
    are_header_words,
    field_name,
    header_name,
    message,
    word,
)
from extproc.domain.quota.report import UnusableReport, read_report
from extproc.domain.quota.windows import QuotaReport
from extproc.domain.request.business_codes import BusinessCode, ErrorClass, classify
from extproc.domain.request.error_bodies import extract_code
from extproc.domain.request.labels import OTHER

_CLOCK_TOLERANCE: Final = 60.0
_LOG_ID_TOLERANCE: Final = 600.0
_LONGEST_END: Final = 1.0
_SHORTEST_GAP: Final = 0.001
_NEARLY: Final = 0.1
_LEAST_CACHED: Final = 1024
_LONGEST_SHOWN: Final = 200
_MOST_NAMES: Final = 12
_ABOUT_SOMETHING_ELSE: Final = (401, 403, 429, 529)
_REFUSALS: Final = (429, 529)
# What a plan's limits refuse, and Z.AI's own.
_OF_LIMITS: Final = (ErrorClass.CONCURRENCY, ErrorClass.FREQUENCY, ErrorClass.OVERLOAD, ErrorClass.QUOTA)
# What the account or the hour is refused for, whatever was asked.
_OF_THE_ACCOUNT: Final = (ErrorClass.QUOTA, ErrorClass.ACCOUNT, ErrorClass.AUTH)
_OF_THE_MOMENT: Final = (*_OF_THE_ACCOUNT, ErrorClass.CONCURRENCY, ErrorClass.FREQUENCY)
_INTERNAL: Final = range(500, 600)
_UNAUTHORIZED: Final = 401
# So many failures in a row, or answers of another form, and nothing else is to be expected.
_IN_VAIN: Final = 2
_STRANGE: Final = 3
_KEPT_OPEN: Final = 40.0
_UNKNOWN_MODEL: Final = "1211"
_KEY_CODES: Final = ("401", "1000", "1001", "1002", "1003", "1004", "1005")
_MOST_HEADERS: Final = 8
_MOST_COUNTED: Final = 1_000_000_000
_NOTHING: Final = "nothing was answered"
NOT_TRIED: Final = "was not tried"
"""What was seen where the trial was left out."""

ONLY_WITH_PLACES: Final = "was not tried: only with --places"
"""The same where it is asked for by name."""

_UNIFIED: Final = "anthropic-ratelimit-unified-"
_WITH_BETA: Final = (trials.BETA, trials.BURST)


class Outcome(StrEnum):
    HOLDS = "holds"
    DIFFERS = "differs"
    UNTOLD = "could not be told"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the trials have seen. `exchanges` are by trial; one that was not sent is missing. `passing` are those that
    told nothing of their trial, so that it was sent again. `burst` are the steps of
    the burst, each with as many requests as were in flight at once; `of_two_models` are as many again as the last of
    them had, half of them to another model. `protocol` is what TLS agreed on (`h2`,
    `http/1.1`, empty for nothing), None where TLS could not be tried. `idle` is for how many seconds a connection was
    left alone, and whether it was still open; None if that was not tried."""

    exchanges: Mapping[str, Exchange]
    passing: Sequence[Exchange] = ()
    burst: Sequence[Sequence[Exchange]] = ()
    of_two_models: Sequence[Exchange] = ()
    protocol: str | None = None
    idle: tuple[float, bool] | None = None

    @property
    def all(self) -> list[Exchange]:
        return [
            *self.passing,
            *self.exchanges.values(),
            *(each for step in (*self.burst, self.of_two_models) for each in step),
        ]


@dataclass(frozen=True, slots=True)
class Judgement:
    outcome: Outcome
    seen: str


@dataclass(frozen=True, slots=True)
class Assumption:
    """One thing that the proxy takes for true, what it means if it is not, and how to tell."""

    name: str
    assumed: str
    otherwise: str
    judge: Callable[[Evidence], Judgement] = field(repr=False)


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


def is_passing(exchange: Exchange) -> bool:
    """Whether Z.AI was overloaded or failed inside, in a 200 too: that tells nothing of what was tried, and may be over
    a moment later. A plain 500 is also how it answers a path that is wrong and, in a 200, a key without a plan."""
    meant = {trials.WRONG_PATH: 500, trials.QUOTA: 200}
    is_meant = any(exchange.trial.startswith(name) and exchange.status == status for name, status in meant.items())
    if exchange.failure or (is_meant and exchange.code in (None, "500")):
        return False
    kind = _row_of(exchange).error_class
    is_told = kind in (ErrorClass.OVERLOAD, ErrorClass.INTERNAL)
    return is_told or (kind is ErrorClass.UNKNOWN and exchange.status in _INTERNAL)


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
    return f"no answer has Z.AI's form ({_outcome_of(answered[0])}, as {shape_of(answered[0])})"


def why_not_of(model: str, exchanges: Iterable[Exchange]) -> str:
    """Why more trials of this model would tell nothing: where nothing but the model can be meant, it is not known.
    Empty while they may."""
    sound = (each for each in exchanges if each.model == model and not each.trial.startswith(trials.UNSOUND))
    return next((f"Z.AI has no model {model}: {_why(each)}" for each in sound if each.code == _UNKNOWN_MODEL), "")


def _speaks(exchange: Exchange) -> bool:
    """Whether this can be an answer of Z.AI's."""
    if exchange.code is not None:
        return True
    return exchange.status == 200 and not exchange.failure and (exchange.is_stream or bool(exchange.fields))


def _verdict(assumption: Assumption, judgement: Judgement) -> Verdict:
    meaning = assumption.otherwise if judgement.outcome is Outcome.DIFFERS else ""
    return Verdict(assumption.name, assumption.assumed, judgement.outcome, judgement.seen, meaning)


def _told(holds: bool, seen: str) -> Judgement:
    return Judgement(Outcome.HOLDS if holds else Outcome.DIFFERS, seen)


def _untold(seen: str) -> Judgement:
    return Judgement(Outcome.UNTOLD, seen)


def _answered(evidence: Evidence, *names: str) -> Judgement | None:
    """Why nothing can be told where one of the trials has no healthy answer; None where all have."""
    for trial in names:
        exchange = evidence.exchanges.get(trial)
        if exchange is None:
            return _untold(NOT_TRIED)
        if not exchange.is_answered:
            return _untold(_why(exchange))
    return None


def _outcome_of(exchange: Exchange) -> str:
    if exchange.failure:
        return f"no whole answer ({exchange.failure})"
    if exchange.code is not None:
        return f"HTTP {exchange.status} with code {exchange.code}"
    return f"HTTP {exchange.status}" + (" with an error" if exchange.status == 200 and exchange.has_error else "")


def _why(exchange: Exchange) -> str:
    """The same, with what Z.AI's code means."""
    row = _row_of(exchange)
    return _outcome_of(exchange) + (f" ({row.meaning})" if row.code != OTHER else "")


def _row_of(exchange: Exchange) -> BusinessCode:
    return classify(exchange.code, exchange.status)


def _error(
    trial: str,
    expected: Sequence[tuple[int, Sequence[str]]],
    shape: str,
    elsewhere: Sequence[int] = _ABOUT_SOMETHING_ELSE,
) -> Callable[[Evidence], Judgement]:
    """An error of a known status with one of its codes (any, if there are none), in a known shape (any, if it is
    empty). One with a status of `elsewhere` may have another cause, and so has what a limit, a passing failure
    or an unknown model is told by."""

    def judge(evidence: Evidence) -> Judgement:
        exchange = evidence.exchanges.get(trial)
        if exchange is None:
            return _untold(NOT_TRIED)
        if exchange.failure:
            return _untold(_why(exchange))
        found = shape_of(exchange)
        code = exchange.code or ""
        right = any(exchange.status == status and (not codes or code in codes) for status, codes in expected)
        has_cause = is_passing(exchange) or _is_over_a_limit(exchange)
        # The model that all else is asked of is not the one that has to be unknown.
        has_cause |= code == _UNKNOWN_MODEL and all(code not in codes for _, codes in expected)
        if not right and (has_cause or exchange.status in elsewhere):
            return _untold(_why(exchange))
        return _told(right and shape in ("", found), f"{_outcome_of(exchange)}, as {found}")

    return judge


def shape_of(exchange: Exchange) -> str:
    """The names of an error body's fields, as they are nested."""
    fields = _error_fields(exchange)
    if not fields:
        return "HTML" if exchange.body.lstrip().startswith(b"<") else "no JSON object"
    inner = fields.get("error")
    if not isinstance(inner, dict):
        return f"{{{_names(fields)}}}"
    rest = [name for name in fields if name != "error"]
    return f"{{error{{{_names(inner)}}}{', ' if rest else ''}{_names(rest)}}}"


def _error_fields(exchange: Exchange) -> Mapping[str, object]:
    """What a JSON body holds, or the first event of a stream that tells of an error."""
    if not exchange.is_stream:
        return exchange.fields
    told = (event.fields for event in exchange.events() if extract_code(event.data.encode()).code is not None)
    return next(told, {})


def _names(fields: Iterable[str]) -> str:
    """The names in their order, as many as a row has room for."""
    names = sorted({field_name(name) for name in fields})
    return ", ".join([*names[:_MOST_NAMES], *([GONE] if len(names) > _MOST_NAMES else [])])


def _header_names(headers: Iterable[str]) -> str:
    return ", ".join(sorted({header_name(name, LIMIT_HEADERS) for name in headers})[:_MOST_HEADERS])


def _limit_headers(evidence: Evidence) -> Judgement:
    answers = [each for each in evidence.all if each.status]
    if not answers:
        return _untold(_NOTHING)
    names = {name for each in answers for name in each.headers if name.startswith(LIMIT_HEADERS)}
    found = _header_names(name for name in names if not name.startswith(_UNIFIED))
    if found:
        return _told(False, found)
    refused = sum(map(_is_over_a_limit, answers))
    if not refused:
        return _untold(f"none in {len(answers)} answers, but nothing was refused; {_told_by(evidence)}")
    return _told(True, f"none in {len(answers)} answers, {refused} of them refusals")


def _unified(evidence: Evidence) -> Judgement:
    """Of the answers to requests with Claude Code's beta header."""
    beta = [each for each in evidence.all if each.path == trials.MESSAGES_PATH and each.trial.startswith(_WITH_BETA)]
    if not any(each.status for each in beta):
        return _untold(NOT_TRIED if not beta else _NOTHING)
    refused = [each for each in beta if _is_over_a_limit(each)]
    for each in beta:
        names = _header_names(name for name in each.headers if name.startswith(_UNIFIED))
        if names:
            return _told(False, f"{names} in an answer of {_outcome_of(each)}")
    if not refused:
        return _untold(f"nothing with that header was refused; {_told_by(evidence)}")
    return _told(True, f"none in {len(refused)} refusals: {_outcome_of(refused[0])}")


def _told_by(evidence: Evidence) -> str:
    """What may tell of refusals where there was none."""
    return f"{'a plan that is used up' if evidence.burst else '--places, or a plan that is used up,'} may tell"


def _is_over_a_limit(exchange: Exchange) -> bool:
    """Whether it was refused for a limit of the plan's or of Z.AI's, also in a 200; not for what the account lacks."""
    kind = _row_of(exchange).error_class
    return kind in _OF_LIMITS or (exchange.status in _REFUSALS and kind not in _OF_THE_ACCOUNT)


def _identity(evidence: Evidence) -> Judgement:
    answers = [each for each in evidence.all if each.status]
    if not answers:
        return _untold(_NOTHING)
    packed = [each for each in answers if each.is_compressed]
    if not packed:
        return _told(True, f"none of {len(answers)} answers was compressed")
    encoding = packed[0].headers["content-encoding"]
    known = encoding if are_header_words(encoding) else "another encoding"
    return _told(False, f"{known} in {len(packed)} of {len(answers)} answers")


def _http2(evidence: Evidence) -> Judgement:
    if evidence.protocol is None:
        return _untold("no TLS of our own on this connection (plain HTTP, or a proxy in between)")
    return _told(evidence.protocol == "h2", f"TLS agreed on {evidence.protocol or 'no protocol'}")


def _idle(evidence: Evidence) -> Judgement:
    if evidence.idle is None:
        return _untold(NOT_TRIED)
    seconds, held = evidence.idle
    seen = f"{'open' if held else 'closed'} after {seconds:.0f} s without a request"
    return _untold(seen) if held and seconds < _KEPT_OPEN else _told(held, seen)


def _cached(exchange: Exchange) -> int:
    figures = usage_of(exchange.fields)
    return figures.get("cache_read_input_tokens", 0) or figures.get("cached_tokens", 0)


def _cached_beside(evidence: Evidence) -> Judgement:
    if missing := _answered(evidence, "cache first", "cache again"):
        return missing
    first, again = evidence.exchanges["cache first"], evidence.exchanges["cache again"]
    whole = usage_of(first.fields).get("input_tokens", 0) + _cached(first)
    rest, cached = usage_of(again.fields).get("input_tokens", 0), _cached(again)
    if not cached or not whole:
        return _untold("the second of two equal prompts was not taken from the cache")
    seen = f"{rest:,} input_tokens beside {cached:,} cached; the same prompt was {whole:,} in all"
    if abs(rest + cached - whole) <= _NEARLY * whole:
        return _told(True, seen)
    return _told(False, seen)


def _cache_hit(evidence: Evidence) -> Judgement:
    if missing := _answered(evidence, "cache first", "cache again"):
        return missing
    again = evidence.exchanges["cache again"]
    cached, rest = _cached(again), usage_of(again.fields).get("input_tokens", 0)
    if not cached:
        seen = f"none of {rest:,} tokens came from the cache when the same prompt was sent again at once"
        return _untold(f"{seen}; it may take no prompt this short") if rest < _LEAST_CACHED else _told(False, seen)
    return _told(True, f"{cached:,} tokens came from the cache when the same prompt was sent again at once")


def _attribution(evidence: Evidence) -> Judgement:
    if missing := _answered(evidence, "cache again", "cache other line"):
        return missing
    same, other = (_cached(evidence.exchanges[trial]) for trial in ("cache again", "cache other line"))
    if not same:
        return _untold("nothing came from the cache, with the same line either")
    return _told(other < same / 2, f"{other:,} tokens from the cache after another line, {same:,} after the same")


def _cache_writes(evidence: Evidence) -> Judgement:
    if missing := _answered(evidence, "cache first"):
        return missing
    written = usage_of(evidence.exchanges["cache first"].fields).get("cache_creation_input_tokens", 0)
    return _told(not written, f"{written:,} tokens" if written else "absent, or 0")


def _model(evidence: Evidence) -> Judgement:
    if missing := _answered(evidence, "cache first"):
        return missing
    exchange = evidence.exchanges["cache first"]
    served = str(exchange.fields.get("model", "none")).lower()
    if served == exchange.model.lower():
        return _told(True, f"{exchange.model} for {exchange.model}")
    shown = word(served)
    return _told(False, f"{'another name' if shown == GONE else shown} for {exchange.model}")


def _count_tokens(evidence: Evidence) -> Judgement:
    if missing := _answered(evidence, "count tokens"):
        return missing
    counted = evidence.exchanges["count tokens"].fields.get("input_tokens")
    is_number = type(counted) is int and 0 <= counted < _MOST_COUNTED
    return _told(counted == 0, f"input_tokens is {counted if is_number else 'no number of tokens'}")


def _passes(trial: str, *suspected: ErrorClass) -> Callable[[Evidence], Judgement]:
    """A request that is answered, not refused. What has another cause than the request tells nothing, unless it is
    suspected to be one."""

    def judge(evidence: Evidence) -> Judgement:
        exchange = evidence.exchanges.get(trial)
        if exchange is None:
            return _untold(NOT_TRIED)
        passed = _passed([exchange]) == 1
        kind = _row_of(exchange).error_class
        has_cause = kind in _OF_THE_MOMENT or exchange.status in _REFUSALS or exchange.code == _UNKNOWN_MODEL
        is_about_it = kind in suspected or not has_cause
        if exchange.failure or exchange.status >= 500 or is_passing(exchange) or not (passed or is_about_it):
            return _untold(_why(exchange))
        return _told(passed, _outcome_of(exchange))

    return judge


def _stream_anthropic(evidence: Evidence) -> Judgement:
    if missing := _answered(evidence, "stream anthropic"):
        return missing
    usages = [(event, usage_of(event.fields)) for event in evidence.exchanges["stream anthropic"].events()]
    start = next((figures for event, figures in usages if event.fields.get("type") == "message_start"), {})
    deltas = [figures for event, figures in usages if event.fields.get("type") == "message_delta" and figures]
    figures = deltas[-1] if deltas else {}
    seen = (
        f"{len(deltas)} message_delta with usage, the last with {figures.get('input_tokens', 'no')} input and "
        f"{figures.get('output_tokens', 'no')} output; message_start has {start.get('input_tokens', 'no')} input"
    )
    final = bool(figures.get("input_tokens")) and "output_tokens" in figures
    return _told(len(deltas) == 1 and final and not start.get("input_tokens"), seen)


def _stream_chat(evidence: Evidence) -> Judgement:
    if missing := _answered(evidence, "stream chat"):
        return missing
    chunks = [event for event in evidence.exchanges["stream chat"].events() if event.fields]
    with_usage = [n for n, event in enumerate(chunks, start=1) if usage_of(event.fields).get("prompt_tokens")]
    seen = f"usage in chunk {', '.join(map(str, with_usage[:5])) or 'none'} of {len(chunks)}"
    has_choices = bool(with_usage) and bool(chunks[-1].fields.get("choices"))
    return _told(with_usage == [len(chunks)] and has_choices, seen + (", with choices" if has_choices else ""))


def _stream_responses(evidence: Evidence) -> Judgement:
    if missing := _answered(evidence, "stream responses"):
        return missing
    ends = ("response.completed", "response.incomplete")
    events = evidence.exchanges["stream responses"].events()
    kinds = [word(str(event.fields.get("type", ""))) for event in events if usage_of(event.fields).get("input_tokens")]
    return _told(len(kinds) == 1 and kinds[0] in ends, f"usage in {', '.join(kinds[:5]) or 'no event'}")


def _final(trial: str, expected: str) -> Callable[[Evidence], Judgement]:
    """The last event is the expected one, and the body ends soon after."""

    def judge(evidence: Evidence) -> Judgement:
        if missing := _answered(evidence, trial):
            return missing
        exchange = evidence.exchanges[trial]
        events = [event for event in exchange.events() if event.data]
        if not events:
            return _told(False, "no event at all")
        last = events[-1]
        name = last.data if last.data == "[DONE]" else _type_of(last)
        gap = max(0.0, exchange.ended - last.at)
        told = f"{gap * 1000:.0f} ms later" if gap >= _SHORTEST_GAP else "at once"
        return _told(name == expected and gap <= _LONGEST_END, f"{name}, and the end {told}")

    return judge


def _type_of(event: Event) -> str:
    return word(kind) if isinstance(kind := event.fields.get("type"), str) else "an event without type"


def _two_models(evidence: Evidence) -> Judgement:
    pair = [evidence.exchanges.get(trial) for trial in ("pair one", "pair two")]
    if any(each is None for each in pair):
        return _untold(NOT_TRIED)
    both = [each for each in pair if each is not None]
    seen = "; ".join(f"{each.model}: {_outcome_of(each)}" for each in both)
    if any(each.failure for each in both):
        return _untold(seen)
    refused = [each for each in both if not each.is_answered]
    if any(each.code not in ("1302", "1303") for each in refused):
        return _untold(seen)
    return _told(not refused, seen)


def _places(evidence: Evidence) -> Judgement:
    if not evidence.burst:
        return _untold(ONLY_WITH_PLACES)
    for step in evidence.burst:
        refused = [each for each in step if not each.is_answered]
        if not refused:
            continue
        passed = len(step) - len(refused)
        right = all(each.status in (200, 429) and each.code == "1302" for each in refused)
        is_other = any(
            each.failure or is_passing(each) or _row_of(each).error_class in _OF_THE_ACCOUNT for each in refused
        )
        seen = f"{passed} of {len(step)} at once passed, the others got "
        return _untold(seen + _why(refused[0])) if is_other else _told(right, seen + _outcome_of(refused[0]))
    return _untold(f"{len(evidence.burst[-1])} at once passed, no more were tried")


def _places_form(evidence: Evidence) -> Judgement:
    """Of all that was sent at once and got 1302: on each surface the form of its other errors."""
    if not evidence.burst:
        return _untold(ONLY_WITH_PLACES)
    sent = [each for step in (*evidence.burst, evidence.of_two_models) for each in step]
    refused = [each for each in sent if each.code == "1302" and not each.failure]
    if not refused:
        return _untold("nothing was refused with 1302")
    found = {(each.path == trials.MESSAGES_PATH, shape_of(each)) for each in refused}
    seen = (f"{shape} on {'Anthropic' if is_anthropic else 'Chat'}" for is_anthropic, shape in sorted(found))
    return _told(found <= {(True, _ANTHROPIC_ERROR), (False, _PAAS_ERROR)}, ", ".join(seen))


def _limit_by_model(evidence: Evidence) -> Judgement:
    """Told by a burst that was refused, and as many again of two models: whether they have room where one had none."""
    if not evidence.burst:
        return _untold(ONLY_WITH_PLACES)
    alone, both = evidence.burst[-1], evidence.of_two_models
    before = _passed(alone)
    if before == len(alone):
        return _untold(f"{len(alone)} at once of one model passed: its limit was not met")
    if not before:
        return _untold(f"none of {len(alone)} at once passed, one got {_why(alone[0])}")
    if not both:
        return _untold("a limit was met, but --spend allowed no more to compare it with")
    own = [each for each in both if each.model == alone[0].model]
    others = [each for each in both if each.model != alone[0].model]
    seen = (
        f"of {len(alone)} at once for {own[0].model} {before} passed; of as many for two models {_passed(own)} of "
        f"{len(own)} for {own[0].model}, and {_passed(others)} of {len(others)} for {others[0].model}"
    )
    refused = [each for each in (*alone, *both) if not _passed([each])]
    if other := [each for each in refused if each.failure or each.code != "1302"]:
        return _untold(f"{seen}; one got {_why(other[0])}")
    if _passed(own) == len(own):
        return _told(True, seen) if _passed(both) > before else _untold(seen)
    # So many of it had passed before.
    return _told(False, seen) if _passed(both) <= before and len(own) <= before else _untold(seen)


def _passed(exchanges: Iterable[Exchange]) -> int:
    return sum(each.is_answered for each in exchanges)


def _overload(evidence: Evidence) -> Judgement:
    for exchange in evidence.all:
        if exchange.code == "1305":
            return _told(exchange.status in (200, 429, 529), f"HTTP {exchange.status}, as {shape_of(exchange)}")
    was_answered = any(exchange.status for exchange in evidence.all)
    return _untold("Z.AI was not overloaded meanwhile" if was_answered else _NOTHING)


def _quota_form(evidence: Evidence) -> Judgement:
    exchange = evidence.exchanges.get("quota before")
    if exchange is None or exchange.failure or is_passing(exchange):
        return _untold(NOT_TRIED if exchange is None else _why(exchange))
    report = read_report(exchange.status, exchange.body)
    if isinstance(report, UnusableReport):
        if report.code in _KEY_CODES:
            return _untold("the key is not accepted")
        return _told(False, f"no report: {message(report.message)[:_LONGEST_SHOWN]}")
    names = sorted({window.name for window in report.windows})
    unknown = [name for name in names if name == OTHER or name.startswith("unit")]
    plan = word(report.plan.lower()) if report.plan else "without a name"
    return _told(bool(names) and not unknown, f"plan {plan}: {', '.join(names)}")


def _quota_moves(evidence: Evidence) -> Judgement:
    reports = []
    for trial in ("quota before", "quota after"):
        exchange = evidence.exchanges.get(trial)
        report = None if exchange is None or exchange.failure else read_report(exchange.status, exchange.body)
        if not isinstance(report, QuotaReport):
            return _untold("there are no two reports to compare")
        reports.append({(window.name, window.limit_type): window for window in report.windows})
    before, after = reports
    both = [(before[key], after[key]) for key in before.keys() & after.keys()]
    since = evidence.exchanges["quota before"].began
    until = evidence.exchanges["quota after"].began + evidence.exchanges["quota after"].ended
    # One that began anew meanwhile has less used.
    both = [(then, now) for then, now in both if then.resets_at is None or not since <= then.resets_at <= until]
    shares = [(then.used_ratio, now.used_ratio) for then, now in both]
    counts = [(then.used, now.used) for then, now in both]
    if any(now < then for then, now in _pairs(shares)):
        return _told(False, "a window has less used after these requests than before")
    if any(now > then for then, now in (*_pairs(shares), *_pairs(counts))):
        return _told(True, "more of a window is used after these requests")
    return _untold("nothing moved yet: too little was spent, or the report lags behind")


def _pairs(values: Sequence[tuple[float | None, float | None]]) -> list[tuple[float, float]]:
    """Those of which both are known."""
    return [(then, now) for then, now in values if then is not None and now is not None]


def _clock(evidence: Evidence) -> Judgement:
    ahead = next((each.date_ahead for each in evidence.all if each.date_ahead is not None), None)
    if ahead is None:
        return _untold("no answer has a date")
    return _told(abs(ahead) <= _CLOCK_TOLERANCE, f"{abs(ahead):.0f} s apart")


def _zone(evidence: Evidence) -> Judgement:
    ahead = next((each.log_id_ahead for each in evidence.all if each.log_id_ahead is not None), None)
    if ahead is None:
        return _untold("no answer has an x-log-id with a time")
    return _told(abs(ahead) <= _LOG_ID_TOLERANCE, f"read as UTC+8, x-log-id is {abs(ahead):.0f} s from our time")


_ANTHROPIC_ERROR: Final = "{error{code, message, type}, request_id, type}"
_PAAS_ERROR: Final = "{error{code, message}}"
_KEY_ERROR: Final = "{error{message, type}}"
_NO_BALANCE: Final = (429, ("1113",))
_KEY_REFUSED: Final = ((401, _KEY_CODES),)
_OTHER_WRONG_PATH: Final = "A mistyped path may be tried again in vain, or a real failure of Z.AI's not be tried again."
_OTHER_ENVELOPE: Final = (
    "Errors may be counted as of another kind, and tried again or given up wrongly. Send us what was seen (--record)."
)
_USAGE_LOST: Final = "Tokens of such streams are counted wrongly, or estimated. Send us what was seen (--record)."
_FIELDS_REFUSED: Final = "Clients that send such fields are refused: set them up to send none."
_END_LOST: Final = (
    "Whether such a stream was whole is told wrongly, and a client that leaves at its end counts as one that broke off."
)

# Each API, with the form of its errors; what a plan's key is told on the general one is that it has no balance.
_SURFACES: Final = {
    "Anthropic": _ANTHROPIC_ERROR,
    "Chat": _PAAS_ERROR,
    "Responses": _PAAS_ERROR,
    "general API": _PAAS_ERROR,
}


def _trial(kind: str, surface: str) -> str:
    """The name of the trial of a kind on a surface."""
    return f"{kind} {surface.split()[0].lower()}"


def _of_surfaces(name: str, kind: str, *codes: str) -> Iterator[Assumption]:
    """What each surface refuses with one of these codes."""
    told = " or ".join(filter(None, (", ".join(codes[:-1]), codes[-1])))
    for surface, shape in _SURFACES.items():
        has_balance = surface != "general API"
        statuses = ((400, codes),) if has_balance else ((400, codes), _NO_BALANCE)
        or_else = "" if has_balance else ", or 429 with code 1113 for a plan's key"
        assumed = f"HTTP 400 with code {told}{or_else}, as {shape}"
        yield Assumption(f"{name}, {surface}", assumed, _OTHER_ENVELOPE, _error(_trial(kind, surface), statuses, shape))


def _not_found(surface: str) -> Assumption:
    judge = _error(_trial("wrong path", surface), ((404, ()),), "")
    return Assumption(f"wrong path, {surface}", "HTTP 404, in whatever form", _OTHER_WRONG_PATH, judge)


def _wrong_key(surface: str, shape: str) -> Assumption:
    judge = _error(_trial(trials.WRONG_KEY, surface), _KEY_REFUSED, shape, _REFUSALS)
    return Assumption(
        f"wrong key, {surface}",
        f"HTTP 401 with code 401 or 1000 to 1005, as {shape}",
        "A key that is wrong may be told as another error, or tried again in vain. Send us what was seen (--record).",
        judge,
    )


def _let_pass(surface: str, trial: str, more: str = "") -> Assumption:
    assumed = f"{more}fields that Z.AI does not know are let pass"
    return Assumption(f"unknown fields, {surface}", assumed, _FIELDS_REFUSED, _passes(trial))


def _ends_with(surface: str, last: str, more: str = "") -> Assumption:
    assumed = f"{last}{more}, and the end of the body within 1 s"
    return Assumption(f"end of streams, {surface}", assumed, _END_LOST, _final(_trial("stream", surface), last))


# What such requests can't tell; they stand in the table so that nobody takes them for tried.
BEYOND: Final = (
    Assumption(
        "longest silence",
        "a thinking model says nothing for 900 s at most",
        "",
        lambda _: _untold("only turns that think for many minutes would tell"),
    ),
    Assumption(
        "pings",
        "streams may have pings and comments, or none",
        "",
        lambda _: _untold("they fill long silences, and these streams are short"),
    ),
    Assumption(
        "length of streams",
        "Z.AI breaks off none because it is long",
        "",
        lambda _: _untold("only turns of many minutes would tell"),
    ),
    Assumption(
        "prices and credits",
        "those of the packaged table",
        "",
        lambda _: _untold("no answer has a price, and so little may not move the quota: compare the account's page"),
    ),
    Assumption(
        "two keys of one account",
        "share its places",
        "",
        lambda _: _untold("that takes a second key"),
    ),
    Assumption(
        "MCP tools at once",
        "have places of their own, beside those of the models",
        "",
        lambda _: _untold("each call is one of the month's, and one too many can close all tools for 20 minutes"),
    ),
    Assumption(
        "terms",
        "one person may use a plan through a gateway of their own",
        "",
        lambda _: _untold("no request tells: Z.AI's usage policy and subscription terms do, and they change"),
    ),
)

ASSUMPTIONS: Final = (
    *_of_surfaces("unknown model", "bad model", "1211"),
    *_of_surfaces("bad parameter", "bad parameter", "1210", "1213", "1214", "1215"),
    Assumption(
        "wrong path, coding API",
        f"below /api/coding HTTP 500 with code 500, as {_PAAS_ERROR}",
        _OTHER_WRONG_PATH,
        _error("wrong path coding", ((500, ("500",)),), _PAAS_ERROR),
    ),
    *(_not_found(surface) for surface in ("Anthropic", "Responses", "general API")),
    _wrong_key("Anthropic", _KEY_ERROR),
    _wrong_key("Chat", _PAAS_ERROR),
    _wrong_key("Responses", _PAAS_ERROR),
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
    Assumption(
        "identity encoding",
        "answers are not compressed unless that is asked for",
        "Compressed answers pass unread: their tokens are estimated, and errors in them are not seen.",
        _identity,
    ),
    Assumption(
        "HTTP/2",
        "is spoken",
        "Nothing breaks: the proxy uses HTTP/1.1, with a connection for each request in flight.",
        _http2,
    ),
    Assumption(
        "idle connection",
        "stays open for 40 s at least, after which the proxy closes it",
        "A request after a pause may meet a closed connection: it is tried again, and is slower.",
        _idle,
    ),
    Assumption(
        "cached tokens, Anthropic",
        "stand beside input_tokens, not inside",
        "Cached tokens are counted twice, as input and as cache_read: usage, prices and credits come out too high.",
        _cached_beside,
    ),
    Assumption(
        "cache hit at once",
        "the same prompt again is taken from the cache",
        "Short or quick repeats cost the full price; what the proxy tells of lost cache hits is too dark.",
        _cache_hit,
    ),
    Assumption(
        "attribution line",
        "is not stripped: another line at the front of a prompt loses the cache",
        "Good news: Claude Code needs no CLAUDE_CODE_ATTRIBUTION_HEADER=0 for its cache hits.",
        _attribution,
    ),
    Assumption(
        "cache writes",
        "no cache_creation_input_tokens: they are free",
        "Such tokens are counted as cache_creation; whether they cost something, the price table does not know.",
        _cache_writes,
    ),
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
    Assumption(
        "usage in streams, Anthropic",
        "0 in message_start, all of it in one message_delta at the end",
        _USAGE_LOST,
        _stream_anthropic,
    ),
    Assumption(
        "usage in streams, Chat",
        "in the last chunk, the one with the finish_reason, unasked",
        _USAGE_LOST,
        _stream_chat,
    ),
    Assumption(
        "usage in streams, Responses",
        "in response.completed or response.incomplete",
        _USAGE_LOST,
        _stream_responses,
    ),
    _ends_with("Anthropic", "message_stop"),
    _ends_with("Chat", "[DONE]"),
    _ends_with("Responses", "[DONE]", " after the last event"),
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
        f"as {_ANTHROPIC_ERROR} on Anthropic, and {_PAAS_ERROR} on Chat",
        _OTHER_ENVELOPE,
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
        _OTHER_ENVELOPE,
        _overload,
    ),
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
    Assumption(
        "clock",
        "this machine's and Z.AI's agree within 60 s",
        "Resets and peak hours are taken from this machine's clock: let it keep its time (NTP).",
        _clock,
    ),
    Assumption(
        "time zone",
        "times without a zone are UTC+8",
        "Resets that a refusal names are read hours wrong; those of the monitor API are right.",
        _zone,
    ),
    *BEYOND,
)
