"""Tells whether a file has changed."""

from pathlib import Path


def file_stamp(path: Path) -> tuple[int, int, int] | None:
    """Changes whenever the file does; None while there is none. A mounted secret changes by a symlink, so the target
    counts."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size
