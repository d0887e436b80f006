"""What is running."""

import os
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Final

VERSION: Final = metadata.version("zai-proxy")
COMMIT: Final = os.environ.get("BUILD_COMMIT", "unknown")
BUILD_TIME: Final = os.environ.get("BUILD_TIME", "unknown")

_CHECKOUT: Final = Path(__file__).parent.parent


def commit() -> str:
    """The commit that was built, or of the checkout that this runs from; "unknown" if neither is told."""
    if COMMIT != "unknown" or not (_CHECKOUT / ".git").exists():
        return COMMIT
    asked = ["git", "-C", str(_CHECKOUT), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return COMMIT
    return done.stdout.strip()
