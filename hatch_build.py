"""Writes into a wheel and an sdist which commit they were built of, as extproc/commit.txt; neither knows a checkout."""

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_COMMIT_FILE = "extproc/commit.txt"
_BRANCH = "ref: "


class CommitHook(BuildHookInterface):  # type: ignore[type-arg]
    """BUILD_COMMIT says which one; without it the checkout does, or the sdist that this is unpacked from.

    Where none of them is there, nothing is written.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Adds the file, but not to an editable installation: that asks its checkout."""
        commit = os.environ.get("BUILD_COMMIT") or _commit_of(Path(self.root))
        if version == "editable" or not commit:
            return
        self._written = Path(tempfile.mkdtemp()) / "commit.txt"
        self._written.write_text(commit)
        build_data["force_include"][str(self._written)] = _COMMIT_FILE

    def finalize(self, _version: str, _build_data: dict[str, Any], _artifact_path: str) -> None:
        """Removes what `initialize` has written."""
        if hasattr(self, "_written"):
            self._written.unlink()
            self._written.parent.rmdir()


def _commit_of(source: Path) -> str:
    """The commit of a checkout or of an unpacked sdist; "" if it is neither, or git does not say."""
    if not (source / ".git").exists():
        packed = source / _COMMIT_FILE
        return packed.read_text().strip() if packed.is_file() else ""
    asked = ["git", "-C", str(source), "rev-parse", "HEAD"]
    try:
        return subprocess.run(asked, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return _head_of(source / ".git")


def _head_of(repository: Path) -> str:
    """The commit that a repository's HEAD names, read without git: a build of the image has none, and of the repository
    only the names of commits. "" if they do not say."""
    try:
        head = (repository / "HEAD").read_text().strip()
        if not head.startswith(_BRANCH):
            return head
        branch = head.removeprefix(_BRANCH)
        loose = repository / branch
        if loose.is_file():
            return loose.read_text().strip()
        packed = (line.partition(" ") for line in (repository / "packed-refs").read_text().splitlines())
        return next((commit for commit, _, name in packed if name == branch), "")
    except OSError:
        return ""
