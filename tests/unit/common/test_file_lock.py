"""A lock is one process's, says whose, and is free when that has gone."""

import os
from pathlib import Path

import pytest

from common.file_lock import HeldError, hold, holder


def test_who_holds_a_lock_is_named_to_whoever_wants_it_too(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with hold(path), pytest.raises(HeldError, match=rf"^process {os.getpid()}$"):
        hold(path)

    with hold(path):
        pass


def test_a_lock_of_a_version_that_names_nobody_is_held_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with hold(path):
        path.write_bytes(b"")

        with pytest.raises(HeldError, match=r"^another process$"):
            hold(path)


def test_what_a_holder_of_before_left_is_no_name_of_this_one(tmp_path: Path) -> None:
    (path := tmp_path / "lock").write_text("4711471147114711")

    with hold(path), pytest.raises(HeldError, match=rf"^process {os.getpid()}$"):
        hold(path)


def test_a_lock_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        hold(tmp_path / "nowhere" / "lock")


def test_who_holds_a_lock_can_be_asked_without_taking_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert holder(path) is None
    assert not path.exists()

    with hold(path):
        assert holder(path) == f"process {os.getpid()}"

    assert holder(path) is None
