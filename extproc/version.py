"""What is running."""

import os
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

_UNKNOWN: Final = "unknown"


def built_of(environ: Mapping[str, str], packaged: Traversable) -> str:
    """The commit that an image or a wheel was built of, which its file `packaged` says; "unknown" in a checkout."""
    told = environ.get("BUILD_COMMIT", _UNKNOWN)
    if told == _UNKNOWN and packaged.is_file():
        return packaged.read_text("utf-8").strip()
    return told


VERSION: Final = metadata.version("zai-proxy")
COMMIT: Final = built_of(os.environ, resources.files("extproc").joinpath("commit.txt"))
BUILD_TIME: Final = os.environ.get("BUILD_TIME", "unknown")

_CHECKOUT: Final = Path(__file__).parent.parent


def commit() -> str:
    """The commit that was built, or of the checkout that this runs from; "unknown" if neither is told."""
    return COMMIT if COMMIT != _UNKNOWN or not (_CHECKOUT / ".git").exists() else _checked_out(_CHECKOUT)


@cache
def _checked_out(checkout: Path) -> str:
    asked = ["git", "-C", str(checkout), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return _UNKNOWN
    return done.stdout.strip()
