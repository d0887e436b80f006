"""Prints the section of CHANGELOG.md of one version; exit code 1 if it has none."""

import re
import sys
from pathlib import Path


def section(changelog: str, version: str) -> str | None:
    """The text under the version's heading, or None."""
    for part in re.split(r"^## ", changelog, flags=re.MULTILINE)[1:]:
        heading, _, body = part.partition("\n")
        if heading.startswith(f"[{version}]"):
            return body.strip()
    return None


def main() -> int:
    """Exit code 0 or 1."""
    found = section(Path("CHANGELOG.md").read_text(), sys.argv[1])
    if not found:
        sys.stderr.write(f"CHANGELOG.md has no section [{sys.argv[1]}]\n")
        return 1
    sys.stdout.write(f"{found}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
