"""Several replicas on a plan that limits each model: they share each model's places, whoever of them dies."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from extproc.domain.pacing.learned_limits import Learned, LearnedLimit
from extproc.domain.pacing.probing import LONGEST_HALF_LIFE
from tests.harness.fleet import Fleet, running_fleet
from tests.harness.stack import PROMPT, Stack
from tests.harness.waiting import eventually

# A measurement of up to three minutes in each, and what is learned or waited for besides, where the machine is busy.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PLACES: Final = {"glm-5.3": 2, "glm-5.3-flash": 6, "glm-4.7": 1}
LIMITS: Final = [f"--model-concurrency={model}={places}" for model, places in PLACES.items()]
SETTINGS: Final = {"PACING": "on", "MAX_WORKERS": "60", "RATE_LIMIT_INITIAL": "100", "RATE_LIMIT_BURST": "100"}
OPTIONS: Final = [*LIMITS, "--mcp-concurrency=2", "--mcp-recovery-seconds=1"]
CALL: Final = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "search", "arguments": {}}}
# A model that nothing is known of starts with more than any of these has: what is forgotten shows.
_INITIAL: Final = 12
_LEASE: Final = 10.0  # of a replica that is not heard of
_SESSION: Final = "x-claude-code-session-id"
_ANSWER_SECONDS: Final = 2.0
_MEASURED: Final = 6.0
_MEASUREMENTS: Final = 30


def _message(model: str, session: str) -> tuple[str, dict[str, Any], str]:
    return "/v1/messages", {**PROMPT, "model": model}, session


class Load:
    """Clients of several replicas that always want more than there is."""

    def __init__(self) -> None:
        self.answers: Counter[tuple[str, int]] = Counter()
        self._client = httpx.AsyncClient(timeout=120, limits=httpx.Limits(max_connections=None))

    async def ask(self, stack: Stack, path: str, body: dict[str, Any], session: str, **scenario: Any) -> None:
        accept = "application/json, text/event-stream"
        headers = {"x-sim": json.dumps(scenario), "accept": accept, _SESSION: session}
        answer = await self._client.post(stack.url + path, json=body, headers=headers)
        self.answers[body.get("model", "tools"), answer.status_code] += 1

    @property
    def statuses(self) -> set[int]:
        return {status for _, status in self.answers}

    def answered(self) -> dict[str, int]:
        """How many whole answers there were, by model."""
        return {model: self.answers[model, 200] for model in PLACES}

    @property
    def refused(self) -> dict[str, int]:
        """What was refused as too much, by model; a replica that dies says 503."""
        return {model: count for (model, status), count in self.answers.items() if status == 429}

    @property
    def is_hardly_refused(self) -> bool:
        """Whether at most one answer in twenty is a refusal: where each step to the upstream and back takes half a
        second, as on a machine that is busy, what used to fit is refused by chance, and a request can spend all its
        tries while replicas learn a plan of one place. In virtual time none is."""
        return sum(self.refused.values()) <= max(2, self.answers.total() // 20)

    async def work(self, stack: Stack, model: str, session: str) -> None:
        """Asks again and again, until the replica is dead."""
        try:
            while True:
                await self.ask(stack, *_message(model, session), delay=_ANSWER_SECONDS)
        except httpx.TransportError:
            return

    async def use_tools(self, stack: Stack) -> None:
        try:
            while True:
                await self.ask(stack, "/api/mcp/web_search_prime/mcp", CALL, "tools-0", delay=_ANSWER_SECONDS)
        except httpx.TransportError:
            return


@asynccontextmanager
async def under_load(stacks: Sequence[Stack]) -> AsyncIterator[Load]:
    load = Load()
    tasks = [
        asyncio.create_task(load.work(stack, model, f"{model}-{number}"))
        for stack in stacks
        for model, places in PLACES.items()
        for number in range(places + 1)
    ]
    tasks += [asyncio.create_task(load.use_tools(stack)) for stack in stacks]
    yield load
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def place_seconds(fleet: Fleet) -> dict[str, float]:
    return {name: model["place_seconds"] for name, model in fleet.simulator.stats()["models"].items()}


async def until_in_use(fleet: Fleet, least: float) -> None:
    """Waits until each model's places have been in use for at least that share of some seconds. In virtual time nine
    tenths are; on a machine that is busy, answers of two seconds hold a place of a replica for twice as long."""
    seen = []
    for _ in range(_MEASUREMENTS):
        before, began = place_seconds(fleet), time.monotonic()
        await asyncio.sleep(_MEASURED)
        after, seconds = place_seconds(fleet), time.monotonic() - began
        shares = {model: (after.get(model, 0.0) - before.get(model, 0.0)) / seconds / n for model, n in PLACES.items()}
        if min(shares.values()) >= least:
            return
        seen.append(shares)
    raise AssertionError(f"in use were {seen}")


def learned(stack: Stack) -> dict[str, int]:
    return {limit["name"]: limit["limit"] for limit in stack.status()["model_limits"]}


def knows_the_plan(limits: dict[str, int]) -> bool:
    """A busy machine holds a place on its way to the upstream and back, so more are in flight here than there."""
    return all(places - 1 <= limits[model] <= places * 3 // 2 + 1 for model, places in PLACES.items())


def shared(stacks: Sequence[Stack], what: str) -> list[Any]:
    return [stack.status()["shared_limits"][what] for stack in stacks]


async def test_each_models_places_are_found_and_in_use(tmp_path: Path) -> None:
    with running_fleet(tmp_path, 3, *OPTIONS, **SETTINGS) as fleet:
        async with under_load(fleet.stacks) as load:
            await until_in_use(fleet, 0.5)
            for stack in fleet.stacks:
                await eventually(partial(learned, stack), knows_the_plan, within=120)
            assert load.is_hardly_refused, load.answers


@pytest.fixture(scope="module")
def knowing_fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Three replicas that have learned the plan before."""
    state, now = tmp_path_factory.mktemp("state"), time.time()
    account, rate = LearnedLimit(30.0, None, None, None), LearnedLimit(100.0, None, None, None)
    places = {**PLACES, "mcp": 2}
    models = {model: LearnedLimit(limit, limit + 1, now, LONGEST_HALF_LIFE) for model, limit in places.items()}
    (state / "limits.json").write_text(json.dumps(Learned(now, account, rate, models).as_dict()))
    settings = {**SETTINGS, "STATE_DIR": str(state), "CONCURRENCY_LIMIT_INITIAL": str(_INITIAL)}
    with running_fleet(tmp_path_factory.mktemp("fleet"), 3, *OPTIONS, **settings) as fleet:
        yield fleet


