"""kill -9 in the middle of writing, again and again: the store opens, and nothing that was committed is lost."""

import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from dashboard.domain.finished import read_finished
from dashboard.domain.rates import Reading
from dashboard.domain.samples import Kind, SeriesKey
from dashboard.store import database, requests
from dashboard.store.file import Retention, StoreFile
from dashboard.store.samples import TargetSample
from dashboard.store.targets import FeedPosition
from tests.integration.dashboard.forked import FORKED

pytestmark = pytest.mark.slow

KILLS = 50
BATCH = 20


def write(path: Path, number: int, say: Connection) -> None:
    """Writes without a pause, and says after each commit what it has committed."""
    file = StoreFile(path, time.time)
    target = file.target("http://a/metrics").id
    key = SeriesKey(Kind.COUNTER, "zai_proxy_requests_total", (("status_code", "200"),))
    while True:
        number += 1
        at = 1_764_000_000.0 + 5 * number
        look = Reading(at, None, 0.0, {key: float(number)})
        file.save_round(at, 5.0, [TargetSample(target, 5.0, {key: 1.0}, {}, look, "1")])
        say.send(("round", number))
        finished = [read_finished(f"run-{number}-{each}", {"started": at, "client": "anna"}) for each in range(BATCH)]
        file.save_requests(target, finished, FeedPosition(f"run-{number}", number))
        say.send(("requests", number))
        if number % 7 == 0:
            file.prune(at, Retention(3600.0, 86400.0, 3600.0))


def test_killed_fifty_times_in_the_middle_of_writing_it_loses_nothing_that_was_committed(tmp_path: Path) -> None:
    path, known, seed = tmp_path / "x.db", {"round": 0, "requests": 0}, random.Random(4711)
    for _ in range(KILLS):
        committed = _write_until_killed(path, known, words=seed.randrange(1, 40))

        known = _check(path, committed)

    assert known["round"] > KILLS


def _write_until_killed(path: Path, known: dict[str, int], words: int) -> dict[str, int]:
    """The last round and batch of requests that a writer said it had committed before it was killed."""
    listen, say = FORKED.Pipe(duplex=False)
    writer = FORKED.Process(target=write, args=(path, known["round"], say), daemon=True)
    writer.start()
    say.close()  # so that what is heard ends with the writer
    with listen:
        said = [listen.recv() for _ in range(words)]
        writer.kill()
        said += _rest(listen)
    writer.join()
    committed = known | dict(said)
    assert committed["round"] > known["round"]
    return committed


def _rest(listen: Connection) -> Iterator[tuple[str, int]]:
    with suppress(EOFError):
        while True:
            yield listen.recv()


def _check(path: Path, committed: dict[str, int]) -> dict[str, int]:
    """Opens the store as a dashboard would. Returns the last round and the last batch of requests in it."""
    file = StoreFile(path, lambda: 0.0)
    assert file.set_aside_to is None
    assert database.check(file._connection) is None
    known = file.target("http://a/metrics")
    assert known.reading is not None
    (last,) = known.reading.counters.values()
    assert committed["round"] <= last <= committed["round"] + 1
    batch = int(known.feed.last_id.partition("-")[2] or 0)
    assert committed["requests"] <= batch <= committed["round"] + 1
    ever = requests.newest_request(file._connection)
    assert ever % BATCH == 0
    assert _scalar(file._connection, "SELECT sum(requests) FROM usage") == ever
    _, newest = requests.requests_after(file._connection, ever - BATCH, BATCH)
    assert [each.feed_id for each in newest] == [f"run-{batch}-{each}" for each in range(BATCH if batch else 0)]
    file.close()
    return {"round": int(last), "requests": batch}


def _scalar(connection: sqlite3.Connection, query: str) -> float:
    value: float = connection.execute(query).fetchone()[0] or 0
    return value
