"""What the processes say about themselves: structured lines on standard error, quiet when all is well."""

import io
import logging
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TextIO, cast

import structlog
from structlog.typing import ExcInfo, Processor

from common.line_writer import LineWriter
from common.settings import LogFormat, LogLevel

_LEVELS: Final = {
    LogLevel.DEBUG: logging.DEBUG,
    LogLevel.INFO: logging.INFO,
    LogLevel.WARNING: logging.WARNING,
    LogLevel.ERROR: logging.ERROR,
}


_STANDARD_OUTPUT: Final = 1
_LINES_AT_EACH_END: Final = 30  # some ten frames


def _tell(lines: int) -> None:
    structlog.get_logger("logs").warning("log lines were dropped: nobody read them, or there was no room", lines=lines)


_WRITER: Final = LineWriter(2, on_flow=_tell)


class StandardError:
    """Standard error of the moment: a live display may take its place. If nobody reads it any more, nothing stops."""

    def write(self, text: str) -> None:
        display = sys.stderr
        if display is None or display is sys.__stderr__:
            _WRITER.write(text)
            return
        with suppress(OSError):
            display.write(text)

    def flush(self) -> None:
        display = sys.stderr
        if display is not None and display is not sys.__stderr__:
            with suppress(OSError):
                display.flush()


def standard_output(on_loss: Callable[[int], None], on_told: Callable[[int], None]) -> LineWriter:
    """What writes lines to standard output. `on_loss` hears of those that could not be written, `on_told` of how many
    of these the log has told."""
    return LineWriter(_STANDARD_OUTPUT, on_loss, _telling(on_told))


def count_losses(on_loss: Callable[[int], None], on_told: Callable[[int], None]) -> None:
    """From now on `on_loss` hears of lines that could not be written to standard error, `on_told` of how many of these
    the log has told."""
    _WRITER.on_loss = on_loss
    _WRITER.on_flow = _telling(on_told)


def _telling(on_told: Callable[[int], None]) -> Callable[[int], None]:
    def tell(lines: int) -> None:
        _tell(lines)
        on_told(lines)

    return tell


def open_what_is_closed() -> None:
    """Leads standard streams that are closed to nowhere, or the next file that is opened would be taken for them."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
        if getattr(sys, name) is None:  # as it was closed when Python began
            setattr(sys, name, os.fdopen(descriptor, "w" if descriptor else "r", closefd=False))


def print_whatever_comes() -> None:
    """Lets what the locale's encoding has no character for be written as a code, where printing it would fail."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def drop_what_is_left(stream: TextIO) -> None:
    """Leads it to nowhere: what could not be written there would be tried again at the end, and told."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _format_exception(exc_info: ExcInfo) -> str:
    """The traceback; of a long one (a recursion without end) where it comes from and where it ends."""
    lines = "".join(traceback.format_exception(*exc_info)).rstrip("\n").split("\n")
    left_out = len(lines) - 2 * _LINES_AT_EACH_END
    if left_out > 1:
        lines[_LINES_AT_EACH_END:-_LINES_AT_EACH_END] = [f"  … {left_out} lines left out …"]
    return "\n".join(lines)


def configure(log_format: LogFormat, level: LogLevel) -> None:
    """Sets up structlog for this process; the lines of libraries that use `logging` take the same form."""
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(_format_exception),
    ]
    renderer: Processor
    if log_format is LogFormat.JSON:
        renderer = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr is not None and sys.stderr.isatty(), pad_event_to=0)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, StandardError())),  # a line in one piece
    )
    handler = logging.StreamHandler(StandardError())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(_LEVELS[level], logging.WARNING), force=True)
