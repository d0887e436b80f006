"""Who tries tokens is slowed down, each network for itself and all together, and who has the right one never is."""

import ipaddress
from contextlib import ExitStack

import pytest

from common.wrong_tokens import WrongTokens, network_of

NETWORKS = 10_000
"""So many are remembered."""

TRIES_UNTIL_SLOWED = 4


def pauses(wrong: WrongTokens, *peers: str, at: float = 0.0) -> list[float | None]:
    """What each wrong token has to wait; nobody waits for long."""
    found = []
    for peer in peers:
        with wrong.wrong(peer, at) as pause:
            found.append(pause)
    return found


def strangers(number: int, first: int = 0) -> list[str]:
    """Addresses, each of a network of its own."""
    return [str(ipaddress.ip_address(0x0A000000 + first + each)) for each in range(number)]


def test_a_typing_error_costs_nothing_and_trying_on_costs_more_and_more() -> None:
    wrong = WrongTokens(50)

    assert pauses(wrong, *["192.0.2.1"] * 10) == [0, 0, 0, 0.25, 0.5, 1, 2, 4, 5, 5]


def test_one_networks_tries_are_not_anothers() -> None:
    wrong = WrongTokens(50)
    pauses(wrong, *["192.0.2.1"] * 1000)

    assert pauses(wrong, "192.0.2.2") == [0]


def test_after_ten_quiet_minutes_a_network_begins_anew() -> None:
    wrong = WrongTokens(50)
    pauses(wrong, *["192.0.2.1"] * 10)

    assert pauses(wrong, "192.0.2.1", at=599.0) == [5]
    assert pauses(wrong, "192.0.2.1", at=1200.0) == [0]


@pytest.mark.parametrize(
    ("peer", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::1", "::1"),
        ("no address", "no address"),
        ("x" * 1000, "x" * 64),
    ],
)
def test_an_ipv6_client_is_the_network_that_its_addresses_are_of(peer: str, network: str) -> None:
    assert network_of(peer) == network


def test_the_addresses_of_one_ipv6_client_are_slowed_together() -> None:
    wrong = WrongTokens(50)

    assert pauses(wrong, *(f"2001:db8::{number:x}" for number in range(5))) == [0, 0, 0, 0.25, 0.5]


def test_many_networks_together_are_slowed_too_and_that_passes() -> None:
    wrong = WrongTokens(50)
    crowd = pauses(wrong, *strangers(1000))

    assert crowd[:60] == [0] * 60
    assert crowd[60:66] == [0.25, 0.5, 1, 2, 4, 5]
    assert crowd[-1] == 5
    assert pauses(wrong, "192.0.2.1", at=30.0) == [0]


def test_while_as_many_wait_as_may_a_further_wrong_one_is_refused_at_once() -> None:
    wrong = WrongTokens(2)
    pauses(wrong, *["192.0.2.1"] * 3)

    with ExitStack() as waiting:
        told = [waiting.enter_context(wrong.wrong("192.0.2.1", 0.0)) for _ in range(4)]

    assert told == [0.25, 0.5, None, None]
    assert pauses(wrong, "192.0.2.1") == [4]


def test_what_waits_holds_so_many_bytes_and_one_alone_always_fits() -> None:
    wrong = WrongTokens(50, most_bytes=100)
    pauses(wrong, *["192.0.2.1"] * 3)

    with ExitStack() as waiting:
        told = [waiting.enter_context(wrong.wrong("192.0.2.1", 0.0, size)) for size in (1000, 1, 0)]

    assert told == [0.25, None, 1.0]


def fill(wrong: WrongTokens, waiting: ExitStack, *peers: str) -> None:
    """Lets wrong tokens of these wait until no further one may."""
    while True:
        for peer in peers:
            if waiting.enter_context(wrong.wrong(peer, 0.0)) is None:
                return


def test_meanwhile_who_guesses_is_not_heard_and_everybody_else_is() -> None:
    wrong = WrongTokens(50)
    pauses(wrong, *["192.0.2.2"] * (TRIES_UNTIL_SLOWED - 1))  # has mistyped
    with ExitStack() as waiting:
        fill(wrong, waiting, "192.0.2.1")

        assert not wrong.may_try("192.0.2.1", 0.0)
        assert wrong.may_try("192.0.2.2", 0.0)
        assert wrong.may_try("192.0.2.3", 0.0)

    assert wrong.may_try("192.0.2.1", 0.0)


@pytest.mark.parametrize("shared", ["192.0.2.1", "127.0.0.1", "::1"])
def test_who_shares_an_address_with_who_guesses_is_heard_if_it_showed_a_right_token_or_is_here(shared: str) -> None:
    wrong = WrongTokens(50)
    if shared == "192.0.2.1":
        wrong.right(shared)
    with ExitStack() as waiting:
        fill(wrong, waiting, shared)

        assert wrong.may_try(shared, 0.0)


def test_a_crowd_of_more_networks_than_are_remembered_has_no_more_tries_than_those() -> None:
    wrong = WrongTokens(50)
    pauses(wrong, *strangers(NETWORKS))
    with ExitStack() as waiting:
        fill(wrong, waiting, "192.0.2.1")

        tried = sum(wrong.may_try(peer, 0.0) for peer in strangers(NETWORKS, first=NETWORKS))
        assert tried == 0
        wrong.right("198.51.100.1")
        assert wrong.may_try("198.51.100.1", 0.0)

    assert len(wrong._tries) == NETWORKS
    assert pauses(wrong, "192.0.2.1", at=700.0) == [0]
    assert len(wrong._tries) == 1


def test_so_many_networks_with_a_right_token_are_remembered_and_no_more() -> None:
    wrong = WrongTokens(50)
    for peer in strangers(NETWORKS + 1):
        wrong.right(peer)

    assert len(wrong._right) == NETWORKS
