"""What is known of the attempts that were at the upstream together."""

from extproc.domain.pacing.attribution import Attribution, RefusedStart
from extproc.domain.pacing.clock import Steady
from extproc.domain.pacing.gate import Gate

A, B = "glm-a", "glm-b"


def refused(model: str, started: float) -> RefusedStart:
    return RefusedStart(model, Steady(started), Steady(started + 0.2), "upstream 1302", None)


def test_one_that_starts_a_moment_later_may_be_at_the_upstream_with_one_that_was_refused() -> None:
    attribution = Attribution()
    attribution.started(A, (), {A: 1, B: 1}, Steady(10.0))
    attribution.started(B, (), {A: 1, B: 2}, Steady(10.01))
    attribution.started(B, (), {A: 1, B: 3}, Steady(11.0))

    assert attribution.in_flight_with(refused(A, 10.0)) == {A: 1, B: 2}
    assert attribution.in_flight_with(refused(A, 9.0)) is None


def test_one_that_was_refused_before_its_start_was_noted_is_known() -> None:
    attribution = Attribution()
    attribution.started(A, (), {A: 1}, Steady(10.01))

    at_once = RefusedStart(A, Steady(10.0), Steady(10.002), "upstream 1302", None)

    assert attribution.in_flight_with(at_once) == {A: 1}


def test_what_got_through_with_one_that_was_refused_or_just_before_an_answer_ended_shows_no_number() -> None:
    attribution = Attribution()
    for at, of_a in ((10.0, 1), (10.8, 2), (10.95, 3)):
        attribution.started(A, (), {A: of_a}, Steady(at))
    attribution.ended(Steady(11.0))
    attribution.started(B, (), {A: 3, B: 1}, Steady(12.0))
    attribution.started(A, (), {A: 4, B: 1}, Steady(12.1))

    assert attribution.all_through(Steady(12.3)) == [(10.0, {A: 1}), (10.8, {A: 2})]
    attribution.refused(refused(B, 12.0), Gate(3, 8), (), Steady(12.3))
    assert attribution.all_through(Steady(20.0)) == [(10.0, {A: 1}), (10.8, {A: 2})]
