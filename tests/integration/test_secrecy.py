"""The Z.AI key is nobody's to read but the upstream's: not in logs, pages, answers, configuration or processes."""

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

import httpx
import pytest

from tests.harness import plain_http
from tests.harness.leaks import (
    command_lines,
    dashboard_pages,
    environment_of,
    leaks,
    pages,
    parts_of,
    restart_envoy_talkative,
    written_files,
)
from tests.harness.ports import free_port
from tests.harness.processes import ROOT, Process, bare_environment, make_key
from tests.harness.raw_http import exchange, request_bytes
from tests.harness.stack import PROMPT, ZAI_PROXY, Stack, running_stack
from tests.harness.waiting import eventually, wait_until

pytestmark = pytest.mark.slow

SURFACES = ("/v1/messages", "/v1/chat/completions", "/v1/responses", "/api/paas/v4/chat/completions", "/v1/models")
BODY = {**PROMPT, "input": "hello"}


class Client:
    """Sends requests and keeps every answer as text, headers and body."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.answers: dict[str, str] = {}
        self.statuses: set[int] = set()

    def ask(self, why: str, path: str = "/v1/messages", method: str = "POST", **options: str | bool) -> None:
        """One request; `stream` asks for a stream, every other option is a header with underscores for hyphens."""
        body = {**BODY, "stream": True} if options.pop("stream", False) else BODY
        headers = {name.replace("_", "-"): str(value) for name, value in options.items()}
        text = ""
        with (
            suppress(httpx.TransportError),
            httpx.stream(method, self._stack.url + path, json=body, headers=headers, timeout=20) as response,
        ):
            self.statuses.add(response.status_code)
            text = "\n".join(f"{name}: {value}" for name, value in response.headers.items()) + "\n\n"
            for piece in response.iter_text():
                text += piece
        self.answers[f"{len(self.answers)}: {why} {method} {path}"] = text

    def leave(self, path: str) -> None:
        """Begins to read a stream and goes away."""
        headers = {"x-sim": json.dumps({"events": 1000, "pause": 0.05})}
        with httpx.stream("POST", self._stack.url + path, json={**BODY, "stream": True}, headers=headers) as response:
            self.answers[f"{len(self.answers)}: left {path}"] = str(response.headers) + next(response.iter_text())


@dataclass(frozen=True, slots=True)
class Lived:
    """A stack after every kind of traffic: its secrets, where it wrote, and all that its clients were answered."""

    stack: Stack
    keys: list[str]
    admin_token: str
    directory: Path
    client: Client
    dashboard_url: str

    @property
    def secrets(self) -> list[str]:
        return [self.admin_token, *self.key_parts]

    @property
    def key_parts(self) -> list[str]:
        return [part for key in self.keys for part in parts_of(key)]


def succeed(stack: Stack, client: Client) -> None:
    for path in SURFACES:
        client.ask("success", path, "GET" if path.endswith("models") else "POST")
        client.ask("stream", path, stream=True)
    client.ask("probe", "/", "HEAD")


def fail(stack: Stack, client: Client) -> None:
    scenarios: list[dict[str, object]] = [
        {"code": "1210"},
        {"code": "401"},
        {"code": "1302"},
        {"code": "1308"},
        {"code": "1305"},
        {"status": 502, "envelope": "html"},
        {"status": 200, "code": "1305"},
        *[dict[str, object](fault=fault) for fault in ("reset", "truncate", "not_http", "malformed", "empty")],
    ]
    for scenario in scenarios:
        stack.simulator.use(**scenario)
        for path in SURFACES[:2]:
            client.ask(str(scenario), path)
    for fault in ("reset", "error_event", "garbled"):
        stack.simulator.use(fault=fault, events=10, after_events=5)
        client.ask(fault, stream=True)
    stack.simulator.use()


def be_refused(stack: Stack, client: Client) -> None:
    for path in ("/nothing", "/api/monitor/usage/quota/limit", "/v1/models/%00", "/api/v1/..%2fmonitor"):
        client.ask("refused", path)
    client.ask("websocket", "/v1/responses", "GET", upgrade="websocket", connection="upgrade")
    client.ask("trace", "/v1/models", "TRACE")
    for bytes_ in (b"\x00\x01\r\n\r\n", request_bytes(method=b"FOO"), request_bytes(headers=b"x: \x00\r\n")):
        answer = exchange(stack, bytes_)
        client.answers[f"{len(client.answers)}: malformed"] = f"{answer.headers} {answer.body!r}"


def leave(stack: Stack, client: Client) -> None:
    for path in SURFACES[:3]:
        client.leave(path)
    wait_until(lambda: stack.metric("zai_proxy_concurrent_requests") == 0, "every slot is free")


def bring_the_right_key(stack: Stack, client: Client) -> None:
    """A client that knows the key, and sends it as if it talked to Z.AI itself."""
    for path in SURFACES:
        client.ask("key in authorization", path, authorization=f"Bearer {stack.key}")
        client.ask("key in x-api-key", path, x_api_key=stack.key, cookie=f"key={stack.key}")
        client.ask("key in api-key", path, api_key=stack.key, proxy_authorization=f"Bearer {stack.key}")
        client.ask("key in the query", f"{path}?api_key={stack.key}&key={stack.key}&Authorization=Bearer%20{stack.key}")
    client.ask("key at a refused path", f"/api/monitor/usage?key={stack.key}", authorization=stack.key)
    client.ask("key at an unknown path", f"/nothing?token={stack.key}", authorization=stack.key)


def lose_the_processor(stack: Stack, client: Client) -> None:
    """The processor dies in mid-stream, requests come meanwhile, and another one takes over."""
    headers = {"x-sim": json.dumps({"events": 40, "pause": 0.02})}
    stream = {**BODY, "stream": True}
    with httpx.stream("POST", f"{stack.url}/v1/messages", json=stream, headers=headers, timeout=20) as response:
        stack.processor.kill()
        client.ask("no processor")
        client.ask("no processor", "/v1/chat/completions")
        client.answers["survived"] = "".join(response.iter_text())
    stack.restart_processor()
    client.ask("processor is back")


def rotate_the_key(stack: Stack, key_file: Path) -> str:
    """Puts another key in force, then an empty file, then the right one again; returns the other key."""
    other = make_key()
    key_file.write_text(other)
    wait_until(lambda: form_of_next_key(stack) == "other", "the new key is in use")
    key_file.write_text("")
    wait_until(lambda: "unusable" in stack.processor.output, "the empty file is noticed")
    key_file.write_text(stack.key)
    wait_until(lambda: form_of_next_key(stack) == "right key", "the old key is back in use")
    return other


@contextmanager
def watched(stack: Stack, directory: Path, admin_token: str) -> Iterator[str]:
    """A dashboard beside the stack, its store with the other files in `directory`; yields its URL."""
    port = free_port()
    settings = {"SCRAPE_TARGETS": f"{stack.metrics_url}/metrics", "SCRAPE_INTERVAL": "1s", "ADMIN_TOKEN": admin_token}
    files = {"DB_PATH": str(directory / "dashboard.db"), "DASHBOARD_PORT": str(port), "LOG_LEVEL": "debug"}
    dashboard = Process("dashboard", [str(ZAI_PROXY), "dashboard"], bare_environment(**settings, **files), directory)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        dashboard.kill()


def requests_shown(dashboard_url: str) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = plain_http.get(f"{dashboard_url}/api/requests", limit="500").json()["requests"]
    return shown


def form_of_next_key(stack: Stack) -> str:
    httpx.post(f"{stack.url}/v1/messages", json=PROMPT)
    return str(stack.simulator.log()[-1]["credentials"]["x-api-key"])


@pytest.fixture(scope="module", params=["variable", "file"])
def lived(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    """A stack that gets its key by a variable or by a file, logs as much as it can, and has seen everything."""
    directory = tmp_path_factory.mktemp("lived")
    key_file = tmp_path_factory.mktemp("key") / "zai-key"
    admin_token = token_hex(16)
    settings = {"LOG_LEVEL": "debug", "MAX_RETRIES": "1", "ADMIN_TOKEN": admin_token}
    key_file.write_text(make_key())
    if request.param == "file":
        settings["ZAI_API_KEY_FILE"] = str(key_file)
    with (
        running_stack(directory, **settings) as stack,
        watched(stack, directory, admin_token) as dashboard_url,
    ):
        keys = [stack.key]
        if request.param == "file":
            keys.append(key_file.read_text())
            key_file.write_text(stack.key)
            wait_until(lambda: form_of_next_key(stack) == "right key", "the right key is in use")
        restart_envoy_talkative(stack)
        client = Client(stack)
        for act in (succeed, be_refused, bring_the_right_key, lose_the_processor):
            act(stack, client)
        if request.param == "file":
            keys.append(rotate_the_key(stack, key_file))
        else:
            fail(stack, client)
            leave(stack, client)
        stack.metrics_at_rest()
        last = f"last-{token_hex(8)}"
        client.ask("the last one", x_request_id=last)
        wait_until(
            lambda: last in [each["request_id"] for each in requests_shown(dashboard_url)], "the dashboard has seen all"
        )
        yield Lived(stack, keys, admin_token, directory, client, dashboard_url)


async def test_the_traffic_was_of_every_kind(lived: Lived) -> None:
    """Otherwise the searches below would prove nothing."""
    assert lived.client.statuses >= {200, 400, 403, 404, 426, 503}
    assert len(lived.client.answers) > 40
    assert len(lived.stack.envoy.output) > 100_000
    if "ZAI_API_KEY_FILE" in lived.stack.environment:
        assert len(set(lived.keys)) == 3
    else:
        assert lived.client.statuses >= {401, 429, 502, 529}
        assert 2 in [entry["attempt"] for entry in lived.stack.simulator.log()]
        await eventually(
            lambda: lived.stack.metric("zai_proxy_requests_total", status_code="499"), lambda left: left > 0
        )


def test_no_file_that_was_written_holds_the_key(lived: Lived) -> None:
    files = written_files(lived.directory)

    assert {Path(name).name for name in files} >= {"envoy.yaml", "envoy.log", "processor.log", "dashboard.db"}
    assert leaks(files, lived.secrets) == []


def test_no_page_shows_the_key(lived: Lived) -> None:
    assert leaks(pages(lived.stack, lived.admin_token), lived.secrets) == []


def test_the_dashboard_does_not_show_the_key(lived: Lived) -> None:
    assert len(requests_shown(lived.dashboard_url)) > 20
    assert leaks(dashboard_pages(lived.dashboard_url), lived.secrets) == []


def test_the_admin_interface_does_not_make_envoy_log_the_key(lived: Lived) -> None:
    """At debug level three of Envoy's loggers write whole headers: nobody may turn that on from outside."""
    response = httpx.post(f"{lived.stack.admin_url}/logging", params={"level": "debug"})

    assert response.status_code == 403


