"""Who was refused goes before all that is new; who was refused often waits besides for what no place would cure."""

import math

import pytest

from extproc.domain.pacing.clock import Steady
from extproc.domain.pacing.concurrency_limit import ConcurrencyLimit
from extproc.domain.pacing.config import PacingConfig, PacingMode
from extproc.domain.pacing.limits import Limits
from extproc.domain.pacing.places import OwnPlaces
from extproc.domain.pacing.records import Admitted, Attempt, PacedRequest, Refused
from extproc.domain.pacing.retry_queue import RetryQueue
from extproc.domain.pacing.retry_turns import next_to_go
from extproc.domain.pacing.scheduler import Pacing
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


def refused_often(paced: Pacing) -> float:
    """Has `often` refused three times, alone each time; returns when."""
    arrive(paced, "often", 0.0)
    at = 0.0
    for _ in range(2):
        refuse(paced, "often", at)
        at, request_id = goes_at(paced, at + 0.3)
        assert request_id == "often"
    refuse(paced, "often", at)
    return at + 0.3


def test_who_was_refused_goes_before_what_is_new_however_often_it_was() -> None:
    paced = pacing()
    at = refused_often(paced)
    for request_id in ("new", "newer"):
        arrive(paced, request_id, at)

    for request_id in ("often", "new", "newer"):
        at, gone = goes_at(paced, at)
        assert gone == request_id
        paced.leave(gone, EPOCH + at + 0.5)
        at += 0.6


def test_it_goes_after_the_pause_of_a_storm() -> None:
    paced = pacing()
    at = refused_often(paced)

    then, request_id = goes_at(paced, at)

    assert request_id == "often"
    assert then <= at + 8.0


def short_of_capacity() -> OwnPlaces:
    """There may be more places, but the model was short of capacity just now."""
    limits = Limits(PacingConfig(max_workers=20, rate_initial=100.0))
    limits.refused("glm", ErrorClass.OVERLOAD, "1305", Steady(0.0), Steady(0.1), Steady(0.1))
    limits.start("glm", {}, Steady(0.5))
    return OwnPlaces(limits)


def those_that(timeout: float = 200.0, **refusals: int) -> RetryQueue:
    """Those that came at the start, were refused so often each, and wait since the second second."""
    retries = RetryQueue(timeout)
    for request_id, times in refusals.items():
        arguments = (request_id, "s", Lane.MAIN, 0.0, Steady(2.0), times, ErrorClass.CONCURRENCY)
        retries.push(*arguments, limits_know=True, asked="glm", model="glm")
    return retries


def test_those_that_were_refused_go_in_their_order() -> None:
    retry = next_to_go(those_that(a=5, b=2), OwnPlaces(Limits(PacingConfig(max_workers=20))), Steady(5.0))

    assert retry is not None
    assert retry.id == "a"


@pytest.mark.parametrize(("refusals", "goes"), [(1, True), (2, False), (3, False)])
def test_who_was_refused_twice_waits_for_what_no_place_would_cure(refusals: int, goes: bool) -> None:
    assert bool(next_to_go(those_that(often=refusals), short_of_capacity(), Steady(2.0))) is goes


@pytest.mark.parametrize(("at", "goes"), [(2.9, False), (3.0, True)])
def test_before_it_is_refused_here_it_takes_any_place(at: float, goes: bool) -> None:
    retry = next_to_go(those_that(timeout=4.0, often=3), short_of_capacity(), Steady(at))

    assert (retry is not None) is goes


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


@pytest.mark.parametrize(("refusals", "goes"), [(3, True), (4, False)])
def test_beyond_its_time_out_nobody_is_sent_again_and_again(refusals: int, goes: bool) -> None:
    retries = RetryQueue(60.0)
    now = Steady(61.0)
    arguments = ("r", "s", Lane.MAIN, 0.0, now, refusals, ErrorClass.CONCURRENCY)
    retries.push(*arguments, limits_know=True, asked="glm", model="glm")

    assert bool(list(retries.ready(now))) is goes
    assert bool(retries.expire(now)) is not goes


def test_what_is_refused_again_and_again_waits_no_longer_than_its_time_out() -> None:
    paced = pacing(timeout=60.0)
    arrive(paced, "r", 0.0)
    now = 0.0
    while now < LATEST:
        refuse(paced, "r", now)
        now += 0.3
        decided = paced.due(EPOCH + now)
        while not decided:
            due = paced.next_due(EPOCH + now)
            assert due is not None
            now = max(now + 0.001, due - EPOCH)
            decided = paced.due(EPOCH + now)
        (answer,) = [each.answer for each in decided]
        if isinstance(answer, Refused):
            break

    assert now == pytest.approx(60.0, abs=2.0)


def test_where_limits_are_fixed_its_time_out_is_the_end_too() -> None:
    mode = PacingMode.FIXED
    paced = Pacing(
        PacingConfig(mode=mode, max_workers=20, concurrency_initial=1, rate_initial=100.0, queue_timeout=10.0)
    )
    arrive(paced, "r", 0.0)
    answer, now = None, 0.0
    while not isinstance(answer, Refused):
        paced.retry("r", EPOCH + now)
        decided = paced.due(EPOCH + now)
        assert decided or now < 20.0
        answer = decided[0].answer if decided else None
        now += 2.0

    assert 10.0 <= now <= 14.0
