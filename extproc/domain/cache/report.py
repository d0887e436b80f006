"""What is said of the cache: the section of /status, and its sentences."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from extproc.domain.cache.changes import Finding, When
from extproc.domain.cache.conversation import Speaker
from extproc.domain.cache.interest import Wait
from extproc.domain.cache.ledger import WINDOW_SECONDS, CacheLedger, ColdConversation, Price, ProgramUse
from extproc.domain.cache.prompt import FIRST_MESSAGES, Cause, Change
from extproc.domain.request.programs import label_of

_MOST_PROGRAMS: Final = 50
_MOST_CONVERSATIONS: Final = 20
_MOST_FINDINGS: Final = 20
_MOST_LINES: Final = 5
_SHOWN_OF_A_SESSION: Final = 8
_NAMELESS: Final = "Programs without a name"
_WORTH_SAYING: Final = 0.2


def as_json(ledger: CacheLedger, now: float, *, doctor: bool = False) -> dict[str, object]:
    """For /status: ratios are 0 to 1, times Unix times, sums those of the last hour. `doctor` is whether Envoy tells of
    the parts of prompts. Sentences say which client it is where there are several."""
    programs, cold = ledger.programs(now), ledger.cold(now)
    several = len({each.client for each in programs}) > 1
    findings = ledger.findings(now)
    named = {each.speaker for each in findings}

    def waits(each: ColdConversation) -> Wait | None:
        return ledger.waits_for_a_look(each.speaker) if doctor and each.speaker not in named else None

    return {
        "doctor": doctor,
        "window_seconds": WINDOW_SECONDS,
        "programs": [_program(each, several) for each in programs[:_MOST_PROGRAMS]],
        "cold": len(cold),
        "conversations": [_conversation(each, several, waits(each)) for each in cold[:_MOST_CONVERSATIONS]],
        "findings": [_finding(each, several) for each in findings[:_MOST_FINDINGS]],
    }


def text_of(change: Change, *, is_cut: bool = False, when: When = When.EACH_REQUEST) -> str:
    """What changes and how often, and what to do about it. `is_cut` is whether only the front of the prompts was looked
    at."""
    note = "; of such large prompts only the front is looked at" if is_cut else ""
    return _text_of(change, when) + note


def _text_of(change: Change, when: When) -> str:
    name, size = change.place or change.name, f"{change.bytes:,} bytes" if change.bytes else ""
    match change.cause:
        case Cause.ATTRIBUTION:
            return f"{name} changes {when}: Claude Code's attribution line. Set CLAUDE_CODE_ATTRIBUTION_HEADER=0"
        case Cause.DATE:
            return (
                f"{name} changes {when}, in nothing but digits ({size}): a time, a date or a count. "
                "Put it into the last message, or leave it out"
            )
        case Cause.STAMPED:
            return (
                f"{name} change {when}{_several(change)}, each by a word or a number: something such as the time is "
                "written into all of them anew. Write it once, when a message is made, or into the last one alone"
            )
        case Cause.DROPPED:
            return (
                f"{name} are dropped {when}{_several(change)}, and all behind them is read anew. Drop many at once "
                "and seldom, or sum them up"
            )
        case Cause.TOOLS_REORDERED:
            return f"{name} comes in another order {when} ({size}). Sort it by name"
        case Cause.CACHE_CONTROL:
            return (
                "nothing in the prompt is marked for the cache, and Z.AI's Messages API has been seen to cache nothing "
                "then. Let the client set cache_control on the system prompt and on the last message"
            )
        case Cause.FORGOTTEN:
            return (
                f"nothing changed in {name} of its prompts: the upstream's cache forgot them (they expired, or another "
                "of its nodes was asked)"
            )
        case Cause.UNKNOWN:
            size = f"{change.count} tools, {size} in all" if change.count else size
            return f"{name} changes {when}" + (f" ({size})" if size else "")


def _several(change: Change) -> str:
    """How many messages, as far as they are known, and their size."""
    return f" ({change.count} of the first {FIRST_MESSAGES}, {change.bytes:,} bytes)" if change.count else ""


def ratio(part: int, whole: int) -> float | None:
    """The share that a part is of a whole; None where there is nothing."""
    return round(part / whole, 4) if whole else None


def _program(use: ProgramUse, several: bool) -> dict[str, object]:
    sums = use.sums
    price = Price(sums.usd, sums.credits)
    name = _name(use.program or _NAMELESS, use.client, several)
    text = _shares(name, sums.cached, sums.cacheable, sums.input, sums.unknown)
    lost = _lost(price)
    return {
        "client": use.client or None,
        "program": use.program or None,
        "label": label_of(use.program),
        "requests": sums.requests,
        **_tokens(sums.input, sums.cached, sums.cacheable),
        "unknown_tokens": sums.unknown,
        **_price(price),
        "cold": use.cold,
        "text": f"{text}; {lost} in the last hour" if lost else text,
    }


def _name(program: str, client: str, several: bool) -> str:
    """What a client's program is called in a sentence."""
    return f"{program} of {client}" if client and several else program


