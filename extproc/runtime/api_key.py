"""The Z.AI key in force: from the environment, or from a file that may change while we run."""

import asyncio
from pathlib import Path

import structlog

from common.settings import SettingsError
from extproc.domain.request.key_form import is_usual
from extproc.runtime.file_watch import file_stamp
from extproc.settings import NO_KEY, Settings, read_key

log = structlog.get_logger("extproc.api_key")

_ENCODING = "utf-8-sig"
"""Editors of Windows begin a file with a mark that nobody sees."""


class ApiKey:
    """Holds the key; `current` is what to send now. A file that vanishes or empties keeps the last good key."""

    def __init__(self, current: str, file: Path | None = None) -> None:
        self.current = current
        self._file = file
        self._stamp = None if file is None else file_stamp(file)

    @classmethod
    def from_settings(cls, settings: Settings) -> "ApiKey":
        """Raises SettingsError if the file holds no key."""
        if settings.zai_api_key is not None:
            return cls(read_key(settings.zai_api_key.get_secret_value()))
        if settings.zai_api_key_file is None:
            raise SettingsError([NO_KEY])
        try:
            return cls(read_key(settings.zai_api_key_file.read_text(_ENCODING)), settings.zai_api_key_file)
        except (OSError, UnicodeDecodeError) as error:
            problem = f"ZAI_API_KEY_FILE={settings.zai_api_key_file}: need a readable file that holds the Z.AI key"
            raise SettingsError([f"{problem} ({_reason(error)})"]) from None
        except ValueError as error:
            raise SettingsError([f"ZAI_API_KEY_FILE={settings.zai_api_key_file}: {error}"]) from None

    def warning(self) -> str | None:
        """What to tell a person of a key that Z.AI is not likely to have made."""
        if is_usual(self.current):
            return None
        name = "ZAI_API_KEY" if self._file is None else "ZAI_API_KEY_FILE"
        return (
            f"{name}: the key has not the usual form (32 hexadecimal digits, a dot, 16 letters and digits): "
            "if Z.AI refuses it, copy it again, whole, from the page of API keys"
        )

    async def watch(self, interval: float = 1.0) -> None:
        """Looks at the file every `interval` seconds, for ever; returns at once where there is none."""
        while self._file is not None:
            await asyncio.sleep(interval)
            self.refresh()

    def refresh(self) -> None:
        """Takes the file's key if the file has changed. A mounted secret changes by a symlink, so the target counts."""
        if self._file is None:
            return
        stamp = file_stamp(self._file)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            key = read_key(self._file.read_text(_ENCODING))
        except (OSError, ValueError) as error:
            log.warning(
                "the key file is unusable; the last good key stays in use", file=str(self._file), why=_reason(error)
            )
            return
        if key != self.current:
            self.current = key
            log.info("the key has changed; new requests use the new one", file=str(self._file))
            if warning := self.warning():
                log.warning(warning)


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "not a text file"
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else str(error)
