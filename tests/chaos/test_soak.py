"""So many requests, and nothing grows: neither memory nor open files of any process.

SOAK_REQUESTS says how many (3,000); `make soak` takes 100,000.
"""

import asyncio
import json
import os
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.chaos.victim import Victim, running_victim
from tests.harness.processes import make_key
from tests.harness.stack import PROMPT, Simulator
from tests.harness.waiting import eventually

REQUESTS = int(os.environ.get("SOAK_REQUESTS", "3000"))
CLIENTS = 16
ROLES = ("extproc", "envoy", "dashboard")
WARM = 0.4
"""The share of the requests after which buffers, caches and pools have found their size."""
MAY_GROW_BYTES = 12 * 1024 * 1024
MAY_GROW_FILES = 24

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120 + REQUESTS / 25)]

KEY = make_key()


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    directory = tmp_path_factory.mktemp("soak")
    simulator = Simulator(directory, KEY)
    try:
        with running_victim(directory, simulator, KEY, LOG_LEVEL="info") as victim:
            yield victim
    finally:
        simulator.process.kill()


def memory(pid: int) -> int:
    """Resident bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def open_files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


async def send(victim: Victim, requests: int, dice: random.Random) -> Counter[int]:
    """Sends them, a third of them streams, a tenth left in the middle; returns their statuses."""
    statuses: Counter[int] = Counter()
    left = iter(range(requests))

    async def client() -> None:
        async with httpx.AsyncClient(timeout=60) as client:
            for _ in left:
                streams = dice.random() < 0.33
                headers = {"x-sim": json.dumps({"events": 10, "pause": 0.0})} if streams else {}
                request = client.build_request(
                    "POST", f"{victim.url}/v1/messages", json={**PROMPT, "stream": streams}, headers=headers
                )
                answer = await client.send(request, stream=True)
                statuses[answer.status_code] += 1
                if dice.random() >= 0.1:
                    await answer.aread()
                await answer.aclose()

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return statuses


async def test_nothing_grows_with_the_requests(victim: Victim) -> None:
    dice = random.Random(REQUESTS)
    pids = {"supervisor": victim.process.pid, **{role: await victim.child(role) for role in ROLES}}
    warm = int(REQUESTS * WARM)

    assert set(await send(victim, warm, dice)) == {200}
    before = {role: (memory(pid), open_files(pid)) for role, pid in pids.items()}
    assert set(await send(victim, REQUESTS - warm, dice)) == {200}
    await eventually(lambda: victim.status()["workers"]["in_flight"], lambda slots: slots == 0)
    after = {role: (memory(pid), open_files(pid)) for role, pid in pids.items()}

    print({role: (before[role], after[role]) for role in pids})
    assert [role for role in pids if after[role][0] > before[role][0] + MAY_GROW_BYTES] == []
    assert [role for role in pids if after[role][1] > before[role][1] + MAY_GROW_FILES] == []
    counted = await eventually(
        lambda: victim.metrics().value("zai_proxy_requests_total", path="/v1/messages"), lambda count: count >= REQUESTS
    )
    assert counted == REQUESTS
