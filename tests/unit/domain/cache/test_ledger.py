"""What the ledger of the cache says of clients, programs and conversations, and how much it remembers."""

import json
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from extproc.domain.cache import report
from extproc.domain.cache.conversation import Speaker
from extproc.domain.cache.interest import Wait
from extproc.domain.cache.lanes import Asked
from extproc.domain.cache.ledger import COLD_SECONDS, WINDOW_SECONDS, CacheLedger
from extproc.domain.usage.log_entry import EntryKind, LogEntry, ReadAnswer
from extproc.domain.usage.outcome import interpret
from extproc.domain.usage.price_file import packaged_prices, parse_price_table
from extproc.domain.usage.token_estimates import TokenEstimator
from extproc.domain.usage.tokens import TokenCounts
from tests.unit.domain.cache.test_conversation import talk

PRICES = parse_price_table(packaged_prices())
NOON = 1_795_608_000.0
"""2026-11-26, 12:00 UTC: off peak, so credits count half."""

SPEAKER = Speaker("anna", "source-01", "Claude Code", "4a08be83-d265", "", "glm-5.3")


def row(ledger: CacheLedger, length: int, speaker: Speaker = SPEAKER, *, cached: int = 0, start: float = NOON) -> float:
    """So many requests of a conversation that grows by 1,000 tokens a minute, and what it finds too; returns a moment
    after."""
    for number in range(length):
        sent = start + 60 * number
        found = cached and cached + 1000 * number
        ledger.hear(speaker, Asked(sent, sent + 1, 20_000 + 1000 * number, found, 200), sent + 5)
    return sent + 6


def entry(**fields: Any) -> LogEntry:
    answer = ReadAnswer("json", "glm-5.3", TokenCounts(3000, 100, 1000), begun=True, final=True, tells_cache=True)
    return replace(
        LogEntry(
            EntryKind.REQUEST, "POST", "/v1/messages", "request", NOON, status=200, exchange_id="x-1",
            path_label="/v1/messages", source="source-01", user_agent="claude-cli/2.1.330 (external, cli)",
            sent_upstream=0.5, first_byte=1.0, last_byte=2.0, duration=2.0, answer=answer,
        ),
        **fields,
    )  # fmt: skip


def taken(**fields: Any) -> list[dict[str, Any]]:
    ledger = CacheLedger(PRICES)
    ledger.take(interpret(entry(**fields), TokenEstimator(), PRICES), NOON)
    return programs(ledger)


def programs(ledger: CacheLedger, at: float = NOON + 1) -> list[dict[str, Any]]:
    rows: Any = report.as_json(ledger, at)["programs"]
    return list(rows)


def conversations(ledger: CacheLedger, at: float) -> list[dict[str, Any]]:
    rows: Any = report.as_json(ledger, at)["conversations"]
    return list(rows)


def test_a_warm_conversation_is_told_with_its_shares_and_no_alarm() -> None:
    ledger = CacheLedger(PRICES)
    at = row(ledger, 4, cached=18_500)

    assert programs(ledger, at) == [
        {
            "client": "anna",
            "program": "Claude Code",
            "label": "claude_code",
            "requests": 4,
            "input_tokens": 86_000,
            "cached_tokens": 80_000,
            "cacheable_tokens": 81_500,
            "cached_ratio": 0.9302,
            "cacheable_ratio": 0.9477,
            "unknown_tokens": 1500,
            "lost_usd": 0.0,
            "lost_credits": 0.0,
            "cold": 0,
            "text": "Claude Code: 93 % of its input came from the cache, 95 % could have",
        }
    ]
    assert conversations(ledger, at) == []


