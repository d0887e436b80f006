"""The images and compose.yaml on a real engine. One module: one engine, and no other test beside it builds."""

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import httpx
import pytest

from tests.deploy.composed import Composed, brought_up, override, require_networks
from tests.deploy.engine import COMMIT, build, build_stand_ins, client, require_engine, running_engine
from tests.harness.ports import free_port
from tests.harness.processes import make_key
from tests.harness.waiting import wait_until

pytestmark = [pytest.mark.timeout(500), pytest.mark.slow]

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


def test_the_image_says_from_which_commit_it_was_built(
    proxy: tuple[Any, str, str], docker_client: docker.DockerClient
) -> None:
    container, _url, _key = proxy
    labels = docker_client.images.get("zai-proxy-proxy:test").labels

    assert COMMIT in container.exec_run(["zai-proxy", "version"]).output.decode()
    assert labels["org.opencontainers.image.revision"] == COMMIT


def test_the_health_check_of_the_image_holds(proxy: tuple[Any, str, str]) -> None:
    container, _url, _key = proxy
    check = container.attrs["Config"]["Healthcheck"]["Test"][1:]
    wait_until(lambda: container.exec_run(check).exit_code == 0, "healthy", within=30)


@pytest.fixture(scope="module")
def stand_ins(engine: str, docker_client: docker.DockerClient) -> str:
    """The engine, once it also has what Compose would pull."""
    require_networks(docker_client)
    with tempfile.TemporaryDirectory() as directory:
        build_stand_ins(engine, Path(directory) / "context")
    return engine


def _asked(url: str, path: str, **parameters: str) -> Any:
    answer = httpx.get(f"{url}{path}", params=parameters, timeout=10)
    assert answer.status_code == 200, answer.text
    return answer.json()


def _counted(project: Composed) -> float:
    """Requests that Prometheus has seen of the proxy in the cluster `compose`."""
    query = 'sum(zai_proxy_requests_total{cluster="compose",path!~"/health|/metrics"})'
    result = _asked(project.url("PROMETHEUS"), "/api/v1/query", query=query)["data"]["result"]
    return float(result[0]["value"][1]) if result else 0.0


def _kept(project: Composed, field: str) -> set[Any]:
    """What this field is among the requests that the dashboard keeps. The dashboard reads them after the proxy."""
    return {each[field] for each in _asked(project.url("DASHBOARD"), "/api/requests")["requests"]}


def test_compose_with_the_profile_demo_shows_traffic_without_a_key_or_a_variable(stand_ins: str) -> None:
    with brought_up(stand_ins, "--profile", "demo") as project:
        wait_until(lambda: _counted(project) > 10, "Prometheus has seen the sample traffic", within=90)
        wait_until(lambda: "ok" in _kept(project, "outcome"), "a request that ended well is kept", within=60)
        assert "proxy" not in {each["Service"] for each in project.containers()}


LIVE_ON_THE_SIMULATOR = """
services:
  simulator: {profiles: !override [live]}
  proxy: {depends_on: {simulator: {condition: service_healthy}}}
"""


@pytest.mark.parametrize("key_from", ["variable", "file"])
def test_compose_with_a_key_serves_requests_watches_itself_and_shows_the_key_nowhere(
    stand_ins: str, docker_client: docker.DockerClient, tmp_path: Path, key_from: str
) -> None:
    key = make_key()
    file = tmp_path / "key"
    file.write_text(key)
    files = ["-f", "compose.yaml", "-f", override(tmp_path, LIVE_ON_THE_SIMULATOR)]
    settings = {"ZAI_API_KEY": key}
    if key_from == "file":
        files += ["-f", "deploy/compose/key-file.yaml"]
        settings = {"ZAI_API_KEY_FILE": str(file)}

    with brought_up(stand_ins, *files, ZAI_TARGET_URL="http://simulator:8090", **settings) as project:
        answer = httpx.post(f"{project.url('PROXY')}/v1/messages", json=MESSAGE, timeout=30)
        prometheus = project.url("PROMETHEUS")
        groups = _asked(prometheus, "/api/v1/rules")["data"]["groups"]
        wait_until(lambda: _counted(project) >= 1, "Prometheus has seen the request", within=60)
        told = project.run("logs") + "".join(
            json.dumps(docker_client.api.inspect_container(each["ID"])) for each in project.containers()
        )

        assert answer.status_code == 200, answer.text
        assert {group["name"] for group in groups} == {"zai-proxy.recording", "zai-proxy.alerts"}
        assert len(_asked(prometheus, "/api/v1/alertmanagers")["data"]["activeAlertmanagers"]) == 1
        # The engine asks for /health now and then, also after the request.
        wait_until(lambda: "/v1/messages" in _kept(project, "path"), "the dashboard keeps the request", within=60)
        assert key not in told