def test_no_answer_tells_the_key(lived: Lived) -> None:
    assert leaks(lived.client.answers, lived.secrets) == []


def test_no_command_line_tells_the_key(lived: Lived) -> None:
    assert leaks(command_lines(), lived.secrets) == []


def test_envoy_does_not_have_the_key_in_its_environment(lived: Lived) -> None:
    assert leaks(environment_of(lived.stack.envoy.pid), lived.secrets) == []


def test_a_processor_with_a_key_file_does_not_have_the_key_in_its_environment(lived: Lived) -> None:
    if "ZAI_API_KEY_FILE" in lived.stack.environment:
        assert leaks(environment_of(lived.stack.processor.pid), lived.key_parts) == []


def test_a_running_request_does_not_show_the_key_or_what_was_asked(lived: Lived) -> None:
    stack = lived.stack
    headers = {"x-sim": json.dumps({"events": 1000, "pause": 0.05}), "authorization": "Bearer client-secret"}
    asked = {**PROMPT, "stream": True, "messages": [{"role": "user", "content": "client-prompt"}]}
    with httpx.stream("POST", f"{stack.url}/v1/messages?x=client-query", json=asked, headers=headers) as response:
        assert response.status_code == 200
        assert stack.status()["workers"]["in_flight"] == 1
        shown = pages(stack, lived.admin_token)

    assert leaks(shown, [*lived.secrets, "client-secret", "client-prompt", "client-query"]) == []


@pytest.mark.parametrize("spoil", [lambda key: f"{key} x", lambda key: f"{key}\nx", lambda key: f"ü{key}"])
@pytest.mark.parametrize("command", ["extproc", "envoy-config"])
def test_a_key_that_cannot_be_used_is_not_repeated(spoil: Callable[[str], str], command: str) -> None:
    key = make_key()

    done = subprocess.run(
        [str(ZAI_PROXY), command],
        env=bare_environment(ZAI_API_KEY=spoil(key), METRICS_PORT="99999"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode == 2
    assert leaks({"output": done.stdout + done.stderr}, parts_of(key)) == []


def test_a_stopped_processor_leaves_no_key_behind(tmp_path: Path) -> None:
    with running_stack(tmp_path) as stack:
        httpx.post(f"{stack.url}/v1/messages", json=PROMPT)
        stack.processor.signal(signal.SIGTERM)
        stack.processor.wait()

        assert leaks(written_files(tmp_path), parts_of(stack.key)) == []
