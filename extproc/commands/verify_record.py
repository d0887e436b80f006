"""The directory that `zai-proxy verify --record` writes to: one of its own, and whole or not at all."""

import json
import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import click

_OURS: Final = re.compile(r"[0-9]{3}-[a-z0-9-]{1,60}\.json(\.part)?")
_LONGEST: Final = 8 << 20


class RecordDirectory:
    """Checked before anything is sent, written to when all is over."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def prepare(self) -> None:
        """Makes the directory, for us alone, if it is missing.

        Raises click.BadParameter if nothing can be written there, or if it holds what is no recording.
        """
        try:
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            others = sorted(each.name for each in self._path.iterdir() if not _is_recording(each))
            with tempfile.TemporaryFile(dir=self._path):
                pass
        except OSError as error:
            raise self._problem(error.strerror or type(error).__name__) from None
        if others:
            raise self._problem(f"holds {others[0]!r}: need an empty or a new directory, or that of a former recording")

    def write(self, records: Iterable[tuple[str, Mapping[str, object]]]) -> None:
        """Puts the records, by their names, in the place of a former recording. Raises OSError, and leaves that."""
        parts = []
        try:
            for number, (name, record) in enumerate(records, start=1):
                part = self._path / f"{number:03}-{name.replace(' ', '-')}.json.part"
                parts.append(part)
                part.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf-8")
        except OSError:
            for part in parts:
                part.unlink(missing_ok=True)
            raise
        for old in self._path.iterdir():
            if old not in parts and _is_recording(old):
                old.unlink()
        for part in parts:
            part.replace(part.with_suffix(""))

    def _problem(self, why: str) -> click.BadParameter:
        return click.BadParameter(f"{self._path}: {why}", param_hint="--record")


def _is_recording(path: Path) -> bool:
    """Whether a file is of a recording, whole or begun."""
    if not _OURS.fullmatch(path.name) or path.is_symlink() or not path.is_file():
        return False
    if path.suffix == ".part":
        return True
    if path.stat().st_size > _LONGEST:
        return False
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and {"trial", "match", "answer"} <= found.keys()
