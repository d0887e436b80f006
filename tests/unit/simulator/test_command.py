"""The command, the thread and the settings: how a simulator is started and ended."""

import asyncio
import os
import re
import secrets
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import httpx
import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from simulator.cli import simulator_command
from simulator.plan.limits import WindowName
from simulator.server.app import serve
from simulator.server.settings import SimulatorSettings, plan
from simulator.server.threaded import SimulatorThread
from tests.harness.ports import free_port
from tests.harness.supervised import answers
from tests.harness.waiting import wait_until
from tests.unit.simulator.talk import ASK, MESSAGES, Api, events

CHAT = "/api/paas/v4/chat/completions"


def make_key() -> str:
    return f"{secrets.token_hex(16)}.{secrets.token_hex(8)}"


def run(*arguments: str, **environment: str) -> tuple[int, str]:
    """Exit code and output of a command that is to fail."""
    result = CliRunner(env={"ZAI_API_KEY": None, **environment}).invoke(simulator_command, arguments)
    return result.exit_code, result.output


@contextmanager
def command(*arguments: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command in a process of its own, and the address that it says."""
    process = subprocess.Popen(
        [sys.executable, "-m", "simulator", "--port", "0", *arguments],
        env={"PATH": "", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        found = re.fullmatch(r"simulator listening on (\S+)\n", process.stdout.readline())
        assert found is not None
        yield process, found[1]
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, made for this test, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "simulator")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(hours=1))
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert_file.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert_file, key_file


def test_the_command_serves_until_it_is_told_to_end(tmp_path: Path) -> None:
    key, rules = make_key(), tmp_path / "rules.yaml"
    rules.write_text("default: {text: from the file}\n")

    with command("--scenario", str(rules), ZAI_API_KEY=key) as (process, url):
        headers = {"authorization": f"Bearer {key}"}
        answer = httpx.post(f"{url}{CHAT}", json={"model": "glm-4.6", "messages": ASK}, headers=headers).json()
        refused = httpx.get(f"{url}/api/paas/v4/models", headers={"authorization": f"Bearer {make_key()}"})
        process.send_signal(signal.SIGTERM)

        assert answer["choices"][0]["message"]["content"] == "from the file"
        assert refused.status_code == 401
        assert process.wait(timeout=60) == 0


def test_the_command_reads_its_key_from_a_file(tmp_path: Path) -> None:
    key, key_file = make_key(), tmp_path / "key"
    key_file.write_text(f"{key}\n")

    with command("--key-file", str(key_file), "--plan-level", "lite", "--five-hour-credits", "2000") as (_, url):
        quota = httpx.get(f"{url}/api/monitor/usage/quota/limit", headers={"authorization": key}).json()["data"]

    assert quota["level"] == "lite"
    assert quota["limits"][0]["usage"] == 2000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--key", "short"], "a text of 5 characters: need 32 hexadecimal digits"),
        (["--key-file", "/nowhere/key"], "/nowhere/key"),
        (["--scenario", "/nowhere/rules.yaml"], "/nowhere/rules.yaml"),
        (["--port", "70000"], "70000"),
        (["--concurrency", "-1"], "-1"),
        (["--five-hour-credits", "0"], "five-hour-credits"),
        (["--model-concurrency", "glm-5.3"], "need a model and a number such as glm-5.3=2"),
        (["--model-concurrency", "glm=3"], 'unknown key "glm"'),
        (["--shared-pool", "glm-5.3"], "need a list of pools"),
        (["--tls-cert", "/nowhere/cert.pem"], "need both or neither"),
        (["--tls-cert", "/nowhere/cert.pem", "--tls-key", "/nowhere/key.pem"], "/nowhere/cert.pem"),
    ],
)
def test_a_wrong_option_is_named_and_ends_the_command(arguments: list[str], message: str) -> None:
    code, output = run(*arguments)

    assert code == 2
    assert message in output
    assert "Traceback" not in output


def test_a_wrong_key_is_not_shown() -> None:
    secret = make_key() + "x"

    code, output = run(ZAI_API_KEY=secret)

    assert code == 2
    assert secret not in output


def test_a_wrong_scenario_is_named_with_its_place(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("rules: [{answer: {evnts: 3}}]")

    code, output = run("--scenario", str(rules))

    assert code == 2
    assert "rule 1: answer: unknown key" in " ".join(output.split())


def test_a_port_in_use_is_named() -> None:
    with SimulatorThread() as simulator:
        code, output = run("--port", str(simulator.port))

    assert code == 2
    assert f"127.0.0.1:{simulator.port}" in output


def test_options_have_environment_variables() -> None:
    code, output = run(SIMULATOR_CONCURRENCY="many")

    assert code == 2
    assert "concurrency" in output


def test_tls_is_served(certificate: tuple[Path, Path]) -> None:
    cert_file, key_file = certificate
    context = ssl.create_default_context(cafile=str(cert_file))
    context.check_hostname = False

    with SimulatorThread(SimulatorSettings(tls_cert=cert_file, tls_key=key_file)) as simulator:
        headers = {"x-api-key": make_key(), "x-sim": '{"events": 3}'}
        body = {"model": "glm-5.2", "max_tokens": 9, "messages": ASK, "stream": True}
        response = httpx.post(f"{simulator.url}{MESSAGES}", json=body, headers=headers, verify=context)

        assert simulator.url.startswith("https://")
        assert events(response.text)[-1] == {"type": "message_stop"}
        reset = {**headers, "x-sim": '{"fault": "reset", "after_events": 1}'}
        with pytest.raises(httpx.TransportError):  # Python's TLS takes a reset for an end
            httpx.post(f"{simulator.url}{MESSAGES}", json=body, headers=reset, verify=context)


def test_another_host_than_the_expected_one_gets_a_403() -> None:
    with SimulatorThread(SimulatorSettings(expected_host="api.z.ai")) as simulator:
        headers = {"authorization": f"Bearer {make_key()}"}
        wrong = httpx.get(f"{simulator.url}/api/paas/v4/models", headers=headers)
        right = httpx.get(f"{simulator.url}/api/paas/v4/models", headers={**headers, "host": "api.z.ai"})

    assert (wrong.status_code, right.status_code) == (403, 200)


def test_a_plan_key_without_balance_is_refused_by_the_general_api() -> None:
    key = make_key()
    with SimulatorThread(SimulatorSettings(key=key, general_balance=False)) as simulator, Api(simulator, key) as api:
        response = api.http.post(CHAT, json={"model": "glm-4.6", "messages": ASK})

        assert response.status_code == 429
        assert response.json()["error"]["code"] == "1113"
        assert api.ask(MESSAGES).status_code == 200


def test_speed_paces_streams_and_answers_alike() -> None:
    key = make_key()
    with SimulatorThread(SimulatorSettings(key=key, speed=100)) as simulator, Api(simulator, key) as api:
        stream = api.ask(MESSAGES, stream=True, output_tokens=20, events=10).elapsed.total_seconds()
        whole = api.ask(MESSAGES, output_tokens=20, events=10).elapsed.total_seconds()
        paused = api.ask(MESSAGES, stream=True, output_tokens=1000, pause=0).elapsed.total_seconds()

    assert 0 <= stream < 1
    assert 0.2 <= whole < 1
    assert paused < 0.5


def test_the_thread_ends_and_a_second_end_does_nothing() -> None:
    simulator = SimulatorThread()
    assert httpx.get(f"{simulator.url}/_simulator/stats").status_code == 200

    simulator.stop()
    simulator.stop()

    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{simulator.url}/_simulator/stats")


def test_the_end_does_not_wait_for_streams() -> None:
    key = make_key()
    with SimulatorThread(SimulatorSettings(key=key)) as simulator, Api(simulator, key) as api:
        connection = api.raw(MESSAGES, True, fault="hang")
        assert connection.recv(1)
    connection.close()


def test_a_thread_that_cannot_listen_says_so() -> None:
    with SimulatorThread() as simulator, pytest.raises(OSError, match="in use"):
        SimulatorThread(SimulatorSettings(port=simulator.port))


def test_two_simulators_share_nothing() -> None:
    with SimulatorThread() as one, SimulatorThread() as other:
        httpx.get(f"{one.url}/")

        assert (len(one.log()), len(other.log())) == (1, 0)


def test_limits_by_model_are_options() -> None:
    options = ["--model-concurrency", "glm-5.3=1", "--model-concurrency", "glm-5=0", "--shared-pool", "glm-5.3,glm-5.2"]

    with command(*options, "--mcp-concurrency", "0") as (_, url):
        headers = {"authorization": f"Bearer {make_key()}"}
        answers = [
            httpx.post(f"{url}{CHAT}", json={"model": model, "messages": ASK}, headers=headers).status_code
            for model in ("glm-5", "glm-5.2", "glm-4.6")
        ]
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
        tool = httpx.post(f"{url}/api/mcp/zread/mcp", json=call, headers=headers)

    assert answers == [429, 200, 200]
    assert tool.status_code == 429


async def test_a_simulator_runs_in_the_loop_of_its_caller() -> None:
    async with serve(SimulatorSettings(limits=plan(concurrency=3))) as running, httpx.AsyncClient() as client:
        response = await client.get(f"{running.url}/_simulator/stats")

        assert response.json()["windows"][WindowName.FIVE_HOUR]["used"] == 0
        assert running.state.limits.limits.concurrency == 3


async def test_hundreds_of_streams_run_side_by_side() -> None:
    headers = {"x-api-key": make_key(), "x-sim": '{"events": 5, "pause": 0.1}'}
    body = {"model": "glm-5.2", "max_tokens": 9, "messages": ASK, "stream": True}

    async def ask(client: aiohttp.ClientSession, url: str) -> str:
        async with client.post(f"{url}{MESSAGES}", json=body, headers=headers) as response:
            return await response.text()

    connector = aiohttp.TCPConnector(limit=0)
    async with serve(SimulatorSettings()) as running, aiohttp.ClientSession(connector=connector) as client:
        texts = await asyncio.gather(*(ask(client, running.url) for _ in range(300)))

        assert all("message_stop" in text for text in texts)
        most = running.state.journal.stats()["max_in_flight"]
        assert isinstance(most, int)
        assert most > 250


def test_a_connection_is_closed_after_a_while_and_not_announced() -> None:
    with command("--keep-alive-seconds", "1.5") as (_, url):
        place = httpx.URL(url)
        with socket.create_connection((place.host, place.port or 0), timeout=60) as connection:
            connection.sendall(b"GET /api/paas/v4/models HTTP/1.1\r\nhost: test\r\n\r\n")
            received = b""
            while data := connection.recv(65536):
                received += data

    assert b"connection: keep-alive\r\n" in received.lower()


def test_outputs_that_nobody_reads_keep_it_neither_from_serving_nor_from_ending() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    for piece in (b"x" * 4096, b"x"):
        with suppress(BlockingIOError):
            while os.write(writing, piece):
                pass
    os.set_blocking(writing, True)
    port = free_port()
    arguments = [sys.executable, "-m", "simulator", "--port", str(port)]
    process = subprocess.Popen(arguments, env={"PATH": ""}, stdout=writing, stderr=writing)
    os.close(writing)
    stats = f"http://127.0.0.1:{port}/_simulator/stats"
    try:
        wait_until(lambda: answers(stats), "the simulator answers")
        for _ in range(3):  # a line about each
            with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
                connection.sendall(b"no HTTP\r\n\r\n")
                assert b" 400 " in connection.recv(65536)
        assert answers(stats)

        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.wait()
        os.close(reading)


def test_closed_outputs_are_no_defect() -> None:
    port = free_port()
    command_line = f"exec {sys.executable} -m simulator --port {port} <&- >&- 2>&-"
    process = subprocess.Popen(["/bin/sh", "-c", command_line], env={"PATH": ""})
    try:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/_simulator/stats"), "the simulator answers")

        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.wait()
