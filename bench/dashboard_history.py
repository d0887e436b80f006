"""A store as it is after 30 days beside five busy proxies, made in a minute."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.dashboard_proxies import busy_page
from dashboard.domain.exposition import PageReader
from dashboard.domain.finished import Finished, read_finished
from dashboard.domain.rollup import Row, Tier, fold, together
from dashboard.domain.row_codec import encode
from dashboard.domain.samples import Page, SeriesKey
from dashboard.store.database import transaction
from dashboard.store.file import StoreFile
from dashboard.store.requests import MOST_KEPT
from dashboard.store.targets import FeedPosition

DAY: Final = 86400
_TARGET_BITS: Final = 20
_GROWN_PER_MINUTE: Final = 0.35
_GROWN_PER_LOOK: Final = 0.12
_BATCH: Final = 2000
_CLIENTS: Final = 12
_SESSIONS: Final = 20
_SESSION_HOURS: Final = 3
_USAGE_AN_HOUR: Final = 120


def make_history(path: Path, now: float, targets: int, days: int, requests: int = MOST_KEPT) -> None:
    """Writes every tier as full as it gets: minutes and more for so many days, five seconds for one.

    A busy team: 20 sessions at any time, each of three hours, in three lanes, and three models.
    """
    file = StoreFile(path, lambda: now)
    try:
        numbers = [file.target(f"http://10.0.0.{number}:9090/metrics").id for number in range(1, targets + 1)]
        page = PageReader().read(busy_page())
        file.series.ensure((*page.counters, *page.gauges))
        _write_rows(file, page, numbers, int(now) // 3600 * 3600, days)
        _write_requests(file, numbers, now, requests)
        _write_usage(file, numbers, int(now) // 3600 * 3600 - 7 * DAY, days - 7)
    finally:
        file.close()


def _write_rows(file: StoreFile, page: Page, targets: list[int], end: int, days: int) -> None:
    chance = random.Random(1)
    coarser: dict[tuple[Tier, int, int | None], Row] = {}
    with transaction(file._connection):
        for at in range(end - days * DAY, end, Tier.MINUTE.value):
            rows = [_row(file, page, chance, looks=12, share=_GROWN_PER_MINUTE) for _ in targets]
            _insert(file, Tier.MINUTE, at, targets, rows)
            for tier in (Tier.TEN_MINUTES, Tier.HOUR):
                for target, row in zip(targets, rows, strict=True):
                    fold(coarser.setdefault((tier, tier.begin(at), target), Row()), row)
                fold(coarser.setdefault((tier, tier.begin(at), None), Row()), _together(file, rows))
        for (tier, begin, number), row in coarser.items():
            _put(file, tier, begin, number, row)
        for at in range(end - DAY, end, Tier.FIVE_SECONDS.value):
            rows = [_row(file, page, chance, looks=1, share=_GROWN_PER_LOOK) for _ in targets]
            _insert(file, Tier.FIVE_SECONDS, at, targets, rows)


def _row(file: StoreFile, page: Page, chance: random.Random, looks: int, share: float) -> Row:
    """A row in which this share of all counters grew."""
    ids = file.series.ids
    grown = chance.sample(list(page.counters), int(share * len(page.counters)))
    counters = {ids[key]: _amount(key, chance) for key in grown}
    return Row(looks, counters, {ids[key]: (looks, chance.random() * looks * 9) for key in page.gauges})


def _amount(key: SeriesKey, chance: random.Random) -> float:
    if key.name.endswith(("_bucket", "requests_total")):
        return float(chance.randrange(1, 20))
    return chance.random() * 10_000


def _insert(file: StoreFile, tier: Tier, at: int, targets: list[int], rows: list[Row]) -> None:
    for target, row in zip(targets, rows, strict=True):
        _put(file, tier, at, target, row)
    _put(file, tier, at, None, _together(file, rows))


def _together(file: StoreFile, rows: list[Row]) -> Row:
    whole = together(rows, file.series.adds_up)
    whole.gauges = {key: (whole.looks, total * whole.looks) for key, (_, total) in whole.gauges.items()}
    return whole


def _put(file: StoreFile, tier: Tier, at: int, target: int | None, row: Row) -> None:
    table, key = (
        (f"fleet_{tier.value}", at) if target is None else (f"target_{tier.value}", at << _TARGET_BITS | target)
    )
    file._connection.execute(f"INSERT INTO {table} (at, data) VALUES (?, ?)", (key, encode(row)))  # noqa: S608


def _write_requests(file: StoreFile, targets: list[int], now: float, count: int) -> None:
    """Evenly over the last seven days."""
    chance = random.Random(2)
    batch: list[Finished] = []
    for number, request in enumerate(_requests(chance, now, count)):
        batch.append(request)
        if len(batch) == _BATCH or number == count - 1:
            file.save_requests(chance.choice(targets), batch, FeedPosition(f"bench-{number}", number))
            batch = []


def _write_usage(file: StoreFile, targets: list[int], end: int, days: int) -> None:
    """The sums of the hours before, of which single requests are no longer kept."""
    chance = random.Random(3)
    with transaction(file._connection):
        for at in range(end - days * DAY, end, 3600):
            requests = [_request(chance, f"old-{at}-{number}", at + 1.0) for number in range(_USAGE_AN_HOUR)]
            file._usage.add(chance.choice(targets), requests)


def _requests(chance: random.Random, now: float, count: int) -> Iterator[Finished]:
    for number in range(count):
        yield _request(chance, f"bench{number % 5}-{number}", now - 7 * DAY * (1 - number / count))


def _request(chance: random.Random, feed_id: str, at: float) -> Finished:
    status = chance.choices((200, 429, 499, 500), (90, 4, 4, 2))[0]
    session = chance.randrange(_SESSIONS)
    return read_finished(
        feed_id,
        {
            "id": feed_id, "request_id": f"{chance.getrandbits(128):032x}", "started": at,
            "client": f"client-{session % _CLIENTS}", "agent": None,
            "session": f"{int(at) // (_SESSION_HOURS * 3600):08x}-{session:08x}-session",
            "lane": chance.choice(("main", "subagent", "background")), "method": "POST", "path": "/v1/messages",
            "model": chance.choice(("glm-5.3", "glm-4.6", "glm-4.5-air")), "status": status,
            "error": None if status == 200 else str(status), "duration": chance.expovariate(0.1),
            "first_byte": chance.expovariate(1), "waited": chance.expovariate(2), "request_bytes": 80_000,
            "response_bytes": chance.randrange(100_000), "tokens_are": "complete", "cost_usd": chance.random(),
            "tokens": {"input": 900, "output": chance.randrange(5000), "cache_read": 20_000, "cache_write": 0},
            "credits": chance.random(), "attempts": chance.choice((1, 1, 1, 2)),
        },
    )  # fmt: skip
