"""A storm of everything at once: every request is counted once, every byte adds up, no slot leaks."""

import asyncio
import json
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.harness.stack import PROMPT, Stack, running_stack
from tests.harness.waiting import eventually

REQUESTS = 2_000
AT_ONCE = 60
WORKERS = 40
LONGEST = 60.0
# Requests that can begin or end between two looks, and those that are refused and so hold no slot.
MEANWHILE = 25

SCENARIOS: tuple[tuple[int, str, dict[str, object]], ...] = (
    # weight, what the client does, what the simulator does
    (30, "reads", {}),
    (20, "streams", {"events": 20, "pause": 0.002}),
    (10, "leaves", {"events": 200, "pause": 0.01}),
    (5, "gives up", {"delay": 2.0}),
    (5, "reads", {"code": "1308"}),
    (5, "reads", {"code": "1210"}),
    (5, "reads", {"fail_first": {"code": "1303", "times": 1}}),
    (4, "streams", {"fault": "reset", "after_events": 5}),
    (4, "reads", {"fault": "reset"}),
    (3, "reads", {"fault": "truncate", "after_bytes": 50}),
    (3, "reads", {"envelope": "html", "status": 502}),
    (3, "streams", {"usage": "none"}),
    (3, "reads", {"content_bytes": 200_000}),
)


@dataclass
class Sent:
    """What a client did and saw. `status` 0: no answer began; `received` None: not all of it."""

    request_bytes: int
    left: bool = False
    status: int = 0
    received: int | None = None
    trouble: str = ""


@pytest.fixture(scope="module")
def shared_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("storm"), MAX_WORKERS=str(WORKERS)) as stack:
        yield stack


async def one_request(client: httpx.AsyncClient, url: str, request_id: str, dice: random.Random) -> Sent:
    weights = [weight for weight, _does, _scenario in SCENARIOS]
    _, does, scenario = dice.choices(SCENARIOS, weights)[0]
    path = dice.choice(("/v1/messages", "/v1/chat/completions"))
    content = json.dumps({**PROMPT, "stream": does in ("streams", "leaves"), "user": "x" * dice.randrange(5_000)})
    headers = {"x-sim": json.dumps(scenario), "x-request-id": request_id}
    request = client.build_request("POST", f"{url}{path}", content=content, headers=headers)
    sent = Sent(len(content))
    try:
        async with asyncio.timeout(dice.uniform(0.05, 0.5) if does == "gives up" else LONGEST):
            response = await client.send(request, stream=True)
        sent.status = response.status_code
        if sent.status == 200 and does == "leaves":
            await asyncio.sleep(dice.uniform(0.0, 0.3))
            sent.left = True
            await response.aclose()
        else:
            await response.aread()
            sent.received = len(response.content)
    except TimeoutError:
        sent.left = True
    except httpx.RemoteProtocolError as error:
        sent.trouble = str(error)
    return sent


async def storm(stack: Stack) -> dict[str, Sent]:
    """Sends everything and returns what happened, by request id."""
    dice = random.Random(20261124)
    gate = asyncio.Semaphore(AT_ONCE)
    limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=0)
    seen: dict[str, Sent] = {}
    async with httpx.AsyncClient(timeout=LONGEST, limits=limits) as client:

        async def limited(number: int) -> None:
            async with gate:
                seen[f"storm-{number}"] = await one_request(client, stack.url, f"storm-{number}", dice)

        async with asyncio.TaskGroup() as tasks:
            requests = [tasks.create_task(limited(number)) for number in range(REQUESTS)]
            while not all(request.done() for request in requests):
                await assert_slots_match_active_requests(stack)
                await asyncio.sleep(0.25)
    return seen


async def assert_slots_match_active_requests(stack: Stack) -> None:
    """Envoy's active requests lie between the slots in use just before and just after, but for what came meanwhile."""
    before = await asyncio.to_thread(slots_in_use, stack)
    active = await asyncio.to_thread(stack.envoy_stat, "http.clients.downstream_rq_active")
    after = await asyncio.to_thread(slots_in_use, stack)
    assert max(before, after) <= WORKERS
    assert min(before, after) - MEANWHILE <= active <= max(before, after) + MEANWHILE


def slots_in_use(stack: Stack) -> int:
    in_flight: int = stack.status()["workers"]["in_flight"]
    return in_flight


def logged(stack: Stack) -> dict[str, list[dict[str, Any]]]:
    """The lines of the request log, by request id."""
    lines: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in stack.processor.output.splitlines():
        fields = json.loads(line)
        if "request_id" in fields:
            lines[fields["request_id"]].append(fields)
    return lines


def assert_line_tells_what_happened(line: dict[str, Any], sent: Sent) -> None:
    assert line["status"] == (499 if sent.left else sent.status), (sent, line)
    if sent.received is not None:
        assert line["response_bytes"] == sent.received, (sent, line)
        # The body of a refused request is not waited for.
        assert line["request_bytes"] == sent.request_bytes or "refused" in line, (sent, line)
    if sent.trouble:
        assert line["error"] == "read_error", (sent, line)


async def test_a_storm_is_counted_exactly(stack: Stack) -> None:
    before = stack.metrics_at_rest()

    seen = await storm(stack)

    reached_upstream = {entry["request_id"] for entry in stack.simulator.log()}
    # A client that gives up while it connects was never heard of; whoever was, is counted.
    heard = {request_id for request_id, sent in seen.items() if sent.status or request_id in reached_upstream}
    await eventually(lambda: set(logged(stack)) >= heard, bool, within=20)
    difference, lines = stack.metrics_at_rest() - before, logged(stack)
    counted = {request_id for request_id in seen if request_id in lines}
    assert {request_id: len(lines[request_id]) for request_id in counted} == dict.fromkeys(counted, 1)
    assert difference.value("zai_proxy_requests_total") == len(counted) > 0.95 * REQUESTS
    for request_id in counted:
        assert_line_tells_what_happened(lines[request_id][0], seen[request_id])
    for name, field in (("request", "request_bytes"), ("response", "response_bytes")):
        total = sum(lines[request_id][0][field] for request_id in counted)
        assert difference.value(f"zai_proxy_{name}_size_bytes_sum") == total
    assert difference.value("zai_proxy_request_duration_seconds_count") == len(counted)
    assert stack.metric("zai_proxy_concurrent_requests") == 0
    assert stack.envoy_stat("cluster.zai.upstream_rq_active") == 0
    assert stack.envoy_stat("access_logs.grpc_access_log.logs_dropped") == 0
    assert difference.labels("zai_proxy_requests_total", "status_code") >= {"200", "499", "503"}
