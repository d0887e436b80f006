"""What the trials have seen, and what an assumption is: the words that all of them are judged with."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from extproc.domain.assumptions import trials
from extproc.domain.assumptions.exchange import Exchange
from extproc.domain.request.business_codes import BusinessCode, ErrorClass, classify
from extproc.domain.request.labels import OTHER

REFUSALS: Final = (429, 529)
UNKNOWN_MODEL: Final = "1211"
# What a plan's limits refuse, and Z.AI's own.
_OF_LIMITS: Final = (ErrorClass.CONCURRENCY, ErrorClass.FREQUENCY, ErrorClass.OVERLOAD, ErrorClass.QUOTA)
# What the account or the hour is refused for, whatever was asked.
OF_THE_ACCOUNT: Final = (ErrorClass.QUOTA, ErrorClass.ACCOUNT, ErrorClass.AUTH)
_INTERNAL: Final = range(500, 600)
NOTHING: Final = "nothing was answered"
NOT_TRIED: Final = "was not tried"
"""What was seen where the trial was left out."""

ONLY_WITH_PLACES: Final = "was not tried: only with --places"
"""The same where it is asked for by name."""


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


def told(holds: bool, seen: str) -> Judgement:
    return Judgement(Outcome.HOLDS if holds else Outcome.DIFFERS, seen)


def untold(seen: str) -> Judgement:
    return Judgement(Outcome.UNTOLD, seen)


def answered(evidence: Evidence, *names: str) -> Judgement | None:
    """Why nothing can be told where one of the trials has no healthy answer; None where all have."""
    for trial in names:
        exchange = evidence.exchanges.get(trial)
        if exchange is None:
            return untold(NOT_TRIED)
        if not exchange.is_answered:
            return untold(why(exchange))
    return None


def outcome_of(exchange: Exchange) -> str:
    if exchange.failure:
        return f"no whole answer ({exchange.failure})"
    if exchange.code is not None:
        return f"HTTP {exchange.status} with code {exchange.code}"
    return f"HTTP {exchange.status}" + (" with an error" if exchange.status == 200 and exchange.has_error else "")


def why(exchange: Exchange) -> str:
    """The same, with what Z.AI's code means."""
    row = row_of(exchange)
    return outcome_of(exchange) + (f" ({row.meaning})" if row.code != OTHER else "")


def row_of(exchange: Exchange) -> BusinessCode:
    return classify(exchange.code, exchange.status)


def is_passing(exchange: Exchange) -> bool:
    """Whether Z.AI was overloaded or failed inside, in a 200 too: that tells nothing of what was tried, and may be over
    a moment later. A plain 500 is also how it answers a path that is wrong and, in a 200, a key without a plan."""
    meant = {trials.WRONG_PATH: 500, trials.QUOTA: 200}
    is_meant = any(exchange.trial.startswith(name) and exchange.status == status for name, status in meant.items())
    if exchange.failure or (is_meant and exchange.code in (None, "500")):
        return False
    kind = row_of(exchange).error_class
    is_told = kind in (ErrorClass.OVERLOAD, ErrorClass.INTERNAL)
    return is_told or (kind is ErrorClass.UNKNOWN and exchange.status in _INTERNAL)


def is_over_a_limit(exchange: Exchange) -> bool:
    """Whether it was refused for a limit of the plan's or of Z.AI's, also in a 200; not for what the account lacks."""
    kind = row_of(exchange).error_class
    return kind in _OF_LIMITS or (exchange.status in REFUSALS and kind not in OF_THE_ACCOUNT)


def count_passed(exchanges: Iterable[Exchange]) -> int:
    return sum(each.is_answered for each in exchanges)
