"""Several replicas on one plan: what one of them learns holds for all, and what one of them loses, the others get."""

import asyncio
import json
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.harness.fleet import Fleet, running_fleet
from tests.harness.leaks import command_lines, leaks, pages
from tests.harness.stack import PROMPT, ZAI_PROXY, Stack
from tests.harness.waiting import eventually

pytestmark = pytest.mark.slow

FAST = {"RATE_LIMIT_INITIAL": "100", "RATE_LIMIT_BURST": "100"}
PLACES = 4


@pytest.fixture(scope="module")
def shared_fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Three proxies that hold a plan to four requests at once."""
    with running_fleet(
        tmp_path_factory.mktemp("fleet"), 3, PACING="fixed", CONCURRENCY_LIMIT_INITIAL=str(PLACES), **FAST
    ) as fleet:
        yield fleet


@pytest.fixture
def fleet(shared_fleet: Fleet) -> Fleet:
    shared_fleet.simulator.reset()
    return shared_fleet


def played(**scenario: Any) -> dict[str, str]:
    return {"x-sim": json.dumps(scenario)}


async def post(stack: Stack, seconds: float = 0.0, session: str = "") -> httpx.Response:
    async with httpx.AsyncClient(timeout=60) as client:
        headers = {**played(delay=seconds), "x-claude-code-session-id": session}
        return await client.post(f"{stack.url}/v1/messages", json=PROMPT, headers=headers)


async def dying_post(stack: Stack) -> None:
    """A long request whose proxy dies before it is answered."""
    with pytest.raises(httpx.TransportError):
        await post(stack, 60.0)


async def work(stack: Stack, agent: int, requests: int, seconds: float) -> list[int]:
    return [(await post(stack, seconds, f"agent-{agent}")).status_code for _ in range(requests)]


def waiting(stack: Stack) -> int:
    return len(stack.status()["waiting"])


async def test_all_replicas_together_use_the_plan_and_never_more(fleet: Fleet) -> None:
    answers = await asyncio.gather(*(work(fleet.stacks[agent % 3], agent, 4, 0.25) for agent in range(12)))

    assert {status for statuses in answers for status in statuses} == {200}
    assert fleet.simulator.stats()["max_in_flight"] == PLACES


async def test_one_replica_alone_gets_the_whole_plan(fleet: Fleet) -> None:
    answers = await asyncio.gather(*(work(fleet.stacks[1], agent, 3, 0.2) for agent in range(8)))

    assert {status for statuses in answers for status in statuses} == {200}
    assert fleet.simulator.stats()["max_in_flight"] == PLACES


async def test_a_newcomer_gets_its_due_of_a_plan_that_another_has_filled(fleet: Fleet) -> None:
    crowd, newcomer = fleet.stacks[0], fleet.stacks[1]
    ended: list[str] = []

    async def ask(stack: Stack, session: str) -> None:
        await post(stack, 1.0, session)
        ended.append(session)

    crowded = [asyncio.create_task(ask(crowd, f"crowd-{number % 2}")) for number in range(16)]
    await eventually(lambda: waiting(crowd), lambda number: number == 12)
    await ask(newcomer, "a-person")

    assert len(ended) <= 2 * PLACES
    await asyncio.gather(*crowded)


async def test_every_replica_shows_the_same_limits(fleet: Fleet) -> None:
    shown = [stack.status() for stack in fleet.stacks]

    assert [status["limits"][0]["limit"] for status in shown] == [PLACES] * 3
    assert sum(status["shared_limits"]["leads"] for status in shown) == 1
    assert [stack.metric("zai_proxy_shared_limits_up") for stack in fleet.stacks] == [1, 1, 1]
    assert [stack.metric("zai_proxy_shared_limits_replicas") for stack in fleet.stacks] == [3, 3, 3]


async def test_nothing_about_the_store_but_its_address_is_told(fleet: Fleet) -> None:
    secret = fleet.valkey.password
    assert (await post(fleet.stacks[0])).status_code == 200
    for stack in fleet.stacks:
        logs = {"processor": stack.processor.output, "envoy": stack.envoy.output}
        assert leaks({**pages(stack), **logs}, [secret]) == []
        assert f"127.0.0.1:{fleet.valkey.port}" in stack.processor.output
        assert stack.key not in "".join(fleet.valkey.client().scan_iter())
    names = [name for name in fleet.valkey.client().scan_iter() if isinstance(name, str)]
    assert len(names) == 2
    assert all(0 < fleet.valkey.client().pttl(name) <= 86_400_000 for name in names)
    assert leaks(command_lines(), [secret]) == []


def doctor(fleet: Fleet, **settings: str) -> str:
    environment = {**fleet.stacks[0].environment, **settings}
    done = subprocess.run(
        [ZAI_PROXY, "doctor"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert fleet.valkey.password not in done.stdout + done.stderr
    return done.stdout


def test_the_doctor_looks_at_the_store(fleet: Fleet) -> None:
    at = f"127.0.0.1:{fleet.valkey.port}"

    assert f"shared limits: {at} answers within" in doctor(fleet)
    wrong = doctor(fleet, LIMITS_URL=f"redis://:wrong@{at}/0")
    assert f"PROBLEM  shared limits: {at} can't be used (AuthenticationError)" in wrong
    assert "the password in LIMITS_URL" in wrong
    assert "can't be used (ConnectionError)" in doctor(fleet, LIMITS_URL="redis://127.0.0.1:9/0")


async def test_without_the_store_each_keeps_to_its_share_and_no_request_fails(fleet: Fleet) -> None:
    said = [stack.processor.output for stack in fleet.stacks]
    load = [asyncio.create_task(work(fleet.stacks[agent % 3], agent, 8, 0.5)) for agent in range(12)]
    await eventually(lambda: fleet.simulator.stats()["in_flight"], lambda number: number == PLACES)
    fleet.valkey.process.kill()
    await eventually(lambda: _up(fleet), lambda up: up == [0, 0, 0])
    assert {stack.status()["limits"][0]["limit"] for stack in fleet.stacks} == {PLACES // 3}
    ended = fleet.simulator.stats()["requests"]
    await eventually(lambda: fleet.simulator.stats()["requests"], lambda number: number >= ended + 12)
    fleet.simulator.reset()  # what ran when the store went has ended
    fleet.valkey.restart()
    fleet.wait_until_shared()
    answers = await asyncio.gather(*load)

    assert {status for statuses in answers for status in statuses} == {200}
    assert fleet.simulator.stats()["max_in_flight"] <= PLACES
    for stack, before in zip(fleet.stacks, said, strict=True):
        new = stack.processor.output.removeprefix(before)
        assert new.count("the limits are not shared") == 1
        assert new.count("the limits are shared") == 1


async def test_a_store_that_hangs_is_given_up_within_a_second(fleet: Fleet) -> None:
    fleet.valkey.process.signal(signal.SIGSTOP)
    answer = await post(fleet.stacks[0])

    assert answer.status_code == 200
    assert float(answer.headers["x-zai-queue-ms"]) < 1000
    await eventually(lambda: _up(fleet), lambda up: up == [0, 0, 0])
    fleet.valkey.process.signal(signal.SIGCONT)
    fleet.wait_until_shared()


async def test_a_plan_is_found_by_all_together_and_nobody_sees_a_429(tmp_path: Path) -> None:
    """A busy machine holds a place on its way to the upstream and back, so more are in flight here than there: next to
    answers of two seconds that is little."""
    with running_fleet(tmp_path, 3, "--concurrency", str(PLACES), PACING="on", **FAST) as fleet:
        answers = await asyncio.gather(*(work(fleet.stacks[agent % 3], agent, 3, 2.0) for agent in range(12)))

        assert Counter(status for statuses in answers for status in statuses) == {200: 36}, told(fleet)
        assert len(refusals(fleet)) <= 12, told(fleet)
        found = [{limit} for limit in range(PLACES - 1, PLACES + 3)]
        await eventually(lambda: limits(fleet), lambda shown: shown in found)


async def test_a_killed_replica_gives_its_places_back(tmp_path: Path) -> None:
    with running_fleet(tmp_path, 2, PACING="fixed", CONCURRENCY_LIMIT_INITIAL="2", **FAST) as fleet:
        dying, living = fleet.stacks
        held = [asyncio.create_task(dying_post(dying)) for _ in range(2)]
        await eventually(lambda: len(dying.status()["requests"]), lambda number: number == 2)
        queued = asyncio.create_task(post(living))
        await eventually(lambda: waiting(living), lambda number: number == 1)
        dying.processor.kill()  # before Envoy, whose end would tell it that its requests have ended
        dying.envoy.kill()

        answer = await queued
        assert answer.status_code == 200
        assert float(answer.headers["x-zai-queue-ms"]) > 5000
        assert living.status()["shared_limits"]["replicas"] == 1
        assert await asyncio.gather(*held) == [None, None]


async def test_a_replica_that_ends_in_order_gives_its_places_back_at_once(tmp_path: Path) -> None:
    with running_fleet(tmp_path, 2, PACING="fixed", CONCURRENCY_LIMIT_INITIAL="2", **FAST) as fleet:
        leaving, staying = fleet.stacks
        leaving.processor.signal(signal.SIGTERM)
        assert leaving.processor.wait() == 0

        await eventually(lambda: staying.status()["shared_limits"]["replicas"], lambda number: number == 1)


async def test_a_gate_that_one_replica_closes_closes_for_all(tmp_path: Path) -> None:
    with running_fleet(tmp_path, 2, PACING="on", QUOTA_GATE="on", **FAST) as fleet:
        one, other = fleet.stacks
        async with httpx.AsyncClient() as client:
            answer = await client.post(f"{one.url}/v1/messages", json=PROMPT, headers=played(code="1310"))
        assert answer.status_code == 429
        await eventually(lambda: one.metric("zai_proxy_quota_gate_open", window="weekly"), lambda shut: shut == 1)
        await eventually(lambda: other.metric("zai_proxy_quota_gate_open", window="weekly"), lambda shut: shut == 1)
        calls = len(fleet.simulator.log())

        assert (await post(other)).status_code == 429
        assert len(fleet.simulator.log()) == calls


def limits(fleet: Fleet) -> set[int]:
    return {stack.status()["limits"][0]["limit"] for stack in fleet.stacks}


def refusals(fleet: Fleet) -> list[dict[str, Any]]:
    return [entry for entry in fleet.simulator.log() if entry["status"] == 429]


def told(fleet: Fleet) -> dict[str, Any]:
    """What explains a refusal that a client has seen: where the limits were moved, and what the upstream refused."""
    return {"moves": [stack.status()["limits"][0] for stack in fleet.stacks], "refused": refusals(fleet)}


def _up(fleet: Fleet) -> list[float]:
    return [stack.metric("zai_proxy_shared_limits_up") for stack in fleet.stacks]
