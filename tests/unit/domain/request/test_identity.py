"""Which refusals are a real overload, and which one client's alone."""

from dataclasses import dataclass
from itertools import takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.domain.request.business_codes import TABLE, classify
from extproc.domain.request.identity import Caller, RefusedIdentities, as_identity, family, may_be_identity

ODD = Caller("odd", "openai")
ANNA = Caller("anna", "claude-cli")
BOB = Caller("bob", "codex_cli_rs")


def is_odd(identities: RefusedIdentities, at: float) -> bool:
    return identities.refused(ODD, "1305", at) is not None


def test_a_client_that_gets_nothing_while_two_requests_of_others_pass_is_refused_for_what_it_is() -> None:
    identities = RefusedIdentities()

    verdicts = [is_odd(identities, 0.0)]
    identities.answered(ANNA, 1.0)
    verdicts.append(is_odd(identities, 1.5))
    identities.answered(BOB, 2.0)
    verdicts.append(is_odd(identities, 2.5))

    assert verdicts == [False, False, True]


def test_one_other_client_is_enough_if_it_passes_twice() -> None:
    identities = RefusedIdentities()
    is_odd(identities, 0.0)

    identities.answered(ANNA, 1.0)
    identities.answered(ANNA, 2.0)

    assert is_odd(identities, 2.5)


def test_a_request_that_is_told_of_twice_counts_once() -> None:
    identities = RefusedIdentities()
    is_odd(identities, 0.0)

    identities.answered(ANNA, 1.0)
    identities.answered(ANNA, 1.0)

    assert not is_odd(identities, 2.5)


def test_what_passed_before_the_first_refusal_says_nothing() -> None:
    identities = RefusedIdentities()
    for at in (-3.0, -2.0, -1.0):
        identities.answered(ANNA, at)

    assert [is_odd(identities, at) for at in (0.0, 1.0, 2.0)] == [False, False, False]


def test_what_passed_more_than_a_minute_ago_says_nothing_any_more() -> None:
    identities = RefusedIdentities()
    is_odd(identities, 0.0)
    for at in (1.0, 2.0):
        identities.answered(ANNA, at)

    assert is_odd(identities, 60.0)
    assert not is_odd(identities, 62.0)


def test_one_answer_clears_a_client() -> None:
    identities = RefusedIdentities()
    is_odd(identities, 0.0)
    for at in (1.0, 2.0):
        identities.answered(ANNA, at)
    identities.answered(ODD, 3.0)

    assert not is_odd(identities, 4.0)
    assert identities.describe(4.0) == []


def test_an_answer_that_was_taken_before_the_first_refusal_clears_nobody() -> None:
    identities = RefusedIdentities()
    is_odd(identities, 0.0)
    for at in (61.0, 62.0):
        identities.answered(ANNA, at)
    identities.answered(ODD, -10.0)  # a long one, which has ended now

    assert is_odd(identities, 63.0)


def test_an_overload_that_meets_those_who_pass_is_one() -> None:
    identities = RefusedIdentities()
    is_odd(identities, 0.0)
    for at in (1.0, 2.0):
        identities.answered(ANNA, at)

    assert identities.refused(ANNA, "1305", 3.0) is None
    assert not is_odd(identities, 3.5)


def test_two_clients_can_be_refused_at_the_same_time() -> None:
    identities = RefusedIdentities()
    also_odd = Caller("odd", "python-httpx")
    is_odd(identities, 0.0)
    identities.refused(also_odd, "1305", 0.5)
    for at in (1.0, 2.0):
        identities.answered(ANNA, at)

    assert is_odd(identities, 3.0)
    assert identities.refused(also_odd, "1305", 3.5) is not None
    assert [each["user_agent"] for each in identities.describe(4.0)] == ["python-httpx", "openai"]


def test_after_a_long_pause_a_client_is_judged_anew() -> None:
    identities = RefusedIdentities()
    is_odd(identities, 0.0)
    for at in (3590.0, 3591.0):
        identities.answered(ANNA, at)

    assert not is_odd(identities, 3600.0)