def test_a_cold_conversation_is_told_with_what_it_costs() -> None:
    ledger = CacheLedger(PRICES)
    at = row(ledger, 7)

    # 135,000 tokens at 1.40 - 0.26 USD a million, and (6.9 - 1.7) / 2 credits for 10,000.
    assert conversations(ledger, at) == [
        {
            "client": "anna",
            "program": "Claude Code",
            "label": "claude_code",
            "session": "4a08be83-d265",
            "agent": None,
            "model": "glm-5.3",
            "since": NOON + 60,
            "at": NOON + 360,
            "requests": 6,
            "input_tokens": 141_000,
            "cached_tokens": 0,
            "cacheable_tokens": 135_000,
            "cached_ratio": 0.0,
            "cacheable_ratio": 0.9574,
            "lost_usd": 0.1539,
            "lost_credits": 35.1,
            "text": "Claude Code, session 4a08be83: 0 % of its input came from the cache, 96 % could have; "
            "$0.15 and 35 credits so far",
        }
    ]
    [program] = programs(ledger, at)
    assert (program["cold"], program["lost_usd"], program["lost_credits"]) == (1, 0.1539, 35.1)
    assert program["text"].endswith("could have; $0.15 and 35 credits in the last hour")
    assert ledger.since_start(at)["Claude Code"].usd == pytest.approx(0.1539)


def test_of_several_clients_each_is_named_beside_its_program() -> None:
    ledger = CacheLedger(PRICES)
    row(ledger, 7, replace(SPEAKER, client="berta"), cached=18_500)
    row(ledger, 7, replace(SPEAKER, client=""), cached=18_500)
    at = row(ledger, 7)

    names = [each["text"].split(":")[0] for each in programs(ledger, at)]
    assert sorted(names) == ["Claude Code", "Claude Code of anna", "Claude Code of berta"]
    [cold] = conversations(ledger, at)
    assert cold["text"].startswith("Claude Code of anna, session 4a08be83: 0 %")


def test_a_program_without_a_name_has_a_label_and_words_all_the_same() -> None:
    ledger = CacheLedger(PRICES)
    speaker = Speaker("", "source-07", "", "", "", "glm-5.3")
    for each in talk(30):
        at = NOON + each.sent
        ledger.hear(speaker, replace(each, sent=at, begun=at + 2), at + 5)
    at += 6

    [program], [conversation] = programs(ledger, at), conversations(ledger, at)
    assert (program["client"], program["program"], program["label"]) == (None, None, "other")
    assert (conversation["client"], conversation["session"]) == ("source-07", None)
    assert conversation["text"].startswith("A program without a name: 0 %")


def test_what_was_longer_than_an_hour_ago_is_no_longer_told_and_an_alarm_ends_before() -> None:
    ledger = CacheLedger(PRICES)
    at = row(ledger, 7)

    assert conversations(ledger, NOON + 360 + COLD_SECONDS - 1)
    assert conversations(ledger, NOON + 360 + COLD_SECONDS) == []
    assert programs(ledger, at + WINDOW_SECONDS - 700)
    assert programs(ledger, at + WINDOW_SECONDS) == []


def test_a_model_that_charges_cached_input_like_any_other_is_never_cold() -> None:
    for model in ("glm-4.5-x", "glm-4.5-flash"):
        ledger = CacheLedger(PRICES)
        assert conversations(ledger, row(ledger, 20, replace(SPEAKER, model=model))) == []


def test_a_model_without_a_price_is_cold_without_a_sum() -> None:
    ledger = CacheLedger(PRICES)
    at = row(ledger, 7, replace(SPEAKER, model="glm-7"))

    [cold] = conversations(ledger, at)
    assert (cold["lost_usd"], cold["lost_credits"]) == (0.0, 0.0)
    assert cold["text"].endswith("96 % could have")


def test_a_finished_request_is_booked_on_its_client_and_program() -> None:
    [told] = taken(client="anna", session="s-1")

    assert (told["client"], told["program"], told["requests"]) == ("anna", "Claude Code", 1)
    assert (told["input_tokens"], told["cached_tokens"], told["cacheable_tokens"]) == (4000, 1000, 1000)


