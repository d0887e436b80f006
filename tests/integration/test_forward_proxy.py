"""Z.AI through a company's proxy that opens tunnels, and by whichever family of addresses answers."""

import base64
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import httpx
import pytest

from extproc.launch import envoy_config
from tests.harness import plain_http
from tests.harness.certificates import Authority
from tests.harness.forward_proxy import ForwardProxy, forward_proxy
from tests.harness.processes import bare_environment, make_key
from tests.harness.serving import serving
from tests.harness.stack import PROMPT, Simulator, running_stack
from tests.harness.supervised import quiet_settings, running_proxy, start_in_vain
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.slow

KEY = make_key()
NAME = "anna"
PASSWORD = "correct-horse-battery"
AUTHORIZATION = "Basic " + base64.b64encode(f"{NAME}:{PASSWORD}".encode()).decode()
UPSTREAM = "https://api.z.ai"
BODY: Final = b'{"error":{"code":"1302","message":"slow down"}}'
HEAD: Final = b"HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
REFUSAL: Final = HEAD % len(BODY) + BODY
ANSWER: Final = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}"
LONGER_THAN_SILENCE: Final = 3.0


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def z_ai(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Simulator]:
    certificate, key = authority.issue("api.z.ai")
    simulator = Simulator(tmp_path_factory.mktemp("z-ai"), KEY, "--tls-cert", str(certificate), "--tls-key", str(key))
    yield simulator
    simulator.process.kill()


@pytest.fixture
def company(z_ai: Simulator) -> Iterator[ForwardProxy]:
    """A proxy that wants credentials, and is alone in knowing where api.z.ai is."""
    z_ai.reset()
    with forward_proxy(AUTHORIZATION, {"api.z.ai:443": ("127.0.0.1", z_ai.port)}) as proxy:
        yield proxy


def through(company: ForwardProxy, authority: Authority, password: str = PASSWORD) -> dict[str, str]:
    return {
        "ZAI_TARGET_URL": UPSTREAM,
        "ZAI_CA_FILE": str(authority.certificate_file),
        "HTTPS_PROXY": f"http://{NAME}:{password}@127.0.0.1:{company.port}",
    }


def test_requests_and_polls_go_through_it_and_its_password_is_shown_nowhere(
    tmp_path: Path, z_ai: Simulator, company: ForwardProxy, authority: Authority
) -> None:
    settings = {**through(company, authority), "QUOTA_POLL_INTERVAL": "1", "QUOTA_GATE": "off"}
    with running_proxy(tmp_path, z_ai, KEY, "--no-dashboard", **settings) as proxy:
        answer = httpx.post(f"{proxy.url}/v1/messages", json=PROMPT, timeout=30)
        stream = httpx.post(f"{proxy.url}/v1/messages", json={**PROMPT, "stream": True}, timeout=30)
        admin = f"http://127.0.0.1:{proxy.environment['ENVOY_ADMIN_PORT']}"
        shown = [
            proxy.output,
            plain_http.get(f"{admin}/config_dump").text,
            plain_http.get(f"{proxy.metrics_url}/status").text,
            plain_http.get(f"{proxy.metrics_url}/metrics").text,
        ]

    assert answer.status_code == 200, answer.text
    assert "message_stop" in stream.text
    assert set(company.asked) == {"api.z.ai:443"}
    assert company.refused == 0
    assert {entry["path"] for entry in z_ai.log()} >= {"/api/anthropic/v1/messages"}
    assert not [text for text in shown if PASSWORD in text or AUTHORIZATION.split()[1] in text]


def test_wrong_credentials_are_a_503_that_names_the_proxy_and_the_log_and_the_doctor_say_why(
    tmp_path: Path, z_ai: Simulator, company: ForwardProxy, authority: Authority
) -> None:
    settings = through(company, authority, password="wrong")
    why = f"127.0.0.1:{company.port} opens no tunnel to api.z.ai:443 (407 Proxy Authentication Required)"
    with running_proxy(tmp_path, z_ai, KEY, "--no-dashboard", **settings, MAX_RETRIES="0") as proxy:
        answer = httpx.post(f"{proxy.url}/v1/messages", json=PROMPT, timeout=30)
        of_openai = httpx.post(f"{proxy.url}/v1/chat/completions", json=PROMPT, timeout=30)
        wait_until(lambda: f"HTTPS_PROXY: {why}" in proxy.output, "the log says why")
        told = start_in_vain({**proxy.environment}, "doctor")
        said = proxy.output

    assert answer.status_code == of_openai.status_code == 503
    assert answer.headers["x-should-retry"] == "true"
    for error in (answer.json()["error"], of_openai.json()["error"]):
        assert error["message"].startswith(f"Z.AI can't be reached through 127.0.0.1:{company.port} (HTTPS_PROXY): ")
        assert "refuses to open a tunnel" in error["message"]
    assert (answer.json()["type"], of_openai.json()["error"]["code"]) == ("error", "unavailable")
    assert told.returncode == 1
    assert f"PROBLEM  HTTPS_PROXY: {why}" in told.stdout
    assert "wrong" not in told.stdout + told.stderr + said + answer.text


