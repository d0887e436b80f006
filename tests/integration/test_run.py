"""`zai-proxy run`: it starts, watches, restarts and ends its children, and none outlives it."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.harness.leaks import command_lines, environment_of, leaks, parts_of, written_files
from tests.harness.process_table import command_line, descendants, is_alive
from tests.harness.processes import make_key, seconds_to_start
from tests.harness.stack import PROMPT, ZAI_PROXY, Simulator
from tests.harness.supervised import KEY, READY, Supervised, answers, quiet_settings, running_proxy, supervised
from tests.harness.waiting import eventually, wait_until

pytestmark = pytest.mark.slow

STREAM = {**PROMPT, "stream": True}

on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="environments are seen only in /proc")


@pytest.fixture
def tether() -> dict[str, str]:
    """How children are tied to their parent: as this system does it, unless a test says otherwise."""
    return {}


# The second is how they are tied where there is no Linux.
in_both_ways = pytest.mark.parametrize("tether", [{}, {"TETHER_BY_PIPE": "1"}], ids=["kernel", "pipe"])


@pytest.fixture
def proxy(tmp_path: Path, simulator: Simulator, tether: dict[str, str]) -> Iterator[Supervised]:
    """A proxy without a dashboard, for one test."""
    with running_proxy(tmp_path, simulator, KEY, "--no-dashboard", **tether) as proxy:
        yield proxy


@pytest.fixture
def with_dashboard(tmp_path: Path, simulator: Simulator, tether: dict[str, str]) -> Iterator[Supervised]:
    with running_proxy(tmp_path, simulator, KEY, **tether) as proxy:
        yield proxy


@asynccontextmanager
async def a_stream(proxy: Supervised, events: int, pause: float = 0.05) -> AsyncGenerator[AsyncGenerator[str]]:
    """The lines of a stream whose first one has come."""

    async def lines(answer: httpx.Response) -> AsyncGenerator[str]:
        async for line in answer.aiter_lines():
            yield line

    headers = {"x-sim": json.dumps({"events": events, "pause": pause})}
    async with (
        httpx.AsyncClient(timeout=30) as client,
        client.stream("POST", f"{proxy.url}/v1/messages", json=STREAM, headers=headers) as answer,
    ):
        arriving = lines(answer)
        await anext(arriving)
        yield arriving


def ask(proxy: Supervised) -> httpx.Response:
    return httpx.post(f"{proxy.url}/v1/messages", json=PROMPT, timeout=30)


def ask_briefly(proxy: Supervised) -> httpx.Response:
    """What is let in before a drain has begun waits as long as the upstream stands still: that is no answer yet."""
    try:
        return httpx.post(f"{proxy.url}/v1/messages", json=PROMPT, timeout=2)
    except httpx.ReadTimeout:
        return httpx.Response(504)


def test_once_it_says_ready_everything_answers(with_dashboard: Supervised) -> None:
    proxy = with_dashboard

    assert ask(proxy).status_code == 200
    assert answers(f"{proxy.dashboard_url}/healthz")
    assert answers(f"{proxy.metrics_url}/status")
    assert sorted(proxy.children()) == ["dashboard", "envoy", "extproc"]
    assert f"  export ANTHROPIC_BASE_URL={proxy.url}\n  export ANTHROPIC_AUTH_TOKEN=anything\n" in proxy.output


@on_linux
def test_the_key_is_nowhere_but_with_the_processor(with_dashboard: Supervised) -> None:
    proxy = with_dashboard
    ask(proxy)
    envoy = proxy.child("envoy")
    config = Path(command_line(envoy)[command_line(envoy).index("-c") + 1])
    readable = {
        **environment_of(envoy),
        **environment_of(proxy.child("dashboard")),
        **command_lines(),
        **written_files(config.parent),
        **written_files(Path(proxy.environment["DB_PATH"]).parent),
    }

    assert config.parent.stat().st_mode & 0o077 == 0
    assert any(text and "envoy" in place for place, text in readable.items())
    assert leaks(readable, parts_of(KEY)) == []
    assert leaks(environment_of(proxy.child("extproc")), [KEY]) != [], "the search finds nothing at all"


@in_both_ways
async def test_a_killed_processor_costs_no_stream_and_is_back(proxy: Supervised) -> None:
    async with a_stream(proxy, events=80) as arriving:
        os.kill(proxy.child("extproc"), signal.SIGKILL)
        statuses = [ask(proxy).status_code]
        await eventually(lambda: statuses.append(ask(proxy).status_code) or statuses[-1], lambda status: status == 200)
        rest = [line async for line in arriving]

    assert set(statuses) == {503, 200}
    assert any("message_stop" in line for line in rest), "the stream was cut"
    assert "extproc crashed and is started again" in proxy.output
    assert "SIGKILL" in proxy.output
    answered = {"path": "/v1/messages", "status_code": "200"}
    await eventually(lambda: proxy.metrics().value("zai_proxy_requests_total", **answered), lambda n: n == 2)
    await eventually(lambda: "extproc is back" in proxy.output, bool)


async def test_a_killed_processor_is_back_within_three_seconds(tmp_path: Path, simulator: Simulator) -> None:
    async def seconds_away(directory: Path) -> float:
        directory.mkdir()
        with running_proxy(directory, simulator, KEY, "--no-dashboard") as proxy:
            os.kill(proxy.child("extproc"), signal.SIGKILL)
            killed = time.monotonic()
            await eventually(lambda: ask(proxy).status_code, lambda status: status == 200)
            return time.monotonic() - killed

    # Where other tests take the machine, its programs take long to start: that is not the proxy's delay.
    tries = [await seconds_away(tmp_path / str(number)) < max(3.0, 2 * seconds_to_start()) for number in range(2)]

    assert any(tries)


async def test_a_killed_envoy_is_started_again(proxy: Supervised) -> None:
    os.kill(proxy.child("envoy"), signal.SIGKILL)

    await eventually(lambda: answers(f"{proxy.url}/health"), bool)
    assert ask(proxy).status_code == 200
    await eventually(lambda: "envoy is back" in proxy.output, bool)
    assert "envoy crashed and is started again" in proxy.output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_told_to_stop_it_refuses_what_is_new_finishes_what_runs_and_exits_with_0(
    proxy: Supervised, simulator: Simulator, number: signal.Signals
) -> None:
    children = descendants(proxy.process.pid)
    async with a_stream(proxy, events=50) as arriving:
        with simulator.frozen():
            proxy.signal(number)
            refused = await eventually(lambda: ask_briefly(proxy), lambda answer: answer.status_code == 503)
        rest = [line async for line in arriving]

    assert "shutting down" in refused.json()["error"]["message"]
    assert any("message_stop" in line for line in rest), "the stream was cut"
    assert await asyncio.to_thread(proxy.process.wait) == 0
    assert not any(map(is_alive, children))
    assert "cut off" not in proxy.output
    assert "crashed" not in proxy.output


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP], ids=["dies", "hangs"])
async def test_a_processor_that_dies_or_hangs_during_the_drain_is_back_and_counts_what_ends_then(
    proxy: Supervised, simulator: Simulator, blow: signal.Signals
) -> None:
    async with a_stream(proxy, events=50) as arriving:
        with simulator.frozen():
            proxy.signal(signal.SIGTERM)
            await eventually(lambda: ask_briefly(proxy), lambda answer: answer.status_code == 503)
            os.kill(proxy.child("extproc"), blow)
            await eventually(lambda: "extproc is back" in proxy.output, bool)
            refused = await eventually(lambda: ask_briefly(proxy), lambda answer: "shutting down" in answer.text)
        rest = [line async for line in arriving]

    assert refused.status_code == 503
    assert any("message_stop" in line for line in rest), "the stream was cut"
    assert await asyncio.to_thread(proxy.process.wait) == 0
    assert "cut off" not in proxy.output
    assert proxy.output.count(" 200 POST ") == 1, "the stream was not counted"


async def test_a_processor_that_is_back_during_the_drain_lets_nothing_new_in(
    proxy: Supervised, simulator: Simulator
) -> None:
    statuses: list[int] = []

    async def knock(client: httpx.AsyncClient) -> None:
        while True:
            statuses.append((await client.post(f"{proxy.url}/v1/messages", json=PROMPT)).status_code)

    async with a_stream(proxy, events=50) as arriving, httpx.AsyncClient(timeout=30) as client:
        with simulator.frozen():
            proxy.signal(signal.SIGTERM)
            await eventually(lambda: ask_briefly(proxy), lambda answer: answer.status_code == 503)
            os.kill(proxy.child("extproc"), signal.SIGKILL)
            knocking = [asyncio.create_task(knock(client)) for _ in range(4)]
            await eventually(lambda: "extproc is back" in proxy.output, bool)
        rest = [line async for line in arriving]
        for task in knocking:
            task.cancel()
        await asyncio.gather(*knocking, return_exceptions=True)

    assert any("message_stop" in line for line in rest)
    assert set(statuses) == {503}
    assert await asyncio.to_thread(proxy.process.wait) == 0


async def test_told_to_stop_under_load_it_cuts_no_stream(proxy: Supervised, simulator: Simulator) -> None:
    async def streamed(client: httpx.AsyncClient, path: str) -> str:
        headers = {"x-sim": json.dumps({"events": 60, "pause": 0.05})}
        answer = await client.post(f"{proxy.url}{path}", json={**STREAM, "input": "hello"}, headers=headers)
        return answer.text

    ends = {"/v1/messages": "message_stop", "/v1/chat/completions": "[DONE]", "/v1/responses": "response.completed"}
    async with httpx.AsyncClient(timeout=60) as client:
        with simulator.frozen():
            running = {path: [asyncio.create_task(streamed(client, path)) for _ in range(6)] for path in ends}
            await eventually(lambda: proxy.metrics().value("zai_proxy_concurrent_requests"), lambda slots: slots == 18)
            proxy.signal(signal.SIGTERM)
            await eventually(lambda: "a second signal cuts them" in proxy.output, bool)
        answers = {path: await asyncio.gather(*tasks) for path, tasks in running.items()}

    for path, end in ends.items():
        assert [end in text for text in answers[path]] == [True] * 6, path
    assert await asyncio.to_thread(proxy.process.wait) == 0
    assert "cut off" not in proxy.output
    assert proxy.output.count(" 200 POST ") == 18, "a stream was not counted"


def test_told_to_stop_right_after_the_first_requests_it_counts_each(proxy: Supervised) -> None:
    with httpx.Client(timeout=30) as client:
        statuses = {client.post(f"{proxy.url}/v1/messages", json=PROMPT).status_code for _ in range(11)}
        statuses |= {client.get(f"{proxy.url}/nowhere").status_code for _ in range(2)}
        proxy.signal(signal.SIGTERM)

        assert proxy.process.wait() == 0

    assert statuses == {200, 404}
    assert proxy.output.count(" 200 POST ") == 11
    assert proxy.output.count(" 404 GET ") == 2


@in_both_ways
async def test_a_signal_to_every_process_at_once_drains_like_one_to_the_parent(
    proxy: Supervised, simulator: Simulator
) -> None:
    """As a service manager sends it (KillMode=control-group)."""
    everything = [proxy.process.pid, *descendants(proxy.process.pid)]
    async with a_stream(proxy, events=50) as arriving:
        with simulator.frozen():
            for pid in everything:
                os.kill(pid, signal.SIGTERM)
            await eventually(lambda: ask_briefly(proxy), lambda answer: answer.status_code == 503)
        rest = [line async for line in arriving]

    assert any("message_stop" in line for line in rest), "the stream was cut"
    assert await asyncio.to_thread(proxy.process.wait) == 0
    assert proxy.output.count(" 200 POST ") == 1
    assert "cut off" not in proxy.output
    assert "crashed" not in proxy.output
    assert not any(map(is_alive, everything))


async def test_a_second_signal_cuts(proxy: Supervised) -> None:
    async with a_stream(proxy, events=1000) as arriving:
        proxy.signal(signal.SIGTERM)
        await eventually(lambda: "a second signal cuts them" in proxy.output, bool)
        proxy.signal(signal.SIGTERM)
        began = time.monotonic()

        assert await asyncio.to_thread(proxy.process.wait) == 0
        assert time.monotonic() - began < 40.0, "it waited for the stream, which takes 50 s"
        with pytest.raises(httpx.RemoteProtocolError):
            [line async for line in arriving]
    assert proxy.output.count("cut off") == 1


async def test_after_drain_timeout_it_says_how_many_it_cuts(tmp_path: Path, simulator: Simulator) -> None:
    with running_proxy(tmp_path, simulator, KEY, "--no-dashboard", DRAIN_TIMEOUT="1") as proxy:
        async with a_stream(proxy, events=1000):
            proxy.signal(signal.SIGTERM)
            began = time.monotonic()

            assert await asyncio.to_thread(proxy.process.wait) == 0
            assert 1.0 <= time.monotonic() - began < 40.0, "it waited for the stream, which takes 50 s"
        assert "requests cut off requests=1" in proxy.output


@in_both_ways
def test_no_child_outlives_it_however_it_dies(with_dashboard: Supervised) -> None:
    children = descendants(with_dashboard.process.pid)
    assert len(children) == 3

    with_dashboard.signal(signal.SIGKILL)

    wait_until(lambda: not any(map(is_alive, children)), "every child has ended")


@in_both_ways
def test_killed_while_it_starts_it_leaves_nothing(tmp_path: Path, simulator: Simulator, tether: dict[str, str]) -> None:
    with supervised(tmp_path, {**quiet_settings(tmp_path, KEY, simulator.url), **tether}, "run") as proxy:
        wait_until(lambda: bool(descendants(proxy.process.pid)), "a child is being started")
        children = descendants(proxy.process.pid)

        proxy.signal(signal.SIGKILL)

        wait_until(lambda: not any(map(is_alive, children)), "every child has ended")


def test_told_to_stop_while_it_starts_it_exits_with_0(tmp_path: Path, simulator: Simulator) -> None:
    with supervised(tmp_path, quiet_settings(tmp_path, KEY, simulator.url), "run") as proxy:
        wait_until(lambda: bool(descendants(proxy.process.pid)), "a child is being started")
        children = descendants(proxy.process.pid)

        proxy.signal(signal.SIGTERM)

        assert proxy.process.wait() == 0
        assert READY not in proxy.output
        assert not any(map(is_alive, children))


def test_an_upstream_that_is_away_does_not_keep_it_from_starting(tmp_path: Path, simulator: Simulator) -> None:
    with running_proxy(tmp_path, simulator, KEY, "--no-dashboard", ZAI_TARGET_URL="http://127.0.0.1:1") as proxy:
        assert ask(proxy).status_code in (502, 503)


async def test_a_dead_dashboard_is_started_again_and_takes_nothing_with_it(with_dashboard: Supervised) -> None:
    proxy = with_dashboard
    async with a_stream(proxy, events=40) as arriving:
        for _ in range(2):
            pid = await eventually(lambda: proxy.children().get("dashboard", 0), bool)
            os.kill(pid, signal.SIGKILL)
            assert ask(proxy).status_code == 200
        await eventually(lambda: proxy.output.count("dashboard crashed and is started again"), lambda n: n == 2)
        rest = [line async for line in arriving]

    assert any("message_stop" in line for line in rest), "the stream was cut"
    await eventually(lambda: answers(f"{proxy.dashboard_url}/healthz"), bool)
    assert "extproc crashed" not in proxy.output


@on_linux
async def test_the_dashboard_looks_at_this_proxy_and_gets_only_what_it_needs(
    tmp_path: Path, simulator: Simulator
) -> None:
    token = make_key()
    with running_proxy(tmp_path, simulator, KEY, ADMIN_TOKEN=token, DASHBOARD_TOKEN=token, MAX_RETRIES="1") as proxy:
        [text] = environment_of(proxy.child("dashboard")).values()

    names = {line.partition("=")[0] for line in text.split("\0") if line}
    assert f"SCRAPE_TARGETS={proxy.metrics_url}/metrics" in text.split("\0")
    assert {"ADMIN_TOKEN", "DASHBOARD_TOKEN", "DASHBOARD_PORT", "DB_PATH"} <= names
    assert not {name for name in names if name.startswith(("ZAI_", "MAX_", "PROXY_", "PYTHON"))}


def test_a_service_manager_is_told_when_it_is_ready_that_it_lives_and_when_it_stops(
    tmp_path: Path, simulator: Simulator
) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as directory, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(f"{directory}/notify")
        told.settimeout(20)
        manager = {"NOTIFY_SOCKET": f"{directory}/notify", "WATCHDOG_USEC": "3000000"}
        with running_proxy(tmp_path, simulator, KEY, "--no-dashboard", **manager) as proxy:
            words = {told.recv(100), told.recv(100)}
            assert words == {b"READY=1", b"WATCHDOG=1"}
            proxy.signal(signal.SIGTERM)
            while (word := told.recv(100)) != b"STOPPING=1":
                assert word == b"WATCHDOG=1"
            assert proxy.process.wait() == 0


def test_it_outlives_those_who_read_its_output(tmp_path: Path, simulator: Simulator) -> None:
    environment = quiet_settings(tmp_path, KEY, simulator.url)
    url = f"http://127.0.0.1:{environment['PROXY_PORT']}"
    reading, writing = os.pipe()
    child = subprocess.Popen([str(ZAI_PROXY), "run", "--no-dashboard"], env=environment, stdout=writing, stderr=writing)
    os.close(writing)
    os.close(reading)
    try:
        wait_until(lambda: answers(f"{url}/health"), "the proxy answers")
        [processor] = [pid for pid in descendants(child.pid) if "extproc" in command_line(pid)[-1:]]
        os.kill(processor, signal.SIGKILL)
        wait_until(lambda: httpx.post(f"{url}/v1/messages", json=PROMPT).is_success, "the processor is back")
        child.send_signal(signal.SIGTERM)

        assert child.wait(15) == 0
    finally:
        child.kill()
        child.wait()


def test_it_leaves_no_file_behind(tmp_path: Path, simulator: Simulator) -> None:
    with (
        tempfile.TemporaryDirectory(dir="/tmp") as runtime,  # a Unix socket needs a short path
        running_proxy(tmp_path, simulator, KEY, "--no-dashboard", XDG_RUNTIME_DIR=runtime) as proxy,
    ):
        assert len(os.listdir(runtime)) == 1
        proxy.signal(signal.SIGTERM)

        assert proxy.process.wait() == 0
        assert os.listdir(runtime) == []


def test_warnings_name_the_danger_and_what_to_do(tmp_path: Path, simulator: Simulator) -> None:
    settings = {"BIND_ADDRESS": "0.0.0.0", "ZAI_TARGET_ULR": "x"}  # noqa: S104 - the danger
    with running_proxy(tmp_path, simulator, KEY, "--no-dashboard", **settings) as proxy:
        warnings = [line for line in proxy.output.splitlines() if "warning" in line]

    assert len(warnings) == 2
    assert "ZAI_TARGET_ULR is not a setting of zai-proxy and does nothing: did you mean ZAI_TARGET_URL?" in warnings[0]
    assert "BIND_ADDRESS=0.0.0.0 is open to other machines" in warnings[1]
    assert "spends the key" in warnings[1]


def test_a_key_of_another_form_starts_with_a_warning(tmp_path: Path, simulator: Simulator) -> None:
    with running_proxy(tmp_path, simulator, "a-relays-key", "--no-dashboard") as proxy:
        warnings = [line for line in proxy.output.splitlines() if "warning" in line]

    assert len(warnings) == 1
    assert "ZAI_API_KEY: the key has not the usual form" in warnings[0]
    assert "a-relays-key" not in proxy.output
