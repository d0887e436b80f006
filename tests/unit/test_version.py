"""`zai-proxy version` says what runs."""

import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from extproc import version
from extproc.cli import cli
from tests.harness.processes import ROOT


def told() -> dict[str, str]:
    lines = CliRunner().invoke(cli, ["version"]).output.splitlines()
    return {name: value.strip() for name, _, value in (line.partition(" ") for line in lines)}


def test_it_names_the_version_and_envoys() -> None:
    assert told()["zai-proxy"] == version.VERSION
    assert told()["Envoy"].startswith("1.40.")


def test_an_image_knows_the_commit_that_it_was_built_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(version, "COMMIT", "0123abc")
    assert told()["commit"] == "0123abc"


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is no checkout")
def test_a_checkout_knows_its_own_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(version, "COMMIT", "unknown")
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, timeout=20)
    if head.returncode != 0:
        pytest.skip("git is missing, or does not trust this checkout")
    assert told()["commit"] == head.stdout.strip()


def test_a_wheel_knows_the_commit_that_it_was_built_of(tmp_path: Path) -> None:
    packaged = tmp_path / "commit.txt"
    assert version.built_of({}, packaged) == "unknown"

    packaged.write_text("4567def")

    assert version.built_of({}, packaged) == "4567def"
    assert version.built_of({"BUILD_COMMIT": "unknown"}, packaged) == "4567def"
    assert version.built_of({"BUILD_COMMIT": "0123abc"}, packaged) == "0123abc"


def test_elsewhere_the_commit_is_unknown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(version, "COMMIT", "unknown")
    monkeypatch.setattr(version, "_CHECKOUT", tmp_path)
    assert told()["commit"] == "unknown"
