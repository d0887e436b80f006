"""How long a program has been silent, and what counts as silence."""

import asyncio
import time

import pytest

from extproc.launch import liveness
from extproc.launch.liveness import Silence, until_silent


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


async def test_one_that_answers_is_never_silent() -> None:
    async def answers() -> bool:
        return True

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(until_silent(answers, patience=0.5), 1.5)


async def test_an_answer_that_comes_late_is_a_sign_of_life_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "_TICK_SECONDS", 0.05)

    async def answers_late() -> bool:
        await asyncio.sleep(0.3)
        return True

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(until_silent(answers_late, patience=2.0), 3.5)


@pytest.mark.parametrize("way", ["no answer", "refused", "a question that fails"])
async def test_one_that_says_nothing_is_silent_after_that_time(way: str) -> None:
    async def says_nothing() -> bool:
        if way == "no answer":
            await asyncio.Event().wait()
        if way == "a question that fails":
            raise RuntimeError(way)
        return False

    began = time.monotonic()

    assert await until_silent(says_nothing, patience=0.8) >= 0.8

    assert 0.8 <= time.monotonic() - began < 5


async def test_a_listener_that_was_stopped_itself_does_not_take_that_for_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As when a machine is suspended: everything stands still, and then goes on."""
    asked = 0

    async def answers_the_second_time() -> bool:
        nonlocal asked
        asked += 1
        if asked == 1:
            time.sleep(2 * patience)
            return False
        return True

    patience = 1.0
    monkeypatch.setattr(liveness, "_TICK_SECONDS", 0.05)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(until_silent(answers_the_second_time, patience), 4)