def test_it_is_told_once_a_minute_and_shown_for_ten() -> None:
    identities = RefusedIdentities()
    is_odd(identities, 0.0)
    news = []
    for at in range(1, 150):
        identities.answered(ANNA, at)
        refused = identities.refused(ODD, "1305", at + 0.5)
        if refused is not None and refused.is_news:
            news.append(at)

    assert news == [2, 62, 122]
    (shown,) = identities.describe(now=200.0)
    assert (shown["client"], shown["user_agent"], shown["code"], shown["refusals"]) == ("odd", "openai", "1305", 150)
    assert shown["text"] == "Z.AI refuses this client: odd (openai). Look at its user agent and system prompt."
    assert identities.describe(now=1000.0) == []


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        ("claude-cli/2.1.0 (external, cli)", "claude-cli"),
        ("OpenAI/Python 2.1.0", "openai"),
        ("codex_cli_rs/0.55.0", "codex_cli_rs"),
        ("", ""),
        ("(a)", ""),
        ("x" * 500, "x" * 32),
    ],
)
def test_the_family_of_a_user_agent_is_its_name_without_a_version(user_agent: str, name: str) -> None:
    assert family(user_agent) == name


def test_only_words_for_an_overload_are_judged() -> None:
    judged = {code for code in TABLE if may_be_identity(TABLE[code])}

    assert judged == {"1305", "1312"}
    assert may_be_identity(classify("overloaded_error", 200))
    assert may_be_identity(classify("", 529))
    assert (as_identity(TABLE["1305"]).code, as_identity(TABLE["1305"]).error_class) == ("1305", "identity")


@dataclass(frozen=True)
class Event:
    """A request of a client at a moment; `passes` unless Z.AI refuses it."""

    at: float
    client: int
    passes: bool


CALLERS = [Caller(f"client-{number}", "") for number in range(4)]
EVENTS = st.lists(
    st.builds(Event, st.floats(min_value=0, max_value=500), st.integers(min_value=0, max_value=3), st.booleans()),
    max_size=60,
)


def play(events: list[Event]) -> list[tuple[Event, bool]]:
    """The refusals, each with whether it is one of an identity."""
    identities = RefusedIdentities()
    verdicts = []
    for event in events:
        if event.passes:
            identities.answered(CALLERS[event.client], event.at)
        else:
            verdicts.append((event, identities.refused(CALLERS[event.client], "1305", event.at) is not None))
    return verdicts


def in_order(events: list[Event]) -> list[Event]:
    return sorted(events, key=lambda event: event.at)


@given(EVENTS)
def test_nobody_is_refused_for_what_it_is_without_two_answers_in_its_favour(events: list[Event]) -> None:
    ordered = in_order(events)
    for event, is_identity in play(ordered):
        earlier = takewhile(lambda each, event=event: each is not event, ordered)  # type: ignore[misc]
        lately = [each for each in earlier if event.at - 60 < each.at and each.passes]
        own = [each for each in lately if each.client == event.client]
        if is_identity:
            assert not own
            assert len(lately) >= 2


@given(EVENTS, EVENTS)
def test_an_overload_meets_those_who_have_just_passed_and_so_slows_all(
    before: list[Event], during: list[Event]
) -> None:
    overload = [Event(501 + event.at / 10, event.client, passes=False) for event in during]
    verdicts = play([*in_order(before), *in_order(overload)])[-len(overload) :] if overload else []

    passed = {event.client for event in before if event.passes and event.at > 500 - 50}
    first_of_those = next((at for at, (event, _) in enumerate(verdicts) if event.client in passed), None)
    if first_of_those is not None:
        assert not any(is_identity for event, is_identity in verdicts[first_of_those:] if event.at < 510)


@given(EVENTS)
def test_a_client_that_is_alone_meets_nothing_but_overloads(events: list[Event]) -> None:
    alone = in_order([Event(event.at, 0, event.passes) for event in events])

    assert not any(is_identity for _, is_identity in play(alone))


@given(EVENTS)
def test_no_order_and_no_clock_breaks_it(events: list[Event]) -> None:
    play(events)


def test_its_memory_is_bounded() -> None:
    identities = RefusedIdentities()
    for number in range(2000):
        identities.refused(Caller(f"client-{number}", ""), "1305", number)
        identities.answered(Caller(f"client-{number}", "x"), number)

    assert len(identities._streaks) == len(identities._passed) == 256
