"""What is told of the prompt cache: all of it in sums, and who misses it."""

from typing import Any

import pytest

from dashboard.domain.cache import SAYS_NOTHING, cache_of_all, read_cache

WORDS = "system block 1 changes with each request: Claude Code's attribution line."


def program(client: str | None = "alice", **changes: Any) -> dict[str, Any]:
    return {
        "client": client,
        "program": "Claude Code",
        "label": "claude_code",
        "requests": 12,
        "input_tokens": 5000,
        "cached_tokens": 200,
        "cacheable_tokens": 4650,
        "lost_usd": 1.2,
        "lost_credits": 340.0,
        "cold": 0,
        **changes,
    }


def finding(client: str = "alice", **changes: Any) -> dict[str, Any]:
    return {
        "client": client,
        "program": "Claude Code",
        "label": "claude_code",
        "session": "4a08be83",
        "cause": "attribution",
        "part": "system block 1",
        "requests": 5,
        "at": 100.0,
        "text": WORDS,
        **changes,
    }


def told(programs: list[Any], findings: list[Any] | None = None, **changes: Any) -> dict[str, Any]:
    """What the page is told of one proxy that says so."""
    status = read_cache({"doctor": True, "window_seconds": 3600, "programs": programs, "findings": findings, **changes})
    return cache_of_all([(1, status)]).model_dump(mode="json")


def test_who_has_what_can_be_had_stands_in_the_sums_alone() -> None:
    seen = told([program(), program("bob")])

    assert (seen["input_tokens"], seen["cached_tokens"], seen["cacheable_tokens"]) == (10_000, 400, 9300)
    assert seen["losses"] == []


def test_of_how_much_nobody_knows_is_told_and_an_older_proxy_says_nothing_of_it() -> None:
    seen = told([program(cold=1, unknown_tokens=1200), program("bob")])

    assert (seen["unknown_tokens"], seen["losses"][0]["unknown_tokens"]) == (1200, 1200)


def test_a_cold_program_is_told_with_what_was_found_of_it_alone() -> None:
    others = [finding("bob"), finding(label="codex", program="Codex")]

    [loss] = told([program(cold=2)], [finding(), *others])["losses"]

    assert (loss["client"], loss["program"], loss["cold"], loss["lost_credits"]) == ("alice", "Claude Code", 2, 340.0)
    assert [(each["cause"], each["part"], each["text"]) for each in loss["findings"]] == [
        ("attribution", "system block 1", WORDS)
    ]


def test_what_was_found_is_told_before_the_cache_is_cold() -> None:
    [loss] = told([program(), program("bob")], [finding("bob")])["losses"]

    assert (loss["client"], loss["cold"]) == ("bob", 0)


def test_what_was_found_of_a_source_stands_with_those_without_a_name() -> None:
    programs = [program("alice"), program(client=None, cold=1), program(client=None, label="codex", cold=1)]

    losses = told(programs, [finding("source-22")])["losses"]

    assert [(loss["client"], [each["text"] for each in loss["findings"]]) for loss in losses] == [
        (None, [WORDS]),
        (None, []),
    ]


def test_the_dearest_comes_first_whichever_proxy_tells_of_it() -> None:
    statuses = [
        read_cache({"programs": [program("cheap", cold=1, lost_credits=3.0)]}),
        read_cache({"programs": [program("dear", cold=1), program("unknown", cold=1, lost_credits=None)]}),
    ]

    seen = cache_of_all(enumerate(statuses, start=1))

    assert [(loss.client, loss.target) for loss in seen.losses] == [("dear", 2), ("cheap", 1), ("unknown", 2)]
    assert seen.losses[2].lost_credits is None


def test_twenty_are_told_at_most() -> None:
    assert len(told([program(f"client {number}", cold=1) for number in range(40)])["losses"]) == 20


def test_the_doctor_is_there_if_one_proxy_has_it() -> None:
    assert cache_of_all([(1, SAYS_NOTHING), (2, read_cache({"doctor": True}))]).doctor
    assert not cache_of_all([(1, SAYS_NOTHING)]).doctor


@pytest.mark.parametrize(
    "value", [None, 7, [], {}, {"programs": 7, "findings": {}}, {"programs": [7], "findings": [None]}]
)
def test_a_proxy_that_says_nothing_of_it_or_nonsense_has_no_input(value: object) -> None:
    seen = cache_of_all([(1, read_cache(value))])

    assert (seen.doctor, seen.seconds, seen.input_tokens, seen.losses) == (False, 3600.0, 0, [])


def test_a_finding_without_words_is_left_out() -> None:
    assert told([program()], [finding(text=None)])["losses"] == []
