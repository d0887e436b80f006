"""What pacing is told and what it answers."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from extproc.domain.pacing.adjustments import Adjustments, Direction, Move
from extproc.domain.pacing.config import PacingMode
from extproc.domain.pacing.learned_limits import LearnedLimit
from extproc.domain.request.business_codes import ErrorClass
from extproc.domain.request.priority import Lane
from extproc.domain.request.refusals import RefusalReason


@dataclass(frozen=True, slots=True)
class PacedRequest:
    """A request that wants to go upstream.

    `asked` is the model that it names, `model` the one that serves that as far as is known, both empty if unknown.
    `cost` guesses the credits that it takes. An exempt one never waits and teaches nothing.
    """

    id: str
    source: str
    lane: Lane = Lane.MAIN
    cost: float = 0.0
    exempt: bool = False
    asked: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that the upstream answered, at Unix times; `id` is the request's, `error_class` None a success.

    `model` is the one that serves, for requests that were never here. `retry_after` are the seconds, from the answer
    on, that it asked to be left alone for.
    """

    id: str
    started_at: float
    ended_at: float
    error_class: ErrorClass | None = None
    code: str = ""
    retry_after: float | None = None
    model: str = ""


@dataclass(frozen=True, slots=True)
class Admitted:
    """It may go now, having waited for so many seconds."""

    waited: float = 0.0


@dataclass(frozen=True, slots=True)
class Queued:
    """It waits for its turn; `position` counts all that wait, itself included."""

    position: int


@dataclass(frozen=True, slots=True)
class Refused:
    """It may not go. `retry_after` is in whole seconds, 1 or more; `waited` is how long it was in the queue, this time
    alone."""

    reason: RefusalReason
    retry_after: int
    waited: float = 0.0


@dataclass(frozen=True, slots=True)
class Decision:
    """The wait of the request `id` is over, this way or that."""

    id: str
    answer: Admitted | Refused


@dataclass(frozen=True, slots=True)
class LimitStatus:
    """One limit. `ceiling` is the level that broke, None while none is known; `confidence` (0.0 to 1.0) is how sure
    that still is; `moves` are the latest changes, oldest first, their times Unix seconds."""

    limit: float
    ceiling: float | None
    confidence: float
    adjustments: Mapping[Direction, int]
    moves: tuple[Move, ...]


def limit_status(
    limit: float, known: LearnedLimit, adjustments: Adjustments, outside: Callable[[float], float], now: float
) -> LimitStatus:
    """What there is to see of a limit; `outside` turns the times of its moves into the caller's."""
    return LimitStatus(
        limit=limit,
        ceiling=known.ceiling,
        confidence=known.confidence(now),
        adjustments=adjustments.counts,
        moves=tuple(replace(move, at=outside(move.at)) for move in adjustments.latest()),
    )


@dataclass(frozen=True, slots=True)
class GroupStatus:
    """Places that a model shares with others, beside its own limit: how many they may have in flight together, and how
    many they have. It is `known` to share them with some; whether it does with those `on_trial` is being tried, and
    until that is known they are held together all the same. Both are in the order of their names."""

    limit: int
    in_flight: int
    known: tuple[str, ...]
    on_trial: tuple[str, ...]


def group_status(
    model: str, members: Collection[str], known: Collection[str], limit: int, in_flight: int
) -> GroupStatus:
    """What a model shows of the places that it shares with the other `members`, of which those `known` surely share."""
    others = sorted(set(members) - {model})
    sure = [other for other in others if other in known and model in known]
    return GroupStatus(limit, in_flight, tuple(sure), tuple(other for other in others if other not in sure))


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """One model's places. `share_in_use` is the share of its limit that may be used: 1.0 except after overloads.
    `group` are the places that it shares with other models; None if it shares none."""

    model: str
    in_flight: int
    waiting: int
    limit: LimitStatus
    share_in_use: float
    group: GroupStatus | None


@dataclass(frozen=True, slots=True)
class LimitsStatus:
    """Everything that was learned of an account: of its models, in the order of their names, of the account as a whole,
    and of its rate. `forgotten` counts the changes of models that it knows no more, MCP tools beside."""

    models: tuple[ModelStatus, ...]
    account: LimitStatus
    rate: LimitStatus
    forgotten: Mapping[Direction, int]


@dataclass(frozen=True, slots=True)
class PacingStatus:
    """Everything there is to see at one moment.

    `in_flight` counts what runs under the limits, `exempt` what runs beside them. `concurrency` is what may be in
    flight in all: what the models may together, and the account at most; its moves are those of all of them.
    `share_in_use` is the smallest share of a limit that may be used: 1.0 except after overloads. `expected_wait` is the
    seconds that a request that came now would wait. `models` are in the order of their names.
    """

    mode: PacingMode
    in_flight: int
    exempt: int
    waiting: Mapping[Lane, int]
    concurrency: LimitStatus
    rate: LimitStatus
    share_in_use: float
    expected_wait: float
    models: tuple[ModelStatus, ...] = ()
