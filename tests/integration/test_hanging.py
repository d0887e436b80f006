"""What hangs under `zai-proxy run` is noticed, killed and started again; meanwhile nobody waits in vain."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.harness.process_table import command_line, descendants, is_alive
from tests.harness.stack import PROMPT, Simulator
from tests.harness.stopped_thread import StoppedThread, threads
from tests.harness.supervised import KEY, Supervised, answers, running_proxy
from tests.harness.waiting import eventually, wait_until

pytestmark = pytest.mark.slow

STREAM = {**PROMPT, "stream": True}
REFUSED_WITHIN = 2.0
BY_PIPE = {"TETHER_BY_PIPE": "1"}
"""How children are tied to their parent where there is no Linux."""


@pytest.fixture
def tether() -> dict[str, str]:
    """As this system does it, unless a test says otherwise."""
    return {}


@pytest.fixture
def proxy(tmp_path: Path, simulator: Simulator, tether: dict[str, str]) -> Iterator[Supervised]:
    with running_proxy(tmp_path, simulator, KEY, **tether) as proxy:
        yield proxy


def ask(proxy: Supervised) -> httpx.Response:
    return httpx.post(f"{proxy.url}/v1/messages", json=PROMPT, timeout=30)


def restarts(proxy: Supervised, child: str) -> float:
    try:
        return proxy.metrics().value("zai_proxy_child_restarts_total", child=child, reason="hung")
    except httpx.TransportError:
        return -1.0


async def test_while_the_processor_hangs_new_requests_are_refused_soon_and_streams_go_on(proxy: Supervised) -> None:
    headers = {"x-sim": json.dumps({"events": 160, "pause": 0.1})}
    async with (
        httpx.AsyncClient(timeout=60) as client,
        client.stream("POST", f"{proxy.url}/v1/messages", json=STREAM, headers=headers) as answer,
    ):
        arriving = answer.aiter_lines()
        await anext(arriving)
        processor = proxy.child("extproc")
        proxy.signal(signal.SIGSTOP)  # so that nothing but Envoy itself can answer: nobody kills what hangs
        os.kill(processor, signal.SIGSTOP)
        seconds, statuses, deadline = [], [], time.monotonic() + 60
        # One that a busy machine holds up says nothing of Envoy, one that is within the bound says all.
        while len(statuses) < 2 or (min(seconds) > REFUSED_WITHIN and time.monotonic() < deadline):
            began = time.monotonic()
            refused = await client.post(f"{proxy.url}/v1/messages", json=PROMPT)
            seconds.append(time.monotonic() - began)
            statuses.append(refused.status_code)
        assert is_alive(processor)
        proxy.signal(signal.SIGCONT)
        await eventually(lambda: is_alive(processor), lambda alive: not alive)
        await eventually(lambda: ask(proxy).status_code, lambda status: status == 200)
        rest = [line async for line in arriving]

    assert set(statuses) == {503}
    assert refused.json()["error"]["message"] == "The proxy is starting or restarting: try again in a moment."
    assert min(seconds) <= REFUSED_WITHIN
    assert any("message_stop" in line for line in rest), "the stream was cut"
    [told] = [line for line in proxy.output.splitlines() if "extproc hung" in line]
    assert "extproc hung, was killed and is started again" in told
    assert "no sign of life for 5 s" in told
    assert restarts(proxy, "extproc") == 1


async def test_while_the_supervisor_stands_still_and_the_processor_is_away_streams_go_on(
    proxy: Supervised, simulator: Simulator
) -> None:
    """As after Ctrl-Z. What Envoy has to say of each request that it refuses fills no pipe."""
    headers = {"x-sim": json.dumps({"events": 160, "pause": 0.01})}
    async with (
        httpx.AsyncClient(timeout=60) as client,
        client.stream("POST", f"{proxy.url}/v1/messages", json=STREAM, headers=headers) as answer,
    ):
        arriving = answer.aiter_lines()
        await anext(arriving)
        with simulator.frozen():
            processor = proxy.child("extproc")
            proxy.signal(signal.SIGSTOP)
            os.kill(processor, signal.SIGKILL)
            statuses = {(await client.post(f"{proxy.url}/v1/messages", json=PROMPT)).status_code for _ in range(500)}
        rest = [line async for line in arriving]
    proxy.signal(signal.SIGCONT)

    assert statuses == {503}
    assert any("message_stop" in line for line in rest), "the stream was cut"
    await eventually(lambda: ask(proxy).status_code, lambda status: status == 200)
    assert "gRPC error" not in proxy.output


@pytest.mark.parametrize(
    ("child", "tether"),
    [("envoy", {}), ("dashboard", {}), ("envoy", BY_PIPE)],
    ids=["envoy", "dashboard", "envoy, tied by a pipe"],
)
async def test_others_that_hang_are_started_again_too(proxy: Supervised, child: str) -> None:
    hanging = proxy.child(child)
    os.kill(hanging, signal.SIGSTOP)

    await eventually(lambda: is_alive(hanging), lambda alive: not alive)

    url = proxy.url if child == "envoy" else proxy.dashboard_url
    await eventually(lambda: answers(f"{url}/health{'' if child == 'envoy' else 'z'}"), bool)
    await eventually(lambda: restarts(proxy, child), lambda count: count == 1)
    assert ask(proxy).status_code == 200
    assert proxy.output.count(f"{child} hung") == 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="stops a thread as debuggers of Linux do")
async def test_one_thread_of_envoy_that_hangs_while_the_others_answer_is_noticed_too(proxy: Supervised) -> None:
    hanging = proxy.child("envoy")
    worker = StoppedThread(threads(hanging, "wrk:worker_0")[0])

    assert answers(f"http://127.0.0.1:{proxy.environment['ENVOY_ADMIN_PORT']}/ready")
    await eventually(worker.has_ended, bool)

    await eventually(lambda: restarts(proxy, "envoy"), lambda count: count == 1)
    await eventually(lambda: answers(f"{proxy.url}/health"), bool)
    assert ask(proxy).status_code == 200
    assert proxy.output.count("envoy hung") == 1


@pytest.mark.parametrize("tether", [{}, BY_PIPE], ids=["kernel", "pipe"])
def test_what_hangs_ends_with_its_parent_too(proxy: Supervised) -> None:
    everything = descendants(proxy.process.pid)
    for pid in proxy.children().values():
        os.kill(pid, signal.SIGSTOP)

    proxy.signal(signal.SIGKILL)

    wait_until(lambda: not any(map(is_alive, everything)), "nothing is left")


async def test_a_request_that_waits_for_its_place_is_not_taken_for_a_hanging_processor(
    tmp_path: Path, simulator: Simulator
) -> None:
    settings = {"PACING": "fixed", "CONCURRENCY_LIMIT_INITIAL": "1"}
    headers = {"x-sim": json.dumps({"events": 60, "pause": 0.1})}
    with running_proxy(tmp_path, simulator, KEY, "--no-dashboard", **settings) as proxy:
        async with httpx.AsyncClient(timeout=60) as client:
            first, second = await asyncio.gather(
                *(client.post(f"{proxy.url}/v1/messages", json=STREAM, headers=headers) for _ in range(2))
            )

    assert (first.status_code, second.status_code) == (200, 200)
    assert max(float(each.headers["x-zai-queue-ms"]) for each in (first, second)) > 3000


async def test_a_machine_that_was_suspended_has_no_hanging_processes(proxy: Supervised) -> None:
    everything = [proxy.process.pid, *proxy.children().values()]
    for pid in everything:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(8)  # longer than a hang is suffered: nothing runs that could be waited for
    for pid in reversed(everything):
        os.kill(pid, signal.SIGCONT)

    assert ask(proxy).status_code == 200
    time.sleep(6)  # that nothing is started again has no moment at which it is true

    assert ask(proxy).status_code == 200
    assert "started again" not in proxy.output


async def test_a_request_that_waited_meanwhile_is_told_the_true_reason(tmp_path: Path, simulator: Simulator) -> None:
    settings = {"PACING": "fixed", "CONCURRENCY_LIMIT_INITIAL": "1", "QUEUE_TIMEOUT": "3"}
    headers = {"x-sim": json.dumps({"events": 300, "pause": 0.1})}
    with running_proxy(tmp_path, simulator, KEY, "--no-dashboard", **settings) as proxy:
        async with httpx.AsyncClient(timeout=60) as client:
            post = client.post(f"{proxy.url}/v1/messages", json=STREAM, headers=headers)
            first = asyncio.create_task(post)
            await eventually(lambda: proxy.metrics().value("zai_proxy_concurrent_requests"), lambda n: n == 1)
            second = asyncio.create_task(client.post(f"{proxy.url}/v1/messages", json=PROMPT))
            await eventually(lambda: proxy.metrics().value("zai_proxy_rate_limit_queued_requests"), lambda n: n == 1)
            everything = [proxy.process.pid, *proxy.children().values()]
            for pid in everything:
                os.kill(pid, signal.SIGSTOP)
            await asyncio.sleep(7)  # longer than QUEUE_TIMEOUT and than a hang is suffered: nothing runs meanwhile
            for pid in reversed(everything):
                os.kill(pid, signal.SIGCONT)
            refused = await second
            first.cancel()

    assert refused.status_code == 429
    assert refused.json()["error"]["message"].startswith("The plan has had no place")


async def test_a_directory_that_is_swept_away_costs_no_stream_and_everything_is_back(proxy: Supervised) -> None:
    command = command_line(proxy.child("envoy"))
    directory = Path(command[command.index("-c") + 1]).parent
    processor = proxy.child("extproc")
    for file in directory.iterdir():
        file.unlink()
    directory.rmdir()

    await eventually(lambda: is_alive(processor), lambda alive: not alive)
    await eventually(lambda: ask(proxy).status_code, lambda status: status == 200)
    for child in ("envoy", "extproc"):
        os.kill(await eventually(lambda child=child: proxy.children().get(child, 0), bool), signal.SIGKILL)
        wait_until(lambda child=child: f"{child} is back" in proxy.output, f"{child} is back")
    await eventually(lambda: answers(f"{proxy.url}/health"), bool)

    await eventually(lambda: ask(proxy).status_code, lambda status: status == 200)


async def test_a_state_directory_that_can_not_be_made_again_keeps_no_processor_away(
    tmp_path: Path, simulator: Simulator
) -> None:
    mount = tmp_path / "mount"
    mount.mkdir()
    with running_proxy(tmp_path, simulator, KEY, "--no-dashboard", STATE_DIR=str(mount / "state")) as proxy:
        mount.rename(tmp_path / "elsewhere")
        mount.touch()
        os.kill(proxy.child("extproc"), signal.SIGKILL)

        await eventually(lambda: "extproc is back" in proxy.output, bool)
        assert ask(proxy).status_code == 200

    assert f"STATE_DIR={mount}/state can't be used any more: until the processor is started again" in proxy.output
