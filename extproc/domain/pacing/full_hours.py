"""When the wall clock passes a full hour: plans change with the hour, in every whole time zone at the same moment."""

from typing import Final

_HOUR: Final = 3600.0


class FullHours:
    """Notices each full hour once."""

    __slots__ = ("_hour",)

    def __init__(self) -> None:
        self._hour: float | None = None

    def has_passed(self, now: float) -> bool:
        """Whether a full hour has passed since the last call. A clock that is put back passes none."""
        before, self._hour = self._hour, now // _HOUR
        return before is not None and self._hour > before


def until_next(now: float) -> float:
    """Seconds to the next full hour."""
    return _HOUR - now % _HOUR
