"""Who used what."""

from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.domain.finished import Finished
from dashboard.store import usage
from dashboard.store.file import Retention, StoreFile
from dashboard.store.targets import FeedPosition
from dashboard.store.usage import Breakdown, Question
from tests.unit.dashboard.build import finished

DAY = 86400
BEGIN = 1_764_028_800.0  # a midnight
KEPT = Retention(float(DAY), 30.0 * DAY, 7.0 * DAY)


def save(file: StoreFile, *requests: Finished, target: str = "http://a/metrics") -> None:
    file.save_requests(file.target(target).id, requests, FeedPosition("x"))


def ask(file: StoreFile, by: str, begin: float = BEGIN, end: float = BEGIN + DAY, **more: Any) -> Breakdown:
    return usage.ask(file._connection, Question(by, begin, end, **more))


def rows(answer: Breakdown, *fields: str) -> dict[Any, Any]:
    return {row["key"]: tuple(row[field] for field in fields) for row in answer.rows}


def request(number: int, at: float, **fields: Any) -> Finished:
    return finished(f"run-{number}", at, **fields)


def test_a_short_window_is_answered_exactly_from_the_requests(file: StoreFile) -> None:
    save(
        file,
        request(1, BEGIN + 10, client="anna", cost_usd=0.5, tokens={"input": 10, "output": 5}, attempts=3),
        request(2, BEGIN + 20, client="anna", status=499, cost_usd=0.25, tokens={"input": 4}),
        request(3, BEGIN + 30, client="ci", status=500),
        request(4, BEGIN + 40, status=503, refused="capacity"),
    )

    answer = ask(file, "client", BEGIN + 5, BEGIN + 35)

    assert (answer.begin, answer.end, answer.resolution) == (BEGIN + 5, BEGIN + 35, 0)
    assert rows(answer, "requests", "ok", "failed", "aborted", "retries") == {
        "anna": (2, 1, 0, 1, 2),
        "ci": (1, 0, 1, 0, 0),
    }
    assert rows(answer, "cost_usd", "wasted_cost", "wasted_tokens", "input") == {
        "anna": (0.75, 0.25, 4, 14),
        "ci": (0, 0, 0, 0),
    }
    assert rows(ask(file, "client"), "refused")[None] == (1,)


def test_a_late_report_of_an_old_request_is_missed_by_no_sum_once_it_is_forgotten(file: StoreFile) -> None:
    save(file, request(1, BEGIN + 40 * DAY, client="anna"), request(2, BEGIN + 20 * DAY, client="anna"))
    file.prune(BEGIN + 41 * DAY, KEPT)

    answer = ask(file, "client", BEGIN + 19 * DAY, BEGIN + 41 * DAY)

    assert rows(answer, "requests") == {"anna": (2,)}


def test_requests_that_are_no_longer_kept_are_answered_by_the_hour(file: StoreFile) -> None:
    save(file, request(1, BEGIN + 10, client="anna", cost_usd=0.5), request(2, BEGIN + 7300, client="ci"))
    file.prune(BEGIN + 7 * DAY + 3600, KEPT)

    answer = ask(file, "client", BEGIN + 5, BEGIN + 3700)

    assert (answer.begin, answer.end, answer.resolution) == (BEGIN, BEGIN + 7200, 3600)
    assert rows(answer, "requests", "cost_usd") == {"anna": (1, 0.5)}


def test_after_a_month_days_are_left_without_sessions(file: StoreFile) -> None:
    for number, hour in enumerate((1, 5, 30)):
        save(file, request(number, BEGIN + hour * 3600, client="anna", session=f"s{hour}", cost_usd=1.0))

    file.prune(BEGIN + 31 * DAY, KEPT)

    by_client = ask(file, "client", BEGIN + 3600, BEGIN + 2 * DAY)
    assert (by_client.begin, by_client.resolution) == (BEGIN, DAY)
    assert rows(by_client, "requests", "cost_usd") == {"anna": (3, 3.0)}
    assert rows(ask(file, "session", BEGIN, BEGIN + 2 * DAY), "requests") == {None: (2,), "s30": (1,)}
    file.prune(BEGIN + 31 * DAY, KEPT)
    assert rows(ask(file, "client", BEGIN, BEGIN + 2 * DAY), "requests") == {"anna": (3,)}