@pytest.fixture
def fleet(knowing_fleet: Fleet) -> Fleet:
    knowing_fleet.mend()
    knowing_fleet.simulator.reset()
    return knowing_fleet


def leader_of(fleet: Fleet) -> Stack:
    return next(stack for stack in fleet.stacks if stack.status()["shared_limits"]["leads"])


def in_flight(fleet: Fleet) -> dict[str, int]:
    """How many of each model the upstream answers now."""
    models = fleet.simulator.stats()["models"]
    return {model: models[model]["in_flight"] if model in models else 0 for model in PLACES}


def held(stack: Stack) -> dict[str, int]:
    """How many places of each model a replica has."""
    return dict.fromkeys(PLACES, 0) | {each["name"]: each["in_flight"] for each in stack.status()["model_limits"]}


def remembers_the_plan(limits: dict[str, int]) -> bool:
    """Whether these are lessons, if not yet the exact ones."""
    return all(limits.get(model, _INITIAL) < _INITIAL for model in PLACES)


def refused(fleet: Fleet) -> Counter[str]:
    """What the upstream has refused, by model."""
    sessions = (each["headers"][_SESSION] for each in fleet.simulator.log() if each["status"] == 429)
    return Counter(session.rpartition("-")[0] for session in sessions)


def assert_few_are_refused(fleet: Fleet, one_in: int) -> None:
    """Those who try a full plan again and again are refused most of the time."""
    log = fleet.simulator.log()
    assert refused(fleet).total() <= max(6, len(log) // one_in), (refused(fleet), len(log))


class Held:
    """Requests to one replica that hold places of some models until they are given up."""

    def __init__(self, stack: Stack, counts: Mapping[str, int]) -> None:
        load = Load()
        self._tasks = {
            model: [
                asyncio.create_task(load.ask(stack, *_message(model, f"held-{n}"), delay=100.0)) for n in range(count)
            ]
            for model, count in counts.items()
        }

    async def give_up(self, *models: str) -> None:
        tasks = [task for model in models for task in self._tasks.pop(model)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def is_within(most: Mapping[str, int], seen: Mapping[str, int]) -> bool:
    return all(seen[model] <= count for model, count in most.items())


async def until_its_lease_is_over(fleet: Fleet, living: Sequence[Stack], left: Mapping[str, int]) -> None:
    """Waits until the others know that a replica is gone, and looks that they never had more than was left to them."""
    while True:
        seen = in_flight(fleet)
        if shared(living, "replicas") != [3, 3]:
            return
        assert is_within(left, seen), seen
        await asyncio.sleep(0.1)


async def until_it_has_its_share(stack: Stack) -> None:
    """Waits until a replica has had a third of each model's places at once, or the one that there is."""
    most: Counter[str] = Counter()

    def seen() -> Counter[str]:
        most.update(Counter(held(stack)) - most)
        return most

    await eventually(seen, lambda had: all(had[model] >= max(1, places // 3) for model, places in PLACES.items()))


async def test_what_a_killed_replica_held_of_each_model_is_the_others_when_its_lease_is_over(fleet: Fleet) -> None:
    """Its Envoy carries on what ran there: too much of a model is upstream only for as long as that."""
    dying = next(stack for stack in fleet.stacks if stack is not leader_of(fleet))
    living = [stack for stack in fleet.stacks if stack is not dying]
    counts = {"glm-5.3": 1, "glm-5.3-flash": 3, "glm-4.7": 1}
    carried = Held(dying, counts)
    await eventually(lambda: in_flight(fleet), lambda seen: seen == counts)
    async with under_load(living) as load:
        await eventually(lambda: in_flight(fleet), lambda seen: seen == {**PLACES, "glm-4.7": 1})
        dying.processor.kill()
        died = time.monotonic()
        await carried.give_up("glm-5.3-flash", "glm-4.7")
        left = {"glm-5.3": 2, "glm-5.3-flash": 3, "glm-4.7": 0}
        await eventually(lambda: in_flight(fleet), partial(is_within, left))
        await until_its_lease_is_over(fleet, living, left)
        assert time.monotonic() - died >= _LEASE - 1.0  # its last report was up to half a second before
        await eventually(lambda: in_flight(fleet), lambda seen: seen == PLACES)
        await eventually(lambda: refused(fleet)["glm-5.3"], lambda count: count > 0)
        await carried.give_up("glm-5.3")
        await until_in_use(fleet, 0.4)

        dying.restart_processor()
        async with under_load([dying]) as its_own:
            await eventually(lambda: shared(fleet.stacks, "replicas"), lambda told: told == [3, 3, 3])
            await until_it_has_its_share(dying)
        assert its_own.refused == {}
        assert load.statuses == {200}, load.answers
        assert_few_are_refused(fleet, one_in=5)


async def test_when_the_leader_is_killed_another_goes_on_with_what_it_knew_of_each_model(fleet: Fleet) -> None:
    leader = leader_of(fleet)
    living = [stack for stack in fleet.stacks if stack is not leader]
    async with under_load([leader]), under_load(living) as load:
        await eventually(lambda: in_flight(fleet), lambda seen: seen == PLACES)
        await eventually(lambda: learned(leader), remembers_the_plan)
        leader.kill()
        await eventually(lambda: shared(living, "leads"), lambda told: sum(told) == 1)
        assert all(remembers_the_plan(learned(stack)) for stack in living)
        await eventually(lambda: shared(living, "replicas"), lambda told: told == [2, 2])
        await until_in_use(fleet, 0.4)

        leader.mend()
        await eventually(lambda: shared(fleet.stacks, "replicas"), lambda told: told == [3, 3, 3])
        assert sum(shared(fleet.stacks, "leads")) == 1
        assert load.statuses == {200}, load.answers
        assert_few_are_refused(fleet, one_in=5)


async def test_when_the_store_is_killed_all_go_on_and_tell_it_afterwards_what_they_knew_of_each_model(
    fleet: Fleet,
) -> None:
    async with under_load(fleet.stacks) as load:
        await eventually(lambda: in_flight(fleet), lambda seen: seen == PLACES)
        fleet.valkey.process.kill()
        await eventually(lambda: shared(fleet.stacks, "up"), lambda told: told == [False] * 3)
        shares = [learned(stack) for stack in fleet.stacks]
        assert all(share["glm-5.3-flash"] < PLACES["glm-5.3-flash"] for share in shares), shares
        before = load.answered()
        await eventually(load.answered, lambda now: all(now[model] > before[model] for model in PLACES))

        fleet.valkey.restart()
        fleet.wait_until_shared()
        assert all(remembers_the_plan(learned(stack)) for stack in fleet.stacks)
        await until_in_use(fleet, 0.4)
        assert load.statuses == {200}, load.answers
        assert_few_are_refused(fleet, one_in=3)  # alone each has a place of a model that has one
