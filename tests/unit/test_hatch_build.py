"""What a build writes down as its commit."""

import shutil
import subprocess
from pathlib import Path

import pytest

import hatch_build
from hatch_build import CommitHook


def git(checkout: Path, *words: str) -> str:
    identity = ("-c", "user.name=anna", "-c", "user.email=anna@example.org")
    command = ["git", "-C", str(checkout), *identity, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()


def test_of_a_checkout_it_is_the_head(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", "one")

    assert hatch_build._commit_of(tmp_path) == git(tmp_path, "rev-parse", "HEAD")


def test_of_a_checkout_without_a_commit_it_is_unknown(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")

    assert hatch_build._commit_of(tmp_path) == ""


@pytest.mark.parametrize("kept", ["loose", "packed", "detached"])
def test_of_what_the_image_is_built_from_it_is_the_head_too(tmp_path: Path, kept: str) -> None:
    checkout, context = tmp_path / "checkout", tmp_path / "context"
    checkout.mkdir()
    git(checkout, "init", "--quiet")
    git(checkout, "commit", "--quiet", "--allow-empty", "--message", "one")
    if kept == "packed":
        git(checkout, "pack-refs", "--all")
    if kept == "detached":
        git(checkout, "checkout", "--quiet", "--detach")

    copied = shutil.ignore_patterns("objects", "hooks", "logs", "index", "config", "info")
    shutil.copytree(checkout / ".git", context / ".git", ignore=copied)

    assert hatch_build._commit_of(context) == git(checkout, "rev-parse", "HEAD")


def test_of_a_repository_that_names_no_commit_it_is_unknown(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()

    assert hatch_build._commit_of(tmp_path) == ""


def test_of_an_unpacked_sdist_it_is_what_was_packed(tmp_path: Path) -> None:
    (tmp_path / "extproc").mkdir()
    (tmp_path / "extproc" / "commit.txt").write_text("0123abc\n")

    assert hatch_build._commit_of(tmp_path) == "0123abc"


def test_elsewhere_it_is_unknown(tmp_path: Path) -> None:
    assert hatch_build._commit_of(tmp_path) == ""


@pytest.mark.parametrize("target", ["wheel", "sdist"])
def test_it_is_written_into_what_is_built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, target: str) -> None:
    monkeypatch.setenv("BUILD_COMMIT", "0123abc")
    hook = CommitHook(str(tmp_path), {}, None, None, str(tmp_path), target)
    data: dict[str, dict[str, str]] = {"force_include": {}}

    hook.initialize("standard", data)
    [(written, name)] = data["force_include"].items()

    assert (Path(written).read_text(), name) == ("0123abc", "extproc/commit.txt")
    hook.finalize("standard", data, "")
    assert not Path(written).exists()