@pytest.mark.parametrize(
    "fields",
    [
        {"path_label": "/v1/embeddings"},
        {"status": 400},
        {"answer": ReadAnswer("json", "glm-5.3", begun=True, final=True)},
        {"answer": ReadAnswer("json", "glm-5.3", TokenCounts(2047, 100), begun=True, final=True, tells_cache=True)},
        {"answer": ReadAnswer("json", "glm-5.3", TokenCounts(4000, 100), begun=True, final=True)},
        {"path_label": "/api/mcp/zread/mcp"},
    ],
    ids=["no prompt", "an error", "nobody counted", "very short", "no word of a cache", "a tool"],
)
def test_what_is_no_prompt_worth_caching_is_not_booked(fields: dict[str, Any]) -> None:
    assert taken(**fields) == []


def test_a_thread_stands_for_a_session_where_there_is_none() -> None:
    ledger = CacheLedger(PRICES)
    for number in range(7):
        tokens = TokenCounts(20_000 + 1000 * number, 100)
        answer = ReadAnswer("json", "glm-5.3", tokens, begun=True, final=True, tells_cache=True)
        asked = entry(started=NOON + 60 * number, thread="t-1", user_agent="codex_exec/0.169.0", answer=answer)
        ledger.take(interpret(asked, TokenEstimator(), PRICES), NOON + 60 * number)

    [cold] = conversations(ledger, NOON + 400)
    assert (cold["program"], cold["session"]) == ("Codex", "t-1")


def test_it_remembers_those_that_were_heard_last_and_no_more() -> None:
    ledger = CacheLedger(PRICES)
    row(ledger, 7)
    for number in range(10_000):
        row(
            ledger,
            1,
            Speaker(f"client {number}", "source-01", "", f"session {number}", "", "glm-5.3"),
            start=NOON + 400,
        )

    told: Any = report.as_json(ledger, NOON + 410)
    assert len(told["programs"]) == 50
    assert len(ledger._conversations) == 4096
    assert len(ledger._lately) == 256


@pytest.mark.parametrize("pause", [0.0, 0.3])
def test_requests_that_are_told_of_in_another_order_are_taken_in_their_own(pause: float) -> None:
    ledger = CacheLedger(PRICES)
    for place, number in enumerate((1, 0, 3, 2, 6, 5, 4)):
        sent = NOON + number / 100
        ledger.hear(SPEAKER, Asked(sent, sent + 0.001, 20_000 + 1000 * number, 0), NOON + 0.1 + place * pause)

    [cold] = conversations(ledger, NOON + 9)
    assert cold["requests"] == 6


def test_a_clock_that_goes_back_does_not_make_it_keep_everything() -> None:
    ledger = CacheLedger(PRICES)
    for number in range(25_000):
        ledger.hear(SPEAKER, Asked(NOON, NOON + 1, 20_000, 0), NOON - number)

    assert len(ledger._new) <= 10_000
    assert len(ledger._heard) <= 10_000


def test_a_clock_that_is_set_back_or_was_far_ahead_once_does_not_make_it_wait() -> None:
    for blip in (86_400.0, 0.0):
        ledger = CacheLedger(PRICES)
        for number in range(600):
            at = NOON + number + (blip if number == 100 else 0.0) - (3600.0 if not blip and number > 100 else 0.0)
            ledger.hear(SPEAKER, Asked(at - 2.0, at - 1.0, 20_000, 0), at)

        ledger.cold(at + 1.0)
        assert ledger.is_settled, blip


def test_requests_that_end_on_both_sides_of_a_mark_of_five_minutes_are_all_in_the_last_hour() -> None:
    ledger, seconds = CacheLedger(PRICES), (0.5, 20.0, 3.0, 11.0)
    sent = [NOON + number for number in range(2700)]
    ended = sorted((at + seconds[number % 4], at) for number, at in enumerate(sent))
    for heard, at in ended:
        ledger.hear(SPEAKER, Asked(at, at + 0.1, 20_000, 0), heard)
    ledger.cold(heard + 1.0)

    [use] = ledger.programs(heard + 1.0)
    [again] = restarted(ledger, heard + 1.0).programs(heard + 1.0)
    assert use.sums.requests == again.sums.requests == 2700
    assert use.sums.unknown == again.sums.unknown > 0


