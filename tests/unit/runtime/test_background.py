"""A task that fails is told of, counted and begun anew; nothing else notices."""

import asyncio
from collections.abc import Callable, Coroutine

import pytest
import structlog

from extproc.runtime import background
from extproc.runtime.background import Background
from tests.harness.waiting import eventually


@pytest.fixture(autouse=True)
def _short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "_FIRST_PAUSE", 0.05)
    monkeypatch.setattr(background, "_HEALTHY_SECONDS", 0.3)
    monkeypatch.setattr(background, "_LAST_SECONDS", 0.1)


def failing(times: int) -> tuple[Callable[[], Coroutine[None, None, None]], list[int]]:
    """A task that fails so many times, and then runs for ever; and the list of its beginnings."""
    begun: list[int] = []

    async def run() -> None:
        begun.append(len(begun))
        if len(begun) <= times:
            raise LookupError("unforeseen")
        await asyncio.Event().wait()

    return run, begun


async def test_it_is_begun_anew_counted_and_told_of_with_its_whole_error_once() -> None:
    counted: list[str] = []
    kept = Background(counted.append)
    run, begun = failing(times=3)

    with structlog.testing.capture_logs() as logs:
        keeping = asyncio.create_task(kept.keep("watcher", run))
        await eventually(lambda: len(begun), lambda count: count == 4)

    assert kept.failing == {"watcher": "LookupError"}
    assert counted == ["watcher"] * 3
    assert [entry["exc_info"] is None for entry in logs] == [False, True, True]
    assert [entry["pause"] for entry in logs] == [0.05, 0.1, 0.2]
    await eventually(lambda: kept.failing, lambda names: not names)
    keeping.cancel()


async def test_an_error_of_a_group_goes_by_its_own_name() -> None:
    async def group() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(failing(times=1)[0]())

    kept = Background(lambda _name: None)
    keeping = asyncio.create_task(kept.keep("quota", group))

    await eventually(lambda: kept.failing, lambda names: names == {"quota": "LookupError"})
    keeping.cancel()


async def test_one_that_returns_is_done() -> None:
    async def nothing_to_do() -> None:
        return

    await asyncio.wait_for(Background(print).keep("key", nothing_to_do), 1)


@pytest.mark.parametrize("fails", [False, True])
async def test_cancelled_it_lets_the_task_save_for_the_last_time_even_if_that_fails(fails: bool) -> None:
    begun, saved = asyncio.Event(), asyncio.Event()

    async def run() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            saved.set()
            if fails:
                raise OSError("no room")

    keeping = asyncio.create_task(Background(lambda _name: None).keep("clients", run))
    await begun.wait()

    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping

    assert saved.is_set()


async def test_a_task_that_loses_a_cancellation_is_cancelled_again() -> None:
    begun, lost = asyncio.Event(), 0

    async def run() -> None:
        nonlocal lost
        while True:
            try:
                begun.set()
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                lost += 1
                if lost > 1:
                    raise

    keeping = asyncio.create_task(Background(lambda _name: None).keep("shared_limits", run))
    await begun.wait()

    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(keeping, 60)

    assert lost == 2
