"""Where a running proxy has its files, and that it has them again at each start."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from extproc.launch import runtime_directory as module
from extproc.launch.runtime_directory import runtime_directory


@pytest.fixture
def parent() -> Iterator[Path]:
    """A directory with a short path, as a socket needs it."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        yield Path(directory)


def chosen(**environment: str) -> Path:
    with runtime_directory(environment) as directory:
        return directory.path.parent


def test_it_is_ours_alone_and_gone_afterwards(parent: Path) -> None:
    with runtime_directory({"XDG_RUNTIME_DIR": str(parent)}) as directory:
        assert directory.path.parent == parent
        assert directory.path.stat().st_mode & 0o777 == 0o700

    assert list(parent.iterdir()) == []


def test_swept_away_it_is_made_again(parent: Path) -> None:
    with runtime_directory({"XDG_RUNTIME_DIR": str(parent)}) as directory:
        shutil.rmtree(directory.path)

        directory.make()

        assert directory.path.stat().st_mode & 0o777 == 0o700


def test_swept_away_with_what_was_above_it_it_is_made_again(parent: Path) -> None:
    above = parent / "deep"
    above.mkdir()
    with runtime_directory({"XDG_RUNTIME_DIR": str(above)}) as directory:
        shutil.rmtree(above)

        directory.make()

        assert directory.path.is_dir()


def test_what_somebody_else_has_put_there_meanwhile_is_not_used(parent: Path) -> None:
    with runtime_directory({"XDG_RUNTIME_DIR": str(parent)}) as directory:
        directory.path.rmdir()
        directory.path.mkdir()
        directory.path.chmod(0o777)

        with pytest.raises(PermissionError, match="no longer a private directory"):
            directory.make()


def test_who_sweeps_sees_that_it_is_in_use(parent: Path) -> None:
    with runtime_directory({"XDG_RUNTIME_DIR": str(parent)}) as directory:
        for _ in range(2):
            sweeper = os.open(directory.path, os.O_RDONLY)
            with pytest.raises(BlockingIOError):
                fcntl.flock(sweeper, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.close(sweeper)
            directory.path.rmdir()
            directory.make()


@pytest.mark.parametrize("lingers", [True, False])
def test_that_of_a_login_is_used_only_if_it_outlives_the_login(
    monkeypatch: pytest.MonkeyPatch, parent: Path, lingers: bool
) -> None:
    of_login = parent / str(os.getuid())
    of_login.mkdir()
    monkeypatch.setattr(module, "_LOGINS", parent)
    monkeypatch.setattr(module, "_LINGER", parent)
    if lingers:
        (parent / module._user_name()).touch()

    assert (chosen(XDG_RUNTIME_DIR=str(of_login)) == of_login) == lingers


def test_what_a_service_manager_has_made_for_us_goes_before_it(parent: Path) -> None:
    assert chosen(RUNTIME_DIRECTORY=f"{parent}:/other", XDG_RUNTIME_DIR=tempfile.gettempdir()) == parent


@pytest.mark.parametrize("of_login", ["", "/nowhere", "/" + "x" * 90])
def test_one_that_does_not_fit_is_passed_over(of_login: str) -> None:
    assert chosen(XDG_RUNTIME_DIR=of_login) == Path(tempfile.gettempdir())