def test_however_many_are_heard_of_at_once_each_waits_for_a_few_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[Asked] = []
    monkeypatch.setattr(CacheLedger, "_take", lambda _self, _speaker, asked, _now: taken.append(asked))
    ledger, at_once = CacheLedger(PRICES), []
    for number in range(3000):
        before, at = len(taken), NOON + number / 1000
        ledger.hear(SPEAKER, Asked(at - 0.2, at, 20_000, 0), at)
        at_once.append(len(taken) - before)
    ledger.cold(NOON + 10)

    assert max(at_once) <= 4
    assert sum(at_once[2000:]) >= 900
    assert len(taken) == 3000
    assert taken == sorted(taken, key=lambda asked: asked.sent)


def restarted(ledger: CacheLedger, now: float) -> CacheLedger:
    again = CacheLedger(PRICES)
    again.restore(json.loads(json.dumps(ledger.snapshot(now))), now)
    return again


def test_the_sums_of_the_last_hour_outlive_a_restart_and_go_on() -> None:
    ledger = CacheLedger(PRICES)
    at = row(ledger, 7)
    row(ledger, 4, replace(SPEAKER, client="berta", program=""), cached=18_500)
    again = restarted(ledger, at)

    assert programs(again, at) == [{**each, "cold": 0} for each in programs(ledger, at)]
    assert (conversations(again, at), again.since_start(at)) == ([], {})
    assert programs(again, at + WINDOW_SECONDS) == []
    row(again, 1, start=at)
    assert {each["client"]: each["requests"] for each in programs(again, at + 6)} == {"anna": 8, "berta": 4}


def paused(ledger: CacheLedger) -> float:
    """A conversation with two minutes between its requests, of which nothing is found; returns a moment after."""
    for number in range(7):
        sent = NOON + 120 * number
        ledger.hear(SPEAKER, Asked(sent, sent + 1, 20_000 + 1000 * number, 0, 200), sent + 5)
    return sent + 6


def test_where_the_cache_may_have_forgotten_it_is_not_known_what_could_have_been_had() -> None:
    ledger = CacheLedger(PRICES)
    at = paused(ledger)

    for told in (ledger, restarted(ledger, at)):
        [program] = programs(told, at)
        assert (program["cacheable_tokens"], program["unknown_tokens"]) == (0, 155_000)
        assert program["text"] == (
            "Claude Code: 0 % of its input came from the cache; whether more of it could have is not known"
        )


def test_of_sessions_too_short_to_claim_anything_it_is_not_known_what_they_could_have_had() -> None:
    """Their first requests could have had what they all have in common, if it was the same and still there."""
    ledger = CacheLedger(PRICES)
    for number in range(10):
        at = row(ledger, 2, replace(SPEAKER, session=f"{number}"), start=NOON + 60 * number)

    [program] = programs(ledger, at)
    assert program["unknown_tokens"] == 10 * 20_000
    assert program["text"].endswith("; whether more of it could have is not known")


def test_of_two_agents_that_take_turns_under_one_session_each_could_have_had_its_own() -> None:
    ledger = CacheLedger(PRICES)
    agents: tuple[list[int], list[int]] = ([], [])
    for number in range(30):
        sent = NOON + 5 * number
        tokens = (60_000 if number % 2 else 20_000) + 350 * number
        agents[number % 2].append(tokens)
        ledger.hear(SPEAKER, Asked(sent, sent + 1, tokens, 0, 200, ended=sent + 3), sent + 3)

    [program] = programs(ledger, sent + 6)
    assert program["cacheable_tokens"] == sum(sum(each[:-1]) for each in agents)
    assert program["unknown_tokens"] == sum(each[0] for each in agents)


