"""Where a running proxy has its files, and that it has them again at each start."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from extproc.launch import runtime_directory as module
from extproc.launch.runtime_directory import demo_directory, runtime_directory


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


def left_behind(parent: Path, name: str = "zai-proxy-abcd_123", files: tuple[str, ...] = ("envoy.yaml",)) -> Path:
    """What is there of a run that was killed."""
    directory = parent / name
    directory.mkdir(mode=0o700)
    for each in files:
        (directory / each).touch()
    return directory


def test_what_a_run_that_was_killed_has_left_is_swept_away_by_the_next(parent: Path) -> None:
    gone = left_behind(parent, files=("envoy.yaml", "extproc.sock"))
    with runtime_directory({"RUNTIME_DIRECTORY": str(parent)}) as running:
        assert not gone.exists()

        with runtime_directory({"RUNTIME_DIRECTORY": str(parent)}):
            assert running.path.is_dir()


def test_it_is_swept_from_every_place_where_it_could_be(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (parent / "of-login").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(parent))
    gone = left_behind(parent)

    assert chosen(XDG_RUNTIME_DIR=str(parent / "of-login")) == parent / "of-login"
    assert not gone.exists()


def test_what_is_not_surely_left_behind_stays(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = left_behind(parent, "elsewhere")
    (parent / "zai-proxy-alink_12").symlink_to(elsewhere)
    (parent / "zai-proxy-afile_12").touch()
    stays = {
        left_behind(parent, "zai-proxy-notes_12", ("envoy.yaml", "notes.txt")),
        left_behind(parent, "zai-proxy-longer_name"),
        left_behind(parent, f"zai-proxy-{os.getuid()}", ("extproc.sock",)),
        left_behind(parent, "zai-proxy-open_123"),
        elsewhere, parent / "zai-proxy-alink_12", parent / "zai-proxy-afile_12",
    }  # fmt: skip
    (parent / "zai-proxy-open_123").chmod(0o755)

    chosen(RUNTIME_DIRECTORY=str(parent))

    assert set(parent.iterdir()) == stays
    assert (elsewhere / "envoy.yaml").exists()

    monkeypatch.setattr(os, "getuid", lambda: 4711)
    left_behind(parent)
    module._sweep(str(parent), module._RUNS)

    assert (parent / "zai-proxy-abcd_123").exists()  # another user's


def test_one_that_is_swept_away_before_it_is_locked_is_made_again(
    parent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def make_and_sweep(prefix: str, dir: str) -> str:
        made.append(mkdtemp(prefix=prefix, dir=dir))
        if len(made) == 1:
            sweeper = os.open(made[0], os.O_RDONLY)
            fcntl.flock(sweeper, fcntl.LOCK_EX)
        return made[-1]

    mkdtemp = tempfile.mkdtemp
    monkeypatch.setattr(tempfile, "mkdtemp", make_and_sweep)

    with runtime_directory({"RUNTIME_DIRECTORY": str(parent)}) as directory:
        assert [str(directory.path)] == made[1:]


def test_demos_that_were_killed_leave_nothing_either(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(parent))
    gone = left_behind(parent, "zai-proxy-demo-abcd_123", (".locked", "dashboard.db", "dashboard.db-wal"))
    unlocked = left_behind(parent, "zai-proxy-demo-abcd_124", ("dashboard.db",))
    with demo_directory() as running:
        (running / "dashboard.db").touch()
        assert not gone.exists()

        with demo_directory():
            assert (running / "dashboard.db").exists()

    assert list(parent.iterdir()) == [unlocked]
