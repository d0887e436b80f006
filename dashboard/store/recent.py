"""What was counted in the last minutes, over all targets."""

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dashboard.domain.rollup import Tier
from dashboard.domain.row_codec import Amounts, scan_counters
from dashboard.domain.samples import SeriesKey


@dataclass(slots=True)
class Recent:
    """Sums by series over the last so many seconds. `looks` is 0 if nothing is known of that time."""

    seconds: float
    looks: int = 0
    sums: dict[SeriesKey, float] = field(default_factory=dict)

    def total(self, name: str, **labels: str) -> float:
        """The sum of the series of this name that have these labels."""
        wanted = labels.items()
        found = (value for key, value in self.sums.items() if key.name == name and wanted <= dict(key.labels).items())
        return sum(found)


def read_recent(
    connection: sqlite3.Connection, keys: Mapping[int, SeriesKey], now: float, windows: tuple[float, ...]
) -> list[Recent]:
    """One for each window, each ending at this Unix time."""
    found = [Recent(seconds) for seconds in windows]
    oldest = now - max(windows)
    query = "SELECT at, data FROM fleet_5 WHERE at > ? AND at <= ?"
    step = Tier.FIVE_SECONDS.value
    for at, data in connection.execute(query, (oldest - step, now)):
        looks, parts = scan_counters(data)
        for recent in found:
            if at > now - recent.seconds - step:
                recent.looks += looks
                _add(recent.sums, parts, keys)
    return found


def _add(sums: dict[SeriesKey, float], parts: Iterable[Amounts], keys: Mapping[int, SeriesKey]) -> None:
    for ids, amounts in parts:
        for number, amount in zip(ids, amounts, strict=True):
            key = keys.get(number)
            if key is not None and not key.name.endswith("_bucket"):
                sums[key] = sums.get(key, 0.0) + amount
