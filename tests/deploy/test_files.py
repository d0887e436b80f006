"""Dockerfile, compose.yaml and the workflows, as far as a file can be checked."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from extproc.settings import Settings
from tests.harness.processes import ROOT, make_key

BIN = Path(sys.executable).parent
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def test_hadolint_finds_nothing() -> None:
    done = subprocess.run([BIN / "hadolint", ROOT / "Dockerfile"], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (0, "")


def _compose(*options: str, **settings: str) -> dict[str, Any]:
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **settings}
    done = subprocess.run(
        [BIN / "docker-compose", *options, "config"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    configured: dict[str, Any] = yaml.safe_load(done.stdout)
    return configured


def test_compose_gives_the_key_as_a_secret_and_nowhere_else() -> None:
    key = make_key()
    configured = _compose(ZAI_API_KEY=key)
    assert configured["secrets"]["zai-api-key"]["environment"] == "ZAI_API_KEY"
    assert key not in str(configured["services"])
    assert set(configured["services"]) == {"proxy", "dashboard", "prometheus", "alertmanager", "grafana"}


def test_compose_bounds_and_hardens_every_service() -> None:
    for service in _compose("--profile", "demo", ZAI_API_KEY=make_key())["services"].values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert int(service["mem_limit"]) > 0
        assert all(port["host_ip"] == "127.0.0.1" for port in service.get("ports", []))


def test_compose_waits_longer_than_the_proxy_drains() -> None:
    assert _compose(ZAI_API_KEY=make_key())["services"]["proxy"]["stop_grace_period"] == "5m10s"
    assert Settings.model_fields["drain_timeout"].default <= 300


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_job_is_bounded_and_grants_only_what_it_needs(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert "uses" in job or job["timeout-minutes"] <= 60


def test_the_images_are_made_of_every_target() -> None:
    targets = yaml.safe_load((ROOT / ".github/workflows/image.yml").read_text())["jobs"]["image"]["strategy"]
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert all(f" AS {target}\n" in dockerfile for target in targets["matrix"]["target"])


def test_a_release_without_a_section_in_the_changelog_fails() -> None:
    script = ROOT / "deploy/release/changelog_section.py"
    done = subprocess.run([sys.executable, script, "99.0.0"], cwd=ROOT, capture_output=True, text=True, timeout=10)
    assert (done.returncode, done.stderr) == (1, "CHANGELOG.md has no section [99.0.0]\n")
