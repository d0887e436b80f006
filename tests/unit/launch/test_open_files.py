"""How many files may be open where a system says one limit and keeps another."""

import resource

import pytest

from extproc.launch import open_files
from extproc.settings import Settings
from tests.harness.processes import make_key

UNLIMITED = resource.RLIM_INFINITY


class Limits:
    """The limits of a process, and what they were set to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, is_macos: bool) -> None:
        self.set_to: list[tuple[int, int]] = []
        monkeypatch.setattr(open_files, "_IS_MACOS", is_macos)
        monkeypatch.setattr(resource, "getrlimit", lambda _which: (soft, hard))
        monkeypatch.setattr(resource, "setrlimit", lambda _which, limits: self.set_to.append(limits))


def settings(max_connections: int) -> Settings:
    return Settings(zai_api_key=make_key(), max_connections=max_connections, max_workers=20)


def test_macos_begins_with_few_and_is_raised_to_what_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits(monkeypatch, soft=256, hard=UNLIMITED, is_macos=True)

    assert open_files.fit(settings(1000)).max_connections == 1000
    assert limits.set_to == [(1296, UNLIMITED)]


def test_macos_gives_no_more_than_its_own_limit_whatever_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits(monkeypatch, soft=256, hard=UNLIMITED, is_macos=True)

    assert open_files.fit(settings(20_000)).max_connections == 10_240 - 296
    assert limits.set_to == [(10_240, UNLIMITED)]


def test_more_than_that_is_kept_by_who_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits(monkeypatch, soft=100_000, hard=UNLIMITED, is_macos=True)

    assert open_files.fit(settings(20_000)).max_connections == 20_000
    assert limits.set_to == []


def test_elsewhere_no_limit_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits(monkeypatch, soft=1024, hard=UNLIMITED, is_macos=False)

    assert open_files.fit(settings(20_000)).max_connections == 20_000
    assert limits.set_to == [(20_296, UNLIMITED)]
