"""Who was refused so often that the next refusal is its client's: it waits until the upstream is known to take it."""

import math

import pytest

from extproc.domain.pacing.clock import Steady
from extproc.domain.pacing.concurrency_limit import ConcurrencyLimit
from extproc.domain.pacing.config import PacingConfig
from extproc.domain.pacing.records import Admitted, Attempt, PacedRequest
from extproc.domain.pacing.retry_queue import RetryQueue
from extproc.domain.pacing.scheduler import Pacing
from extproc.domain.pacing.sure_level import SureLevel
from extproc.domain.request.business_codes import ErrorClass
from extproc.domain.request.priority import Lane
from tests.unit.domain.pacing.plan_model import EPOCH, Agent, Plan, World
from tests.unit.domain.pacing.worlds import crowd, pacing_for

LATEST = 100.0


def pacing(places: int = 1, timeout: float = 200.0) -> Pacing:
    return Pacing(PacingConfig(max_workers=20, concurrency_initial=places, rate_initial=100.0, queue_timeout=timeout))


def arrive(paced: Pacing, request_id: str, now: float) -> None:
    paced.arrive(PacedRequest(request_id, "s"), EPOCH + now)


def refuse(paced: Pacing, request_id: str, now: float) -> None:
    """The attempt that has just begun is refused, told of, and to be made again."""
    began = EPOCH + now
    paced.observe(Attempt(request_id, began, began + 0.1, ErrorClass.CONCURRENCY, "1302"), began + 0.2)
    paced.retry(request_id, began + 0.3)


def goes_at(paced: Pacing, since: float) -> tuple[float, str]:
    """When the next one goes, and which."""
    now = since
    while now < LATEST:
        if gone := [each.id for each in paced.due(EPOCH + now) if isinstance(each.answer, Admitted)]:
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
        at, request_id = goes_at(paced, at + 0.3)
        assert request_id == "last"
    refuse(paced, "last", at)
    return at + 0.3


def test_after_a_refusal_alone_another_shows_first_that_the_place_is_there() -> None:
    paced = pacing()
    at = with_one_try_left(paced)
    arrive(paced, "new", at)

    new, request_id = goes_at(paced, at)
    assert request_id == "new"
    paced.leave("new", EPOCH + new + 0.5)
    then, request_id = goes_at(paced, new + 0.6)
    assert request_id == "last"
    assert new + 2.0 <= then <= new + 6.0, "a refusal of the other would not be known before"


def test_where_nobody_else_tries_it_goes_when_most_storms_are_over() -> None:
    paced = pacing()
    at = with_one_try_left(paced)
    then, _ = goes_at(paced, at)
    assert then == pytest.approx(at + 12.0, abs=0.1)


def test_whoever_else_was_refused_since_makes_it_wait_longer() -> None:
    paced = pacing()
    at = with_one_try_left(paced)
    arrive(paced, "new", at)
    for _ in range(3):
        at, request_id = goes_at(paced, at)
        assert request_id == "new"
        refuse(paced, "new", at)
        at += 0.3
    then, request_id = goes_at(paced, at)
    assert request_id == "last"
    assert then == pytest.approx(at + 12.0, abs=0.1)


def test_before_it_is_refused_here_it_takes_a_place_that_is_not_certain() -> None:
    paced = pacing(timeout=20.0)
    at = with_one_try_left(paced)
    then, _ = goes_at(paced, at)
    assert then == pytest.approx(19.0, abs=0.1)


@pytest.mark.parametrize(("refusals", "knows_all", "goes"), [(2, False, True), (3, False, False), (3, True, True)])
def test_while_others_may_be_refused_unheard_no_last_try_is_spent(refusals: int, knows_all: bool, goes: bool) -> None:
    retries = RetryQueue(200.0)
    retries.push(
        "r",
        "s",
        Lane.MAIN,
        0.0,
        Steady(1.0),
        refusals,
        ErrorClass.CONCURRENCY,
        limits_know=knows_all,
        asked="glm",
        model="glm",
    )
    (retry,) = retries.ready(Steady(30.0))
    assert retries.is_worth_a_try(retry, Steady(30.0), knows_all=knows_all) is goes


def busy() -> SureLevel:
    """Six run: four since the first second, the fifth and the sixth since the fifth second."""
    sure = SureLevel()
    for level, at in ((1, 1.0), (2, 1.0), (3, 1.0), (4, 1.0), (5, 5.0), (6, 5.1)):
        sure.started(level, Steady(at))
    assert sure.level(Steady(5.2)) == 4
    return sure


def test_what_was_at_the_upstream_for_two_seconds_without_a_refusal_is_sure() -> None:
    assert busy().level(Steady(8.0)) == 6


@pytest.mark.parametrize(
    ("level", "started", "sure"), [(6, 5.1, 5), (8, 5.1, 5), (6, 5.0, 4), (7, 4.0, 4), (9, 0.5, 4)]
)
def test_a_level_is_not_sure_by_what_was_refused_nor_by_what_was_counted_with_it(
    level: int, started: float, sure: int
) -> None:
    known = busy()
    known.refused(level, started, Steady(5.2))
    assert known.level(Steady(8.0)) == sure


@pytest.mark.parametrize(("ended", "sure"), [(5.15, 5), (5.25, 6)])
def test_what_had_just_started_when_an_answer_ended_may_have_arrived_after_that(ended: float, sure: int) -> None:
    known = busy()
    known.ended(Steady(ended))
    assert known.level(Steady(8.0)) == sure


