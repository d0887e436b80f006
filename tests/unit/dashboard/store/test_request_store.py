"""Finished requests: each stored once, found by filter and page."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.domain.finished import Finished
from dashboard.records.names import Name, NameKind
from dashboard.store import requests as stored
from dashboard.store.file import Retention, StoreFile
from dashboard.store.requests import Page, RequestFilter
from dashboard.store.targets import FeedPosition, lost_requests
from tests.unit.dashboard.build import finished
from tests.unit.dashboard.conftest import NOW

ALL = RequestFilter()
KEPT = Retention(86400.0, 30 * 86400.0, 7 * 86400.0)


def save(file: StoreFile, *requests: Finished, target: str = "http://a/metrics", last: str = "run-9") -> int:
    number = file.target(target).id
    file.save_requests(number, requests, FeedPosition(last, len(requests)))
    return number


def find(
    file: StoreFile, wanted: RequestFilter = ALL, sort: str = "ended", descending: bool = True, **more: Any
) -> Page:
    arguments = {"limit": 50, "after": None, **more}
    return stored.find_page(file._connection, wanted, sort, descending, **arguments)


def feed_ids(page: Page) -> list[str]:
    return [request.feed_id for request in page.requests]


def test_a_request_reads_back_as_it_came(file: StoreFile) -> None:
    request = finished(
        "run-1",
        NOW,
        duration=2.5,
        client="anna",
        model="m",
        model_asked="a",
        tokens={"input": 3, "output": 4},
        cost_usd=0.25,
        attempts=2,
    )

    target = save(file, request)

    (found,) = find(file).requests
    assert found == stored.describe(1, target, request)
    assert (found.ended, found.tokens.input, found.attempts) == (NOW + 2.5, 3, 2)
    assert (found.session, found.first_byte, found.model_asked) == (None, None, "a")
    assert stored.find_request(file._connection, 1) == found
    assert stored.find_request(file._connection, 2) is None


def test_a_request_that_is_replayed_is_stored_once(file: StoreFile) -> None:
    save(file, finished("run-1"), finished("run-2"))
    number = file.target("http://a/metrics").id

    new = file.save_requests(number, [finished("run-2"), finished("run-3")], FeedPosition("run-3", 4))

    assert [request.feed_id for _, request in new] == ["run-3"]
    assert new[0][0] > 2
    assert find(file).total == 3
    assert file.target("http://a/metrics").feed == FeedPosition("run-3", 4)


def test_what_feeds_lost_is_added_up(file: StoreFile) -> None:
    for name, lost, gaps in (("a", 3, 0), ("b", 4, 2)):
        number = file.target(f"http://{name}/metrics").id
        file.save_requests(number, [], FeedPosition("x", 0, lost, gaps))

    assert lost_requests(file._connection) == (7, 2)


def test_pages_follow_each_other_without_gap_or_repetition(file: StoreFile) -> None:
    # Ten of each have ended at the same moment.
    save(file, *(finished(f"run-{number}", NOW + number // 10) for number in range(45)))

    seen, after = [], None
    while True:
        page = find(file, limit=7, after=after)
        seen += feed_ids(page)
        after = page.next
        if after is None:
            break

    assert seen == [f"run-{number}" for number in reversed(range(45))]
    assert find(file, descending=False, limit=3).requests[0].feed_id == "run-0"


def test_new_requests_do_not_move_the_pages_that_follow(file: StoreFile) -> None:
    save(file, *(finished(f"run-{number}", NOW + number) for number in range(10)))
    first = find(file, limit=5)

    save(file, finished("run-new", NOW + 100))

    assert feed_ids(find(file, limit=5, after=first.next)) == [f"run-{number}" for number in (4, 3, 2, 1, 0)]


def test_requests_are_filtered_by_anything_that_tells_them_apart(file: StoreFile) -> None:
    first = save(
        file,
        finished("run-1", NOW, client="anna", model="m1", session="s1", request_id="Abc-1"),
        finished("run-2", NOW + 10, client="anna", model="m2", status=429, error="429"),
        finished("run-3", NOW + 20, client="ci", model="m2", status=499),
    )
    second = save(
        file, finished("run-4", NOW + 30, client="ci", status=503, refused="capacity"), target="http://b/metrics"
    )

    def found(**wanted: Any) -> list[str]:
        return sorted(feed_ids(find(file, RequestFilter(**wanted))))

    assert found(equal={"client": ("anna",)}) == ["run-1", "run-2"]
    assert found(equal={"client": ("anna", "ci"), "model": ("m2",)}) == ["run-2", "run-3"]
    assert found(equal={"outcome": ("aborted", "refused")}) == ["run-3", "run-4"]
    assert found(statuses=(429,), status_classes=(5,)) == ["run-2", "run-4"]
    assert found(target=second) == ["run-4"]
    assert found(target=first, begin=NOW + 10, end=NOW + 20) == ["run-2"]
    assert found(search="aBC") == ["run-1"]
    assert found(search="%") == []
    assert found(equal={"client": ("' OR 1 --",)}) == []


def test_a_search_finds_what_people_call_clients_and_sessions(file: StoreFile) -> None:
    save(
        file,
        finished("run-1", NOW, client="source-17", session="s-1"),
        finished("run-2", NOW + 10, client="source-17", session="s-2"),
        finished("run-3", NOW + 20, client="source-18", session="s-1"),
        finished("run-4", NOW + 30, client="s-1", session="source-17"),
    )
    file.save_name(Name(kind=NameKind.CLIENT, key="source-17", name="Jürgens Mühle"))
    file.save_name(Name(kind=NameKind.SESSION, key="s-1", name="Umbau der MÜHLE"))

    def found(search: str) -> list[str]:
        return sorted(feed_ids(find(file, RequestFilter(search=search))))

    assert found("jÜRGEN") == ["run-1", "run-2"]
    assert found("umbau") == ["run-1", "run-3"]
    assert found("mühle") == ["run-1", "run-2", "run-3"]
    assert found("source-18") == ["run-3"]
    assert found("nobody") == []


def test_sorting_puts_what_is_unknown_last_either_way(file: StoreFile) -> None:
    save(file, finished("run-1", first_byte=2.0), finished("run-2"), finished("run-3", first_byte=5.0))

    assert feed_ids(find(file, sort="first_byte")) == ["run-3", "run-1", "run-2"]
    assert feed_ids(find(file, sort="first_byte", descending=False)) == ["run-1", "run-3", "run-2"]
    second = find(file, sort="first_byte", limit=2)
    assert feed_ids(find(file, sort="first_byte", limit=2, after=second.next)) == ["run-2"]


def test_every_order_that_is_offered_can_be_asked_for(file: StoreFile) -> None:
    save(file, finished("run-1", tokens={"input": 5}), finished("run-2"))

    for sort in stored.SORTS:
        assert len(find(file, sort=sort).requests) == 2


def test_counting_stops_at_ten_thousand(file: StoreFile) -> None:
    save(file, *(finished(f"run-{number}") for number in range(10_001)))

    page = find(file, limit=1)

    assert (page.total, page.total_is_exact) == (10_000, False)


def test_readers_who_come_back_get_what_came_after_the_last_they_had(file: StoreFile) -> None:
    save(file, *(finished(f"run-{number}") for number in range(10)))

    count, missed = stored.requests_after(file._connection, 4, 100)
    assert (count, [request.id for request in missed]) == (6, [5, 6, 7, 8, 9, 10])
    count, missed = stored.requests_after(file._connection, 4, 2)
    assert (count, [request.id for request in missed]) == (6, [9, 10])


def test_requests_are_forgotten_when_they_are_old_and_their_ids_are_not_used_again(file: StoreFile) -> None:
    save(file, finished("run-1", NOW - 8 * 86400), finished("run-2", NOW - 86400))

    file.prune(NOW, KEPT)

    assert feed_ids(find(file)) == ["run-2"]
    file.prune(NOW + 30 * 86400, KEPT)
    assert stored.stored_requests(file._connection) == (0, None)
    assert stored.newest_request(file._connection) == 2


names = st.sampled_from(["a", "b", None])


@settings(max_examples=30)
@given(
    data=st.lists(st.tuples(st.integers(0, 5), names, st.sampled_from([200, 404, 499, None])), max_size=30),
    client=names,
    limit=st.integers(1, 7),
)
def test_paging_with_a_filter_gives_what_filtering_a_list_gives(
    data: list[tuple[int, str | None, int | None]], client: str | None, limit: int
) -> None:
    with TemporaryDirectory() as directory:
        file = StoreFile(Path(directory) / "x.db", lambda: NOW)
        save(file, *(finished(f"run-{n}", at, client=name, status=status) for n, (at, name, status) in enumerate(data)))
        wanted = RequestFilter(equal={} if client is None else {"client": (client,)})

        seen, after = [], None
        while True:
            page = find(file, wanted, limit=limit, after=after)
            seen += feed_ids(page)
            if (after := page.next) is None:
                break

        kept = [(at, n) for n, (at, name, _) in enumerate(data) if client in (None, name)]
        assert seen == [f"run-{n}" for _, n in sorted(kept, reverse=True)]
        file.close()