def test_a_certificate_behind_the_proxy_that_nobody_trusts_is_told_as_that(
    tmp_path: Path, z_ai: Simulator, company: ForwardProxy, authority: Authority
) -> None:
    stranger = Authority(tmp_path, "stranger")
    settings = {**through(company, authority), "ZAI_CA_FILE": str(stranger.certificate_file), "MAX_RETRIES": "0"}
    with running_proxy(tmp_path, z_ai, KEY, "--no-dashboard", **settings) as proxy:
        answer = httpx.post(f"{proxy.url}/v1/chat/completions", json=PROMPT, timeout=30)
        wait_until(lambda: "but TLS with api.z.ai:443 behind it fails" in proxy.output, "the log says why")

    assert answer.status_code == 503
    assert "opens a tunnel, but TLS behind it fails" in answer.json()["error"]["message"]
    assert f"through 127.0.0.1:{company.port} (HTTPS_PROXY)" in answer.json()["error"]["message"]


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A port that accepts, and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listening:
        yield listening


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envoy_config, "CONNECT_SECONDS", 2)
    monkeypatch.setattr(envoy_config, "_LONG_SILENCE_SECONDS", 1)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("by_proxy", [True, False])
def test_where_something_accepts_and_says_nothing_requests_wait_for_it_once(
    tmp_path: Path, silent: socket.socket, by_proxy: bool
) -> None:
    address = f"127.0.0.1:{silent.getsockname()[1]}"
    settings = {"HTTPS_PROXY": f"http://{address}"} if by_proxy else {"ZAI_TARGET_URL": f"https://{address}"}
    with running_stack(tmp_path, **{"ZAI_TARGET_URL": UPSTREAM} | settings) as stack:
        answer = httpx.post(f"{stack.url}/v1/messages", json=PROMPT, timeout=60)
        of_openai = httpx.post(f"{stack.url}/v1/chat/completions", json=PROMPT, timeout=60)
        metrics = stack.metrics_at_rest()
        lines = [json.loads(line) for line in stack.processor.output.splitlines() if '"status": 503' in line]

    through = f" through {address} (HTTPS_PROXY)" if by_proxy else ""
    words = f"Z.AI can't be reached{through}: nothing has answered there within "
    assert answer.status_code == of_openai.status_code == 503
    assert (answer.json()["type"], of_openai.json()["error"]["code"]) == ("error", "unavailable")
    for each in (answer, of_openai):
        assert each.json()["error"]["message"].startswith(words)
        assert (each.headers["x-should-retry"], each.headers["retry-after"]) == ("true", "2")
    assert [(line["error"], line.get("attempts"), line["why"]) for line in lines] == [
        ("upstream_connection", None, "connection_timeout")
    ] * 2
    assert metrics.value("zai_proxy_retry_attempts_total", reason="network_error") == 0
    assert metrics.value("zai_proxy_upstream_errors_total", error_type="upstream_connection") == 2
    assert metrics.value("zai_proxy_concurrent_requests") == 0


@dataclass(frozen=True, slots=True)
class GoesAway:
    """An upstream that has one place. It refuses a second request, and is gone; the first is answered once let go."""

    url: str
    let_go: threading.Event


@pytest.fixture
def goes_away(silent: socket.socket) -> Iterator[GoesAway]:
    let_go = threading.Event()

    def serve() -> None:
        held, _ = silent.accept()
        refused, _ = silent.accept()
        silent.close()
        with held:
            held.recv(65536)
            with refused:
                refused.recv(65536)
                refused.sendall(REFUSAL)
                time.sleep(LONGER_THAN_SILENCE)
            let_go.wait(60)
            held.sendall(ANSWER)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield GoesAway(f"http://127.0.0.1:{silent.getsockname()[1]}", let_go)
    let_go.set()
    thread.join(60)


