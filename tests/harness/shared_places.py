"""A plan whose models share places, as pacing keeps it: nothing has to be refused before it is known."""

import time

from extproc.domain.pacing.learned_limits import Learned, LearnedGroup, LearnedLimit


def models_that_share(*models: str, places: int) -> dict[str, object]:
    """Of an account with twenty places these models have so many, each alone and all of them together."""
    of_account, of_these, rate = (LearnedLimit(limit, None, None, None) for limit in (20.0, float(places), 50.0))
    groups = (LearnedGroup(models, of_these),)
    return Learned(time.time(), of_account, rate, dict.fromkeys(models, of_these), groups).as_dict()
