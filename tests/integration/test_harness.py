"""The data plane that tests start: what cannot start leaves nothing running."""

import os
from pathlib import Path

import pytest

from tests.harness.process_table import descendants, is_alive
from tests.harness.stack import running_stack

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("broken", ["ENVOY", "ZAI_PROXY"])
def test_a_stack_that_does_not_start_leaves_no_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, broken: str
) -> None:
    monkeypatch.setattr(f"tests.harness.stack.{broken}", Path("/bin/false"))
    before = set(descendants(os.getpid()))

    with pytest.raises(AssertionError), running_stack(tmp_path):
        pass

    assert [pid for pid in descendants(os.getpid()) if pid not in before and is_alive(pid)] == []
