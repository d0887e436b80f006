"""One limit out of those of an account and of its models. Pure."""

import math
from typing import Final

from extproc.domain.pacing.adjustments import Direction, Move
from extproc.domain.pacing.learned_limits import Learned, LearnedLimit
from extproc.domain.pacing.limits import MCP
from extproc.domain.pacing.model_groups import together
from extproc.domain.pacing.records import LimitsStatus, LimitStatus

_SHOWN_MOVES: Final = 16


def limit_in_all(shown: LimitsStatus, known: Learned, limit: int, now: float) -> LimitStatus:
    """What may be in flight in all, MCP tools beside: the moves of the models and the account together, and the lowest
    level that broke: the account's, or the models' together if one is known of each or of those that it shares with."""
    every = [shown.account, *(each.limit for each in shown.models if each.model != MCP)]
    moves = sorted((move for each in every for move in each.moves), key=_when)
    ceiling, confidence = known.concurrency.ceiling, known.concurrency.confidence(now)
    of_models = _broken_together(known)
    if of_models < (math.inf if ceiling is None else ceiling):
        ceiling, confidence = of_models, _confidence_together(known, now)
    return LimitStatus(
        limit=limit,
        ceiling=ceiling,
        confidence=confidence,
        adjustments={
            direction: shown.forgotten[direction] + sum(each.adjustments[direction] for each in every)
            for direction in Direction
        },
        moves=tuple(moves[-_SHOWN_MOVES:]),
    )


def _broken_together(known: Learned) -> float:
    """The level at which all models together broke; infinite while none is known."""
    own = {model: _broke_at(each) for model, each in known.models.items() if model != MCP}
    return together(own, ((group.models, _broke_at(group.limit)) for group in known.groups)) if own else math.inf


def _confidence_together(known: Learned, now: float) -> float:
    of_models = [each for model, each in known.models.items() if model != MCP]
    of_groups = [group.limit for group in known.groups]
    return min(each.confidence(now) for each in (*of_models, *of_groups) if each.ceiling is not None)


def _broke_at(limit: LearnedLimit) -> float:
    return math.inf if limit.ceiling is None else limit.ceiling


def _when(move: Move) -> float:
    return move.at
