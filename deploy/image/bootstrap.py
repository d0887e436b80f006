"""Writes Envoy's configuration to the file named: for an Envoy that runs in a container of its own."""

import os
import sys
from pathlib import Path

from common.settings import SettingsError
from extproc.launch.envoy_config import render
from extproc.settings import load_settings


def main() -> int:
    """Exit code 0, or 2 with a line for each wrong setting."""
    target = Path(sys.argv[1])
    try:
        settings = load_settings(needs_key=False)
        if settings.extproc_socket is None:
            raise SettingsError(["EXTPROC_SOCKET is not set: need the socket that both containers see"])
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    partial = target.with_suffix(".partial")
    partial.write_text(render(settings, settings.extproc_socket), "utf-8")
    os.replace(partial, target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
