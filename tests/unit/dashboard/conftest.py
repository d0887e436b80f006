"""A store of its own for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboard.store.file import StoreFile

NOW = 1_764_000_000.0


@pytest.fixture
def file(tmp_path: Path) -> Iterator[StoreFile]:
    store = StoreFile(tmp_path / "dashboard.db", lambda: NOW)
    yield store
    store.close()
