"""Two thousand mixed requests: the tokens that are counted are Z.AI's own, to the last one.

Estimated is only what really broke off: there the upstream's books have nothing that was reported, and ours have an
estimate and nothing else.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import httpx
import pytest

from tests.harness.readings import Readings
from tests.harness.stack import Stack, running_stack

pytestmark = pytest.mark.slow

REQUESTS = 2_000
AT_ONCE = 50
RETRIED_AT_ONCE = 3  # so many may always be tried again at the same time
PATHS = ("/v1/messages", "/v1/chat/completions", "/v1/responses")
MODELS = ("glm-5.3", "glm-5.2", "glm-5.3-flash")
TOOL: Final = {"name": "Bash", "input": {"command": "ls", "usage": {"input_tokens": 9}}}
ERRORS: Final = {
    "/v1/messages": {"type": "error", "error": {"type": "overloaded_error", "code": "1305", "message": "busy"}},
    "/v1/chat/completions": {"error": {"code": "1305", "message": "busy"}},
    "/v1/responses": {"type": "response.failed", "response": {"error": {"code": "1305", "message": "busy"}}},
}
ERROR_IN_STREAM: Final = "1302"
HIDDEN_ERROR: Final = "1305"
HIDDEN: Final = "hidden error"
DIRECTIONS: Final = {"input": "input", "output": "output", "cache_read": "cached", "cache_write": "cache_creation"}


def final_event_came(body: bytes) -> bool:
    """Whether the end that the dialect's clients take for the end is here, whole."""
    last = body.rpartition(b"\n\n")[0].rpartition(b"\n\n")[2]
    return body.endswith(b"\n\n") and any(word in last for word in (b"message_stop", b"[DONE]", b"response.completed"))


def something_came(body: bytes) -> bool:
    """Whether the answer has begun to say something."""
    return body.count(b"delta") > 1


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of request. `leaves`: when the client hangs up; `breaks_off`: nobody reports its tokens."""

    share: int
    stream: bool = True
    scenario: Callable[[str], dict[str, object]] = lambda _path: {}
    leaves: Callable[[bytes], bool] | None = None
    status: int = 200
    error: str | None = None
    breaks_off: bool = False


KINDS: Final = {
    "json": Kind(25, stream=False),
    "stream": Kind(54),
    "error in the stream": Kind(
        5,
        scenario=lambda _path: {"fault": "error_event", "code": ERROR_IN_STREAM, "after_events": 3},
        error="429",
        breaks_off=True,
    ),
    HIDDEN: Kind(
        5,
        scenario=lambda path: {"fail_first": {"times": 1, "play": [f"data: {json.dumps(ERRORS[path])}\n\n", 0.02]}},
    ),
    "hangs up behind the end": Kind(5, scenario=lambda _path: {"end_pause": 0.3}, leaves=final_event_came),
    "leaves in mid-stream": Kind(
        3,
        scenario=lambda _path: {"gap": 60, "gap_after": 6},
        leaves=something_came,
        status=499,
        error="write_error",
        breaks_off=True,
    ),
    # The gap lets the head out, which waits for its first event, and all that is counted reach the proxy.
    "is reset": Kind(
        3,
        scenario=lambda _path: {"gap": 4, "gap_after": 5, "fault": "reset", "after_events": 5},
        error="read_error",
        breaks_off=True,
    ),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of the many."""

    request_id: str
    kind: str
    path: str
    model: str
    scenario: dict[str, object]

    @property
    def body(self) -> dict[str, object]:
        said: dict[str, object] = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 500}
        if self.path == "/v1/responses":
            said = {"input": "hello"}
        return {"model": self.model, "stream": KINDS[self.kind].stream, **said}


def ask_for(number: int, kind: str, dice: random.Random) -> Asked:
    """A request of a kind, with a mixture of all that an answer can have."""
    path, model = dice.choice(PATHS), dice.choice(MODELS)
    scenario: dict[str, object] = {
        "input_tokens": dice.randrange(1, 200_000),
        "output_tokens": dice.randrange(1, 30_000),
        "events": dice.randrange(8, 25),
    }
    if dice.random() < 0.6:
        scenario["cached_tokens"] = dice.randrange(1, 150_000)
    if path == "/v1/messages" and dice.random() < 0.3:
        scenario["cache_creation_tokens"] = dice.randrange(1, 5_000)
    if dice.random() < 0.4:
        scenario["thinking"] = dice.randrange(1, 6)
    if dice.random() < 0.3:
        scenario["tool_call"] = TOOL
    if dice.random() < 0.2:
        scenario |= {"pings": 4, "comments": 5}
    if not KINDS[kind].breaks_off:
        scenario["usage"] = dice.choice(("final_only", "separate", "at_start", "every_chunk"))
    return Asked(f"mixed-{number}", kind, path, model, scenario | KINDS[kind].scenario(path))


