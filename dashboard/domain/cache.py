"""What proxies say of the prompt cache at /status, and what is made of it for the page. Pure.

An older proxy says nothing, and what can't be read is left out.
"""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Any, Final

from dashboard.domain.lenient import mapping, number, objects, text, whole
from dashboard.records.cache import Cache, CacheFinding, CacheLoss

_MOST_PROGRAMS: Final = 50
_MOST_FINDINGS: Final = 20
_MOST_SHOWN: Final = 20
_WINDOW_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who asked: a client, and the label of its program."""

    client: str | None
    label: str | None


@dataclass(frozen=True, slots=True)
class ProgramUse:
    """What a client's program asked within the window; tokens are of all input, cached or not. Of
    `unknown_tokens` of it nobody knows whether the cache could have had them; an older proxy says nothing of that."""

    speaker: Speaker
    program: str | None
    requests: int
    input_tokens: int
    cached_tokens: int
    cacheable_tokens: int
    lost_usd: float | None
    lost_credits: float | None
    cold: int
    unknown_tokens: int = 0


@dataclass(frozen=True, slots=True)
class CacheStatus:
    """The section `cache` of one answer of /status."""

    doctor: bool = False
    seconds: float = _WINDOW_SECONDS
    programs: tuple[ProgramUse, ...] = ()
    findings: tuple[tuple[Speaker, CacheFinding], ...] = ()


SAYS_NOTHING: Final = CacheStatus()


def read_cache(value: object) -> CacheStatus:
    """Never raises."""
    data = mapping(value)
    findings = ((_speaker(each), _finding(each)) for each in objects(data.get("findings"), _MOST_FINDINGS))
    return CacheStatus(
        doctor=data.get("doctor") is True,
        seconds=number(data.get("window_seconds")) or _WINDOW_SECONDS,
        programs=tuple(_program(each) for each in objects(data.get("programs"), _MOST_PROGRAMS)),
        findings=tuple((speaker, finding) for speaker, finding in findings if finding is not None),
    )


def _speaker(data: Mapping[str, Any]) -> Speaker:
    return Speaker(text(data.get("client")), text(data.get("label")))


def _program(data: Mapping[str, Any]) -> ProgramUse:
    return ProgramUse(
        speaker=_speaker(data),
        program=text(data.get("program")),
        requests=whole(data.get("requests")) or 0,
        input_tokens=whole(data.get("input_tokens")) or 0,
        cached_tokens=whole(data.get("cached_tokens")) or 0,
        cacheable_tokens=whole(data.get("cacheable_tokens")) or 0,
        lost_usd=number(data.get("lost_usd")),
        lost_credits=number(data.get("lost_credits")),
        cold=whole(data.get("cold")) or 0,
        unknown_tokens=whole(data.get("unknown_tokens")) or 0,
    )


def _finding(data: Mapping[str, Any]) -> CacheFinding | None:
    words = text(data.get("text"))
    if words is None:
        return None
    return CacheFinding(
        cause=text(data.get("cause")) or "unknown",
        part=text(data.get("part")),
        session=text(data.get("session")),
        requests=whole(data.get("requests")) or 0,
        at=number(data.get("at")),
        text=words,
    )


def cache_of_all(statuses: Iterable[tuple[int, CacheStatus]]) -> Cache:
    """The cache over all proxies, each with its number: a program that asks several of them stands there for each."""
    told = list(statuses)
    programs = [use for _, status in told for use in status.programs]
    losses = [loss for target, status in told for loss in _losses(target, status)]
    losses.sort(key=lambda loss: (-(loss.lost_credits or 0.0), -(loss.lost_usd or 0.0), -loss.cold))
    return Cache(
        doctor=any(status.doctor for _, status in told),
        seconds=max((status.seconds for _, status in told), default=_WINDOW_SECONDS),
        input_tokens=sum(use.input_tokens for use in programs),
        cached_tokens=sum(use.cached_tokens for use in programs),
        cacheable_tokens=sum(use.cacheable_tokens for use in programs),
        unknown_tokens=sum(use.unknown_tokens for use in programs),
        losses=losses[:_MOST_SHOWN],
    )


def _losses(target: int, status: CacheStatus) -> Iterable[CacheLoss]:
    """Those whose cache is cold now, or of whom it is known why it may be."""
    rows = {use.speaker for use in status.programs}
    for use in status.programs:
        findings = [finding for speaker, finding in status.findings if _row_of(speaker, rows) == use.speaker]
        if use.cold or findings:
            yield CacheLoss(
                target=target,
                client=use.speaker.client,
                program=use.program,
                requests=use.requests,
                input_tokens=use.input_tokens,
                cached_tokens=use.cached_tokens,
                cacheable_tokens=use.cacheable_tokens,
                unknown_tokens=use.unknown_tokens,
                lost_usd=use.lost_usd,
                lost_credits=use.lost_credits,
                cold=use.cold,
                findings=findings,
            )


def _row_of(speaker: Speaker, rows: Set[Speaker]) -> Speaker:
    """The row that a finding belongs to: where nobody has a token the sources of a program share one without a name."""
    return speaker if speaker in rows else Speaker(None, speaker.label)
