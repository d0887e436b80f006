"""When a person should be told: the rules behind the alerts. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dashboard.domain.advice import REFUSED_CLIENTS, Trouble
from dashboard.domain.alerts import Alert
from dashboard.domain.durations import spoken_duration
from dashboard.domain.proxy_status import QuotaWindow, RefusedIdentity
from dashboard.domain.quota_outlook import spoken
from dashboard.records.alerts import Severity
from dashboard.records.snapshot import Origin, Running, TargetHealth, Waiting

_LONGEST_WAIT: Final = 60.0
_LONGEST_SILENCE: Final = 300.0
_OLDEST_QUOTA: Final = 1800.0
_FEWEST_FAILED: Final = 5
_MANY: Final = 0.2
_MOST: Final = 0.5


@dataclass(frozen=True, slots=True)
class TargetTrouble:
    """What the dashboard itself has to say about a target. `silent_for` is since it last answered."""

    id: int
    url: str
    health: TargetHealth
    error: str | None
    silent_for: float | None
    is_several: bool
    feed_denied: bool


@dataclass(frozen=True, slots=True)
class Situation:
    """All that the rules look at. `requests` and `failed` are of the last five minutes, like the troubles; what waits
    and runs is that of /api/now. `unresolved` says of names why they have no address, `names` what people call
    clients."""

    now: float
    targets: Sequence[TargetTrouble]
    quota: Sequence[QuotaWindow]
    refused_identities: Sequence[RefusedIdentity]
    troubles: Sequence[Trouble]
    requests: float
    failed: float
    waiting: Sequence[Waiting]
    running: Sequence[Running]
    store_error: str | None
    unresolved: Mapping[str, str]
    names: Mapping[str, str]


def judge(situation: Situation) -> list[Alert]:
    """What is wrong at this moment."""
    parts: Iterable[Iterator[Alert]] = (
        _targets(situation),
        _store(situation),
        _plan(situation.quota, situation.now),
        _identities(situation.refused_identities, situation.names),
        _errors(situation),
        _requests(situation),
    )
    return [alert for part in parts for alert in part]


def _targets(situation: Situation) -> Iterator[Alert]:
    for name, error in situation.unresolved.items():
        yield Alert(f"name-unresolved:{name}", Severity.CRITICAL, f"{name} has no address", f"{error}. Check the name.")
    for target in situation.targets:
        if target.health is TargetHealth.STALE:
            since = "" if target.silent_for is None else f" for {spoken_duration(target.silent_for)}"
            said = "has not answered yet" if target.silent_for is None else f"has not answered{since}"
            advice = f"Look whether the proxy runs and can be reached from here ({target.error or 'no answer'})."
            yield Alert(f"target-stale:{target.id}", Severity.CRITICAL, f"{target.url} {said}", advice)
        if target.is_several:
            yield Alert(
                f"target-several:{target.id}",
                Severity.WARNING,
                f"Several proxies answer at {target.url} by turns",
                "Their figures can't be told apart: give each its own address, or use dns+http:// to ask all of them.",
            )
        if target.feed_denied:
            yield Alert(
                f"feed-denied:{target.id}",
                Severity.WARNING,
                f"{target.url} does not tell of finished requests",
                "Set ADMIN_TOKEN, here and for the proxy, to the same word.",
            )


def _store(situation: Situation) -> Iterator[Alert]:
    if situation.store_error is not None:
        yield Alert(
            "store",
            Severity.CRITICAL,
            "The dashboard can't keep what it sees",
            f"{situation.store_error.capitalize()}. Look at the disk that DB_PATH is on.",
        )


def _plan(quota: Sequence[QuotaWindow], now: float) -> Iterator[Alert]:
    for window in quota:
        name = spoken(window.window)
        key = f"{window.window}:{window.limit_type}"
        until = "" if window.resets_at is None else f" for {spoken_duration(max(0.0, window.resets_at - now))}"
        if window.gate_closed:
            yield Alert(
                f"quota-closed:{key}",
                Severity.CRITICAL,
                f"The {name} quota is used up: new requests are refused{until}",
                "Wait for the reset, or buy a larger plan.",
            )
        elif window.used is not None and window.used >= 1.0:
            yield Alert(
                f"quota-used:{key}",
                Severity.WARNING,
                f"The {name} quota is used up{until}",
                "Wait for the reset, or buy a larger plan.",
            )
        elif window.runs_out_at is not None and (window.resets_at is None or window.runs_out_at < window.resets_at):
            yield Alert(
                f"quota-early:{key}",
                Severity.WARNING,
                f"The {name} quota lasts only {spoken_duration(max(0.0, window.runs_out_at - now))} more",
                "Let fewer agents work, or use a smaller model, if it has to last until the reset.",
            )
    ages = [window.sample_age for window in quota if window.sample_age is not None]
    if ages and min(ages) > _OLDEST_QUOTA:
        yield Alert(
            "quota-old",
            Severity.WARNING,
            f"The quota's figures are {spoken_duration(min(ages))} old",
            "Z.AI's monitor API does not answer the proxy: what is left may be less than shown.",
        )


def _identities(refused: Sequence[RefusedIdentity], names: Mapping[str, str]) -> Iterator[Alert]:
    refusals: Counter[tuple[str, str | None]] = Counter()
    codes: dict[tuple[str, str | None], str] = {}
    for each in refused:  # of several proxies
        refusals[each.client, each.user_agent] += each.refusals
        codes[each.client, each.user_agent] = f" with {each.code}" if each.code else ""
    for (client, agent), count in refusals.items():
        times = "once" if count == 1 else f"{count} times"
        who = [each for each in (names.get(client), client, agent) if each]
        further = f" ({', '.join(who[1:])})" if who[1:] else ""
        yield Alert(
            f"identity:{client}:{agent or ''}",
            Severity.WARNING,
            f"Z.AI refuses this client: {who[0]}{further}",
            f"It was refused {times}{codes[client, agent]} while others passed. Look at {REFUSED_CLIENTS}.",
        )


def _errors(situation: Situation) -> Iterator[Alert]:
    for trouble in situation.troubles:
        if trouble.origin is Origin.ZAI and trouble.name in ("auth", "account"):
            yield Alert(f"zai-{trouble.name}", Severity.CRITICAL, trouble.title, trouble.advice)
    share = situation.failed / situation.requests if situation.requests else 0.0
    if situation.failed >= _FEWEST_FAILED and share >= _MANY:
        top = next((each for each in situation.troubles if each.name != "write_error"), None)
        yield Alert(
            "failing",
            Severity.CRITICAL if share >= _MOST else Severity.WARNING,
            f"{share * 100:.0f} % of the requests of the last five minutes failed",
            f"{top.title}. {top.advice}" if top else "Look at the requests table for what they have in common.",
        )


def _requests(situation: Situation) -> Iterator[Alert]:
    longest = max((each.waited for each in situation.waiting), default=0.0)
    if longest > _LONGEST_WAIT:
        yield Alert(
            "waiting",
            Severity.WARNING,
            f"A request has been waiting for {spoken_duration(longest)}",
            "More is asked for than the plan allows at once: let fewer agents work.",
        )
    silent = [each for each in situation.running if (each.silent or 0.0) > _LONGEST_SILENCE]
    if silent:
        longest = max(each.silent or 0.0 for each in silent)
        yield Alert(
            "silent",
            Severity.INFO,
            f"{len(silent)} running without a sign for {spoken_duration(longest)}",
            "A thinking model can be silent for minutes. If it is stuck, end the request.",
        )
