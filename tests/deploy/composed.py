"""compose.yaml brought up on the tests' engine, on free ports, with images built here in place of pulled ones."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.deploy.engine import STAND_INS, TEMPLATES
from tests.harness.ports import free_port
from tests.harness.processes import ROOT, bare_environment

COMPOSE = Path(sys.executable).parent / "docker-compose"
OURS = ("proxy", "simulator", "dashboard")
NOT_TO_BE_HAD = {"grafana"}
_PORTS = ("PROXY_PORT", "DASHBOARD_PORT", "PROMETHEUS_PORT", "ALERTMANAGER_PORT", "GRAFANA_PORT")


def require_networks(sdk: docker.DockerClient) -> None:
    """Skips where the kernel gives this process no bridge, or Debian's Prometheus is not there."""
    missing = [each for each in STAND_INS.values() if not Path("/usr/bin", each).exists()]
    if missing or not TEMPLATES.exists():
        pytest.skip(f"needs Debian's {' and '.join(STAND_INS.values())}")
    try:
        sdk.networks.create("probe").remove()
    except docker.errors.APIError as error:
        pytest.skip(f"needs networks of its own: {error.explanation}")


class Composed:
    """A project of compose.yaml. `settings` are what a person would export; ports and images are added."""

    def __init__(self, engine: str, options: Sequence[str], **settings: str) -> None:
        self.options = options
        self.ports = {name: free_port() for name in _PORTS}
        images = {f"ZAI_{each.upper()}_IMAGE": f"zai-proxy-{each}:test" for each in OURS}
        images |= {f"{each.upper()}_IMAGE": f"{each}:test" for each in STAND_INS}
        given = {name: str(port) for name, port in self.ports.items()}
        self._environment = bare_environment(DOCKER_HOST=engine, **images, **given, **settings)

    def url(self, name: str) -> str:
        """Where a service's port is published: `url("PROXY")`."""
        return f"http://127.0.0.1:{self.ports[f'{name}_PORT']}"

    def run(self, *command: str) -> str:
        """What Compose says. Raises AssertionError with its complaint if it fails."""
        done = subprocess.run(
            [COMPOSE, *self.options, *command],
            cwd=ROOT,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=180,
        )
        assert done.returncode == 0, f"{done.stderr[-2000:]}\n{self._logs()}"
        return done.stdout

    def containers(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.run("ps", "--all", "--format", "json").splitlines()]

    def _logs(self) -> str:
        command = [COMPOSE, *self.options, "logs", "--tail", "20"]
        done = subprocess.run(command, cwd=ROOT, env=self._environment, capture_output=True, text=True, timeout=60)
        return done.stdout


@contextmanager
def brought_up(engine: str, *options: str, **settings: str) -> Iterator[Composed]:
    """`up --wait` of every service of the profile but those whose image is not to be had; removed with the block."""
    project = Composed(engine, options, **settings)
    services = set(project.run("config", "--services").split()) - NOT_TO_BE_HAD
    try:
        project.run("up", "--no-build", "--wait", *sorted(services))
        yield project
    finally:
        project.run("down", "--volumes", "--timeout", "10")


def override(directory: Path, text: str) -> str:
    """A further file for Compose."""
    path = directory / f"override-{os.urandom(4).hex()}.yaml"
    path.write_text(text)
    return str(path)
