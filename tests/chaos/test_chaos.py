"""Whatever happens to a proxy under load, it is back within seconds, and nothing is lost but what the docs name.

Once with its children tied to it as Linux does it, and once as other systems do. CHAOS_SECONDS says how long both take
together (100), CHAOS_SEED in which order (it is printed; the second goes through it from its end, and each strikes half
of all at least, so that together they strike each). `make chaos` takes ten minutes.
"""

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.chaos.account import Account, Struck
from tests.chaos.blows import BLOWS, Blow
from tests.chaos.load import Load
from tests.chaos.output import Reader
from tests.chaos.victim import Victim, running_victim
from tests.harness.leaks import command_lines, dashboard_pages, environment_of, leaks, pages, parts_of, written_files
from tests.harness.process_table import is_alive
from tests.harness.processes import seconds_to_start
from tests.harness.stack import PROMPT, Simulator
from tests.harness.supervised import KEY
from tests.harness.waiting import eventually

SECONDS = float(os.environ.get("CHAOS_SECONDS", "100")) / 2
SEED = os.environ.get("CHAOS_SEED", "2026")
CLIENTS = 12
BACK_WITHIN = 5.0
UNNOTICED = 6.0
LULL = (0.5, 2.0)
"""Seconds of load alone between two blows."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(SECONDS + 240)]


@pytest.fixture(params=["kernel", "pipe"])
def tether(request: pytest.FixtureRequest) -> str:
    """How children are tied to their parent."""
    return str(request.param)


@pytest.fixture
def victim(tmp_path: Path, simulator: Simulator, tether: str) -> Iterator[Victim]:
    settings = {"TETHER_BY_PIPE": "1"} if tether == "pipe" else {}
    with running_victim(tmp_path, simulator, KEY, **settings) as victim:
        yield victim


def order(dice: random.Random, from_its_end: bool) -> Iterator[Blow]:
    """All blows, again and again, each time in another order."""
    while True:
        shuffled = dice.sample(BLOWS, len(BLOWS))
        yield from reversed(shuffled) if from_its_end else shuffled


async def strike(account: Account, blow: Blow) -> Struck:
    """Strikes, and waits until all is well again; fails if that takes too long."""
    victim = account.victim
    slack = 2 * await asyncio.to_thread(seconds_to_start)
    settled_at = await account.settle()
    restarts = victim.restarts(blow.hangs)
    at = time.monotonic()
    await blow.strike(victim)
    done = time.monotonic()

    def is_back() -> bool:
        return (not blow.hangs or victim.restarts(blow.hangs) > restarts) and victim.is_well()

    while not await asyncio.to_thread(is_back):
        took, allowed = time.monotonic() - done, BACK_WITHIN + slack + (UNNOTICED if blow.hangs else 0)
        assert took < allowed, f"{blow.name}: not back after {took:.1f} s"
        await asyncio.sleep(0.05)
    assert victim.process.poll() is None, f"{blow.name}: the supervisor has ended\n{victim.output[-3000:]}"
    return Struck(blow, settled_at, at, done, time.monotonic())


async def test_a_proxy_under_load_gets_over_whatever_happens_to_it(victim: Victim, tether: str, tmp_path: Path) -> None:
    print(f"CHAOS_SEED={SEED} CHAOS_SECONDS={2 * SECONDS:g}, tied by {tether}")
    dice = random.Random(SEED)
    load = Load(victim.url, dice, CLIENTS, parts_of(KEY))
    account = Account(victim, load.sent)
    loading = asyncio.create_task(load.run())
    end = time.monotonic() + SECONDS
    for blow in order(random.Random(SEED), from_its_end=tether == "pipe"):
        if time.monotonic() > end and len(account.blows) >= len(BLOWS) / 2:
            break
        await asyncio.sleep(dice.uniform(*LULL))
        struck = await strike(account, blow)
        account.blows.append(struck)
        print(f"{blow.name}: well after {struck.well_at - struck.at:.1f} s")
    load.stop.set()
    await loading
    await at_rest(victim)

    assert_clean(account)
    await account.settle()
    print(account)
    assert account.counted_too_often() == {}
    assert account.told_twice() == []
    told = victim.output
    assert "Traceback" not in told.replace("a background task failed", ""), told[told.find("Traceback") - 500 :][:3000]
    assert leaks(await readable(victim, tmp_path), parts_of(KEY)) == []
    await gets_over_a_closed_output(victim)
    await gets_over_a_blow_while_it_stops(victim)


async def at_rest(victim: Victim) -> None:
    """No slot is held, nothing waits, and Envoy has nothing on its way."""
    await eventually(lambda: victim.envoy_stat("http.clients.downstream_rq_active"), lambda active: active == 0)
    await eventually(lambda: victim.envoy_stat("cluster.zai.upstream_rq_active"), lambda active: active == 0)
    await eventually(lambda: victim.status()["workers"]["in_flight"], lambda slots: slots == 0)
    queued = "zai_proxy_rate_limit_queued_requests"
    await eventually(lambda: victim.metrics().value(queued), lambda waiting: waiting == 0)


def assert_clean(account: Account) -> None:
    """Every answer made sense, and a connection broke only where Envoy was struck."""
    sent, blows = account.sent, account.blows
    print("statuses", Counter(each.status for each in sent), "broken", Counter(each.broken for each in sent))
    uncut = [each for each in sent if not any(struck.cuts(each) for struck in blows)]
    assert [each.trouble for each in uncut if each.trouble] == []
    assert [each for each in uncut if each.broken] == []
    assert [each for each in sent if each.tells_secret] == []
    outside = [each for each in sent if each.status >= 500 and not any(struck.touches(each) for struck in blows)]
    assert outside == []


async def readable(victim: Victim, directory: Path) -> dict[str, str]:
    """All that somebody could read of it: output, pages, files, and what `ps` shows of every process."""
    shown = {"output": victim.output, **pages(victim), **dashboard_pages(victim.dashboard_url), **command_lines()}
    files = {**written_files(directory), **written_files(await victim.runtime_directory())}
    names = {Path(name).name for name in files}
    assert "dashboard.db" in names
    assert "/requests" in shown
    for child in ("envoy", "dashboard"):
        shown |= environment_of(await victim.child(child))
    return {**shown, **files}


async def gets_over_a_closed_output(victim: Victim) -> None:
    victim.written.become(Reader.GONE)
    os.kill(await victim.child("extproc"), signal.SIGKILL)
    await eventually(victim.is_well, bool)
    assert httpx.post(f"{victim.url}/v1/messages", json=PROMPT, timeout=10).status_code == 200


async def gets_over_a_blow_while_it_stops(victim: Victim) -> None:
    def asked_briefly() -> str:
        with suppress(httpx.ReadTimeout):  # one that was let in waits for an upstream that stands still
            return httpx.post(f"{victim.url}/v1/messages", json=PROMPT, timeout=2).text
        return ""

    streaming = {**PROMPT, "stream": True}
    async with (
        httpx.AsyncClient(timeout=60) as client,
        client.stream("POST", f"{victim.url}/v1/messages", json=streaming) as answer,
    ):
        with victim.simulator.frozen():
            victim.process.send_signal(signal.SIGTERM)
            await eventually(asked_briefly, lambda text: "shutting down" in text)
            struck = await victim.child("extproc")
            os.kill(struck, signal.SIGKILL)
            await eventually(lambda: is_alive(struck), lambda alive: not alive)
            await eventually(asked_briefly, lambda text: "shutting down" in text)
        assert "message_stop" in (await answer.aread()).decode()
    assert await asyncio.to_thread(victim.process.wait, 40) == 0