def all_asked() -> list[Asked]:
    """All requests, always the same, in an order without order."""
    dice = random.Random(20261126)
    kinds = [name for name, kind in KINDS.items() for _ in range(kind.share * REQUESTS // 100)]
    dice.shuffle(kinds)
    return [ask_for(number, kind, dice) for number, kind in enumerate(kinds)]


async def send(client: httpx.AsyncClient, stack: Stack, asked: Asked) -> int:
    """Returns the status that the client saw."""
    leaves, body, status = KINDS[asked.kind].leaves, b"", 0
    headers = {"x-sim": json.dumps(asked.scenario), "x-request-id": asked.request_id}
    try:
        async with client.stream("POST", f"{stack.url}{asked.path}", json=asked.body, headers=headers) as response:
            status = response.status_code
            async for piece in response.aiter_raw():
                body += piece
                if leaves is not None and leaves(body):
                    break
    except httpx.RemoteProtocolError:
        assert asked.kind == "is reset", asked
    return status


async def send_all(stack: Stack, all_of_them: list[Asked]) -> list[int]:
    """Sends them, many at once; so few that are tried again that each retry has a place."""
    async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=None)) as client:

        async def send_one_by_one(line: Iterator[Asked]) -> list[int]:
            return [await send(client, stack, asked) for asked in line]

        retried = iter([asked for asked in all_of_them if asked.kind == HIDDEN])
        others = iter([asked for asked in all_of_them if asked.kind != HIDDEN])
        lines = [retried] * RETRIED_AT_ONCE + [others] * (AT_ONCE - RETRIED_AT_ONCE)
        statuses = await asyncio.gather(*map(send_one_by_one, lines))
    return [status for some in statuses for status in some]


def log_lines(stack: Stack) -> dict[str, dict[str, Any]]:
    """The lines of the request log by request id."""
    lines = map(json.loads, stack.processor.output.splitlines())
    return {line["request_id"]: line for line in lines if "request_id" in line}


def tokens_of_z_ai(entries: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    """What the upstream's books say that it reported, by kind and model."""
    books: Counter[tuple[str, str]] = Counter()
    for entry in entries:
        for direction, name in DIRECTIONS.items():
            books[direction, entry["model"]] += (entry["usage_sent"] or {}).get(name, 0)
    return +books


def tokens_counted(difference: Readings, name: str) -> Counter[tuple[str, str]]:
    books: Counter[tuple[str, str]] = Counter()
    for (series, has), value in difference.samples.items():
        if series == name:
            labels = dict(has)
            books[labels["direction"], labels["model"]] += int(value)
    return +books


@pytest.fixture(scope="module")
def shared_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("mixed"), MAX_WORKERS=str(AT_ONCE + 20)) as stack:
        yield stack


async def test_the_tokens_of_mixed_requests_are_counted_to_the_last_one(stack: Stack, before: Readings) -> None:
    all_of_them = all_asked()

    statuses = await send_all(stack, all_of_them)

    difference, lines = stack.metrics_at_rest() - before, log_lines(stack)
    entries = stack.simulator.log()
    # Each is counted once, as what it was.
    wrong = [
        (asked, lines.get(asked.request_id))
        for asked in all_of_them
        if (line := lines.get(asked.request_id)) is None
        or (line["status"], line.get("error")) != (KINDS[asked.kind].status, KINDS[asked.kind].error)
        or (line["tokens_are"] == "estimated") != KINDS[asked.kind].breaks_off
    ]
    assert not wrong, wrong[:5]
    assert set(statuses) == {200}
    assert difference.value("zai_proxy_requests_total") == REQUESTS
    # What was tried again was tried once more.
    assert len(entries) == REQUESTS + sum(asked.kind == HIDDEN for asked in all_of_them)
    hidden, shown = KINDS[HIDDEN].share, KINDS["error in the stream"].share
    assert difference.value("zai_proxy_retry_attempts_total") == hidden * REQUESTS // 100
    assert difference.value("zai_proxy_zai_errors_total", code=HIDDEN_ERROR) == hidden * REQUESTS // 100
    assert difference.value("zai_proxy_zai_errors_total", code=ERROR_IN_STREAM) == shown * REQUESTS // 100
    # The tokens are the upstream's, but for the estimated part, and that is all there is of what broke off.
    counted = tokens_counted(difference, "zai_proxy_tokens_total")
    estimated = tokens_counted(difference, "zai_proxy_estimated_tokens_total")
    assert counted - estimated == tokens_of_z_ai(entries)
    broken = [lines[asked.request_id] for asked in all_of_them if KINDS[asked.kind].breaks_off]
    assert estimated.total() == sum(line["input_tokens"] + line["output_tokens"] for line in broken) > 0
    told = [entry for entry in entries if entry["usage_sent"] and "/messages" not in entry["path"]]
    assert difference.value("zai_proxy_reasoning_tokens_total") == sum(e["usage_sent"]["reasoning"] for e in told)
    # Nothing is lost, nothing is held.
    assert stack.metric("zai_proxy_access_log_failures_total") == 0
    assert stack.envoy_stat("access_logs.grpc_access_log.logs_dropped") == 0
    assert stack.status()["workers"]["in_flight"] == 0
    assert stack.envoy_stat("cluster.zai.upstream_rq_active") == 0
