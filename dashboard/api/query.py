"""Reading the parameters of a request. What is wrong gets a sentence that says what would be right."""

import base64
import binascii
import json
import math
from collections.abc import Container, Iterable
from typing import Final

from starlette.datastructures import QueryParams

from dashboard.domain.timespan import parse_moment
from dashboard.problems import ApiError
from dashboard.records.requests import FILTERS
from dashboard.store.requests import RequestFilter

_LONGEST_VALUE: Final = 300
_MOST_VALUES: Final = 50
_DAY: Final = 86400.0


class Query:
    """The parameters of one request. Raises ApiError (400) for what is wrong, at the latest when it is read."""

    def __init__(self, params: QueryParams, known: Container[str], now: float) -> None:
        self._params = params
        self._now = now
        for name in params:
            if name not in known:
                raise ApiError(400, f"there is no parameter {name[:50]!r} here")

    def text(self, name: str, default: str = "") -> str:
        value = self._params.get(name, default)
        if len(value) > _LONGEST_VALUE:
            raise ApiError(400, f"{name}: need at most {_LONGEST_VALUE} characters")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """Every value of a parameter that may be repeated."""
        values = tuple(self._params.getlist(name))
        if len(values) > _MOST_VALUES or any(len(value) > _LONGEST_VALUE for value in values):
            raise ApiError(400, f"{name}: need at most {_MOST_VALUES} values of {_LONGEST_VALUE} characters")
        return values

    def names(self, name: str) -> list[str]:
        """The same for values that may also be separated by commas."""
        return [part.strip() for value in self.texts(name) for part in value.split(",") if part.strip()]

    def choice(self, name: str, choices: Iterable[str], default: str) -> str:
        allowed = list(choices)
        value = self.text(name, default)
        if value not in allowed:
            raise ApiError(400, f"{name}={value[:50]}: need one of {', '.join(allowed)}")
        return value

    def number(self, name: str, least: int, most: int, default: int) -> int:
        value = self.text(name)
        if not value:
            return default
        if not value.isascii() or not value.isdecimal() or len(value) > 12 or not least <= int(value) <= most:
            raise ApiError(400, f"{name}={value[:50]}: need a whole number from {least} to {most}")
        return int(value)

    def optional_number(self, name: str) -> int | None:
        return self.number(name, 0, 10**9, 0) if self.text(name) else None

    def seconds(self, name: str) -> float | None:
        value = self.text(name)
        if not value:
            return None
        try:
            seconds = float(value)
        except ValueError:
            seconds = math.nan
        if not 0 < seconds <= 1e9:
            raise ApiError(400, f"{name}={value[:50]}: need a number of seconds")
        return seconds

    def moment(self, name: str, default: float | None) -> float | None:
        value = self.text(name)
        if not value:
            return default
        try:
            return parse_moment(value, self._now)
        except ValueError:
            raise ApiError(400, f"{name}={value[:50]}: need Unix seconds, or a time before now like -15m") from None

    def window(self, default: float = _DAY) -> tuple[float, float]:
        """`from` and `to`; without them the last so many seconds."""
        end = self.moment("to", self._now)
        begin = self.moment("from", (end or 0.0) - default)
        if begin is None or end is None or not 0 <= begin < end:
            raise ApiError(400, "from and to: need a time before another")
        return begin, end

    def equal(self, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """The filters among these that are given."""
        return {name: values for name in names if (values := self.texts(name))}

    def request_filter(self) -> RequestFilter:
        statuses, classes = [], []
        for status in self.texts("status"):
            if status.isdecimal() and len(status) == 3:
                statuses.append(int(status))
            elif len(status) == 3 and status[0].isdecimal() and status[1:] == "xx":
                classes.append(int(status[0]))
            else:
                raise ApiError(400, f"status={status[:50]}: need a status like 200 or a class like 4xx")
        return RequestFilter(
            begin=self.moment("from", None),
            end=self.moment("to", None),
            equal=self.equal(FILTERS),
            statuses=tuple(statuses),
            status_classes=tuple(classes),
            target=self.optional_number("target"),
            search=self.text("search").strip(),
        )

    def after(self) -> tuple[float | int, int] | None:
        """Where the page before ended."""
        value = self.text("after")
        if not value:
            return None
        try:
            first, second = json.loads(base64.urlsafe_b64decode(value))
            if (
                isinstance(first, int | float)
                and math.isfinite(first)
                and isinstance(second, int)
                and 0 <= second < 2**62
            ):
                return first, second
        except (ValueError, TypeError, binascii.Error, RecursionError):
            pass
        raise ApiError(400, "after: need what `next` of the page before said")


def page_key(after: tuple[float | int, int] | None) -> str | None:
    """The `next` of a page."""
    return None if after is None else base64.urlsafe_b64encode(json.dumps(after).encode()).decode()