def test_the_time_that_a_retry_has_waited_for_its_turn_is_no_silence(
    tmp_path: Path, goes_away: GoesAway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two requests one is refused and waits for the other's place. Meanwhile its connection is closed. The next one,
    after a back-off of 1.5 s at most, is refused at once."""
    monkeypatch.setattr(envoy_config, "_LONG_SILENCE_SECONDS", 2)
    paced = {"PACING": "on", "CONCURRENCY_LIMIT_INITIAL": "2", "MAX_RETRIES": "1"}
    with running_stack(tmp_path, ZAI_TARGET_URL=goes_away.url, **paced) as stack, ThreadPoolExecutor() as both:
        asked = [both.submit(httpx.post, f"{stack.url}/v1/messages", json=PROMPT, timeout=60) for _ in range(2)]
        ended = as_completed(asked)
        of_who_waited = next(ended).result()
        goes_away.let_go.set()
        of_who_held = next(ended).result()
        metrics = stack.metrics_at_rest()

    assert (of_who_waited.status_code, of_who_held.status_code) == (503, 200)
    assert "nothing has answered" not in of_who_waited.json()["error"]["message"]
    assert metrics.value("zai_proxy_retry_attempts_total", reason="network_error") == 1


@pytest.mark.parametrize("pacing", ["on", "off"])
def test_a_connection_that_is_refused_is_tried_again(tmp_path: Path, silent: socket.socket, pacing: str) -> None:
    address = f"http://127.0.0.1:{silent.getsockname()[1]}"
    settings = {"HTTPS_PROXY": address, "ZAI_TARGET_URL": UPSTREAM, "PACING": pacing}
    silent.close()
    with running_stack(tmp_path, **settings, MAX_RETRIES="2") as stack:
        answer = httpx.post(f"{stack.url}/v1/messages", json=PROMPT, timeout=60)
        metrics = stack.metrics_at_rest()

    assert "refuses to open a tunnel" in answer.json()["error"]["message"]
    assert metrics.value("zai_proxy_retry_attempts_total", reason="network_error") == 2


def test_the_doctor_tries_the_way_through_it(tmp_path: Path, company: ForwardProxy, authority: Authority) -> None:
    environment = {**quiet_settings(tmp_path, KEY, UPSTREAM), **through(company, authority)}

    told = start_in_vain(environment, "doctor")

    assert f"ok       HTTPS_PROXY: 127.0.0.1:{company.port} opens tunnels to api.z.ai" in told.stdout
    assert PASSWORD not in told.stdout + told.stderr


def test_no_proxy_leads_past_it_and_that_is_said(
    tmp_path: Path, z_ai: Simulator, company: ForwardProxy, authority: Authority
) -> None:
    settings = {**through(company, authority), "ZAI_TARGET_URL": z_ai.url, "NO_PROXY": "127.0.0.0/8"}
    with running_proxy(tmp_path, z_ai, KEY, "--no-dashboard", **settings) as proxy:
        httpx.post(f"{proxy.url}/v1/messages", json=PROMPT, timeout=30)
        told = proxy.output

    assert f"HTTPS_PROXY is set and not used for {z_ai.url}: NO_PROXY names its host" in told
    assert company.asked == []
    assert company.refused == 0


def test_a_proxy_that_is_none_is_one_line_without_its_password() -> None:
    environment = bare_environment(ZAI_API_KEY=KEY, HTTPS_PROXY=f"socks5://{NAME}:{PASSWORD}@proxy:1080")

    told = start_in_vain(environment, "run")

    assert told.returncode == 2
    assert told.stderr.startswith("HTTPS_PROXY=***: need a URL like http://proxy.example.com:3128")
    assert PASSWORD not in told.stderr


class _Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = b'{"object": "list", "data": []}'
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: the test looks at what the client gets."""


class _OfVersion6(ThreadingHTTPServer):
    address_family = socket.AF_INET6


@pytest.mark.parametrize(("server", "address"), [(ThreadingHTTPServer, "127.0.0.1"), (_OfVersion6, "::1")])
def test_of_a_name_with_addresses_of_both_families_the_one_that_answers_is_found(
    tmp_path: Path, z_ai: Simulator, server: type[ThreadingHTTPServer], address: str
) -> None:
    try:
        upstream = server((address, 0), _Answering)
    except OSError as error:
        pytest.skip(f"{address} is no address of this machine ({error.strerror})")
    url = f"http://localhost:{upstream.server_address[1]}"
    with serving(upstream), running_proxy(tmp_path, z_ai, KEY, "--no-dashboard", ZAI_TARGET_URL=url) as proxy:
        answer = httpx.get(f"{proxy.url}/v1/models", timeout=30)

    assert answer.status_code == 200, answer.text
