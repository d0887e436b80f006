from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.domain.request.admission import Admission
from extproc.domain.request.exchange import Exchange
from extproc.domain.request.refusals import RefusalReason


def exchange(number: int) -> Exchange:
    return Exchange(
        id=f"x-{number}", request_id=f"r-{number}", method="POST", path="/v1/messages", source="source-00", started=0.0
    )


def test_as_many_as_there_are_workers_get_a_slot_and_the_next_one_is_refused() -> None:
    admission = Admission(max_workers=2)

    with admission.enter(exchange(1)) as first, admission.enter(exchange(2)) as second:
        assert (first, second) == (None, None)
        with admission.enter(exchange(3)) as refusal:
            assert refusal is not None
            assert (refusal.reason, refusal.status, refusal.retry_after) == (RefusalReason.CAPACITY, 503, 2)
            assert admission.snapshot().in_flight == 2


def test_a_slot_is_free_again_when_its_context_ends_however_it_ends() -> None:
    admission = Admission(max_workers=1)

    with pytest.raises(RuntimeError), admission.enter(exchange(1)):
        raise RuntimeError

    assert admission.snapshot().in_flight == 0
    with admission.enter(exchange(2)) as refusal:
        assert refusal is None


def test_a_draining_proxy_refuses_the_new_and_keeps_the_old() -> None:
    admission = Admission(max_workers=5)

    with admission.enter(exchange(1)):
        admission.drain()
        with admission.enter(exchange(2)) as refusal:
            assert refusal is not None
            assert refusal.reason is RefusalReason.DRAINING
        assert admission.snapshot().in_flight == 1
        assert admission.snapshot().draining


def test_an_exchange_can_be_found_while_it_holds_a_slot() -> None:
    admission = Admission(max_workers=1)

    with admission.enter(exchange(7)):
        found = admission.find("x-7")
        assert found is not None
        assert found.request_id == "r-7"
        assert [each.id for each in admission.in_flight()] == ["x-7"]

    assert admission.find("x-7") is None


def test_an_exchange_is_remembered_for_a_while_after_it_has_left() -> None:
    admission = Admission(max_workers=2)

    with admission.enter(exchange(7)):
        assert admission.recall("x-7") == exchange(7)

    assert admission.recall("x-7") == exchange(7)
    assert admission.recall("x-8") is None


def test_of_two_exchanges_with_one_request_id_the_later_is_known_by_it() -> None:
    admission = Admission(max_workers=2)

    with admission.enter(exchange(1)), admission.enter(replace(exchange(2), request_id="r-1")):
        assert admission.id_of("r-1") == "x-2"
    assert admission.id_of("r-2") is None


def test_memory_of_those_that_have_left_is_bounded() -> None:
    admission = Admission(max_workers=1)

    for number in range(5000):
        with admission.enter(exchange(number)):
            pass

    assert admission.recall("x-4999") is not None
    assert admission.recall("x-0") is None


def test_utilization_is_slots_in_use_over_slots_there_are() -> None:
    admission = Admission(max_workers=4)

    with admission.enter(exchange(1)):
        assert admission.snapshot().utilization == 0.25


def test_no_workers_at_all_is_an_error() -> None:
    with pytest.raises(ValueError, match="max_workers=0"):
        Admission(max_workers=0)


@given(st.integers(1, 5), st.lists(st.booleans(), max_size=40))
def test_slots_are_never_negative_never_too_many_and_all_come_back(workers: int, arrivals: list[bool]) -> None:
    admission = Admission(workers)
    held = []
    for number, arrives in enumerate(arrivals):
        if arrives:
            context = admission.enter(exchange(number))
            if context.__enter__() is None:
                held.append(context)
            else:
                context.__exit__(None, None, None)
        elif held:
            held.pop(0).__exit__(None, None, None)
        assert admission.snapshot().in_flight == len(held) <= workers

    for context in held:
        context.__exit__(None, None, None)
    assert admission.snapshot().in_flight == 0
