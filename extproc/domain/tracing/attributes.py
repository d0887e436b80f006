"""Lists of names and values as OpenTelemetry's variables have them: `key=value,key=value`, values percent-encoded."""

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote

_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_LONGEST: Final = 8192


def read_attributes(text: str) -> dict[str, str]:
    """OTEL_RESOURCE_ATTRIBUTES. Raises ValueError, which quotes nothing, for a member that has no name or no `=`."""
    return dict(_members(text))


def read_headers(text: str) -> dict[str, str]:
    """OTEL_EXPORTER_OTLP_HEADERS, names in lower case. Raises ValueError, which quotes nothing, for no header."""
    headers = {name.lower(): value for name, value in _members(text)}
    for name, value in headers.items():
        if _HEADER_NAME.fullmatch(name) is None or not value.isascii() or not value.isprintable():
            raise ValueError("not a header")
    return headers


def _members(text: str) -> Iterator[tuple[str, str]]:
    if len(text) > _LONGEST:
        raise ValueError("too long")
    for member in text.split(","):
        if not member.strip():
            continue
        name, equals, value = member.partition("=")
        if not equals or not name.strip():
            raise ValueError("not name=value")
        yield unquote(name.strip()), unquote(value.strip())
