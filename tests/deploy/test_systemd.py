"""The units for systemd: right in form, tight, and of one mind with what the proxy does."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from configparser import RawConfigParser
from pathlib import Path

import pytest

from common.settings import SettingsError
from extproc.settings import Settings
from tests.harness.processes import ROOT

SYSTEM, USER = (ROOT / "deploy/systemd" / name for name in ("zai-proxy.service", "user/zai-proxy.service"))
each_unit = pytest.mark.parametrize("unit", [SYSTEM, USER], ids=["system", "user"])


class _Lines(RawConfigParser):
    """A unit's sections; of a name that comes twice the last one counts."""

    def __init__(self, unit: Path) -> None:
        super().__init__(strict=False, delimiters=("=",), comment_prefixes=("#",), interpolation=None)
        self.optionxform = str  # type: ignore[assignment,method-assign]
        self.read(unit)


@pytest.fixture
def systemd_analyze() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("systemd-analyze is not installed")
    return found


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


def with_a_program_that_is_here(unit: Path, directory: Path) -> Path:
    """A copy whose program exists on this machine."""
    copy = directory / unit.name
    copy.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", unit.read_text(), flags=re.MULTILINE))
    return copy


@each_unit
def test_systemd_finds_nothing_wrong(systemd_analyze: str, directory: Path, unit: Path) -> None:
    copy = with_a_program_that_is_here(unit, directory)
    of_user = ["--user"] if unit == USER else []

    done = subprocess.run(
        [systemd_analyze, *of_user, "verify", str(copy)],
        env={"PATH": "/usr/bin:/bin", "HOME": str(directory), "XDG_RUNTIME_DIR": str(directory)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_system_unit_is_hardened(systemd_analyze: str, directory: Path) -> None:
    copy = with_a_program_that_is_here(SYSTEM, directory)

    done = subprocess.run(
        [systemd_analyze, "security", "--offline=yes", "--threshold=20", str(copy)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stdout


@each_unit
def test_it_is_told_when_the_proxy_is_ready_and_waits_longer_than_it_drains(unit: Path) -> None:
    service = _Lines(unit)["Service"]

    assert service["Type"] == "notify"
    assert service["KillMode"] == "mixed"
    assert float(service["TimeoutStopSec"]) >= Settings().drain_timeout + 20
    assert service["ExecStart"].endswith("/zai-proxy run")


@each_unit
def test_the_variables_that_it_sets_are_settings(unit: Path) -> None:
    set_here = re.findall(r"^Environment=(.*)$", unit.read_text(), flags=re.MULTILINE)
    names = {name for line in set_here for name in re.findall(r"([A-Z_]+)=", line)}

    assert names <= {field.upper() for field in Settings.model_fields} | {"DB_PATH"}


@each_unit
def test_it_is_started_again_but_not_with_a_wrong_setting(unit: Path) -> None:
    service, wrong, busy = _Lines(unit)["Service"], SettingsError(["X=1"]), SettingsError(["X=1"], may_pass=True)
    given_up_with = service["RestartPreventExitStatus"].split()

    assert service["Restart"] == "always"
    assert str(wrong.exit_code) in given_up_with
    assert str(busy.exit_code) not in given_up_with
