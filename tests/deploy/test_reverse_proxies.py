"""What may stand in front, as docs/deploy.md says: streams come as they are written, prompts of any size pass.

nginx, HAProxy and Caddy are Debian's, Traefik is a package of PyPI.
"""

import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import yaml

from tests.harness import plain_http
from tests.harness.ports import free_port
from tests.harness.processes import ROOT, Process, bare_environment
from tests.harness.stack import PROMPT, Stack, running_stack
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.slow

DOCUMENTED = ROOT / "docs" / "deploy.md"


def snippet(language: str, stack: Stack) -> str:
    """The example of the page for one of them, pointed at a stack."""
    found = re.search(rf"^```{language}\n(.*?)^```", DOCUMENTED.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    assert "127.0.0.1:8080" in found[1]
    return found[1].replace("127.0.0.1:8080", f"127.0.0.1:{stack.proxy_port}")


def nginx(stack: Stack, directory: Path, port: int, extra: str = "") -> list[str]:
    location = extra or snippet("nginx", stack)
    places = "\n".join(f"{name}_temp_path {directory}/{name};" for name in TEMPORARY)
    (directory / "nginx.conf").write_text(
        f"""
        daemon off; pid {directory}/pid; error_log stderr; worker_processes 1;
        events {{ worker_connections 64; }}
        http {{ access_log off; {places}
            server {{ listen 127.0.0.1:{port}; {location} }} }}
        """
    )
    return ["-e", "stderr", "-c", str(directory / "nginx.conf")]


def haproxy(stack: Stack, directory: Path, port: int) -> list[str]:
    (directory / "haproxy.cfg").write_text(
        f"""
defaults
    timeout connect 5s
    timeout client 3600s
frontend clients
    mode http
    bind 127.0.0.1:{port}
    default_backend zai-proxy
{snippet("haproxy", stack)}"""
    )
    return ["-db", "-f", str(directory / "haproxy.cfg")]


def caddy(stack: Stack, directory: Path, port: int) -> list[str]:
    options = f"{{\nadmin off\nstorage file_system {directory}\nauto_https off\n}}\n"
    site = snippet("caddy", stack).replace("zai.example.com", f"http://127.0.0.1:{port}")
    (directory / "Caddyfile").write_text(options + site)
    return ["run", "--adapter", "caddyfile", "--config", str(directory / "Caddyfile")]


def traefik(stack: Stack, directory: Path, port: int) -> list[str]:
    (directory / "dynamic.yaml").write_text(snippet("yaml", stack).replace("zai.example.com", "127.0.0.1"))
    timeouts = {"transport": {"respondingTimeouts": {"readTimeout": 0}}}
    static = {
        "entryPoints": {"clients": {"address": f"127.0.0.1:{port}", **timeouts}},
        "providers": {"file": {"filename": str(directory / "dynamic.yaml")}},
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
    }
    (directory / "traefik.yaml").write_text(yaml.safe_dump(static))
    return [f"--configFile={directory / 'traefik.yaml'}"]


TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
IN_FRONT: dict[str, Callable[[Stack, Path, int], list[str]]] = {
    "nginx": nginx,
    "haproxy": haproxy,
    "caddy": caddy,
    "traefik": traefik,
}


def find(program: str) -> str | None:
    return shutil.which(
        program,
        path=f"{Path(sys.executable).parent}:/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin",
    )


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("stack")) as stack:
        yield stack


@pytest.fixture(
    params=[
        pytest.param(name, marks=pytest.mark.skipif(find(name) is None, reason=f"{name} is missing: make setup-system"))
        for name in IN_FRONT
    ]
)
def url(request: pytest.FixtureRequest, behind: Stack, tmp_path: Path) -> Iterator[str]:
    """The address of the one in front, once it answers."""
    behind.simulator.reset()
    with started(request.param, IN_FRONT[request.param], behind, tmp_path) as address:
        yield address


@contextmanager
def started(
    name: str, configure: Callable[[Stack, Path, int], list[str]], stack: Stack, directory: Path
) -> Iterator[str]:
    """One of them in front of a stack, ended with the block; its address."""
    port = free_port()
    command = [find(name) or name, *configure(stack, directory, port)]
    process = Process(name, command, bare_environment(), directory)
    try:
        wait_until(lambda: answers(port) or not process.is_running, "the one in front answers")
        assert process.is_running, process.output
        yield f"http://127.0.0.1:{port}"
    finally:
        process.signal(signal.SIGTERM)  # its workers end with it
        process.wait()


def answers(port: int) -> bool:
    try:
        return plain_http.get(f"http://127.0.0.1:{port}/health").is_success
    except httpx.TransportError:
        return False


def test_an_answer_and_a_refusal_pass(url: str) -> None:
    good = httpx.post(f"{url}/v1/messages", json=PROMPT, timeout=30)
    refused = httpx.get(f"{url}/no/such/path")

    assert good.status_code == 200
    assert good.json()["type"] == "message"
    assert refused.json()["error"]["message"] == "No such path on this proxy."


def test_a_stream_is_not_held_back(url: str, behind: Stack) -> None:
    behind.simulator.use(gap=300.0, gap_after=1)

    with httpx.stream("POST", f"{url}/v1/messages", json={**PROMPT, "stream": True}, timeout=30) as answer:
        first = next(answer.iter_lines())

    assert answer.status_code == 200
    assert first == "event: message_start"


def test_a_prompt_of_some_megabytes_passes(url: str) -> None:
    prompt = {**PROMPT, "messages": [{"role": "user", "content": "x" * 5_000_000}]}

    answer = httpx.post(f"{url}/v1/messages", json=prompt, timeout=60)

    assert answer.status_code == 200, answer.text[:300]


@pytest.mark.skipif(find("nginx") is None, reason="nginx is missing: make setup-system")
def test_nginx_as_it_comes_serves_streams_as_they_are_written(behind: Stack, tmp_path: Path) -> None:
    behind.simulator.reset()
    behind.simulator.use(gap=300.0, gap_after=1)
    as_it_comes = f"location / {{ proxy_pass http://127.0.0.1:{behind.proxy_port}; }}"

    def configure(stack: Stack, directory: Path, port: int) -> list[str]:
        return nginx(stack, directory, port, as_it_comes)

    with (
        started("nginx", configure, behind, tmp_path) as url,
        httpx.stream("POST", f"{url}/v1/messages", json={**PROMPT, "stream": True}, timeout=30) as answer,
    ):
        assert next(answer.iter_lines()) == "event: message_start"
