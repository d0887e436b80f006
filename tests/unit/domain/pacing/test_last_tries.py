"""Who was refused so often that the next refusal is its client's: it waits until the upstream is known to take it."""

from collections.abc import Callable

import pytest

from extproc.domain.pacing.concurrency_limit import ConcurrencyLimit
from extproc.domain.pacing.config import PacingConfig
from extproc.domain.pacing.plan_places import ModelPlaces, PlanPlaces
from extproc.domain.pacing.records import Admitted, Attempt, PacedRequest
from extproc.domain.pacing.scheduler import Pacing
from extproc.domain.request.business_codes import ErrorClass
from tests.unit.domain.pacing.plan_model import EPOCH


def pacing(places: int = 1, timeout: float = 200.0) -> Pacing:
    return Pacing(PacingConfig(max_workers=20, concurrency_initial=places, rate_initial=100.0, queue_timeout=timeout))


def arrive(paced: Pacing, request_id: str, now: float) -> None:
    paced.arrive(PacedRequest(request_id, "s"), EPOCH + now)


def refuse(paced: Pacing, request_id: str, now: float) -> None:
    """The attempt that has just begun is refused, told of, and to be made again."""
    began = EPOCH + now
    paced.observe(Attempt(request_id, began, began + 0.1, ErrorClass.CONCURRENCY, "1302"), began + 0.2)
    paced.retry(request_id, began + 0.3)


def admitted(paced: Pacing, now: float) -> list[str]:
    return [each.id for each in paced.due(EPOCH + now) if isinstance(each.answer, Admitted)]


def goes_at(paced: Pacing, since: float, until: float) -> tuple[float, str]:
    """When the next one goes, and which."""
    now = since
    while now < until:
        if gone := admitted(paced, now):
            (request_id,) = gone
            return now, request_id
        due = paced.next_due(EPOCH + now)
        assert due is not None
        now = max(now + 0.001, due - EPOCH)
    raise AssertionError("nobody goes")


def with_one_try_left(paced: Pacing) -> float:
    """Has `last` refused three times, alone each time; returns when."""
    arrive(paced, "last", 0.0)
    at = 0.0
    for _ in range(2):
        refuse(paced, "last", at)
        at, request_id = goes_at(paced, at + 0.3, 60.0)
        assert request_id == "last"
    refuse(paced, "last", at)
    return at + 0.3


def test_after_a_refusal_alone_another_shows_first_that_the_place_is_there() -> None:
    paced = pacing()
    at = with_one_try_left(paced)
    arrive(paced, "new", at)

    new, request_id = goes_at(paced, at, at + 30.0)
    assert request_id == "new"
    paced.leave("new", EPOCH + new + 0.5)
    assert admitted(paced, new + 0.6) == [], "a refusal of the other would not be known yet"
    then, request_id = goes_at(paced, new + 0.6, new + 30.0)
    assert request_id == "last"
    assert then == pytest.approx(new + 2.0, abs=0.1)


def test_where_nobody_else_tries_it_goes_when_most_storms_are_over() -> None:
    paced = pacing()
    at = with_one_try_left(paced)
    then, _ = goes_at(paced, at, at + 100.0)
    assert then == pytest.approx(at + 15.0, abs=0.1)


def test_whoever_else_was_refused_since_makes_it_wait_longer() -> None:
    paced = pacing()
    at = with_one_try_left(paced)
    arrive(paced, "new", at)
    for _ in range(3):
        at, request_id = goes_at(paced, at, at + 30.0)
        assert request_id == "new"
        refuse(paced, "new", at)
        at += 0.3
    then, request_id = goes_at(paced, at, at + 100.0)
    assert request_id == "last"
    assert then == pytest.approx(at + 15.0, abs=0.1)


def test_its_deadline_is_as_for_all() -> None:
    paced = pacing(timeout=20.0)
    at = with_one_try_left(paced)
    then, _ = goes_at(paced, at, 100.0)
    assert then == pytest.approx(20.0, abs=0.1)


def test_replicas_are_told_that_not_even_one_place_is_sure() -> None:
    paced = pacing()
    with_one_try_left(paced)
    told = paced._own.limits.plan_places(paced._time(EPOCH + 14.0))
    (known,) = told.models.values()
    assert (known.proven, known.stormy) == (0, True)


def busy(level: int) -> ConcurrencyLimit:
    """A limit of 8 under which so many run; all but the last two have proven to be there."""
    limit = ConcurrencyLimit(8, 8)
    for number in range(level):
        limit.start(0, 0.0 if number < level - 2 else 5.0)
    limit.advance(5.0)
    return limit


@pytest.mark.parametrize(
    ("happens", "proven"),
    [
        (lambda limit: limit.end(5.1), 5),
        (lambda limit: limit.end(5.1, refused=True), 6),
        (lambda limit: limit.end(6.0), 6),
        (lambda limit: limit.correct(5, 5.1), 5),
        (lambda limit: limit.correct(4, 5.1), 4),
        (lambda limit: limit.distrust(6, 5.0), 5),
        (lambda limit: limit.distrust(6, 4.5), 4),
        (lambda limit: limit.distrust(8, 5.0), 5),
    ],
)
def test_a_level_is_proven_by_what_was_at_the_upstream_with_all_the_others(
    happens: Callable[[ConcurrencyLimit], None], proven: int
) -> None:
    """Who had just started when another ended may have come after it, and who started after one that was refused was
    counted with it."""
    limit = busy(6)
    happens(limit)
    limit.advance(8.0)
    assert limit.proven == proven


def test_a_single_request_that_is_refused_is_a_storm_whatever_has_proven() -> None:
    limit = ConcurrencyLimit(3, 8)
    limit.start(0, 0.0)
    limit.refused(1, 0.0, "upstream 1302", 0.2)
    assert limit.usable(1.0, 0.9) == 0
    assert limit.usable(1.0, 1.3) >= 0
    assert limit.sure == 0


def test_places_that_are_not_sure_are_told_as_they_are_known() -> None:
    assert ModelPlaces(usable=1, limit=1, proven=0).as_dict()["proven"] == 0
    assert PlanPlaces(proven=0).as_dict()["proven"] == 0
