import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest
import structlog

from common import logs
from common.settings import LogFormat, LogLevel


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_our_lines_and_those_of_libraries_have_one_form(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogFormat.JSON, LogLevel.INFO)

    structlog.get_logger().info("ready", port=1)
    logging.getLogger("library").warning("slow")

    ours, theirs = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (ours["event"], ours["level"], ours["port"]) == ("ready", "info", 1)
    assert (theirs["event"], theirs["level"]) == ("slow", "warning")


def test_less_severe_lines_are_left_out_and_of_libraries_all_below_a_warning(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure(LogFormat.JSON, LogLevel.INFO)

    structlog.get_logger().debug("a detail")
    logging.getLogger("library").info("a detail")

    assert capsys.readouterr().err == ""


def test_a_standard_error_that_nobody_reads_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError(text)

    logs.configure(LogFormat.CONSOLE, LogLevel.INFO)
    monkeypatch.setattr(sys, "stderr", Closed())

    structlog.get_logger().error("nobody reads this")
    logging.getLogger("library").error("nor this")
