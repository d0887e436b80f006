"""Who asks for metrics or health, or guesses tokens, again and again takes nothing from those who work."""

import asyncio
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from tests.harness.processes import bare_environment, make_key
from tests.harness.stack import PROMPT, ZAI_PROXY, Stack, running_stack

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


@dataclass(frozen=True, slots=True)
class Flood:
    """What came back to those who asked again and again: `pages` are the different ones among the answers."""

    statuses: Counter[int]
    pages: set[bytes]
    seconds: float


async def ask_again_and_again(url: str, headers: dict[str, str], connections: int) -> Flood:
    """Asks on so many connections at once for some seconds."""
    statuses: Counter[int] = Counter()
    pages: set[bytes] = set()
    began = time.monotonic()

    async def ask() -> None:
        async with httpx.AsyncClient(timeout=30) as client:
            while time.monotonic() < began + SECONDS:
                answer = await client.get(url, headers=headers)
                statuses[answer.status_code] += 1
                pages.add(sha256(answer.content).digest())

    await asyncio.gather(*(ask() for _ in range(connections)))
    return Flood(statuses, pages, time.monotonic() - began)


async def test_fifty_connections_each_that_ask_for_metrics_and_health_hold_nobody_up(stack: Stack) -> None:
    """What holds others up is how often a page is made, and how often the processor is asked at once. How long others
    take is no measure here: a hundred clients and all that they ask share this machine."""
    at_once = []
    async with httpx.AsyncClient(timeout=30) as client:
        floods = asyncio.gather(
            *(ask_again_and_again(f"{stack.url}/{page}", {}, connections=50) for page in ("metrics", "health"))
        )
        while not floods.done():
            assert (await client.post(f"{stack.url}/v1/messages", json=PROMPT)).status_code == 200
            at_once.append(stack.envoy_stat("cluster.processor_health.upstream_cx_active"))
    metrics, health = await floods

    assert set(metrics.statuses) == set(health.statuses) == {200}
    assert len(metrics.pages) <= metrics.seconds + 2, "a page of metrics is made once a second at most"
    assert max(at_once) <= THREADS


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

    guesses = await ask_again_and_again(url, {"authorization": "Bearer guessed-guessed"}, connections=10)

    assert set(guesses.statuses) <= {401, 429}
    assert guesses.statuses.total() < 60
    right = {"authorization": f"Bearer {ADMIN_TOKEN}"}
    assert httpx.post(f"{guarded.metrics_url}/requests/none/cancel", headers=right).status_code == 404
