"""Clients and their tokens: found by the token alone, bounded by what the file says."""

import pytest

from extproc.domain.clients.clients import (
    MOST_CLIENTS,
    Client,
    ClientRegistry,
    digest_of,
    is_name,
    new_token,
    read_clients,
)

ANNA, BERT = "token-of-anna", "token-of-bert"


def registry() -> ClientRegistry:
    return ClientRegistry([Client("anna", digest_of(ANNA), max_in_flight=2), Client("bert", digest_of(BERT))])


def test_a_client_is_found_by_its_token_and_nobody_by_another() -> None:
    assert registry().find(ANNA) == registry().named("anna")
    assert registry().find(BERT) == registry().named("bert")
    for wrong in ("", "token-of-ann", ANNA + " ", digest_of(ANNA), "töken", "\udcff"):
        assert registry().find(wrong) is None


def test_the_book_never_holds_a_token() -> None:
    assert ANNA not in repr(registry())
    assert ANNA not in str(registry().as_dict())


def test_what_is_written_is_read_back() -> None:
    assert read_clients(registry().as_dict()).clients == registry().clients


def test_tokens_are_long_and_never_the_same() -> None:
    assert len({new_token() for _ in range(100)}) == 100
    assert len(new_token()) > 40


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ([], 'no list "clients"'),
        ({"clients": {}}, 'no list "clients"'),
        ({"clients": ["anna"]}, "client 1 is no object"),
        ({"clients": [{"name": "an na", "sha256": digest_of("x")}]}, "its name must be"),
        ({"clients": [{"name": "anna", "sha256": "no digest"}]}, "64 hexadecimal digits"),
        ({"clients": [{"name": "anna", "sha256": digest_of("x"), "limit": 3}]}, "nothing is called limit"),
        ({"clients": [{"name": "anna", "sha256": digest_of("x"), "max_in_flight": 0}]}, "max_in_flight must be"),
        ({"clients": [{"name": "anna", "sha256": digest_of("x"), "daily_tokens": True}]}, "daily_tokens must be"),
        ({"clients": [{"name": "anna", "sha256": digest_of(token)} for token in "xy"]}, "name anna is there twice"),
        ({"clients": [{"name": name, "sha256": digest_of("x")} for name in "ab"]}, "is there twice"),
        (
            {"clients": [{"name": f"c{number}", "sha256": digest_of(str(number))} for number in range(1001)]},
            f"at most {MOST_CLIENTS}",
        ),
    ],
)
def test_a_file_that_says_something_odd_is_refused_with_the_reason(data: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_clients(data)


@pytest.mark.parametrize("name", ["", "-a", "a b", "a/b", "a" * 49, "ä", "a\n"])
def test_a_name_fits_a_label_and_a_file(name: str) -> None:
    assert not is_name(name)
