"""Sessions."""

import secrets

from hypothesis import given
from hypothesis import strategies as st

from dashboard.access.sessions import SESSION_SECONDS, Sessions

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
