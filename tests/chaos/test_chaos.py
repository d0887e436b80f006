"""Whatever happens to a proxy under load, it is back within seconds, and nothing is lost but what the docs name.

CHAOS_SECONDS says how long (120), CHAOS_SEED in which order (it is printed); `make chaos` takes ten minutes.
"""

import asyncio
import itertools
import os
import random
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.chaos.blows import BLOWS, Blow
from tests.chaos.load import Load, Sent
from tests.chaos.victim import Victim, running_victim
from tests.harness.leaks import parts_of
from tests.harness.processes import seconds_to_start
from tests.harness.stack import PROMPT, Simulator
from tests.harness.supervised import KEY
from tests.harness.waiting import eventually

SECONDS = float(os.environ.get("CHAOS_SECONDS", "120"))
SEED = os.environ.get("CHAOS_SEED", "2026")
CLIENTS = 12
BACK_WITHIN = 5.0
UNNOTICED = 6.0
AROUND = 1.5
"""Seconds around a blow in which it can still cost something: what was on its way."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(SECONDS + 240)]


@dataclass(frozen=True, slots=True)
class Struck:
    """A blow from its first moment until everything was well again (steady seconds)."""

    blow: Blow
    at: float
    well_at: float

    def touches(self, sent: Sent) -> bool:
        return sent.began <= self.well_at + AROUND and (sent.ended or self.well_at) >= self.at - AROUND


@pytest.fixture
def victim(tmp_path: Path, simulator: Simulator) -> Iterator[Victim]:
    with running_victim(tmp_path, simulator, KEY) as victim:
        yield victim


async def struck(victim: Victim, blow: Blow) -> Struck:
    """Strikes, and waits until all is well again; fails if that takes too long."""
    slack = 2 * await asyncio.to_thread(seconds_to_start)
    at = time.monotonic()
    await blow.strike(victim)
    ended = time.monotonic()
    if blow.hangs:
        await asyncio.sleep(UNNOTICED)
    while not await asyncio.to_thread(victim.is_well):
        took, allowed = time.monotonic() - ended, BACK_WITHIN + slack + (UNNOTICED if blow.hangs else 0)
        assert took < allowed, f"{blow.name}: not back after {took:.1f} s"
        await asyncio.sleep(0.05)
    assert victim.process.poll() is None, f"{blow.name}: the supervisor has ended\n{victim.output[-3000:]}"
    return Struck(blow, at, time.monotonic())


async def test_a_proxy_under_load_gets_over_whatever_happens_to_it(victim: Victim) -> None:
    print(f"CHAOS_SEED={SEED} CHAOS_SECONDS={SECONDS:g}")
    dice = random.Random(SEED)
    load = Load(victim.url, dice, CLIENTS)
    loading = asyncio.create_task(load.run())
    blows: list[Struck] = []
    end = time.monotonic() + SECONDS
    for blow in itertools.chain.from_iterable(dice.sample(BLOWS, len(BLOWS)) for _ in itertools.count()):
        if time.monotonic() > end:
            break
        await asyncio.sleep(dice.uniform(0.5, 2.0))
        blows.append(await struck(victim, blow))
        print(f"{blow.name}: well after {blows[-1].well_at - blows[-1].at:.1f} s")
    load.stop.set()
    await loading
    await at_rest(victim)

    assert_clean(load.sent, blows)
    await assert_counted(victim, load.sent, blows)
    told = victim.output
    assert not any(part in told for part in parts_of(KEY)), "a key has leaked"
    assert "Traceback" not in told.replace("a background task failed", ""), told[told.find("Traceback") - 500 :][:3000]
    await gets_over_a_closed_output(victim)


async def at_rest(victim: Victim) -> None:
    """No slot is held, nothing waits, and Envoy has nothing on its way."""
    await eventually(lambda: victim.envoy_stat("http.clients.downstream_rq_active"), lambda active: active == 0)
    await eventually(lambda: victim.envoy_stat("cluster.zai.upstream_rq_active"), lambda active: active == 0)
    await eventually(lambda: victim.status()["workers"]["in_flight"], lambda slots: slots == 0)
    queued = "zai_proxy_rate_limit_queued_requests"
    await eventually(lambda: victim.metrics().value(queued), lambda waiting: waiting == 0)


def assert_clean(sent: list[Sent], blows: list[Struck]) -> None:
    """Every answer made sense, and a connection broke only where Envoy was struck."""
    print("statuses", Counter(each.status for each in sent), "broken", Counter(each.broken for each in sent))
    assert [each.trouble for each in sent if each.trouble and not cut_by(each, blows)] == []
    assert [each for each in sent if each.broken and not cut_by(each, blows)] == []
    outside = [each for each in sent if each.status >= 500 and not any(struck.touches(each) for struck in blows)]
    assert outside == []


def cut_by(sent: Sent, blows: list[Struck]) -> bool:
    return any(struck.blow.cuts and struck.touches(sent) for struck in blows)


async def assert_counted(victim: Victim, sent: list[Sent], blows: list[Struck]) -> None:
    """Each request that was answered has its line, once; but for those that a dying process took along."""
    costly = [struck for struck in blows if struck.blow.costs_log]
    certain = [each for each in sent if each.status and not any(struck.touches(each) for struck in costly)]

    def missing() -> list[Sent]:
        lines = victim.output
        return [each for each in certain if f"{each.id} " not in lines]

    await eventually(missing, lambda left: not left)
    lines = Counter(re.findall(r"request_id=(chaos-\S+)", victim.output))
    print("certain", len(certain), "of", len(sent), "counted", len(lines))
    assert [each for each, times in lines.items() if times > 1] == []


async def gets_over_a_closed_output(victim: Victim) -> None:
    victim.close_output()
    os.kill(await victim.child("extproc"), signal.SIGKILL)
    await eventually(victim.is_well, bool)
    assert httpx.post(f"{victim.url}/v1/messages", json=PROMPT, timeout=10).status_code == 200

    victim.process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(victim.process.wait, 40) == 0
