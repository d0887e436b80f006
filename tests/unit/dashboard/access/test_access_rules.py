"""Sessions, and slowing down whoever tries tokens."""

import secrets

from hypothesis import given
from hypothesis import strategies as st

from dashboard.access.sessions import SESSION_SECONDS, Sessions
from dashboard.access.throttle import Throttle

NOW = 1_764_000_000.0
TOKEN = secrets.token_urlsafe()


def test_a_session_is_good_for_thirty_days_and_not_for_another_token() -> None:
    cookie = Sessions(TOKEN).begin(NOW)

    assert Sessions(TOKEN).is_valid(cookie, NOW + SESSION_SECONDS - 1)
    assert not Sessions(TOKEN).is_valid(cookie, NOW + SESSION_SECONDS + 1)
    assert not Sessions(TOKEN + "x").is_valid(cookie, NOW)


def test_a_cookie_does_not_contain_the_token() -> None:
    assert TOKEN not in Sessions(TOKEN).begin(NOW)


@given(cookie=st.one_of(st.text(), st.tuples(st.integers(), st.text()).map(lambda pair: f"{pair[0]}.{pair[1]}")))
def test_nobody_makes_up_a_session(cookie: str) -> None:
    assert not Sessions(TOKEN).is_valid(cookie, NOW)


def test_a_session_whose_end_was_changed_is_none() -> None:
    end, _, signature = Sessions(TOKEN).begin(NOW).partition(".")

    assert not Sessions(TOKEN).is_valid(f"{int(end) + 1}.{signature}", NOW)


def test_each_wrong_token_waits_twice_as_long_as_the_one_before_up_to_a_bound() -> None:
    throttle, pauses = Throttle(), []
    for _ in range(6):
        pauses.append(throttle.wrong("a", NOW))
        throttle.answered("a")

    assert pauses == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
    assert throttle.wrong("b", NOW) == 0.5


def test_a_quiet_minute_forgives() -> None:
    throttle = Throttle()
    for _ in range(5):
        throttle.wrong("a", NOW)
        throttle.answered("a")

    assert throttle.wrong("a", NOW + 61) == 0.5


def test_while_several_wait_no_more_is_tried_from_there_but_elsewhere() -> None:
    throttle = Throttle()
    for _ in range(4):
        throttle.wrong("a", NOW)

    assert not throttle.may_try("a")
    assert throttle.may_try("b")
    throttle.answered("a")
    assert throttle.may_try("a")


def test_many_addresses_together_are_bounded_too() -> None:
    throttle = Throttle()
    for number in range(64):
        throttle.wrong(str(number), NOW)

    assert not throttle.may_try("new")
    for number in range(64):
        throttle.answered(str(number))
    for number in range(5000):
        throttle.wrong(f"later-{number}", NOW)
        throttle.answered(f"later-{number}")
    assert throttle.may_try("new")
