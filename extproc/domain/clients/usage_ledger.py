"""Who used how much: requests, tokens and cost by day (UTC), client and model. Pure: the caller brings the time."""

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

from extproc.domain.request.labels import OTHER
from extproc.domain.request.model_names import model_name

VERSION: Final = 1
MOST_BYTES: Final = 32 * 1024 * 1024
"""What a snapshot takes as JSON, at most: 92 days whose rows are all there and as long as a row can be."""
_KEPT_DAYS: Final = 92
# Today has at most so many rows. Those after the first 4000 know their client, but not the model: the tokens of a
# client must not vanish among `other`, or its limit of the day would bind no more.
_MOST_ROWS: Final = 5000
_MOST_MODEL_ROWS: Final = 4000
# A day that is over keeps the rows that used most; all others are one.
_MOST_PAST_ROWS: Final = 500


@dataclass(slots=True)
class Used:
    """What was used. `tokens` are input and output together, `cost_usd` the list price where it is known."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    credits: float = 0.0

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def add(self, other: "Used") -> None:
        self.requests += other.requests
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.cost_usd += other.cost_usd
        self.credits += other.credits


class UsageLedger:
    """Remembers the last 92 days."""

    def __init__(self) -> None:
        self._days: dict[str, dict[tuple[str, str], Used]] = {}

    def add(self, client: str, model: str, used: Used, now: float) -> None:
        """Counts what a finished request has used. Of names it keeps 64 characters, all of them visible ASCII."""
        today = day_of(now)
        if today not in self._days:
            self._begin(today)
        day = self._days[today]
        keys = ((model_name(client), model_name(model)), (model_name(client), OTHER))
        for key, most in zip(keys, (_MOST_MODEL_ROWS, _MOST_ROWS), strict=True):
            if key in day or len(day) < most:
                break
        else:
            key = (OTHER, OTHER)
        day.setdefault(key, Used()).add(used)

    def tokens_today(self, client: str, now: float) -> int:
        """Tokens that a client has used since midnight UTC."""
        day = self._days.get(day_of(now), {})
        return sum(used.tokens for (name, _), used in day.items() if name == client)

    def rows(self, days: int, now: float) -> Iterator[dict[str, object]]:
        """The last so many days, latest first, and in each the clients and models that used most first."""
        earliest = day_of(now - (days - 1) * 86400)
        for day in sorted((each for each in self._days if each >= earliest), reverse=True):
            ordered = sorted(self._days[day].items(), key=lambda row: (-row[1].tokens, row[0]))
            for (client, model), used in ordered:
                yield {"day": day, "client": client, "model": model, **asdict(used)}

    def snapshot(self) -> dict[str, object]:
        """Plain values for `restore`."""
        days = {day: [_plain(key, used) for key, used in rows.items()] for day, rows in self._days.items()}
        return {"version": VERSION, "days": days}

    def restore(self, data: object) -> None:
        """Takes over what a `snapshot` said. Raises ValueError, and changes nothing, for what no snapshot says."""
        if not isinstance(data, Mapping) or data.get("version") != VERSION or not isinstance(data.get("days"), Mapping):
            raise ValueError("it is no book of usage of this version")
        try:
            days = {_day(day): dict(_row(row) for row in rows) for day, rows in data["days"].items()}
        except (TypeError, ValueError):
            raise ValueError("a row of it is damaged") from None
        self._days = days
        self._bound(max(days, default=""))

    def _begin(self, today: str) -> None:
        self._days[today] = {}
        self._bound(today)

    def _bound(self, today: str) -> None:
        while len(self._days) > _KEPT_DAYS:
            del self._days[min(self._days)]
        for day, rows in self._days.items():
            if day != today and len(rows) > _MOST_PAST_ROWS:
                self._days[day] = _largest(rows)


def day_of(now: float) -> str:
    """The day (UTC) of a Unix time, as 2026-11-24."""
    return datetime.fromtimestamp(now, UTC).date().isoformat()


def seconds_to_midnight(now: float) -> float:
    """How long the day (UTC) of a Unix time still lasts."""
    return 86400 - now % 86400


def _largest(rows: dict[tuple[str, str], Used]) -> dict[tuple[str, str], Used]:
    """The rows that used most, and the sum of all others as one."""
    kept = dict(heapq.nlargest(_MOST_PAST_ROWS - 1, rows.items(), key=lambda row: row[1].tokens))
    rest = kept.setdefault((OTHER, OTHER), Used())
    for key, used in rows.items():
        if key not in kept:
            rest.add(used)
    return kept


def _plain(key: tuple[str, str], used: Used) -> list[object]:
    # Not `asdict`, which takes ten times as long: the loop that admits requests waits for it.
    return [*key, used.requests, used.input_tokens, used.output_tokens, used.cost_usd, used.credits]


def _day(text: Any) -> str:
    return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date().isoformat()


def _row(row: Any) -> tuple[tuple[str, str], Used]:
    client, model, *numbers = row
    if not isinstance(client, str) or not isinstance(model, str) or not all(type(n) in (int, float) for n in numbers):
        raise ValueError
    return (client, model), Used(*numbers)
