"""The two limits on their own."""

import pytest

from extproc.domain.pacing.adjustments import Direction
from extproc.domain.pacing.clock import Steady
from extproc.domain.pacing.concurrency_limit import ConcurrencyLimit
from extproc.domain.pacing.rate_limit import RateLimit


def places(initial: int = 3, maximum: int = 40) -> ConcurrencyLimit:
    return ConcurrencyLimit(initial, maximum)


def saturate(limit: ConcurrencyLimit, since: float, seconds: float) -> float:
    """Work waits all the time, and whatever ends is replaced at once."""
    now = since
    while now < since + seconds:
        now += 0.1
        if limit.in_flight:
            limit.end()
        while limit.places(1.0, now) > 0:
            limit.start(0, now)
        limit.set_demand(True, now)
    return now


def test_places_are_counted() -> None:
    limit = places()
    assert limit.places(1.0, 0.0) == 3
    limit.start(0, 0.0)
    assert (limit.in_flight, limit.places(1.0, 0.0)) == (1, 2)
    limit.end()
    assert limit.in_flight == 0


def test_a_share_leaves_at_least_one_place() -> None:
    assert places(initial=3).places(0.25, 0.0) == 1
    assert places(initial=8).places(0.5, 0.0) == 4


def test_it_doubles_in_four_seconds_while_saturated_and_clean() -> None:
    limit = places(initial=4)
    saturate(limit, 0.0, 8.0)
    assert 14 <= limit.limit <= 17


def test_it_never_exceeds_its_maximum() -> None:
    limit = places(initial=4, maximum=9)
    saturate(limit, 0.0, 60.0)
    assert limit.limit == 9


def test_it_stays_where_it_is_while_it_does_not_bind() -> None:
    limit = places()
    limit.set_demand(False, 0.0)
    limit.advance(3600.0)
    assert limit.limit == 3


def test_a_refusal_of_a_level_that_was_never_proven_ends_just_below_it() -> None:
    limit = places(initial=4)
    now = saturate(limit, 0.0, 4.0)
    limit.refused(6, now, "upstream 1302", now)
    assert limit.limit == 5
    assert limit.ceiling is not None
    assert limit.ceiling.level == 6


def test_a_refusal_of_what_was_fine_takes_a_part_and_only_once_a_burst() -> None:
    limit = places(initial=9, maximum=9)
    now = saturate(limit, 0.0, 10.0)
    for _ in range(5):
        limit.refused(9, now - 0.2, "upstream 1302", now)
    assert limit.limit == 7
    assert limit.adjustments.counts[Direction.DECREASE] == 1


def test_while_it_falls_levels_are_tried_one_at_a_time() -> None:
    limit = places(initial=9, maximum=9)
    now = saturate(limit, 0.0, 10.0)
    limit.refused(9, now - 0.2, "upstream 1302", now)
    while limit.in_flight > 3:
        limit.end()

    limit.start(0, now)
    assert limit.places(1.0, now + 0.1) <= 0
    limit.set_demand(True, now + 0.1)
    assert limit.next_change(now + 0.1) == pytest.approx(now + 0.8, abs=0.01)
    assert limit.places(1.0, now + 0.9) == 3

    now = saturate(limit, now + 0.9, 10.0)
    limit.end()
    limit.start(0, now)
    limit.end()
    assert limit.places(1.0, now) == 1, "what has proven to be there needs no trial"


def test_when_the_plan_may_have_changed_the_next_probe_is_due_at_once() -> None:
    limit = places(initial=4, maximum=20)
    now = saturate(limit, 0.0, 0.5)
    for _ in range(4):  # a burst, which dense work has to pay for
        limit.refused(4, now, "upstream 1302", now)
    now = saturate(limit, now, 40.0)
    assert (limit.limit, limit.adjustments.counts[Direction.PROBE]) == (3, 0)

    limit.expect_change(now)
    now = saturate(limit, now, 1.0)
    assert (limit.limit, limit.adjustments.counts[Direction.PROBE]) == (4, 1)

    limit.refused(4, now, "upstream 1302", now)
    saturate(limit, now, 15.0)
    assert limit.adjustments.counts[Direction.PROBE] == 1, "one doubt is worth one probe"


def test_it_climbs_back_to_just_below_the_level_that_broke() -> None:
    limit = places(initial=9, maximum=20)
    now = saturate(limit, 0.0, 3.0)
    level = limit.limit
    limit.refused(level, now, "upstream 1302", now)
    saturate(limit, now, 12.0)
    assert limit.limit == level - 1


