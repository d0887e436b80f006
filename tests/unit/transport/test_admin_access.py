"""Guesses of ADMIN_TOKEN are slowed and refused, from however many addresses; its holder is never made to wait."""

import asyncio
from collections import Counter

from pydantic import SecretStr
from starlette.requests import Request

from extproc.transport.admin_access import Owner
from tests.harness.processes import make_key
from tests.harness.virtual_time import in_virtual_time

TOKEN = make_key()
WAITING = 50


def request(token: str, peer: str) -> Request:
    headers = [(b"authorization", f"Bearer {token}".encode())]
    return Request({"type": "http", "client": (peer, 50_000), "headers": headers})


async def status(owner: Owner, token: str, peer: str) -> int:
    """What a request is answered; 200 if it may go on."""
    answer = await owner.refuse(request(token, peer))
    return 200 if answer is None else answer.status_code


async def flood(owner: Owner, *peers: str) -> list["asyncio.Task[int]"]:
    """Wrong tokens from these, each its own request; those that do not wait have their answers."""
    guesses = [asyncio.create_task(status(owner, "wrong", peer)) for peer in peers]
    await asyncio.wait(guesses, timeout=0.0)
    return guesses


@in_virtual_time
async def test_guesses_in_parallel_wait_as_long_as_one_after_another_and_those_beyond_are_refused() -> None:
    owner = Owner(SecretStr(TOKEN))
    guesses = await flood(owner, *["203.0.113.1"] * 200)
    at_once = Counter(guess.result() for guess in guesses if guess.done())

    assert at_once == {401: 3, 429: 200 - WAITING - 3}
    assert Counter(await asyncio.gather(*guesses))[401] == WAITING + 3


@in_virtual_time
async def test_the_right_token_is_taken_at_once_while_others_guess() -> None:
    owner = Owner(SecretStr(TOKEN))
    guesses = await flood(owner, *(f"203.0.113.{number}" for number in range(200) for _ in range(10)))

    for peer in ("198.51.100.1", "127.0.0.1"):
        assert await status(owner, TOKEN, peer) == 200
    assert not all(guess.done() for guess in guesses)
    assert await status(owner, TOKEN, "203.0.113.1") == 429  # it guesses itself, and never had the token
    assert await status(owner, "wrong", "198.51.100.1") in (401, 429)
    await asyncio.gather(*guesses)
    assert await status(owner, TOKEN, "203.0.113.1") == 200


@in_virtual_time
async def test_where_a_right_token_came_from_it_is_taken_though_somebody_guesses_there_as_well() -> None:
    owner = Owner(SecretStr(TOKEN))
    assert await status(owner, TOKEN, "203.0.113.1") == 200
    guesses = await flood(owner, *["203.0.113.1"] * 200)

    assert await status(owner, TOKEN, "203.0.113.1") == 200
    assert not all(guess.done() for guess in guesses)
    await asyncio.gather(*guesses)


@in_virtual_time
async def test_who_has_given_up_a_guess_leaves_no_place_taken() -> None:
    owner = Owner(SecretStr(TOKEN))
    for guess in await flood(owner, *["203.0.113.1"] * 200):
        guess.cancel()
    await asyncio.sleep(0.0)

    assert await status(owner, TOKEN, "203.0.113.1") == 200
    assert owner._wrong._waiting == 0