@pytest.mark.parametrize("of_main", [2, 4, 6])
@pytest.mark.parametrize("of_agents", [1, 2, 5])
def test_sub_agents_under_the_sessions_name_hide_nothing_of_its_main_conversation(of_main: int, of_agents: int) -> None:
    ledger, sent, main, cold = CacheLedger(PRICES), NOON, 30_000, []
    for _ in range(20):
        for _ in range(of_main):
            sent, main = sent + 5, main + 700
            ledger.hear(SPEAKER, Asked(sent, sent + 1, main, 0, 200, ended=sent + 3), sent + 3)
            cold.append(bool(ledger.cold(sent + 4)))
        for number in range(of_agents):
            sent, tokens = sent + 5, 8_000 + 900 * number
            found = tokens - 900 if number else 0
            ledger.hear(SPEAKER, Asked(sent, sent + 1, tokens, found, 200, ended=sent + 3), sent + 3)

    assert all(cold[12:])


def test_of_two_conversations_under_one_session_that_are_cold_one_is_told() -> None:
    ledger = CacheLedger(PRICES)
    for number in range(40):
        sent = NOON + 5 * number
        tokens = (60_000 if number % 2 else 20_000) + 700 * number
        ledger.hear(SPEAKER, Asked(sent, sent + 1, tokens, 0, 200, ended=sent + 3), sent + 3)

    [cold] = ledger.cold(sent + 6)
    assert cold.speaker == SPEAKER
    assert cold.misses.due > 60_000 * 10


def test_a_conversation_that_was_compacted_is_no_longer_told_of_after_some_minutes() -> None:
    ledger, sent = CacheLedger(PRICES), NOON
    for number in range(60):
        sent += 10
        is_old = number < 20
        tokens = (90_000 if is_old else 9_000) + 700 * number
        found = 0 if is_old else tokens - 700
        ledger.hear(SPEAKER, Asked(sent, sent + 1, tokens, found, 200, ended=sent + 3), sent + 3)
        if number == 19:
            assert ledger.cold(sent + 4)

    assert ledger.cold(sent + 4) == []


def test_of_what_is_known_and_what_is_not_both_are_said() -> None:
    ledger = CacheLedger(PRICES)
    paused(ledger)
    at = row(ledger, 7, replace(SPEAKER, session="another"), start=NOON + 800)

    [program] = programs(ledger, at)
    assert program["text"].startswith(
        "Claude Code: 0 % of its input came from the cache, 42 % could have, and of 54 % it is not known; $"
    )


def test_sums_of_a_version_that_said_nothing_of_what_is_not_known_are_read() -> None:
    ledger, again = CacheLedger(PRICES), CacheLedger(PRICES)
    at = row(ledger, 4, cached=18_500)
    saved = {key: value for key, value in ledger.snapshot(at).items() if key != "unknown"}
    again.restore(saved, at)

    assert programs(again, at) == [{**each, "unknown_tokens": 0} for each in programs(ledger, at)]


def test_the_last_snapshot_has_all_that_was_heard() -> None:
    ledger, again = CacheLedger(PRICES), CacheLedger(PRICES)
    ledger.hear(SPEAKER, Asked(NOON, NOON + 1, 20_000, 0), NOON + 1.9)
    again.restore(ledger.snapshot(NOON + 2, is_last=True), NOON + 2)

    assert [each["input_tokens"] for each in programs(again, NOON + 2)] == [20_000]


