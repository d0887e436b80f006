"""Pacing through the real Envoy: requests wait in the proxy for as long as the plan has no place, and no longer."""

import asyncio
import json
import re
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.harness.stack import PROMPT, Stack, running_stack
from tests.harness.waiting import eventually

pytestmark = pytest.mark.slow

STREAM = {**PROMPT, "stream": True}
FAST = {"RATE_LIMIT_INITIAL": "100", "RATE_LIMIT_BURST": "100"}


@pytest.fixture(scope="module")
def one_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A proxy that holds the plan to one request at a time."""
    with running_stack(
        tmp_path_factory.mktemp("one"),
        PACING="fixed",
        CONCURRENCY_LIMIT_INITIAL="1",
        QUEUE_TIMEOUT="6",
        MAX_WORKERS="8",
        **FAST,
    ) as stack:
        yield stack


@pytest.fixture
async def stack(one_place: Stack) -> AsyncIterator[Stack]:
    yield one_place
    await eventually(lambda: one_place.status()["workers"]["in_flight"], lambda running: running == 0)


def played(**scenario: Any) -> dict[str, str]:
    return {"x-sim": json.dumps(scenario)}


def waiting(stack: Stack) -> int:
    return len(stack.status()["waiting"])


@asynccontextmanager
async def occupied(stack: Stack) -> AsyncIterator[None]:
    """The one place is taken, by a stream that its client leaves in the end."""
    headers = played(events=10_000, pause=0.05)
    async with (
        httpx.AsyncClient(timeout=30) as client,
        client.stream("POST", f"{stack.url}/v1/messages", json=STREAM, headers=headers) as held,
    ):
        assert held.status_code == 200
        yield


async def post(stack: Stack, body: Any = PROMPT, path: str = "/v1/messages", **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(timeout=30) as client:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await client.post(stack.url + path, json=body, headers=named)


async def test_a_request_waits_for_a_place_and_is_told_how_long(stack: Stack) -> None:
    async with occupied(stack):
        queued = asyncio.create_task(post(stack))
        await eventually(lambda: waiting(stack), lambda number: number == 1)
        status = stack.status()
        assert status["workers"]["in_flight"] == 2
        assert stack.metric("zai_proxy_rate_limit_queued_requests") == 1
        assert stack.envoy_stat("cluster.zai.upstream_rq_active") == 1

    answer = await queued
    assert answer.status_code == 200
    assert 0 < int(answer.headers["x-zai-queue-ms"]) < 6000
    assert answer.headers["x-ratelimit-limit-requests"] == "1"
    assert answer.headers["x-ratelimit-remaining-requests"] == "0"


async def test_a_request_that_need_not_wait_is_told_so(stack: Stack) -> None:
    answer = await post(stack)

    assert answer.headers["x-zai-queue-ms"] == "0"
    assert re.fullmatch(r"\d+s", answer.headers["x-ratelimit-reset-requests"])


async def test_hints_of_the_upstream_go_before_our_own(stack: Stack) -> None:
    answer = await post(stack, **played(headers={"x-ratelimit-limit-requests": "77"}))

    assert answer.headers.get_list("x-ratelimit-limit-requests") == ["77"]


async def test_a_client_that_leaves_leaves_the_queue_at_once(stack: Stack) -> None:
    async with occupied(stack):
        queued = asyncio.create_task(post(stack))
        await eventually(lambda: waiting(stack), lambda number: number == 1)
        refused = stack.metric("zai_proxy_rate_limit_rejections_total")
        queued.cancel()
        await eventually(lambda: waiting(stack), lambda number: number == 0)
        assert stack.status()["workers"]["in_flight"] == 1
        assert stack.metric("zai_proxy_rate_limit_rejections_total") == refused, "it left when its time was over"


@pytest.mark.parametrize(
    ("path", "kind"), [("/v1/messages", "type"), ("/v1/chat/completions", "code")], ids=["anthropic", "openai"]
)
async def test_who_has_waited_too_long_gets_429_and_a_true_retry_after(stack: Stack, path: str, kind: str) -> None:
    async with occupied(stack):
        began = time.monotonic()
        answer = await post(stack, path=path)

        assert time.monotonic() - began > 5.9
        assert answer.status_code == 429
        assert answer.headers["x-should-retry"] == "true"
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert answer.json()["error"][kind] == {"type": "rate_limit_error", "code": "rate"}[kind]
        told = re.search(r"has had no place for this request for (\d+) s", answer.json()["error"]["message"])
        assert told is not None
        assert int(told[1]) >= 6


async def test_counting_tokens_and_listing_models_never_wait(stack: Stack) -> None:
    async with occupied(stack), httpx.AsyncClient() as client:
        counted = await post(stack, path="/v1/messages/count_tokens")
        models = await client.get(f"{stack.url}/v1/models")

        assert (counted.status_code, models.status_code) == (200, 200)
        assert counted.headers["x-zai-queue-ms"] == models.headers["x-zai-queue-ms"] == "0"


async def test_tools_wait_in_no_queue_of_the_plan_and_hold_a_worker(stack: Stack) -> None:
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    accept = {"accept": "application/json, text/event-stream"}
    async with occupied(stack):
        answer = await post(stack, call, "/api/mcp/web_search_prime/mcp", **accept)
        assert (answer.status_code, answer.headers["x-zai-queue-ms"]) == (200, "0")

        tool = asyncio.create_task(post(stack, call, "/api/mcp/zread/mcp", **accept, **played(delay=1.5)))
        await eventually(lambda: stack.status()["workers"]["in_flight"], lambda running: running == 2)
        assert waiting(stack) == 0
        assert (await tool).status_code == 200


async def test_a_refusal_of_the_tools_gate_teaches_the_plan_nothing(tmp_path: Path) -> None:
    with running_stack(tmp_path, PACING="on", MAX_RETRIES="0", **FAST) as stack:
        refused = await post(stack, {}, "/api/mcp/zread/mcp", **played(code="1302", retry_after=60))
        assert refused.status_code == 429
        stack.metrics_at_rest()

        assert (await post(stack)).headers["x-zai-queue-ms"] == "0"
        assert [limit["moves"] for limit in stack.status()["limits"]] == [[], []]
        moved = {limit["name"]: len(limit["moves"]) for limit in stack.status()["model_limits"]}
        assert moved == {"mcp": 1, "glm-5.3": 0}


async def test_a_retry_after_of_the_plan_stops_what_is_new_for_so_long(tmp_path: Path) -> None:
    with running_stack(tmp_path, PACING="on", MAX_RETRIES="0", **FAST) as stack:
        running = asyncio.create_task(post(stack, **played(delay=2)))
        await eventually(lambda: stack.simulator.stats()["in_flight"], lambda number: number == 1)
        assert (await post(stack, **played(code="1302", retry_after=3))).status_code == 429
        refused_at = time.monotonic()
        await eventually(stack.metrics, lambda now: now.value("zai_proxy_zai_errors_total", code="1302") == 1)

        assert (await post(stack)).status_code == 200

        assert time.monotonic() - refused_at >= 2.5
        assert (await running).status_code == 200


async def test_beyond_all_workers_a_request_is_refused_at_once(stack: Stack) -> None:
    async with occupied(stack):
        queued = [asyncio.create_task(post(stack)) for _ in range(7)]
        await eventually(lambda: waiting(stack), lambda number: number == 7)

        assert (await post(stack)).status_code == 503
    assert {answer.status_code for answer in await asyncio.gather(*queued)} == {200}


async def test_the_main_conversation_goes_before_its_subagents_and_those_before_background_work(stack: Stack) -> None:
    session = {"x_claude_code_session_id": "a-session"}
    lanes = {
        "background": {**session, "x_zai_priority": "background"},
        "subagent": {**session, "x_claude_code_agent_id": "agent-1"},
        "main": session,
    }
    ended: list[str] = []

    async def ask(lane: str) -> None:
        await post(stack, **lanes[lane])
        ended.append(lane)

    async with occupied(stack):
        asked = []
        for number, lane in enumerate(lanes, start=1):
            asked.append(asyncio.create_task(ask(lane)))
            await eventually(lambda: waiting(stack), lambda there, expected=number: there == expected)
    await asyncio.gather(*asked)

    assert ended == ["main", "subagent", "background"]


async def test_a_swarm_does_not_starve_another_source(stack: Stack) -> None:
    order: list[str] = []

    async def ask(session: str) -> None:
        await post(stack, x_claude_code_session_id=session)
        order.append(session)

    async with occupied(stack):
        swarm = [asyncio.create_task(ask("swarm")) for _ in range(5)]
        await eventually(lambda: waiting(stack), lambda number: number == 5)
        person = asyncio.create_task(ask("person"))
        await eventually(lambda: waiting(stack), lambda number: number == 6)
    await asyncio.gather(*swarm, person)

    assert order.index("person") <= 2


async def test_a_waiting_request_can_be_ended_by_its_operator(stack: Stack) -> None:
    async with occupied(stack):
        queued = asyncio.create_task(post(stack))
        [entry] = await eventually(lambda: stack.status()["waiting"], lambda there: len(there) == 1)
        httpx.post(f"{stack.metrics_url}/requests/{entry['id']}/cancel").raise_for_status()

        answer = await queued
        assert answer.status_code == 403
        assert waiting(stack) == 0


@pytest.mark.parametrize("megabytes", [5, 7])
async def test_a_large_prompt_that_waited_can_still_be_tried_again(stack: Stack, megabytes: int) -> None:
    body = {**PROMPT, "messages": [{"role": "user", "content": "x" * megabytes * 1024 * 1024}]}
    async with occupied(stack):
        queued = asyncio.create_task(post(stack, body, **played(fail_first={"times": 1, "code": "1305"})))
        await eventually(lambda: waiting(stack), lambda number: number == 1)

    assert (await queued).status_code == 200


async def test_the_killed_processors_queue_gets_503_and_nothing_of_it_goes_up(tmp_path: Path) -> None:
    with running_stack(tmp_path, PACING="fixed", CONCURRENCY_LIMIT_INITIAL="1", **FAST) as stack:
        held = asyncio.create_task(post(stack, **played(delay=2)))
        await eventually(lambda: stack.status()["requests"], lambda running: len(running) == 1)
        queued = asyncio.create_task(post(stack))
        await eventually(lambda: waiting(stack), lambda number: number == 1)
        stack.processor.kill()

        assert (await queued).status_code == 503
        assert (await held).status_code == 200
        assert len([entry for entry in stack.simulator.log() if entry["path"].endswith("/messages")]) == 1


async def test_a_plan_of_three_is_found_and_nobody_sees_a_429(tmp_path: Path) -> None:
    with running_stack(tmp_path, "--concurrency", "3", PACING="on", MAX_WORKERS="20", **FAST) as stack:

        async def work(agent: int) -> list[int]:
            headers = {"x_claude_code_session_id": f"agent-{agent}", **played(delay=0.3)}
            return [(await post(stack, **headers)).status_code for _ in range(8)]

        answers = await asyncio.gather(*(work(agent) for agent in range(10)))

        assert {status for statuses in answers for status in statuses} == {200}
        limits = {limit["name"]: limit for limit in stack.status()["limits"]}
        assert 2 <= limits["in flight"]["limit"] <= 4
        refused = [entry for entry in stack.simulator.log() if entry["status"] == 429]
        assert len(refused) <= 8


async def test_a_refused_request_is_sent_again_when_there_is_a_place_and_before_all_that_wait(tmp_path: Path) -> None:
    """With a limit of one only one goes at a time: of two that are sent at once either may arrive first."""
    with running_stack(tmp_path, PACING="on", CONCURRENCY_LIMIT_INITIAL="2", **FAST) as stack:
        stack.simulator.limit(concurrency=1)
        held = asyncio.create_task(post(stack, x_request_id="held", **played(delay=10)))
        await eventually(lambda: stack.simulator.stats()["in_flight"], lambda running: running == 1)
        refused = asyncio.create_task(post(stack, x_request_id="refused", **played(delay=0.1)))
        await eventually(lambda: waiting(stack), lambda number: number == 1)
        later = asyncio.create_task(post(stack, x_request_id="later", **played(delay=0.1)))

        assert {answer.status_code for answer in await asyncio.gather(refused, later, held)} == {200}
        ran = {entry["request_id"]: entry for entry in stack.simulator.log() if entry["status"] == 200}
        assert ran["held"]["ended_monotonic"] <= ran["refused"]["started_monotonic"]
        assert ran["refused"]["started_monotonic"] < ran["later"]["started_monotonic"]
        attempts = [entry for entry in stack.simulator.log() if entry["status"] == 429]
        assert {entry["request_id"] for entry in attempts} == {"refused"}
        assert not [name for entry in stack.simulator.log() for name in entry["headers"] if "attempt-count" in name]


async def test_a_storm_that_strikes_more_requests_than_ten_shows_none_of_them_a_refusal(tmp_path: Path) -> None:
    with running_stack(tmp_path, PACING="on", MAX_WORKERS="20", CONCURRENCY_LIMIT_INITIAL="16", **FAST) as stack:
        stack.simulator.limit(concurrency=0)
        asked = [asyncio.create_task(post(stack, **played(delay=0.1))) for _ in range(16)]
        await eventually(lambda: len(stack.simulator.log()), lambda refused: refused >= 16)
        stack.simulator.limit(concurrency=20)

        assert {answer.status_code for answer in await asyncio.gather(*asked)} == {200}
        assert stack.envoy_stat("cluster.zai.upstream_rq_retry_overflow") == 0


async def test_who_is_refused_after_all_is_told_by_those_who_wait_when_to_come_back(tmp_path: Path) -> None:
    settings = {"PACING": "fixed", "CONCURRENCY_LIMIT_INITIAL": "1", "MAX_RETRIES": "1", **FAST}
    with running_stack(tmp_path, **settings) as stack:
        refused = asyncio.create_task(post(stack, **played(code="1305", delay=1)))
        await eventually(lambda: stack.simulator.stats()["in_flight"], lambda number: number == 1)
        others = [asyncio.create_task(post(stack, **played(delay=0.1))) for _ in range(3)]

        answer = await refused
        assert (answer.status_code, len(answer.headers.get_list("retry-after"))) == (529, 1)
        assert 2 < int(answer.headers["retry-after"]) <= 60
        await asyncio.gather(*others)


async def test_a_client_that_leaves_while_it_waits_to_be_sent_again_frees_everything(tmp_path: Path) -> None:
    with running_stack(tmp_path, PACING="on", CONCURRENCY_LIMIT_INITIAL="4", **FAST) as stack:
        stack.simulator.limit(concurrency=1)
        held = asyncio.create_task(post(stack, **played(delay=10)))
        await eventually(lambda: stack.simulator.stats()["in_flight"], lambda running: running == 1)
        refused = asyncio.create_task(post(stack))
        await eventually(lambda: waiting(stack), lambda number: number == 1)
        refused.cancel()
        await eventually(lambda: stack.status()["workers"]["in_flight"], lambda number: number == 1)
        assert waiting(stack) == 0
        assert (await held).status_code == 200


async def test_what_was_learned_survives_a_restart(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    with running_stack(tmp_path, PACING="on", CONCURRENCY_LIMIT_INITIAL="10", STATE_DIR=str(state), **FAST) as stack:
        for _ in range(2):
            await post(stack, **played(fail_first={"times": 1, "code": "1302"}))
        learned = await eventually(
            lambda: stack.status()["limits"][0], lambda limit: limit["ceiling"] is not None and limit["limit"] < 10
        )
        stack.processor.signal(signal.SIGTERM)
        assert stack.processor.wait() == 0
        stack.restart_processor()
        assert stack.status()["limits"][0]["limit"] == learned["limit"]

        stack.processor.kill()
        (state / "limits.json").write_text('{"version": 1, "concurr')
        stack.restart_processor()
        assert stack.status()["limits"][0]["limit"] == 10
        assert "the learned limits can't be read: starting anew" in stack.processor.output


async def test_without_pacing_nothing_waits(tmp_path: Path) -> None:
    with running_stack(tmp_path, PACING="off", MAX_WORKERS="10") as stack:
        answers = await asyncio.gather(*(post(stack, **played(delay=0.5)) for _ in range(10)))

        assert {answer.status_code for answer in answers} == {200}
        assert max(int(answer.headers["x-zai-queue-ms"]) for answer in answers) == 0
        assert "x-ratelimit-limit-requests" not in answers[0].headers
        assert stack.status()["limits"] == []
