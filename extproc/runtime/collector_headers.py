"""The headers that an OTLP collector wants: from the environment, or from a file that may change while we run."""

from pathlib import Path

import structlog

from common.settings import SettingsError
from extproc.domain.tracing.attributes import read_headers
from extproc.runtime.file_watch import file_stamp
from extproc.settings import Settings, traces_headers, traces_url

log = structlog.get_logger("extproc.traces")


class CollectorHeaders:
    """Calling it returns what is to be sent now. A file that vanishes or can't be read keeps what it last said."""

    def __init__(self, current: dict[str, str], file: Path | None = None) -> None:
        self._current = current
        self._file = file
        self._stamp = None if file is None else file_stamp(file)

    @classmethod
    def from_settings(cls, settings: Settings) -> "CollectorHeaders":
        """Raises SettingsError, that shows nothing of them, if the file holds no headers. Untraced there are none."""
        if traces_url(settings) is None:
            return cls({})
        file = settings.otel_exporter_otlp_headers_file
        if file is None:
            return cls(read_headers(traces_headers(settings)))
        try:
            return cls(read_headers(file.read_text("utf-8").strip()), file)
        except (OSError, ValueError):
            raise SettingsError([Settings.problem("otel_exporter_otlp_headers_file")]) from None

    def __call__(self) -> dict[str, str]:
        stamp = None if self._file is None else file_stamp(self._file)
        if self._file is not None and stamp != self._stamp:
            self._stamp = stamp
            try:
                self._current = read_headers(self._file.read_text("utf-8").strip())
            except (OSError, ValueError):
                log.warning("the file of the collector's headers is unusable; the last good ones stay in use",
                            file=str(self._file))  # fmt: skip
        return self._current