def test_a_doubt_that_a_refusal_has_answered_is_worth_no_probe() -> None:
    limit = places(initial=4)
    limit.expect_change(0.0)
    now = saturate(limit, 0.0, 1.0)
    limit.refused(limit.limit, now, "upstream 1302", now)
    saturate(limit, now, 8.0)
    assert limit.adjustments.counts[Direction.PROBE] == 0


def test_a_probe_that_meets_an_overload_proves_nothing() -> None:
    limit = places(initial=9, maximum=20)
    now = saturate(limit, 0.0, 3.0)
    level = limit.limit
    limit.refused(level, now, "upstream 1302", now)
    while limit.adjustments.counts[Direction.PROBE] == 0:
        now = saturate(limit, now, 0.1)
    assert limit.limit == level

    limit.overloaded("upstream 1305", now)
    limit.set_demand(False, now)  # an overload holds everything back
    limit.advance(now + 10.0)

    assert limit.limit == level - 1
    assert limit.ceiling is not None
    assert limit.ceiling.level == level


def test_what_runs_since_before_a_fall_proves_no_level_but_one() -> None:
    limit = places(initial=8, maximum=8)
    now = saturate(limit, 0.0, 10.0)
    limit.refused(8, now - 0.1, "upstream 1302", now)
    for _ in range(2):
        limit.end()
    limit.advance(now + 30.0)
    assert (limit.in_flight, limit.limit, limit.is_probing) == (6, 7, True), "one more is tried, as after a storm"
    assert limit.is_new(2), "they are not cut, however small the plan has become"

    for level in (6, 5, 4, 3, 2):
        limit.refused(level, now + 31.0, "upstream 1302", now + 31.0)
        now += 1.0
    while limit.in_flight > 1:
        limit.end()
    limit.set_demand(True, now + 60.0)
    assert not limit.is_falling, "one place is always there, so from one the limit may climb"


def hold(limit: ConcurrencyLimit, since: float, seconds: float) -> float:
    """Work waits all the time, and nothing ends."""
    now = since
    while now < since + seconds:
        now += 0.1
        while limit.places(1.0, now) > 0:
            limit.start(0, now)
        limit.set_demand(True, now)
    return now


def fallen() -> tuple[ConcurrencyLimit, float]:
    """A limit of 8 that has fallen to 6, with the 7 in flight that were there before, and when that was."""
    limit = places(initial=8, maximum=8)
    now = saturate(limit, 0.0, 10.0)
    limit.refused(8, now - 0.1, "upstream 1302", now)
    limit.end()
    return limit, now


def test_what_runs_since_before_a_fall_does_not_keep_the_limit_from_coming_back() -> None:
    limit, now = fallen()
    now = hold(limit, now, 11.5)
    assert (limit.in_flight, limit.limit) == (7, 6), "nothing has ended, so nothing can prove 6 to be there"

    hold(limit, now, 4.0)

    assert (limit.in_flight, limit.limit) == (8, 8)
    assert not limit.is_falling


def test_tries_while_a_limit_falls_leave_it_where_it_was_if_they_are_refused_and_end_after_three_minutes() -> None:
    limit, now = fallen()
    for _ in range(15):
        now = hold(limit, now, 12.5)
        assert (limit.in_flight, limit.limit, limit.is_probing) == (8, 8, True)
        limit.refused(8, now - 0.2, "upstream 1302", now)
        limit.end()
        assert (limit.in_flight, limit.limit) == (7, 6)

    hold(limit, now, 60.0)
    assert (limit.in_flight, limit.limit) == (7, 6), "that is no storm: what runs is longer than any"


def test_what_was_there_before_a_fall_is_not_forgotten_when_a_refusal_within_it_is_taken_back() -> None:
    limit, now = fallen()
    lesson = limit.lesson()
    limit.refused(6, now + 1.0, "upstream 1302", now + 1.0)

    limit.take_back(lesson, now + 2.0)

    assert limit.has_fallen
    assert limit.limit == 6


def test_a_plan_that_has_shrunk_a_little_is_tried_twice_once_it_is_known_how_far() -> None:
    limit, now = fallen()
    for _ in range(2):
        limit.end()
    now = saturate(limit, now, 5.0)
    assert not limit.is_falling
    for _ in range(2):
        while not limit.is_probing:
            now = saturate(limit, now, 0.1)
        limit.refused(7, now, "upstream 1302", now)

    now = saturate(limit, now, 40.0)
    assert not limit.is_probing


