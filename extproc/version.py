"""What is running."""

import os
from importlib import metadata
from typing import Final

VERSION: Final = metadata.version("zai-proxy")
COMMIT: Final = os.environ.get("BUILD_COMMIT", "unknown")
BUILD_TIME: Final = os.environ.get("BUILD_TIME", "unknown")
