"""Processes that are there in no time: forks of one that has imported all that they need."""

import multiprocessing
from typing import Final

FORKED: Final = multiprocessing.get_context("forkserver")
# There is one server in a process of tests, so this names what all of them need.
FORKED.set_forkserver_preload(
    ["dashboard.service", *(f"tests.integration.dashboard.{name}" for name in ("test_killed", "test_killed_whole"))]
)