def test_what_is_not_of_the_last_hour_is_not_taken_over() -> None:
    """A file may be old, or from a time when the clock was ahead."""
    ledger = CacheLedger(PRICES)
    row(ledger, 1)
    saved = ledger.snapshot(NOON + 6)

    for at, requests in ((NOON + WINDOW_SECONDS, []), (NOON - 400, []), (NOON + WINDOW_SECONDS - 400, [1])):
        again = CacheLedger(PRICES)
        again.restore(saved, at)
        row(again, 1, replace(SPEAKER, client="berta"), start=at)
        assert [each["requests"] for each in programs(again, at + 6) if each["client"] == "anna"] == requests


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {"version": 2, "part_seconds": 300, "programs": []},
        {"version": 1, "part_seconds": 60, "programs": []},
        {"version": 1, "part_seconds": 300},
        {"version": 1, "part_seconds": 300, "programs": 3},
        {"version": 1, "part_seconds": 300, "programs": [["anna", "Codex"]]},
        {"version": 1, "part_seconds": 300, "programs": [["anna", 7, []]]},
        {"version": 1, "part_seconds": 300, "programs": [["anna", "Codex", [[1, 2]]]]},
        {"version": 1, "part_seconds": 300, "programs": [["anna", "Codex", [[1, 1, 1, 1, 1, 1, "1"]]]]},
        {"version": 1, "part_seconds": 300, "programs": [["anna", "Codex", [[1, 1, 1, 1, 1, 1, -1]]]]},
        {"version": 1, "part_seconds": 300, "programs": [["anna", "Codex", [[1, 1, 1, 1, 1, 1, float("nan")]]]]},
        {"version": 1, "part_seconds": 300, "programs": [], "unknown": [["anna", "Codex"]]},
        {"version": 1, "part_seconds": 300, "programs": [["a", "C", []]], "unknown": [["a", "C", [[1]]]]},
        {"version": 1, "part_seconds": 300, "programs": [["anna", "Codex", [[1.5, 1, 1, 1, 1, 1, 1]]]]},
    ],
)
def test_what_no_snapshot_says_is_refused_and_changes_nothing(data: object) -> None:
    ledger = CacheLedger(PRICES)
    at = row(ledger, 4)
    before = programs(ledger, at)
    with pytest.raises(ValueError, match=r"damaged|no such sums"):
        ledger.restore(data, at)

    assert programs(ledger, at) == before


def test_two_conversations_without_a_session_are_told_apart_by_their_prompts() -> None:
    ledger = CacheLedger(PRICES)
    for number in range(12):
        for name, share in (("a", 0.0), ("b", 1.0)):
            sent, tokens = NOON + 20 * number + (10 if name == "b" else 0), 20_000 + 1000 * number
            told = " ".join(f"m9:{name}{message}" for message in range(2 * number + 1))
            cached = int((tokens - 1000) * share) if number else 0
            ledger.hear(
                replace(SPEAKER, session=""), Asked(sent, sent + 1, tokens, cached, 200, f"s9:1:1 {told}"), sent + 5
            )

    [cold] = conversations(ledger, NOON + 300)
    assert (cold["session"], cold["requests"], cold["cached_tokens"]) == (None, 11, 0)
    [program] = programs(ledger, NOON + 300)
    assert (program["requests"], program["cold"]) == (24, 1)


def loop(ledger: CacheLedger, sessions: int, *, cached: int = 0, start: float = NOON, **fields: str) -> float:
    """A program that is run again and again: each session has five requests, and begins as the one before did; returns
    a moment after."""
    for number in range(sessions):
        speaker = replace(SPEAKER, session=f"{start} {number}", **fields)
        at = row(ledger, 5, speaker, cached=cached, start=start + 300 * number)
    return at


def test_many_short_sessions_of_one_program_that_miss_the_cache_are_told_like_one_that_is_long() -> None:
    ledger = CacheLedger(PRICES)
    at = loop(ledger, 6)

    [cold] = conversations(ledger, at)
    assert (cold["client"], cold["program"], cold["session"], cold["requests"]) == ("anna", "Claude Code", None, 24)
    assert (cold["cached_tokens"], cold["cacheable_tokens"]) == (0, 6 * 86_000)
    assert cold["text"].startswith("Claude Code, 3 short sessions: 0 % of its input came from the cache, 96 % could")
    assert [each["cold"] for each in programs(ledger, at)] == [1]
    assert conversations(ledger, at + COLD_SECONDS) == []


