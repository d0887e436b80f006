"""How long a program has been silent, and what counts as silence."""

import asyncio

import pytest

from extproc.launch.liveness import Silence, until_silent
from tests.harness.virtual_time import VirtualTimeLoop, in_virtual_time


def test_silence_is_the_time_since_the_last_sign_of_life() -> None:
    silence = Silence(now=100.0)

    silence.look(100.25)
    silence.look(100.5)

    assert silence.seconds == 0.5
    silence.end(100.75)
    silence.look(101.0)
    assert silence.seconds == 0.25


def test_time_in_which_the_listener_did_not_run_is_no_silence() -> None:
    silence = Silence(now=100.0)

    silence.look(4000.0)

    assert silence.seconds == 0.5


@in_virtual_time
async def test_one_that_answers_is_never_silent() -> None:
    async def answers() -> bool:
        return True

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(until_silent(answers, patience=5.0), 60.0)


@in_virtual_time
async def test_an_answer_that_comes_late_is_a_sign_of_life_too() -> None:
    async def answers_late() -> bool:
        await asyncio.sleep(4.0)
        return True

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(until_silent(answers_late, patience=5.0), 60.0)


@pytest.mark.parametrize("way", ["no answer", "refused", "a question that fails"])
@in_virtual_time
async def test_one_that_says_nothing_is_silent_after_that_time(way: str) -> None:
    async def says_nothing() -> bool:
        if way == "no answer":
            await asyncio.Event().wait()
        if way == "a question that fails":
            raise RuntimeError(way)
        return False

    assert await until_silent(says_nothing, patience=5.0) >= 5.0

    assert 5.0 <= asyncio.get_running_loop().time() <= 6.0


@in_virtual_time
async def test_a_listener_that_was_stopped_itself_does_not_take_that_for_silence() -> None:
    """As when a machine is suspended: everything stands still, and then goes on."""
    asked = 0

    async def answers_the_second_time() -> bool:
        nonlocal asked
        asked += 1
        if asked == 1:
            loop = asyncio.get_running_loop()
            assert isinstance(loop, VirtualTimeLoop)
            loop.stand_still(3600.0)
            return False
        return True

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(until_silent(answers_the_second_time, patience=5.0), 3660.0)