def _who(speaker: Speaker) -> dict[str, object]:
    return {
        "client": speaker.client or speaker.source or None,
        "program": speaker.program or None,
        "label": label_of(speaker.program),
        "session": speaker.session or None,
        "agent": speaker.agent or None,
        "model": speaker.model or None,
    }


def _finding(finding: Finding, several: bool) -> dict[str, object]:
    return {
        **_who(finding.speaker),
        "name": _name(finding.speaker.program or _NAMELESS, finding.speaker.client, several),
        "cause": finding.change.cause.value,
        "part": finding.change.name,
        "bytes": finding.change.bytes,
        "since": finding.since,
        "at": finding.at,
        "requests": finding.requests,
        "text": text_of(finding.change, is_cut=finding.is_cut, when=finding.when),
    }


def _conversation(cold: ColdConversation, several: bool, wait: Wait | None) -> dict[str, object]:
    """`wait` is what it waits for until its prompts are looked at, if for anything."""
    speaker, misses = cold.speaker, cold.misses
    name = _name(speaker.program or "A program without a name", speaker.client, several)
    if cold.sessions > 1:
        name += f", {cold.sessions} short sessions"
    elif speaker.session:
        name += f", session {speaker.session[:_SHOWN_OF_A_SESSION]}"
    if speaker.agent:
        name += f", agent {speaker.agent[:_SHOWN_OF_A_SESSION]}"
    why = _when_looked_at(wait) if wait is not None else ""
    lost = _lost(cold.price)
    parts = (_shares(name, misses.cached, misses.due, misses.input), f"{lost} so far" if lost else "", why)
    return {
        **_who(speaker),
        "since": misses.since,
        "at": misses.at,
        "requests": misses.requests,
        **_tokens(misses.input, misses.cached, misses.due),
        **_price(cold.price),
        "text": "; ".join(filter(None, parts)),
    }


def _when_looked_at(wait: Wait) -> str:
    plural = "" if wait.requests == 1 else "s"
    whose = f"request{plural} of this program" if wait.is_for_program else "of its requests"
    return f"why is looked at after {wait.requests:,} more {whose}"


def _tokens(total: int, cached: int, cacheable: int) -> dict[str, object]:
    return {
        "input_tokens": total,
        "cached_tokens": cached,
        "cacheable_tokens": cacheable,
        "cached_ratio": ratio(cached, total),
        "cacheable_ratio": ratio(cacheable, total),
    }


def _price(price: Price) -> dict[str, object]:
    return {"lost_usd": round(price.usd, 4), "lost_credits": round(price.credits, 2)}


def _shares(name: str, cached: int, cacheable: int, total: int, unknown: int = 0) -> str:
    """What came from the cache and what could have. Of `unknown` tokens it is not known."""
    did, could = _percent(cached, total), _percent(cacheable, total)
    text = f"{name}: {did} of its input came from the cache"
    if unknown < total * _WORTH_SAYING:
        return f"{text}, {could} could have"
    if did == could:
        return f"{text}; whether more of it could have is not known"
    return f"{text}, {could} could have, and of {_percent(unknown, total)} it is not known"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / max(1, whole):.0f} %"


def _lost(price: Price) -> str:
    """What was lost in words; empty for nothing, and for what is not a cent."""
    words: Sequence[str] = [
        *([f"${price.usd:.2f}"] if price.usd >= 0.005 else []),
        *([f"{price.credits:,.0f} credits"] if price.credits >= 0.5 else []),
    ]
    return " and ".join(words)


def cold_lines(cache: Mapping[str, Any]) -> list[str]:
    """A line for each of the conversations that are cold by `/status`, for those alone that lost most, and one that
    says how many more there are. An older proxy does not say how many there are beyond those that it lists."""
    conversations = cache["conversations"]
    lines = [str(each["text"]) for each in conversations[:_MOST_LINES]]
    more = max(int(cache.get("cold", 0)), len(conversations)) - len(lines)
    if more > 0:
        lines.append(f"{more} more; `zai-proxy usage --cache --json` has the worst of them")
    return lines


def whose(finding: Mapping[str, Any]) -> str:
    """Whose prompts a finding of `/status` is about. An older proxy says the program alone."""
    return str(finding.get("name") or finding["program"] or "A program")
