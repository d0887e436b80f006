"""Which of those that were refused may take a place that is there. Pure: the caller brings the time.

They go before all that is new. A request that was refused twice waits for what no place would cure, too: while its
model is short of capacity, or requests come too often, another try would be refused as well. A place that is free here
and may only not be back at the upstream yet is kept for it. At last, before it is refused here, it takes any.
"""

from collections import Counter

from extproc.domain.pacing.clock import Steady
from extproc.domain.pacing.places import Places
from extproc.domain.pacing.retry_queue import RetryQueue, WaitingRetry


def next_to_go(retries: RetryQueue, places: Places, t: Steady) -> WaitingRetry | None:
    """The first that may go now; None if there is none."""
    return next((each for each in retries.ready(t) if places.is_free(each.model, t) and _takes(each, places, t)), None)


def wanting(retries: RetryQueue, places: Places, t: Steady) -> Counter[str]:
    """How many of each model wait for nothing but a place and the rate."""
    return Counter(each.model for each in retries.ready(t) if _takes(each, places, t))


def kept_for(retries: RetryQueue, places: Places, t: Steady) -> set[str]:
    """The models whose next place is kept for one of those."""
    return {each.model for each in retries.ready(t) if _waits_for_a_late_place(each, places, t)}


def _takes(retry: WaitingRetry, places: Places, t: Steady) -> bool:
    """Whether it would take the next place of its model."""
    if t >= retry.takes_any_at:
        return True
    if _waits_for_a_late_place(retry, places, t):
        return False
    return not retry.is_patient or places.is_calm(retry.model, t)


def _waits_for_a_late_place(retry: WaitingRetry, places: Places, t: Steady) -> bool:
    """Whether it waits although there is a place, since the upstream may not have given that back yet."""
    return retry.is_patient and places.may_be_late(retry.model, t) and places.is_free(retry.model, t)