def test_a_plan_that_refuses_even_one_is_left_alone_for_a_while() -> None:
    limit = places(initial=1, maximum=1)
    limit.start(0, 0.0)
    limit.advance(5.0)
    limit.end()
    limit.start(0, 5.0)
    limit.refused(1, 5.0, "upstream 1302", 5.5)
    limit.end()
    assert limit.limit == 1
    assert limit.places(1.0, 5.6) == 0
    assert limit.places(1.0, 30.0) == 1


def refused_alone() -> ConcurrencyLimit:
    """A limit of three whose only request was refused at 5.5 s, and waits to be sent again."""
    limit = places()
    limit.start(0, 0.0)
    limit.advance(5.0)
    limit.end()
    limit.start(0, 5.0)
    limit.was_refused(1, 5.5)
    limit.refused(1, 5.0, "upstream 1302", 5.5)
    return limit


def test_while_attempts_are_refused_for_whatever_reason_one_in_flight_proves_nothing() -> None:
    limit = refused_alone()
    limit.was_refused(1, 10.1)

    limit.set_demand(False, 16.0)
    assert limit.is_falling

    limit.set_demand(False, 20.2)
    assert not limit.is_falling


def tried_beside_one_that_waits() -> ConcurrencyLimit:
    """In a storm one more is tried at 19.5 s, while what was refused waits to be sent again."""
    limit = refused_alone()
    limit.refused(1, 7.0, "upstream 1302", 7.1)
    limit.was_refused(1, 12.1)
    for now in (19.0, 19.5):
        limit.set_demand(True, now)
    assert (limit.limit, limit.is_probing) == (2, True)
    limit.start(1, 19.5)
    return limit


def test_a_refused_try_beside_one_that_waits_to_be_sent_again_is_no_proof_that_one_gets_through() -> None:
    limit = tried_beside_one_that_waits()
    limit.was_refused(2, 19.7)
    limit.distrust(2, 19.5)
    limit.refused(2, 19.5, "upstream 1302", 19.7)
    limit.end()

    limit.set_demand(True, 22.0)

    assert limit.is_falling
    assert limit.limit == 1


def test_after_a_storm_levels_are_not_tried_one_at_a_time() -> None:
    limit = tried_beside_one_that_waits()
    limit.set_demand(True, 21.6)
    limit.set_demand(True, 23.0)
    before = limit.limit
    assert before >= 2, "one has got through, so the limit is on its way back"

    limit.start(0, 23.0)

    assert limit.usable(1.0, 23.1) == before


def test_the_pause_after_a_single_request_was_refused_is_counted_from_its_refusal() -> None:
    limit = refused_alone()

    limit.refused(1, 9.0, "upstream 1302", 10.0, refused_at=9.2)

    assert limit.pause_left(10.0) == pytest.approx(1.2)


def test_a_pause_that_the_upstream_asks_for_keeps_what_runs_and_goes_on_from_what_was_proven() -> None:
    limit = places(initial=6, maximum=20)
    now = saturate(limit, 0.0, 2.5)
    assert not limit.is_new(6)
    running = limit.in_flight

    limit.refused(5, now - 0.2, "upstream 1302", now, until=now + 60.0)

    assert limit.in_flight == running
    assert limit.usable(1.0, now + 59.9) == 0
    assert limit.pause_left(now + 20.0) == pytest.approx(40.0)
    assert limit.next_change(now + 1.0) == now + 60.0
    assert limit.usable(1.0, now + 60.0) == limit.limit
    assert limit.limit >= 6


def test_one_that_began_after_a_fall_to_one_place_proves_it_by_getting_through_and_not_by_being_there() -> None:
    limit = places(initial=2)
    limit.start(0, 0.0)
    limit.was_refused(1, Steady(0.5))
    limit.distrust(1, Steady(0.0))
    limit.refused(1, Steady(0.0), "upstream 1302", Steady(0.5), nothing_gets_through=True)
    limit.end()
    limit.advance(Steady(20.0))

    limit.start(0, Steady(20.0))
    limit.advance(Steady(20.0))
    assert limit.is_untried

    limit.advance(Steady(22.0))
    assert not limit.is_untried


