"""Metrics as a test reads them."""

from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

from tests.harness import plain_http

Series = tuple[str, frozenset[tuple[str, str]]]


class Readings:
    """The samples of one scrape, or the difference of two."""

    def __init__(self, samples: Mapping[Series, float]) -> None:
        self.samples = dict(samples)

    @classmethod
    def scrape(cls, url: str) -> "Readings":
        return cls.of(plain_http.get(url).raise_for_status().text)

    @classmethod
    def of(cls, page: str) -> "Readings":
        families = text_string_to_metric_families(page)
        return cls({(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples})

    def value(self, name: str, **labels: str) -> float:
        """The sum of the series of this name that have these labels; 0 where there is none."""
        wanted = set(labels.items())
        return sum(value for (series, has), value in self.samples.items() if series == name and wanted <= has)

    def labels(self, name: str, label: str) -> set[str]:
        """The values that a label has among the series of this name that are not zero."""
        return {dict(has)[label] for (series, has), value in self.samples.items() if series == name and value}

    def __sub__(self, earlier: "Readings") -> "Readings":
        return Readings({key: value - earlier.samples.get(key, 0.0) for key, value in self.samples.items()})
