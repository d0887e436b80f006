"""Records that are made for every request, and so have to be cheap."""

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

Made = TypeVar("Made")


@dataclass_transform(frozen_default=True)
def record(cls: type[Made]) -> type[Made]:
    """A dataclass with slots that is frozen for mypy, and only for mypy.

    One that is frozen at runtime costs five times as long to make: 6 µs for a log entry, of 70 that it takes in all.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)
