"""Reading JSON of another program, which may leave out anything and mean well."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

_LONGEST_TEXT: Final = 200
_LARGEST: Final = 1e15
_EMPTY: Final[Mapping[str, Any]] = {}


def text(value: object) -> str | None:
    """One printable line of at most 200 characters, None for anything else or nothing."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    printable = "".join(character for character in str(value)[: 2 * _LONGEST_TEXT] if character.isprintable())
    return printable[:_LONGEST_TEXT] or None


def number(value: object) -> float | None:
    """A number from 0 to 10^15, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and 0 <= value <= _LARGEST else None


def moment(value: object) -> float | None:
    """Unix time from ISO 8601 with its zone; None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.fromisoformat(value)
        return None if parsed.tzinfo is None else number(parsed.timestamp())
    except (ValueError, OverflowError):
        return None


def whole(value: object) -> int | None:
    """The same, cut to a whole number."""
    found = number(value)
    return None if found is None else int(found)


def mapping(value: object) -> Mapping[str, Any]:
    """The object, an empty one for anything else."""
    return value if isinstance(value, Mapping) else _EMPTY


def texts(value: object, most: int) -> tuple[str, ...]:
    """The lines in a list, at most so many."""
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        return ()
    return tuple(line for each in value[:most] if (line := text(each)) is not None)


def objects(value: object, most: int) -> list[Mapping[str, Any]]:
    """The objects in a list, at most so many."""
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        return []
    return [each for each in value if isinstance(each, Mapping)][:most]
