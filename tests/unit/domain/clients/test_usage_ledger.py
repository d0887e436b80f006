"""The usage ledger: by day, client, model and program, bounded, and kept over a restart."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.domain.clients.usage_ledger import UsageLedger, Used, day_of, seconds_to_midnight

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()
DAY = 86400.0
PROGRAM = "Codex"
ROWS = [["anna", "m", 1, 1, 1, 1.0, 1.0]]


def used(tokens: int = 10) -> Used:
    return Used(requests=1, input_tokens=tokens, output_tokens=tokens, cost_usd=0.5, credits=1.0)


def test_what_a_client_uses_adds_up_by_day_and_model() -> None:
    ledger = UsageLedger()
    for client, model, at in (
        ("anna", "m1", NOON),
        ("anna", "m1", NOON),
        ("anna", "m2", NOON),
        ("bert", "m1", NOON - DAY),
    ):
        ledger.add(client, model, PROGRAM, used(), at)

    rows = list(ledger.rows(7, NOON))
    assert [(row["day"], row["client"], row["model"], row["requests"]) for row in rows] == [
        ("2026-11-24", "anna", "m1", 2),
        ("2026-11-24", "anna", "m2", 1),
        ("2026-11-23", "bert", "m1", 1),
    ]
    assert rows[0]["input_tokens"] == 20
    assert [row["client"] for row in ledger.rows(1, NOON)] == ["anna", "anna"]


def test_credits_are_unknown_where_only_models_were_used_that_have_none() -> None:
    ledger = UsageLedger()
    ledger.add("anna", "priced", PROGRAM, used(), NOON)
    ledger.add("anna", "unpriced", PROGRAM, Used(1, 5, 5), NOON)
    ledger.add("anna", "refused", PROGRAM, Used(1), NOON)

    assert {row["model"]: row["credits"] for row in ledger.rows(1, NOON)} == {
        "priced": 1.0,
        "unpriced": None,
        "refused": 0.0,
    }
    assert {row["model"]: row["credits"] for row in ledger.rows(1, NOON, most=1)} == {"other": 1.0}


def test_programs_of_a_client_are_told_apart_and_count_for_it_together() -> None:
    ledger = UsageLedger()
    for program in ("Claude Code", "Codex", "", "Codex"):
        ledger.add("anna", "m", program, used(), NOON)

    assert [(row["program"], row["requests"]) for row in ledger.rows(1, NOON)] == [
        ("Codex", 2),
        (None, 1),
        ("Claude Code", 1),
    ]
    assert ledger.tokens_today("anna", NOON) == 80


def test_tokens_of_today_end_at_midnight_utc() -> None:
    ledger = UsageLedger()
    ledger.add("anna", "m", PROGRAM, used(7), NOON)

    assert ledger.tokens_today("anna", NOON + seconds_to_midnight(NOON) - 1) == 14
    assert ledger.tokens_today("anna", NOON + seconds_to_midnight(NOON)) == 0
    assert ledger.tokens_today("bert", NOON) == 0


def test_days_and_rows_are_bounded() -> None:
    ledger = UsageLedger()
    for day in range(200):
        ledger.add("anna", "m", PROGRAM, used(), NOON + day * DAY)
    for number in range(6000):
        ledger.add(f"session-{number}", "m", PROGRAM, used(), NOON + 199 * DAY)

    assert len({row["day"] for row in ledger.rows(1000, NOON + 199 * DAY)}) == 92
    today = list(ledger.rows(1, NOON + 199 * DAY))
    assert len(today) == 5001
    assert sum(int(str(row["requests"])) for row in today) == 6001


def test_a_client_that_asks_for_ever_new_models_is_still_counted_for_its_limit_of_the_day() -> None:
    ledger = UsageLedger()
    for number in range(6000):
        ledger.add("anna", f"m-{number}", PROGRAM, used(5), NOON)
    ledger.add("bert", "m", PROGRAM, used(7), NOON)

    assert ledger.tokens_today("anna", NOON) == 60_000
    assert ledger.tokens_today("bert", NOON) == 14


def test_a_day_that_is_over_keeps_the_rows_that_used_most_and_the_sum() -> None:
    ledger, again = UsageLedger(), UsageLedger()
    for number in range(2000):
        ledger.add(f"session-{number:04}", "m", PROGRAM, used(number), NOON)
    again.restore(ledger.snapshot())
    for each in (ledger, again):
        each.add("anna", "m", PROGRAM, used(1), NOON + DAY)
        over = [row for row in each.rows(2, NOON + DAY) if row["day"] == "2026-11-24"]

        assert len(over) == 500
        assert {row["client"] for row in over} == {"other", *(f"session-{n}" for n in range(1501, 2000))}
        assert sum(int(str(row["input_tokens"])) for row in over) == sum(range(2000))


def test_a_day_is_told_in_so_many_rows_at_most_and_loses_nothing_by_it() -> None:
    ledger = UsageLedger()
    for number in range(6000):
        ledger.add(f"session-{number:04}", "m", PROGRAM, used(number), NOON)

    for _ in range(2):
        told = list(ledger.rows(1, NOON, most=10))
        assert len(told) == 10
        assert {row["client"] for row in told} == {"other", *(f"session-{n:04}" for n in range(4991, 5000))}
        assert sum(int(str(row["input_tokens"])) for row in told) == sum(range(6000))


def test_names_are_kept_as_far_as_they_can_be_shown() -> None:
    ledger = UsageLedger()
    ledger.add("anna" * 100, "glm\U0001f600" + "\udcff" * 100, PROGRAM, used(), NOON)
    (row,) = ledger.rows(1, NOON)
    assert row["client"] == "anna" * 16
    assert row["model"] == "glm" + "_" * 61


rows = st.tuples(
    st.sampled_from("abc"),
    st.sampled_from("mn"),
    st.sampled_from(("", "Codex", "Claude Code")),
    st.integers(0, 10**9),
    st.floats(0, 40 * DAY),
)


@given(st.lists(rows))
def test_a_snapshot_restores_what_it_said(entries: list[tuple[str, str, str, int, float]]) -> None:
    ledger, again = UsageLedger(), UsageLedger()
    for client, model, program, tokens, at in entries:
        ledger.add(client, model, program, used(tokens), at)
    again.restore(json.loads(json.dumps(ledger.snapshot())))

    assert list(again.rows(100, 40 * DAY)) == list(ledger.rows(100, 40 * DAY))


@given(st.lists(rows), st.lists(rows))
def test_a_snapshot_says_what_came_after_the_one_before(
    entries: list[tuple[str, str, str, int, float]], later: list[tuple[str, str, str, int, float]]
) -> None:
    ledger, again = UsageLedger(), UsageLedger()
    for batch in (entries, later):
        for client, model, program, tokens, at in batch:
            ledger.add(client, model, program, used(tokens), at)
        again.restore(ledger.snapshot())

    assert list(again.rows(100, 40 * DAY)) == list(ledger.rows(100, 40 * DAY))


def test_a_book_from_before_programs_were_told_apart_is_taken_over() -> None:
    ledger = UsageLedger()
    ledger.restore({"version": 1, "days": {"2026-11-24": [["anna", "m", 2, 20, 10, 0.5, 1.0]]}})
    ledger.add("anna", "m", "Codex", used(), NOON)

    assert [(row["program"], row["requests"]) for row in ledger.rows(1, NOON)] == [(None, 2), ("Codex", 1)]
    assert ledger.tokens_today("anna", NOON) == 50


def test_a_version_without_programs_reads_the_sums_of_them() -> None:
    ledger = UsageLedger()
    for program in ("Claude Code", "Codex", ""):
        ledger.add("anna", "m", program, used(), NOON)
    snapshot = ledger.snapshot()

    assert snapshot["version"] == 1
    assert snapshot["days"] == {"2026-11-24": [["anna", "m", 3, 30, 30, 1.5, 3.0]]}


@pytest.mark.parametrize(
    "data",
    [
        None,
        {"version": 2, "days": {}},
        {"version": 1, "days": {"yesterday": []}},
        {"version": 1, "days": {"2026-11-24": [["a", "m", "many", 1, 1, 1, 1]]}},
        {"version": 1, "days": {"2026-11-24": [["a"]]}},
        {"version": 1, "days": {"2026-11-24": 3}},
        {"version": 1, "days": {"2026-11-24": [["a", 7, 1, 1, 1, 1, 1]]}},
        {"version": 1, "days": {}, "programs": {"2026-11-24": [[0, "Codex", 1, 1, 1, 1, 1]]}},
        {"version": 1, "days": {"2026-11-24": ROWS}, "programs": {"2026-11-24": [[1, "Codex", 1, 1, 1, 1, 1]]}},
        {"version": 1, "days": {"2026-11-24": ROWS}, "programs": {"2026-11-24": [[-1, "Codex", 1, 1, 1, 1, 1]]}},
        {"version": 1, "days": {"2026-11-24": ROWS}, "programs": {"2026-11-24": [[0, 7, 1, 1, 1, 1, 1]]}},
        {"version": 1, "days": {"2026-11-24": ROWS}, "programs": [3]},
    ],
)
def test_a_damaged_book_is_refused_and_changes_nothing(data: object) -> None:
    ledger = UsageLedger()
    ledger.add("anna", "m", PROGRAM, used(), NOON)
    with pytest.raises(ValueError, match=r"."):
        ledger.restore(data)

    assert ledger.tokens_today("anna", NOON) == 20


def test_a_day_is_that_of_utc() -> None:
    assert day_of(0) == "1970-01-01"
    assert day_of(DAY - 1) == "1970-01-01"
