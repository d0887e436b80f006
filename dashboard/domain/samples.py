"""What one answer of a proxy's /metrics says, reduced to what the dashboard keeps."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple, TypeAlias

OTHER: Final = "other"
Labels: TypeAlias = tuple[tuple[str, str], ...]


class Kind(StrEnum):
    """How the values of a series add up."""

    COUNTER = "counter"  # only its growth is of interest
    GAUGE = "gauge"  # kept as it is
    FACT = "fact"  # of this moment only: never stored


# A tuple, not a dataclass: each scrape hashes thousands of them.
class SeriesKey(NamedTuple):
    """A series after the labels that nobody asks for were summed away. `labels` are sorted by name.

    The buckets of a histogram are counters named `…_bucket`, each counting its own range alone; `le` is its upper end.
    """

    kind: Kind
    name: str
    labels: Labels = ()

    def label(self, name: str) -> str:
        """The label's value, empty if there is none."""
        return dict(self.labels).get(name, "")


@dataclass(frozen=True, slots=True)
class Page:
    """One answer of /metrics. Counters are totals since `started` (Unix time, None if the page does not say)."""

    counters: Mapping[SeriesKey, float] = field(default_factory=dict)
    gauges: Mapping[SeriesKey, float] = field(default_factory=dict)
    facts: Mapping[SeriesKey, float] = field(default_factory=dict)

    @property
    def started(self) -> float | None:
        return self.facts.get(SeriesKey(Kind.FACT, "process_start_time_seconds"))

    @property
    def version(self) -> str | None:
        """What is running there, as its build info says."""
        return next((key.label("version") for key in self.facts if key.name == "zai_proxy_build_info"), None)

    def gauge(self, name: str) -> float | None:
        """The sum of the gauges of this name; None if there is none."""
        found = [value for key, value in (*self.gauges.items(), *self.facts.items()) if key.name == name]
        return sum(found) if found else None
