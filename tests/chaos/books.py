"""What a proxy says that it has counted, over all the processors that it had: each begins at zero."""

from collections import Counter
from typing import Final

from tests.harness.readings import Readings

_PROBES: Final = ("/health", "/metrics")


class Books:
    """Looks at the page of metrics. What a processor has counted after the last look before its end is not in them."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._of_before: Counter[int] = Counter()
        self._latest: Counter[int] = Counter()
        self._started = 0.0

    def look(self) -> Counter[int]:
        """Requests by status, all that were counted so far, but for those that only ask whether it is well."""
        page = Readings.scrape(self._url)
        started = page.value("process_start_time_seconds")
        if started != self._started:
            self._of_before += self._latest
            self._started = started
        self._latest = Counter()
        for (name, labels), value in page.samples.items():
            of = dict(labels)
            if name == "zai_proxy_requests_total" and of["path"] not in _PROBES:
                self._latest[int(of["status_code"])] += round(value)
        return self._of_before + self._latest
