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

pytestmark = pytest.mark.slow

REQUESTS = 2_000
AT_ONCE = 60
WORKERS = 40
LONGEST = 60.0
RETRY_AFTER = 0.5
FREEZES = 6
ARRIVED = "http.clients.downstream_rq_total"
ACTIVE = "http.clients.downstream_rq_active"

SCENARIOS: tuple[tuple[int, str, dict[str, object]], ...] = (
    # weight, what the client does, what the simulator does
    (30, "reads", {}),
    (20, "streams", {"events": 20, "pause": 0.002}),
    (10, "leaves", {"events": 200, "pause": 0.01}),
    (5, "gives up", {"delay": 2.0}),
    (5, "reads", {"code": "1308"}),
    (5, "reads", {"code": "1210"}),
    (5, "reads", {"fail_first": {"code": "1303", "times": 1}}),
    (4, "streams", {"gap": 1, "gap_after": 5, "fault": "reset", "after_events": 5}),
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


class Storm:
    """All the requests, some at once. `seen` is what happened, by request id."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._dice = random.Random(20261124)
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._goes_on = asyncio.Event()
        self._goes_on.set()
        self._running = 0
        self.seen: dict[str, Sent] = {}

    async def rage(self) -> None:
        """Sends everything, and freezes it all again and again to compare the books."""
        limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=0)
        async with httpx.AsyncClient(timeout=LONGEST, limits=limits) as client, asyncio.TaskGroup() as tasks:
            requests = [tasks.create_task(self._send(client, f"storm-{number}")) for number in range(REQUESTS)]
            for number in range(1, FREEZES + 1):
                await eventually(lambda due=number: len(self.seen) >= due * REQUESTS // (FREEZES + 2), bool, within=300)
                await self._compare_books()
            assert not all(request.done() for request in requests)

    async def _send(self, client: httpx.AsyncClient, request_id: str) -> None:
        async with self._at_once:
            await self._goes_on.wait()
            self._running += 1
            self.seen[request_id] = sent = await one_request(client, self._stack.url, request_id, self._dice)
            self._running -= 1
            if sent.status == 503:
                await asyncio.sleep(RETRY_AFTER)

    async def _compare_books(self) -> None:
        """While the upstream stands still and nobody begins: the clients', the processor's and Envoy's books agree.

        In a storm any two looks see different moments; with everything frozen, what each of them holds is exact.
        """
        with self._stack.simulator.frozen():
            await eventually(lambda: slots_in_use(self._stack), lambda slots: slots == WORKERS)
            self._goes_on.clear()
            await eventually(self._books, lambda books: len(set(books)) == 1)
            running, slots, active = self._books()
            assert running == slots == active > 0
        self._goes_on.set()

    def _books(self) -> tuple[int, int, int]:
        """Requests that the clients have running, slots in use, and requests that Envoy has active."""
        return self._running, slots_in_use(self._stack), self._stack.envoy_stat(ACTIVE)


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
    if sent.left:
        # Its answer may have been complete, and on its way, when it left.
        assert (line["status"] == 499) == (line.get("error") == "write_error"), (sent, line)
        return
    assert line["status"] == sent.status, (sent, line)
    if sent.received is not None:
        assert line["response_bytes"] == sent.received, (sent, line)
        # The body of a refused request is not waited for.
        assert line["request_bytes"] == sent.request_bytes or "refused" in line, (sent, line)
    if sent.trouble:
        assert line["error"] == "read_error", (sent, line)


@pytest.mark.timeout(400)
async def test_a_storm_is_counted_exactly(stack: Stack) -> None:
    before = stack.metrics_at_rest()

    storm = Storm(stack)
    arrived = stack.envoy_stat(ARRIVED)
    await storm.rage()

    seen = storm.seen
    reached_upstream = {entry["request_id"] for entry in stack.simulator.log()}
    # A client that gives up while it connects was never heard of; whoever was, is counted.
    heard = {request_id for request_id, sent in seen.items() if sent.status or request_id in reached_upstream}
    difference, lines = stack.metrics_at_rest() - before, logged(stack)
    counted = {request_id for request_id in seen if request_id in lines}
    assert counted >= heard
    assert len(counted) == stack.envoy_stat(ARRIVED) - arrived > 0.9 * REQUESTS
    assert {request_id: len(lines[request_id]) for request_id in counted} == dict.fromkeys(counted, 1)
    assert difference.value("zai_proxy_requests_total") == len(counted)
    for request_id in counted:
        assert_line_tells_what_happened(lines[request_id][0], seen[request_id])
    left = [lines[request_id][0]["status"] for request_id in counted if seen[request_id].left]
    assert left.count(499) > len(left) / 2
    for name, field in (("request", "request_bytes"), ("response", "response_bytes")):
        total = sum(lines[request_id][0][field] for request_id in counted)
        assert difference.value(f"zai_proxy_{name}_size_bytes_sum") == total
    assert difference.value("zai_proxy_request_duration_seconds_count") == len(counted)
    assert stack.metric("zai_proxy_concurrent_requests") == 0
    assert stack.envoy_stat("cluster.zai.upstream_rq_active") == 0
    assert stack.envoy_stat("access_logs.grpc_access_log.logs_dropped") == 0
    assert difference.labels("zai_proxy_requests_total", "status_code") >= {"200", "499", "503"}