def test_among_many_answers_each_start_is_just_before_an_end_so_it_counts() -> None:
    known = SureLevel()
    for hundredth in range(5):
        known.ended(Steady(4.96 + hundredth / 100))
    known.started(2, Steady(5.0))
    known.ended(Steady(5.02))
    assert known.level(Steady(8.0)) == 2


def test_what_was_answered_alone_was_there_however_soon() -> None:
    known = SureLevel()
    known.started(1, Steady(1.0))
    known.ended(Steady(1.05))
    assert known.level(Steady(3.0)) == 1


def test_what_falls_is_not_sure_any_more_and_is_so_again_once_it_gets_through() -> None:
    known = busy()
    known.fell(0, 3)
    assert known.level(Steady(8.0)) == 0
    known.started(1, Steady(8.0))
    assert known.level(Steady(10.0)) == 1
    assert not known.is_none(Steady(10.0))


def refuse_alone_at_the_start(*, nothing_gets_through: bool) -> ConcurrencyLimit:
    """Three start, and then one at a time; all are refused."""
    limit = ConcurrencyLimit(3, 8)
    for level, at in ((3, 1.0), (2, 2.0), (1, 3.0)):
        limit.start(0, Steady(at))
        limit.distrust(level, Steady(at))
        limit.refused(level, at, "upstream 1302", Steady(at + 0.2), nothing_gets_through=nothing_gets_through)
        limit.end()
    return limit


def test_after_a_storm_at_the_start_the_limit_is_soon_what_it_was_at_first() -> None:
    limit = refuse_alone_at_the_start(nothing_gets_through=True)
    assert limit.usable(1.0, Steady(3.3)) == 0, "nothing starts for a while"

    limit.start(0, Steady(8.0))
    for tenth in range(80, 140):
        limit.set_demand(True, Steady(tenth / 10))
    assert limit.limit >= 3
    assert limit.ceiling is None


def test_a_model_that_is_refused_alone_while_others_get_through_is_in_no_storm() -> None:
    limit = refuse_alone_at_the_start(nothing_gets_through=False)
    assert limit.usable(1.0, Steady(3.3)) == 1


@pytest.mark.parametrize("seed", range(3))
def test_who_starts_in_the_middle_of_a_storm_is_back_within_20_seconds_of_its_end(seed: int) -> None:
    plan = Plan([(0.0, 0), (30.0, 9)], mean=10.0)
    world = World(plan, pacing_for(len(crowd())), seed, 55.0, epoch=EPOCH + 1.0).run(crowd())

    back = next((state.at for state in world.usage if state.ours >= 8), math.inf)
    assert back <= 50.0
    assert world.refused_to_clients == 0


@pytest.mark.parametrize("seed", range(3))
def test_where_answers_are_as_long_as_the_time_out_no_client_hears_a_refusal_of_the_upstreams(seed: int) -> None:
    """Whoever waits too long is refused here, and burns none of its tries."""
    config = PacingConfig(max_workers=20, rate_initial=100.0, rate_burst=50.0, queue_timeout=60.0)
    plan = Plan([(0.0, 1)], mean=45.0, sigma=0.2)
    world = World(plan, Pacing(config), seed, 3600.0, epoch=EPOCH + 1.0).run([Agent(f"agent-{n}") for n in range(3)])

    assert world.out_of_tries == 0
    assert world.served.total() >= 3600.0 / 45.0 - 5
    refused, _ = world.refusals(0.0, 3600.0)
    assert refused <= 45, "hardly more than one try a minute"


def with_two_that_have_one_try_left() -> RetryQueue:
    retries = RetryQueue(200.0)
    for number in range(2):
        retries.push(
            f"r{number}",
            "s",
            Lane.MAIN,
            0.0,
            Steady(0.0),
            3,
            ErrorClass.CONCURRENCY,
            limits_know=True,
            asked="glm",
            model="glm",
        )
    return retries


@pytest.mark.parametrize("happened_at", [5.0, 12.0])
def test_a_last_try_waits_for_what_becomes_of_another_of_its_model_also_if_that_ones_client_has_heard_of_it(
    happened_at: float,
) -> None:
    retries = with_two_that_have_one_try_left()
    retries.doubt("glm", Steady(happened_at))
    waiting = retries.get("r1")
    assert waiting is not None

    assert not retries.is_worth_a_try(waiting, Steady(happened_at + 11.9), knows_all=True)
    assert retries.is_worth_a_try(waiting, Steady(happened_at + 12.0), knows_all=True)


def test_a_last_try_waits_also_after_a_refusal_whose_client_is_gone() -> None:
    paced = pacing()
    arrive(paced, "other", with_one_try_left(paced) + 1.0)
    went, request_id = goes_at(paced, LATEST / 10)
    assert request_id == "other"
    began = EPOCH + went
    paced.observe(Attempt("other", began, began + 0.1, ErrorClass.CONCURRENCY, "1302"), began + 0.2)
    paced.leave("other", began + 0.3)

    then, request_id = goes_at(paced, went + 0.3)

    assert (then, request_id) == (pytest.approx(went + 12.1, abs=0.1), "last")


@pytest.mark.parametrize(("error", "keeps_waiting"), [(ErrorClass.OVERLOAD, True), (ErrorClass.CLIENT, False)])
def test_a_request_that_is_wrong_for_itself_keeps_no_last_try_waiting(error: ErrorClass, keeps_waiting: bool) -> None:
    paced = pacing()
    since = with_one_try_left(paced)
    began = EPOCH + since + 6.0
    paced.observe(Attempt("gone", began, began + 0.1, error, "1214"), began + 0.2)

    then, _ = goes_at(paced, since + 6.2)

    assert (then > since + 13.0) is keeps_waiting
