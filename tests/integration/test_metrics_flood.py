"""Who asks for metrics or health, or guesses tokens, again and again takes nothing from those who work."""

import asyncio
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.harness.processes import bare_environment, make_key
from tests.harness.readings import Readings
from tests.harness.stack import PROMPT, ZAI_PROXY, Stack, running_stack
from tests.harness.waiting import eventually

pytestmark = pytest.mark.slow

ADMIN_TOKEN = make_key()
SECONDS = 4.0
THREADS = 2
"""Of the Envoy here: each asks for health once at a time."""


@pytest.fixture(scope="module")
def token_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tokens") / "tokens"


@pytest.fixture(scope="module")
def token(token_file: Path) -> str:
    made = bare_environment(CLIENT_TOKENS_FILE=str(token_file))
    done = subprocess.run(
        [str(ZAI_PROXY), "token", "add", "laptop"], env=made, check=True, capture_output=True, text=True, timeout=20
    )
    return next(word for word in done.stdout.split() if len(word) > 20)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, token_file: Path, token: str) -> Iterator[Stack]:
    """A proxy whose clients have tokens, and whose owner has one."""
    settings = {"CLIENT_TOKENS_FILE": str(token_file), "ADMIN_TOKEN": ADMIN_TOKEN}
    with running_stack(tmp_path_factory.mktemp("guarded"), **settings) as stack:
        yield stack


async def ask_again_and_again(url: str, headers: dict[str, str], connections: int) -> list[int]:
    """The statuses of all answers to so many connections within some seconds."""
    statuses: list[int] = []
    end = time.monotonic() + SECONDS

    async def ask() -> None:
        async with httpx.AsyncClient(timeout=30) as client:
            while time.monotonic() < end:
                statuses.append((await client.get(url, headers=headers)).status_code)

    await asyncio.gather(*(ask() for _ in range(connections)))
    return statuses


async def test_fifty_connections_each_that_ask_for_metrics_and_health_hold_nobody_up(stack: Stack) -> None:
    """Others are timed by the proxy: a hundred clients in this process hold each other up."""
    before, answers, at_once = stack.metrics(), 0, []
    async with httpx.AsyncClient(timeout=30) as client:
        floods = asyncio.gather(
            *(ask_again_and_again(f"{stack.url}/{page}", {}, connections=50) for page in ("metrics", "health"))
        )
        while not floods.done():
            assert (await client.post(f"{stack.url}/v1/messages", json=PROMPT)).status_code == 200
            answers += 1
            at_once.append(stack.envoy_stat("cluster.processor_health.upstream_cx_active"))
    statuses = await floods
    counted = await eventually(lambda: stack.metrics() - before, lambda m: durations(m, "count") == answers)

    assert [set(each) for each in statuses] == [{200}, {200}]
    assert durations(counted, "bucket", le="1.0") >= 0.95 * answers
    assert max(at_once) <= THREADS


def durations(metrics: Readings, kind: str, **labels: str) -> float:
    return metrics.value(f"zai_proxy_request_duration_seconds_{kind}", path="/v1/messages", **labels)


async def test_where_clients_have_tokens_the_metrics_on_their_port_want_one(guarded: Stack, token: str) -> None:
    url = f"{guarded.url}/metrics"

    refused = httpx.get(url)
    known = [
        httpx.get(url, headers=headers)
        for headers in ({"authorization": f"Bearer {token}"}, {"x-api-key": token}, {"api-key": token})
    ]

    assert refused.status_code == 401
    assert "a token of this proxy's clients" in refused.json()["error"]
    assert {answer.status_code for answer in known} == {200}
    assert httpx.get(f"{guarded.metrics_url}/metrics").status_code == 200


@pytest.mark.parametrize("port", ["client", "metrics"])
async def test_who_guesses_a_token_is_slowed_down(guarded: Stack, port: str) -> None:
    url = f"{guarded.url}/metrics" if port == "client" else f"{guarded.metrics_url}/requests"

    statuses = await ask_again_and_again(url, {"authorization": "Bearer guessed-guessed"}, connections=10)

    assert set(statuses) <= {401, 429}
    assert len(statuses) < 60
    right = {"authorization": f"Bearer {ADMIN_TOKEN}"}
    assert httpx.post(f"{guarded.metrics_url}/requests/none/cancel", headers=right).status_code == 404