def test_short_sessions_that_find_their_due_end_it_and_a_few_that_do_not_are_none() -> None:
    ledger = CacheLedger(PRICES)
    assert conversations(ledger, loop(ledger, 2)) == []
    at = loop(ledger, 4, start=NOON + 600)
    assert len(conversations(ledger, at)) == 1

    at = loop(ledger, 2, start=at, cached=18_500)
    assert conversations(ledger, at) == []


def test_short_sessions_of_several_clients_programs_and_models_are_not_taken_together() -> None:
    ledger = CacheLedger(PRICES)
    for fields in ({"client": "berta"}, {"program": "Codex"}, {"model": "glm-5.2"}, {}):
        at = loop(ledger, 2, **fields)

    assert conversations(ledger, at) == []


def test_prompts_with_nothing_in_common_are_no_short_sessions() -> None:
    """Pages that are summed up, several at a time: some grow a few times in a row, by chance."""
    for seed in range(20):
        random, ledger, pages = Random(seed), CacheLedger(PRICES), list[tuple[Speaker, Asked]]()
        for number in range(10):
            sent = NOON + random.uniform(0, 120)
            for _ in range(20):
                tokens, ended = random.randint(20_000, 25_000), sent + random.uniform(2, 6)
                speaker = replace(SPEAKER, session=f"{number}")
                pages.append((speaker, Asked(sent, sent + 1, tokens, 2048, 200, ended=ended)))
                sent = ended + random.uniform(1, 20)
        for speaker, asked in sorted(pages, key=lambda page: page[1].ended):
            ledger.hear(speaker, asked, asked.ended)
            assert ledger.cold(asked.ended) == [], seed


def test_a_cold_conversation_whose_prompts_are_not_looked_at_yet_says_when_they_are() -> None:
    """Others have used up what the program may have looked at."""
    ledger = CacheLedger(PRICES)
    for number in range(12):
        other = replace(SPEAKER, session=f"{number}")
        row(ledger, 1, other, start=NOON - 1000)
        for _ in range(5):
            ledger.wants_parts(other)

    waits, texts = [], []
    for number in range(60):
        sent = NOON + 20 * number
        is_looked_at = ledger.wants_parts(SPEAKER)
        ledger.hear(SPEAKER, Asked(sent, sent + 1, 20_000 + 1000 * number, 0, 200), sent + 5)
        waits.append(ledger.waits_for_a_look(SPEAKER))
        told: Any = report.as_json(ledger, sent + 6, doctor=True)["conversations"]
        texts.append(told[0]["text"] if told else "")
        if is_looked_at:
            break

    assert waits == [*(Wait(number, is_for_program=True) for number in range(len(waits) - 1, 0, -1)), None]
    assert texts[8].endswith(f"; why is looked at after {len(waits) - 9} more requests of this program")
    assert "why is looked at" not in texts[-1]
    assert all("why is" not in each["text"] for each in conversations(ledger, sent + 6))


def test_a_cold_conversation_whose_looks_found_nothing_says_when_it_is_looked_at_again() -> None:
    """Envoy told of no parts."""
    ledger, texts = CacheLedger(PRICES), []
    for number in range(40):
        sent = NOON + 20 * number
        ledger.wants_parts(SPEAKER)
        ledger.hear(SPEAKER, Asked(sent, sent + 1, 20_000 + 1000 * number, 0, 200), sent + 5)
        told: Any = report.as_json(ledger, sent + 6, doctor=True)["conversations"]
        texts.append(told[0]["text"] if told else "")

    assert texts[24].endswith("; why is looked at after 11 more of its requests")
    assert texts[34].endswith("; why is looked at after 1 more of its requests")
    assert "why is looked at" not in texts[35]
