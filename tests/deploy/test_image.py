"""The images on a real engine. One module: one engine, and no other test beside it builds."""

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import httpx
import pytest

from tests.deploy.engine import build, client, require_engine, running_engine
from tests.harness.ports import free_port
from tests.harness.processes import make_key
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.timeout(500)

MESSAGE = {"model": "glm-4.6", "max_tokens": 16, "messages": [{"role": "user", "content": "hello"}]}
ANYBODY = "54321:54321"
Run = Callable[..., Any]


@pytest.fixture(scope="module")
def engine() -> Iterator[str]:
    require_engine()
    directory = Path(tempfile.mkdtemp(prefix="zai-engine-"))  # short: a Unix socket's path has 108 bytes
    with running_engine(directory) as address:
        for target in ("proxy", "simulator", "extproc", "envoy", "dashboard"):
            build(address, target)
        yield address


@pytest.fixture(scope="module")
def docker_client(engine: str) -> Iterator[docker.DockerClient]:
    sdk = client(engine)
    yield sdk
    sdk.close()


@pytest.fixture
def run(docker_client: docker.DockerClient) -> Iterator[Run]:
    """Starts containers as a random user on a read-only root, on the host's network."""
    started = []

    def start(target: str, *command: str, mount: tuple[str, str] | None = None, **settings: str) -> Any:
        container = docker_client.containers.run(
            f"zai-proxy-{target}:test",
            list(command) or None,
            detach=True,
            user=ANYBODY,
            read_only=True,
            network_mode="host",
            cap_drop=["ALL"],
            tmpfs={"/tmp": "mode=1777", "/data": "mode=1777"},  # noqa: S108 - inside the container
            environment={"BIND_ADDRESS": "127.0.0.1", **settings},
            volumes={} if mount is None else {mount[0]: {"bind": mount[1], "mode": "ro"}},
        )
        started.append(container)
        return container

    yield start
    for each in started:
        each.remove(force=True)


@pytest.fixture
def proxy(run: Run) -> tuple[Any, str, str]:
    """The proxy in front of the simulator: the container, the address of its client port, the key."""
    key, upstream, port = make_key(), free_port(), free_port()
    run("simulator", "--host", "127.0.0.1", "--port", str(upstream), "--speed", "20")
    container = run(
        "proxy",
        ZAI_API_KEY=key,
        ZAI_TARGET_URL=f"http://127.0.0.1:{upstream}",
        PROXY_PORT=str(port),
        METRICS_PORT=str(free_port()),
        ENVOY_ADMIN_PORT=str(free_port()),
    )
    url = f"http://127.0.0.1:{port}"
    wait_until(lambda: _answers(f"{url}/health") or _ended(container), "the proxy is up", within=60)
    return container, url, key


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).is_success
    except httpx.HTTPError:
        return False


def _ended(container: Any) -> bool:
    container.reload()
    assert container.status != "exited", container.logs().decode()
    return False


def test_a_random_user_on_a_read_only_root_serves_a_request(proxy: tuple[Any, str, str]) -> None:
    _container, url, _key = proxy
    answer = httpx.post(f"{url}/v1/messages", json=MESSAGE, headers={"anthropic-version": "2023-06-01"}, timeout=30)
    assert answer.status_code == 200, answer.text
    assert answer.json()["usage"]["output_tokens"] > 0


def test_sigterm_lets_a_running_stream_finish(proxy: tuple[Any, str, str]) -> None:
    container, url, _key = proxy
    body = {**MESSAGE, "stream": True}
    with httpx.stream("POST", f"{url}/v1/messages", json=body, timeout=60) as answer:
        lines = answer.iter_lines()
        next(lines)
        container.kill("SIGTERM")
        assert any("message_stop" in line for line in lines)
    assert container.wait(timeout=60)["StatusCode"] == 0


def test_a_wrong_setting_exits_2_with_its_line(run: Run) -> None:
    container = run("proxy", ZAI_API_KEY=make_key(), MAX_WORKERS="0")
    assert container.wait(timeout=60)["StatusCode"] == 2
    assert "MAX_WORKERS=0: need a whole number from 1 to 10000" in container.logs().decode().splitlines()


@pytest.mark.parametrize("target", ["proxy", "simulator", "extproc", "envoy", "dashboard"])
def test_no_image_holds_a_key_or_runs_as_root(docker_client: docker.DockerClient, target: str) -> None:
    image = docker_client.images.get(f"zai-proxy-{target}:test")
    told = json.dumps([image.attrs, image.history()])
    assert "ZAI_API_KEY" not in told
    assert image.attrs["Config"]["User"] == "65532:65532"
    assert image.attrs["Config"]["Healthcheck"]["Test"][0] == "CMD"
    assert image.labels["org.opencontainers.image.title"] == "zai-proxy"


def test_a_key_in_a_file_is_used_and_not_in_inspect(
    run: Run, docker_client: docker.DockerClient, tmp_path: Path
) -> None:
    key, port = make_key(), free_port()
    file = tmp_path / "zai-api-key"
    file.write_text(key)
    file.chmod(0o644)
    container = run(
        "extproc",
        mount=(str(file), "/run/secrets/zai-api-key"),
        ZAI_API_KEY_FILE="/run/secrets/zai-api-key",
        EXTPROC_SOCKET="/tmp/extproc.sock",  # noqa: S108 - inside the container
        METRICS_PORT=str(port),
    )
    wait_until(lambda: _answers(f"http://127.0.0.1:{port}/readyz") or _ended(container), "the processor is up")

    told = json.dumps(docker_client.api.inspect_container(container.id)) + container.logs().decode()
    assert key not in told


def test_the_proxy_image_is_below_300_mb(docker_client: docker.DockerClient) -> None:
    assert docker_client.images.get("zai-proxy-proxy:test").attrs["Size"] < 300e6


def test_the_health_check_of_the_image_holds(proxy: tuple[Any, str, str]) -> None:
    container, _url, _key = proxy
    check = container.attrs["Config"]["Healthcheck"]["Test"][1:]
    wait_until(lambda: container.exec_run(check).exit_code == 0, "healthy", within=30)
