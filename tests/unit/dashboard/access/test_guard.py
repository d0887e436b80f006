"""Guesses of DASHBOARD_TOKEN are slowed and refused; who has it, or has signed in, is never made to wait."""

import asyncio
import time
from collections import Counter

from pydantic import SecretStr
from starlette.requests import Request

from dashboard.access.guard import Guard
from dashboard.access.sessions import Sessions
from tests.harness.processes import make_key
from tests.harness.virtual_time import in_virtual_time

TOKEN = make_key()
STRANGER = "203.0.113.1"


def guard() -> Guard:
    return Guard(SecretStr(TOKEN), on_loopback=False, port=8081)


async def status(guard: Guard, peer: str, **headers: str) -> int:
    """What a request is answered; 200 if it may go on."""
    held = [(name.encode(), value.encode()) for name, value in {"host": "dashboard", **headers}.items()]
    scope = {"type": "http", "method": "GET", "path": "/api/now", "query_string": b"", "scheme": "http"}
    answer = await guard.refuse(Request({**scope, "client": (peer, 50_000), "headers": held}))
    return 200 if answer is None else answer.status_code


async def flood(guard: Guard, peer: str) -> list["asyncio.Task[int]"]:
    guesses = [asyncio.create_task(status(guard, peer, authorization="Bearer wrong")) for _ in range(100)]
    await asyncio.wait(guesses, timeout=0.0)
    return guesses


@in_virtual_time
async def test_so_many_guesses_wait_and_those_beyond_are_refused_at_once() -> None:
    guesses = await flood(guard(), STRANGER)

    assert Counter(guess.result() for guess in guesses if guess.done()) == {401: 3, 429: 47}
    assert Counter(await asyncio.gather(*guesses)) == {401: 53, 429: 47}


@in_virtual_time
async def test_the_right_token_opens_at_once_while_others_guess() -> None:
    locked = guard()
    guesses = await flood(locked, STRANGER)

    assert await status(locked, "198.51.100.1", authorization=f"Bearer {TOKEN}") == 200
    assert await status(locked, STRANGER, authorization=f"Bearer {TOKEN}") == 429
    await asyncio.gather(*guesses)
    assert await status(locked, STRANGER, authorization=f"Bearer {TOKEN}") == 200


@in_virtual_time
async def test_behind_an_address_of_many_who_signs_in_is_not_shut_out_by_who_guesses_there() -> None:
    for peer, cookie in (("127.0.0.1", ""), (STRANGER, Sessions(TOKEN).begin(time.time()))):
        locked = guard()
        if cookie:
            assert await status(locked, peer, cookie=f"{locked.cookie}={cookie}") == 200
        guesses = await flood(locked, peer)

        assert await status(locked, peer, authorization=f"Bearer {TOKEN}") == 200
        assert not all(guess.done() for guess in guesses)
        await asyncio.gather(*guesses)
