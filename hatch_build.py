"""Writes into a wheel which commit it was built of, as extproc/commit.txt; what is installed knows no checkout."""

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CommitHook(BuildHookInterface):  # type: ignore[type-arg]
    """BUILD_COMMIT says which one; without it the checkout does. Where neither is known, nothing is written."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Adds the file to a wheel, but not to an editable installation: that asks its checkout."""
        commit = os.environ.get("BUILD_COMMIT") or _commit_of(Path(self.root))
        if version == "editable" or not commit:
            return
        self._written = Path(tempfile.mkdtemp()) / "commit.txt"
        self._written.write_text(commit)
        build_data["force_include"][str(self._written)] = "extproc/commit.txt"

    def finalize(self, _version: str, _build_data: dict[str, Any], _artifact_path: str) -> None:
        """Removes what `initialize` has written."""
        if hasattr(self, "_written"):
            self._written.unlink()
            self._written.parent.rmdir()


def _commit_of(checkout: Path) -> str:
    if not (checkout / ".git").exists():
        return ""
    asked = ["git", "-C", str(checkout), "rev-parse", "HEAD"]
    try:
        return subprocess.run(asked, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
