"""Who used how much: requests, tokens and cost by day (UTC), client, model and program.

Pure: the caller brings the time.
"""

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from extproc.domain.request.labels import OTHER
from extproc.domain.request.model_names import model_name

VERSION: Final = 1
MOST_BYTES: Final = 32 * 1024 * 1024
"""The most bytes that a snapshot takes as JSON: 92 days whose rows are all there and as long as a row can be."""
_KEPT_DAYS: Final = 92
# Today has at most this many rows. Those after the first 4000 know their client, but not the model: the tokens of a
# client must not vanish among `other`, or its daily limit would no longer hold.
_MOST_ROWS: Final = 5000
_MOST_MODEL_ROWS: Final = 4000
# A day that is over keeps the rows that used most; all others are one.
_MOST_PAST_ROWS: Final = 500
_NO_PROGRAM: Final = ""

Key: TypeAlias = tuple[str, str, str]
"""Client, model and program; the program is empty where its user agent is on no list."""


@dataclass(slots=True)
class Used:
    """What was used. `tokens` are input and output together, `cost_usd` the list price and `credits` those of the plan,
    of models of which they are known."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    credits: float = 0.0

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    @property
    def known_credits(self) -> float | None:
        """The credits; None where tokens were used, and only of models of which nobody knows what they take."""
        return None if self.tokens and not self.credits else self.credits

    def add(self, other: "Used") -> None:
        self.requests += other.requests
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.cost_usd += other.cost_usd
        self.credits += other.credits


class UsageLedger:
    """Remembers the last 92 days."""

    def __init__(self) -> None:
        self._days: dict[str, dict[Key, Used]] = {}
        # Days as they are saved, until they change: most are over, and the loop that admits requests waits for it.
        self._plain: dict[str, tuple[list[list[object]], list[list[object]]]] = {}

    def add(self, client: str, model: str, program: str, used: Used, now: float) -> None:
        """Counts what a finished request has used. Of names it keeps 64 characters, all of them visible ASCII but for
        `program`, which is one of a list."""
        today = day_of(now)
        if today not in self._days:
            self._begin(today)
        day = self._days[today]
        client = model_name(client)
        keys = ((client, model_name(model), program), (client, OTHER, _NO_PROGRAM))
        for key, most in zip(keys, (_MOST_MODEL_ROWS, _MOST_ROWS), strict=True):
            if key in day or len(day) < most:
                break
        else:
            key = (OTHER, OTHER, _NO_PROGRAM)
        day.setdefault(key, Used()).add(used)
        self._plain.pop(today, None)

    def tokens_today(self, client: str, now: float) -> int:
        """Tokens that a client has used since midnight UTC."""
        day = self._days.get(day_of(now), {})
        return sum(used.tokens for (name, _, _), used in day.items() if name == client)

    def rows(self, days: int, now: float, most: int | None = None) -> Iterator[dict[str, object]]:
        """The last so many days, latest first, and in each those first that used most; `program` is None where it has
        no name, `credits` where none are known. Of a day with more than `most` rows the others are one."""
        earliest = day_of(now - (days - 1) * 86400)
        for day in sorted((each for each in self._days if each >= earliest), reverse=True):
            rows = self._days[day]
            shown = rows if most is None or len(rows) <= most else _largest(rows, most)
            ordered = sorted(shown.items(), key=lambda row: (-row[1].tokens, row[0]))
            for (client, model, program), used in ordered:
                names = {"day": day, "client": client, "model": model, "program": program or None}
                yield {**names, **asdict(used), "credits": used.known_credits}

    def snapshot(self) -> dict[str, object]:
        """Plain values for `restore`.

        `days` are sums by client and model, which is all that a version without programs reads. `programs` splits each
        of these rows, which it names by its place, by program.
        """
        for day in self._days.keys() - self._plain.keys():
            self._plain[day] = _plain_day(self._days[day])
        days = {day: self._plain[day][0] for day in self._days}
        return {"version": VERSION, "days": days, "programs": {day: self._plain[day][1] for day in self._days}}

    def restore(self, data: object) -> None:
        """Takes over what a `snapshot` said. Raises ValueError, and changes nothing, for what no snapshot says."""
        if not isinstance(data, Mapping) or data.get("version") != VERSION or not isinstance(data.get("days"), Mapping):
            raise ValueError("this version writes no such ledger of usage")
        try:
            days = {_day(day): dict(map(_row, rows)) for day, rows in data["days"].items()}
            for day, parts in data.get("programs", {}).items():
                days[_day(day)] = dict(_part(data["days"][day], part) for part in parts)
        except (AttributeError, LookupError, TypeError, ValueError):
            raise ValueError("a row of it is damaged") from None
        self._days, self._plain = days, {}
        self._bound(max(days, default=""))

    def _begin(self, today: str) -> None:
        self._days[today] = {}
        self._bound(today)

    def _bound(self, today: str) -> None:
        while len(self._days) > _KEPT_DAYS:
            oldest = min(self._days)
            del self._days[oldest]
            self._plain.pop(oldest, None)
        for day, rows in self._days.items():
            if day != today and len(rows) > _MOST_PAST_ROWS:
                self._days[day] = _largest(rows, _MOST_PAST_ROWS)
                self._plain.pop(day, None)


def day_of(now: float) -> str:
    """The day (UTC) of a Unix time, as 2026-11-24."""
    return datetime.fromtimestamp(now, UTC).date().isoformat()


def seconds_to_midnight(now: float) -> float:
    """How long the day (UTC) of a Unix time still lasts."""
    return 86400 - now % 86400


def _largest(rows: dict[Key, Used], most: int) -> dict[Key, Used]:
    """The rows that used most, and the sum of all others as one. The rows that came in stay as they are."""
    others = (OTHER, OTHER, _NO_PROGRAM)
    named = (row for row in rows.items() if row[0] != others)
    kept = dict(heapq.nlargest(most - 1, named, key=lambda row: row[1].tokens))
    rest = Used()
    for key, used in rows.items():
        if key not in kept:
            rest.add(used)
    return {**kept, others: rest}


def _plain_day(rows: dict[Key, Used]) -> tuple[list[list[object]], list[list[object]]]:
    """The sums by client and model, and what each program has of them."""
    places, sums, parts = dict[tuple[str, str], int](), list[Used](), list[list[object]]()
    for (client, model, program), used in rows.items():
        place = places.setdefault((client, model), len(places))
        if place == len(sums):
            sums.append(Used())
        sums[place].add(used)
        parts.append([place, program, *_plain(used)])
    return [[*key, *_plain(used)] for key, used in zip(places, sums, strict=True)], parts


def _plain(used: Used) -> tuple[float, ...]:
    # Not `asdict`, which takes ten times as long.
    return used.requests, used.input_tokens, used.output_tokens, used.cost_usd, used.credits


def _day(text: Any) -> str:
    return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date().isoformat()


def _row(row: Any) -> tuple[Key, Used]:
    client, model, *numbers = row
    return _key(client, model, _NO_PROGRAM), _used(numbers)


def _part(rows: Any, part: Any) -> tuple[Key, Used]:
    place, program, *numbers = part
    if type(place) is not int or place < 0:
        raise ValueError
    client, model, *_ = rows[place]
    return _key(client, model, program), _used(numbers)


def _key(*names: Any) -> Key:
    client, model, program = names
    if not all(isinstance(name, str) for name in names):
        raise ValueError
    return client, model, program


def _used(numbers: list[Any]) -> Used:
    if not all(type(number) in (int, float) for number in numbers):
        raise ValueError
    return Used(*numbers)