def test_usage_can_be_told_apart_by_hour_and_by_day(file: StoreFile) -> None:
    for number, hour in enumerate((0, 0, 3, 25)):
        save(file, request(number, BEGIN + hour * 3600 + 60, cost_usd=1.0))

    assert rows(ask(file, "hour", BEGIN, BEGIN + DAY), "requests") == {BEGIN: (2,), BEGIN + 10800: (1,)}
    assert rows(ask(file, "day", BEGIN, BEGIN + 2 * DAY), "requests") == {BEGIN: (3,), BEGIN + DAY: (1,)}
    assert rows(ask(file, "hour", BEGIN, BEGIN + 2 * DAY), "requests")[BEGIN + 25 * 3600] == (1,)


def test_usage_can_be_asked_for_of_some_only(file: StoreFile) -> None:
    save(file, request(1, BEGIN + 1, client="anna", model="a"), request(2, BEGIN + 2, client="ci", model="a"))
    save(file, request(3, BEGIN + 3, client="ci", model="b"), target="http://b/metrics")

    for end in (BEGIN + DAY, BEGIN + 10 * DAY):
        assert rows(ask(file, "model", end=end, equal={"client": ("ci",)}), "requests") == {"a": (1,), "b": (1,)}
        assert rows(ask(file, "model", end=end, target=2), "requests") == {"b": (1,)}


def test_an_hour_of_endless_sessions_is_bounded_and_loses_nothing(file: StoreFile) -> None:
    save(file, *(request(number, BEGIN + 1, session=f"s{number}", client="anna") for number in range(2500)))
    save(file, *(request(3000 + number, BEGIN + 1, session="s7", client="anna") for number in range(3)))

    (count,) = file._connection.execute("SELECT count(*) FROM usage").fetchone()
    assert count == 2001
    sums = file._connection.execute("SELECT sum(requests) FROM usage").fetchone()
    assert sums == (2503,)
    known = file._connection.execute("SELECT requests FROM usage WHERE session = 's7'").fetchone()
    assert known == (4,)


requests = st.lists(
    st.tuples(
        st.integers(0, 40 * DAY),
        st.sampled_from(["anna", "ci", None]),
        st.sampled_from(["a", "b"]),
        st.sampled_from([200, 499, 500]),
        st.integers(0, 9),
    ),
    max_size=40,
)


@settings(max_examples=40)
@given(data=requests, by=st.sampled_from(["client", "model", "day"]), aged=st.booleans())
def test_sums_equal_those_of_a_plain_list_before_and_after_ageing(
    data: list[tuple[int, str | None, str, int, int]], by: str, aged: bool
) -> None:
    naive: dict[Any, list[float]] = defaultdict(lambda: [0, 0, 0])
    for at, client, model, status, tokens in data:
        key = {"client": client, "model": model, "day": int(BEGIN) + at // DAY * DAY}[by]
        wasted = tokens if status != 200 else 0
        naive[key] = [sum(pair) for pair in zip(naive[key], (1, tokens, wasted), strict=True)]
    with TemporaryDirectory() as directory:
        file = StoreFile(Path(directory) / "x.db", lambda: BEGIN)
        save(
            file,
            *(
                request(number, BEGIN + at, client=client, model=model, status=status, tokens={"input": tokens})
                for number, (at, client, model, status, tokens) in enumerate(data)
            ),
        )
        if aged:
            file.prune(BEGIN + 45 * DAY, KEPT)

        answer = ask(file, by, BEGIN, BEGIN + 41 * DAY)

        assert rows(answer, "requests", "input", "wasted_tokens") == {key: tuple(sums) for key, sums in naive.items()}
        file.close()


def test_the_window_of_an_exact_answer_is_not_widened(file: StoreFile) -> None:
    save(file, request(1, BEGIN + 59), request(2, BEGIN + 61))

    assert rows(ask(file, "lane", BEGIN + 60, BEGIN + 120), "requests") == {None: (1,)}
    assert ask(file, "lane", BEGIN + 60, BEGIN + 120).begin == pytest.approx(BEGIN + 60)
