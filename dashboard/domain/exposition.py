"""Reading a page of /metrics.

A page has more than a thousand lines and the same ones each time but for their values. So a line's name and labels
go through prometheus_client's parser once; from then on only its value is read.
"""

import math
from collections import defaultdict
from typing import Final

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from dashboard.domain import catalogue
from dashboard.domain.samples import Kind, Labels, Page, SeriesKey

_MOST_LINES: Final = 50_000
_MOST_SERIES_OF_A_NAME: Final = 64
_MOST_BUCKETS_OF_A_NAME: Final = 1024
_IGNORED: Final = -1
_SHOWN: Final = 80
_OURS: Final = "zai_proxy_"


class UnreadablePageError(ValueError):
    """The answer is no page of metrics. The message is one line."""


class PageReader:
    """Reads the pages of one target, each much like the one before."""

    def __init__(self) -> None:
        self._plan = _Plan()

    def read(self, text: str) -> Page:
        """Raises UnreadablePageError."""
        lines = text.splitlines()
        if len(lines) > _MOST_LINES:
            raise UnreadablePageError(f"more than {_MOST_LINES} lines of metrics")
        if self._plan.lines > 2 * len(lines) + 1000:
            self._plan = _Plan()  # most of what it remembers is gone
        page = self._plan.page(lines)
        if not any(key.name.startswith(_OURS) for keys in (page.counters, page.gauges, page.facts) for key in keys):
            raise UnreadablePageError("no metrics of a zai-proxy there")
        return page


class _Plan:
    """Which line adds to which series."""

    def __init__(self) -> None:
        self._slots: dict[str, int] = {}
        self._keys: list[SeriesKey] = []
        self._slot_of_key: dict[SeriesKey, int] = {}
        self._count_of_name: dict[str, int] = {}
        self._histograms: list[list[int]] = []

    @property
    def lines(self) -> int:
        return len(self._slots)

    def page(self, lines: list[str]) -> Page:
        known = len(self._keys)
        values = self._sum_up(lines)
        if len(self._keys) > known:
            self._histograms = _histograms(self._keys)
        for slots in self._histograms:
            _make_separate(values, slots)
        counters, gauges, facts = {}, {}, {}
        for key, value in zip(self._keys, values, strict=True):
            if value is None:
                continue
            if key.kind is Kind.COUNTER:
                counters[key] = value
            elif key.kind is Kind.GAUGE:
                gauges[key] = value
            else:
                facts[key] = value
        return Page(counters, gauges, facts)

    def _sum_up(self, lines: list[str]) -> list[float | None]:
        values: list[float | None] = [None] * len(self._keys)
        new = self._add(lines, values)
        stamped = self._learn(new)
        values += [None] * (len(self._keys) - len(values))
        for slot, value in stamped:
            values[slot] = (values[slot] or 0.0) + value
        self._add(new, values)
        return values

    def _add(self, lines: list[str], values: list[float | None]) -> list[str]:
        """Adds what the lines say to the values of their series. Returns the lines that are not known, and comments."""
        slots, unknown = self._slots, []
        for line in lines:
            series, _, number = line.rpartition(" ")
            slot = slots.get(series)
            if slot is None:
                unknown.append(line)
            elif slot != _IGNORED:
                try:
                    value = float(number)
                except ValueError:
                    raise UnreadablePageError(f"not a line of metrics: {line[:_SHOWN]!r}") from None
                if math.isfinite(value):
                    values[slot] = (values[slot] or 0.0) + value
        return unknown

    def _learn(self, lines: list[str]) -> list[tuple[int, float]]:
        """Finds out what lines that were not seen before add to, comments left out.

        Returns slot and value of those that end in a timestamp: they look different each time, so none is remembered.
        """
        interesting, stamped = [], []
        for line in lines:
            if line.startswith("#") or not line or line.isspace():
                continue
            if catalogue.is_of_interest(line.partition("{")[0].partition(" ")[0]):
                interesting.append(line)
            else:
                self._slots[line.rpartition(" ")[0]] = _IGNORED
        if not interesting:
            return []
        types = [line for line in lines if line.startswith("# TYPE")]
        for line, (family_type, sample) in zip(interesting, _parse(_typed(types, interesting)), strict=True):
            key = catalogue.choose(sample.name, family_type, sample.labels)
            slot = _IGNORED if key is None else self._slot(key)
            if sample.timestamp is None:
                self._slots[line.rpartition(" ")[0]] = slot
            elif slot != _IGNORED and math.isfinite(sample.value):
                stamped.append((slot, sample.value))
        return stamped

    def _slot(self, key: SeriesKey) -> int:
        known = self._slot_of_key.get(key)
        if known is not None:
            return known
        most = _MOST_BUCKETS_OF_A_NAME if key.name.endswith("_bucket") else _MOST_SERIES_OF_A_NAME
        if self._count_of_name.get(key.name, 0) >= most and (others := catalogue.merged_with_others(key)) != key:
            return self._slot(others)
        self._count_of_name[key.name] = self._count_of_name.get(key.name, 0) + 1
        self._keys.append(key)
        self._slot_of_key[key] = len(self._keys) - 1
        return len(self._keys) - 1


def _typed(types: list[str], lines: list[str]) -> list[str]:
    """The lines, each family's after its type."""
    families = {parts[2]: line for line in types if len(parts := line.split()) == 4}
    ordered, told = [], ""
    for line in lines:
        name = line.partition("{")[0].partition(" ")[0]
        names = (name, name.removesuffix("_bucket"), name.removesuffix("_sum"), name.removesuffix("_count"))
        family = next((each for each in names if each in families), "")
        if family and family != told:
            ordered.append(families[family])
        told = family
        ordered.append(line)
    return ordered


def _parse(lines: list[str]) -> list[tuple[str, Sample]]:
    """Each line that is a sample, in their order, with its family's type."""
    parsed: list[tuple[str, Sample]] = []
    try:
        for family in text_string_to_metric_families("\n".join(lines) + "\n"):
            parsed += [(family.type, sample) for sample in family.samples]
    except (ValueError, KeyError, IndexError) as error:
        raise UnreadablePageError(f"not a page of metrics: {str(error)[:_SHOWN]!r}") from error
    if len(parsed) != sum(not line.startswith("#") for line in lines):
        raise UnreadablePageError("not a page of metrics: some lines are no samples")
    return parsed


def _histograms(keys: list[SeriesKey]) -> list[list[int]]:
    """The slots of each histogram's buckets, narrowest first."""
    groups: dict[tuple[str, Labels], list[tuple[float, int]]] = defaultdict(list)
    for slot, key in enumerate(keys):
        end = key.label("le") if key.kind is Kind.COUNTER and key.name.endswith("_bucket") else ""
        if end:
            groups[key.name, tuple(pair for pair in key.labels if pair[0] != "le")].append((_end(end), slot))
    return [[slot for _, slot in sorted(group)] for group in groups.values()]


def _end(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.inf


def _make_separate(values: list[float | None], slots: list[int]) -> None:
    """Cumulative counts become those of each bucket alone."""
    below = 0.0
    for slot in slots:
        total = values[slot]
        if total is not None:
            values[slot] = max(0.0, total - below)
            below = max(below, total)
