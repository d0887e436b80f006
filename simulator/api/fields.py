"""Reads what a request's JSON has to hold, and refuses as Z.AI does. Pure."""

from __future__ import annotations

from collections.abc import Mapping


class BadRequestError(Exception):
    """A request that the API refuses: the business code, and the field that is at fault."""

    def __init__(self, code: str, field: str) -> None:
        super().__init__(f"{code}: {field}")
        self.code = code
        self.field = field


def text_field(body: Mapping[str, object], name: str) -> str:
    """A text that the request must have. Raises BadRequestError."""
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise BadRequestError("1214", name)
    return value


def list_field(body: Mapping[str, object], name: str) -> list[object]:
    """A list, not empty, that the request must have. Raises BadRequestError."""
    value = body.get(name)
    if not isinstance(value, list) or not value:
        raise BadRequestError("1214", name)
    return value


def flag_field(body: Mapping[str, object], name: str) -> bool:
    """true or false; absent is false. Raises BadRequestError."""
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise BadRequestError("1214", name)
    return bool(value)


def whole_field(body: Mapping[str, object], name: str, low: int, high: int) -> int | None:
    """A whole number from `low` to `high`, or None where there is none. Raises BadRequestError."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise BadRequestError("1214", name)
    return value
