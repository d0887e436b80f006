"""Which of those that were refused may take a place that is there. Pure: the caller brings the time.

A request that was refused twice has shown what is not there, and its tries are counted. So it takes a place that is
sure: one that the upstream is known to have, and that has been free for long enough. Any other place is for those of
its model that were refused less often, as long as there are any; but one that is free here and may only not be back at
the upstream yet is kept for it. At last, before it is refused here, it takes any.

`new` are the models of which new requests wait.
"""

from collections import Counter
from collections.abc import Collection

from extproc.domain.pacing.clock import Steady
from extproc.domain.pacing.places import Places
from extproc.domain.pacing.retry_queue import RetryQueue, WaitingRetry


def next_to_go(retries: RetryQueue, places: Places, new: Collection[str], t: Steady) -> WaitingRetry | None:
    """The first that may go now; None if there is none."""
    return next((each for each in retries.ready(t) if _may_go(each, retries, places, new, t)), None)


def wanting(retries: RetryQueue, places: Places, new: Collection[str], t: Steady) -> Counter[str]:
    """How many of each model wait for nothing but a place and the rate."""
    return Counter(each.model for each in retries.ready(t) if _takes(each, retries, places, new, t))


def kept_for(retries: RetryQueue, places: Places, t: Steady) -> set[str]:
    """The models whose next place is kept for one of those."""
    kept: set[str] = set()
    for each in retries.ready(t):
        if _waits_for_a_late_place(each, places, t):
            kept.add(each.model)
        elif each.is_patient and t >= each.hurries_at:
            kept.update(places.crowding(each.model, t))
    return kept


def _may_go(retry: WaitingRetry, retries: RetryQueue, places: Places, new: Collection[str], t: Steady) -> bool:
    return places.is_free(retry.model, t) and _takes(retry, retries, places, new, t)


def _takes(retry: WaitingRetry, retries: RetryQueue, places: Places, new: Collection[str], t: Steady) -> bool:
    """Whether it would take the next place of its model."""
    if t >= retry.takes_any_at:
        return True
    if _waits_for_a_late_place(retry, places, t):
        return False
    if not retry.is_patient or places.is_proven(retry.model, t):
        return True
    shows_it_best = retry.model not in new and retries.is_refused_least(retry, t)
    return shows_it_best and places.is_calm(retry.model, t)


def _waits_for_a_late_place(retry: WaitingRetry, places: Places, t: Steady) -> bool:
    """Whether it waits although there is a place, since the upstream may not have given that back yet."""
    return retry.is_patient and places.may_be_late(retry.model, t) and places.is_free(retry.model, t)
