"""Dockerfile, compose.yaml and the workflows, as far as a file can be checked."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from extproc.settings import Settings
from tests.harness.processes import ROOT, make_key

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
BESIDE = {"dashboard", "prometheus", "alertmanager", "grafana"}
IMAGE = ROOT / "deploy/image"


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
    assert set(configured["services"]) == {"proxy", *BESIDE}


def test_compose_swaps_the_proxy_for_one_on_the_simulator_in_the_profile_demo() -> None:
    services = _compose("--profile", "demo", ZAI_API_KEY=make_key())["services"]
    assert set(services) == {"demo", "simulator", "sample-traffic", *BESIDE}
    assert services["demo"]["environment"]["ZAI_TARGET_URL"] == "http://simulator:8090"
    assert "secrets" not in services["demo"]


def test_compose_bounds_and_hardens_every_service() -> None:
    options = ("--profile", "demo", "--profile", "live")
    for name, service in _compose(*options, ZAI_API_KEY=make_key())["services"].items():
        assert service.get("read_only", False) is (name != "proxy")  # why: compose.yaml
        assert service["cap_drop"] == ["ALL"]
        assert int(service["mem_limit"]) > 0
        assert int(service["pids_limit"]) > 0
        assert all(port["host_ip"] == "127.0.0.1" for port in service.get("ports", []))


def test_compose_starts_in_the_order_of_health() -> None:
    services = _compose("--profile", "demo", "--profile", "live", ZAI_API_KEY=make_key())["services"]
    waits = {
        name: {other for other, how in service["depends_on"].items() if how["condition"] == "service_healthy"}
        for name, service in services.items()
        if "depends_on" in service
    }
    assert waits == {
        "demo": {"simulator"},
        "sample-traffic": {"demo"},
        "dashboard": {"proxy", "demo"},
        "prometheus": {"proxy", "demo", "alertmanager"},
        "grafana": {"prometheus"},
    }


def test_compose_names_every_volume_and_mounts_only_files_that_exist() -> None:
    configured = _compose("--profile", "demo", "--profile", "live", ZAI_API_KEY=make_key())
    mounts = [mount for service in configured["services"].values() for mount in service.get("volumes", [])]
    assert {each["source"] for each in mounts if each["type"] == "volume"} == set(configured["volumes"])
    for each in mounts:
        if each["type"] == "bind":
            assert Path(each["source"]).is_file()
            assert each["read_only"] is True


def test_compose_takes_the_key_from_a_file_too_and_then_the_root_is_read_only(tmp_path: Path) -> None:
    files = ("-f", "compose.yaml", "-f", "deploy/compose/key-file.yaml")
    configured = _compose(*files, ZAI_API_KEY_FILE=str(tmp_path / "key"))
    assert configured["services"]["proxy"]["read_only"] is True
    assert configured["secrets"]["zai-api-key"]["file"] == str(tmp_path / "key")


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is missing: apt-get install prometheus")
def test_prometheus_takes_the_configuration_of_compose(tmp_path: Path) -> None:
    config = yaml.safe_load((ROOT / "deploy/compose/prometheus.yaml").read_text())
    config["rule_files"] = [str(ROOT / "deploy/prometheus/zai-proxy.rules.yaml")]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    command = ["promtool", "check", "config", str(tmp_path / "prometheus.yml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr


def test_grafana_is_provisioned_with_the_prometheus_beside_it_and_the_dashboard_where_it_is_mounted() -> None:
    grafana = _compose(ZAI_API_KEY=make_key())["services"]["grafana"]
    targets = {each["target"]: Path(each["source"]) for each in grafana["volumes"] if each["type"] == "bind"}
    provisioning = "/etc/grafana/provisioning"
    source = yaml.safe_load(targets[f"{provisioning}/datasources/zai-proxy.yaml"].read_text())["datasources"][0]
    provider = yaml.safe_load(targets[f"{provisioning}/dashboards/zai-proxy.yaml"].read_text())["providers"][0]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    assert targets[f"{provider['options']['path']}/zai-proxy.json"] == ROOT / "grafana/zai-proxy.json"


def test_compose_waits_longer_than_the_proxy_drains() -> None:
    assert _compose(ZAI_API_KEY=make_key())["services"]["proxy"]["stop_grace_period"] == "5m10s"
    assert Settings.model_fields["drain_timeout"].default <= 300


def test_actionlint_finds_nothing() -> None:
    done = subprocess.run([BIN / "actionlint", *WORKFLOWS], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (0, "")


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


def _pins(path: Path) -> dict[str, str]:
    """Package and version, of a file that uv has written."""
    return dict(re.findall(r"^([\w.-]+)==(\S+)", path.read_text(), flags=re.MULTILINE))


@pytest.mark.parametrize(
    "path", [ROOT / "requirements.txt", *sorted(IMAGE.glob("requirements-*.txt"))], ids=lambda path: path.name
)
def test_the_images_are_made_of_the_versions_that_are_tested(path: Path) -> None:
    pins = _pins(path)
    assert pins
    assert pins.items() <= _pins(ROOT / "requirements-dev.txt").items()


def test_the_simulators_image_has_all_that_the_proxys_has() -> None:
    assert _pins(ROOT / "requirements.txt").items() <= _pins(IMAGE / "requirements-simulator.txt").items()


def test_make_sbom_lists_every_package_of_the_image_with_its_version() -> None:
    command = ["make", "--silent", "--old-file=.venv/.complete", "sbom"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    listed = json.loads((ROOT / "build/sbom.cdx.json").read_text())["components"]
    assert {each["name"]: each["version"] for each in listed} == _pins(ROOT / "requirements.txt")


def test_a_release_has_the_notes_of_its_section_alone(tmp_path: Path) -> None:
    sections = (
        "# Changelog",
        "## [Unreleased]",
        "not yet",
        "## [1.2.0] - 2026-01-02",
        "### Fixed",
        "- this",
        "## [1.1.0]",
    )
    (tmp_path / "CHANGELOG.md").write_text("\n\n".join(sections))
    script = ROOT / "deploy/release/changelog_section.py"
    done = subprocess.run([sys.executable, script, "1.2.0"], cwd=tmp_path, capture_output=True, text=True, timeout=10)
    assert (done.returncode, done.stdout) == (0, "### Fixed\n\n- this\n")