def test_a_limit_that_was_falling_when_it_was_blamed_for_another_falls_on() -> None:
    limit = places(initial=4)
    now = saturate(limit, 0.0, 4.0)
    limit.refused(3, now, "upstream 1302", now)
    believed = limit.lesson()
    limit.refused(1, now + 1.0, "upstream 1302", now + 1.0)

    limit.take_back(believed, now + 2.0)

    assert limit.is_falling
    assert limit.has_fallen


def test_a_pause_after_a_level_that_was_never_proven_teaches_that_level_too() -> None:
    limit = places(initial=4)
    now = saturate(limit, 0.0, 4.0)
    limit.refused(6, now, "upstream 1302", now, until=now + 5.0)

    assert (limit.usable(1.0, now + 4.9), limit.usable(1.0, now + 5.0)) == (limit.proven, 5)


def test_the_limit_does_not_grow_while_work_waits_for_the_end_of_a_pause() -> None:
    limit = places(initial=4)
    now = saturate(limit, 0.0, 3.0)
    limit.pause(now + 300.0)
    before = limit.limit
    while limit.in_flight:
        limit.end()
    for second in range(300):
        limit.set_demand(True, now + second)

    assert limit.limit == before


def test_a_burst_that_asks_for_a_pause_is_one_lesson_and_the_latest_end_counts() -> None:
    limit = places(initial=9, maximum=9)
    now = saturate(limit, 0.0, 10.0)
    for later in (0.0, 0.1, 0.2):
        limit.refused(9, now - 0.3, "upstream 1302", now + later, until=now + later + 10.0)

    assert limit.limit == 9
    assert limit.pause_left(now + 0.2) == pytest.approx(10.0)


def test_a_plan_that_refuses_again_after_its_pause_has_shrunk() -> None:
    limit = places(initial=9, maximum=9)
    now = saturate(limit, 0.0, 10.0)
    limit.refused(9, now - 0.2, "upstream 1302", now, until=now + 5.0)
    while limit.in_flight:
        limit.end()
    now = saturate(limit, now + 5.0, 1.0)

    limit.refused(9, now - 0.2, "upstream 1302", now, until=now + 5.0)

    assert limit.limit == 7
    assert limit.usable(1.0, now + 4.0) == 0


def test_a_pause_long_after_another_is_answer_enough_again() -> None:
    limit = places(initial=9, maximum=9)
    now = saturate(limit, 0.0, 10.0)
    limit.refused(9, now - 0.2, "upstream 1302", now, until=now + 5.0)
    now = saturate(limit, now + 5.0, 30.0)

    limit.refused(9, now - 0.2, "upstream 1302", now, until=now + 5.0)

    assert limit.limit == 9


def rate(initial: float = 4.0) -> RateLimit:
    return RateLimit(initial, 0.1, 100.0, 5.0)


def send(limit: RateLimit, since: float, seconds: float) -> float:
    """Sends as fast as it may."""
    now = since
    while now < since + seconds:
        limit.set_demand(True, now)
        wait = limit.wait(now)
        if wait <= 0.0:
            limit.start(now)
        now += max(wait, 0.01)
    return now


def test_the_rate_doubles_in_four_seconds_while_it_binds() -> None:
    limit = rate()
    send(limit, 0.0, 4.0)
    assert limit.rate == pytest.approx(8.0, rel=0.1)


def test_the_rate_stays_while_it_does_not_bind() -> None:
    limit = rate()
    limit.set_demand(False, 0.0)
    limit.advance(100.0)
    assert limit.rate == 4.0


def test_a_burst_of_frequency_errors_lowers_the_rate_once_below_what_got_through() -> None:
    limit = rate()
    now = send(limit, 0.0, 10.0)
    for _ in range(4):
        limit.refused(now - 0.1, "upstream 1303", now)
    assert limit.adjustments.counts[Direction.DECREASE] == 1
    assert limit.ceiling is not None
    assert limit.rate == pytest.approx(0.7 * limit.ceiling.level)


def test_it_climbs_back_to_just_below_what_got_through() -> None:
    limit = rate()
    now = send(limit, 0.0, 10.0)
    limit.refused(now - 0.1, "upstream 1303", now)
    send(limit, now, 17.0)
    assert limit.ceiling is not None
    assert limit.rate == pytest.approx(0.98 * limit.ceiling.level)


def test_a_breath_slows_the_bucket_and_keeps_the_rate() -> None:
    limit = rate(initial=1.0)
    for _ in range(5):
        limit.start(0.0)
    limit.use_share(0.5, 0.0)
    assert limit.wait(0.0) == pytest.approx(2.0)
    assert limit.rate == 1.0
