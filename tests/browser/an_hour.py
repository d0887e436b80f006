"""A store as a dashboard leaves it behind after some time beside one proxy, made in seconds."""

import time
from pathlib import Path

from dashboard.domain.rates import Reading
from dashboard.domain.samples import Kind, SeriesKey
from dashboard.store.file import StoreFile
from dashboard.store.samples import TargetSample

_EVERY = 5.0


def write_history(path: Path, seconds: float) -> int:
    """One request each five seconds until now, of the path /v1/messages. Returns how many."""
    now = time.time()
    file = StoreFile(path, lambda: now)
    try:
        target = file.target("http://127.0.0.1:9/metrics").id
        key = SeriesKey(Kind.COUNTER, "zai_proxy_requests_total", (("path", "/v1/messages"), ("status_code", "200")))
        count = int(seconds / _EVERY)
        for number in range(count):
            at = now - (count - number) * _EVERY
            reading = Reading(at, None, 0.0, {key: float(number + 1)})
            file.save_round(at, _EVERY, [TargetSample(target, _EVERY, {key: 1.0}, {}, reading, "1")])
        return count
    finally:
        file.close()
