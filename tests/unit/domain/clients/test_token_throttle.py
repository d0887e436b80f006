"""Who tries tokens is slowed down, each peer for itself, and memory stays bounded."""

from extproc.domain.clients.token_throttle import WrongTokens


def test_a_typing_error_costs_nothing_and_trying_on_costs_more_and_more() -> None:
    wrong = WrongTokens()

    assert [wrong.pause("peer", 0.0) for _ in range(10)] == [0, 0, 0, 0.25, 0.5, 1, 2, 4, 5, 5]


def test_one_peers_tries_are_not_anothers() -> None:
    wrong = WrongTokens()
    for _ in range(10):
        wrong.pause("one", 0.0)

    assert wrong.pause("another", 0.0) == 0


def test_after_ten_quiet_minutes_a_peer_begins_anew() -> None:
    wrong = WrongTokens()
    for _ in range(10):
        wrong.pause("peer", 0.0)

    assert wrong.pause("peer", 601.0) == 0


def test_so_many_peers_are_remembered_and_no_more() -> None:
    wrong = WrongTokens()
    for number in range(20_000):
        wrong.pause(f"peer-{number}", 0.0)

    assert len(wrong._tries) == 10_000
