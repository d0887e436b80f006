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


def fall(rest: int) -> None:
    """Fails this deep in a recursion of two lines, which Python does not write as one."""
    if not rest:
        raise ValueError("the deepest")
    rise(rest)


def rise(rest: int) -> None:
    fall(rest - 1)


@pytest.mark.parametrize("log_format", list(LogFormat))
@pytest.mark.parametrize("logger", [structlog.get_logger(), logging.getLogger("library")])
def test_of_a_long_traceback_its_beginning_and_its_end_are_told(
    capsys: pytest.CaptureFixture[str], log_format: LogFormat, logger: logging.Logger
) -> None:
    logs.configure(log_format, LogLevel.INFO)

    try:
        fall(400)
    except ValueError:
        logger.exception("failed")

    told = capsys.readouterr().err.replace("\\n", "\n")
    assert told.count("\n") < 80
    assert "Traceback (most recent call last)" in told
    assert "in test_of_a_long_traceback" in told
    assert "lines left out" in told
    assert "ValueError: the deepest" in told


def test_a_short_traceback_is_told_whole(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogFormat.JSON, LogLevel.INFO)

    try:
        fall(2)
    except ValueError:
        structlog.get_logger().exception("failed")

    told = json.loads(capsys.readouterr().err)["exception"]
    assert (told.count("in fall"), told.count("in rise")) == (3, 2)
    assert "left out" not in told
