"""The sums of the cache are kept over a restart, where there is a directory for them."""

import asyncio
import time
from dataclasses import replace
from functools import partial
from operator import eq
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from extproc.domain.cache.conversation import Speaker
from extproc.domain.cache.lanes import Asked
from extproc.domain.cache.ledger import CacheLedger
from extproc.domain.request.exchange import Exchange
from extproc.domain.request.routes import classify
from extproc.domain.usage.outcome import Outcome, interpret
from extproc.domain.usage.price_file import packaged_prices, parse_price_table
from extproc.domain.usage.token_estimates import TokenEstimator
from extproc.runtime.cache_watch import STATE_NAME, CacheWatch
from extproc.runtime.state_file import StateFile
from tests.harness.virtual_time import in_virtual_time
from tests.harness.waiting import eventually
from tests.unit.domain.cache.test_ledger import NOON, entry

PRICES = parse_price_table(packaged_prices())


def watch(directory: Path | None) -> CacheWatch:
    file = None if directory is None else StateFile(directory / STATE_NAME)
    return CacheWatch(PRICES, doctor=False, state=file)


def ended(now: float) -> Outcome:
    return interpret(replace(entry(client="anna"), started=now), TokenEstimator(), PRICES)


def told(one: CacheWatch) -> list[tuple[str, int]]:
    rows: Any = one.describe()["programs"]
    return [(row["client"], row["input_tokens"]) for row in rows]


@pytest.mark.parametrize(
    ("session", "agent"),
    [({"session": "s-1"}, ""), ({"thread": "t-1"}, ""), ({"session": "s-1"}, "a-1")],
    ids=["session", "thread", "sub-agent"],
)
def test_a_request_is_taken_for_one_of_the_conversation_that_the_log_told_of(
    session: dict[str, str], agent: str
) -> None:
    told_of = entry(client="anna", agent=agent, model_asked="claude-opus", **session)
    exchange = Exchange(
        "x-2", "r-2", "POST", "/v1/messages", told_of.source, NOON,
        client="anna", agent=agent, program="Claude Code", asked="claude-opus", **session,
    )  # fmt: skip
    one = watch(None)
    messages = classify("/v1/messages", speaks_anthropic=True)
    assert not one.wants_parts(exchange, messages)

    one.take_outcome(interpret(told_of, TokenEstimator(), PRICES))
    assert one.wants_parts(exchange, messages)
    assert not one.wants_parts(replace(exchange, asked=""), messages)


async def test_the_sums_are_saved_when_it_ends_and_taken_up_by_the_next(tmp_path: Path) -> None:
    first = watch(tmp_path)
    running = asyncio.create_task(first.run())
    await asyncio.sleep(0)
    first.take_outcome(ended(time.time()))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert told(watch(tmp_path)) == [("anna", 4000)]


@in_virtual_time
async def test_the_sums_are_saved_now_and_then_while_they_change(tmp_path: Path) -> None:
    first = watch(tmp_path)
    running = asyncio.create_task(first.run())
    await asyncio.sleep(300.0)
    assert not (tmp_path / STATE_NAME).exists()

    for number in (1, 2):
        first.take_outcome(ended(time.time() - 1))
        saved = partial(eq, [("anna", 4000 * number)])
        await eventually(lambda: told(watch(tmp_path)), saved, within=60.0)

    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("damaged", ["{", '{"version": 99}', '{"version": 1, "part_seconds": 300, "programs": [7]}'])
def test_sums_that_cannot_be_read_are_begun_anew(tmp_path: Path, damaged: str) -> None:
    (tmp_path / STATE_NAME).write_text(damaged)

    with capture_logs() as logged:
        first = watch(tmp_path)

    assert [line["log_level"] for line in logged] == ["warning"]
    assert told(first) == []


async def test_without_a_directory_nothing_is_kept(tmp_path: Path) -> None:
    first = watch(None)
    first.take_outcome(ended(time.time()))
    running = asyncio.create_task(first.run())
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert list(tmp_path.iterdir()) == []


def test_as_many_sums_as_there_may_be_are_read_again(tmp_path: Path) -> None:
    ledger, again, now = CacheLedger(PRICES), CacheLedger(PRICES), NOON
    for number in range(300):
        speaker = Speaker(f"{number:048}", "source-01", "Anthropic SDK", "", "", "glm-5.3")
        for part in range(12):
            now = NOON + 300 * part
            ledger.hear(speaker, Asked(now, now + 1, 2**53, 2**53 - 1, 0), now)
    file = StateFile(tmp_path / STATE_NAME)
    file.write(ledger.snapshot(now, is_last=True))
    again.restore(file.read(), now)

    assert len(again.programs(now)) == 256
    assert again.programs(now) == ledger.programs(now)
