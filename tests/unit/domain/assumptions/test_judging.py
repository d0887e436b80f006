"""What is made of what the trials have seen."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

import simulator.plan.keys
from extproc.cli import verify
from extproc.commands.verify_report import lines, spent_of
from extproc.domain.assumptions.budget import Budget, most_tokens
from extproc.domain.assumptions.errors import shape_of
from extproc.domain.assumptions.evidence import Evidence, Outcome, is_passing
from extproc.domain.assumptions.exchange import Exchange
from extproc.domain.assumptions.judging import ASSUMPTIONS, BEYOND, Verdict, verdicts, why_in_vain, why_not_of
from extproc.domain.assumptions.trials import (
    DEFAULT_MODEL,
    MESSAGES_PATH,
    MOST_OUTPUT,
    NOBODYS_KEY,
    UNSOUND,
    Credential,
    Trial,
    burst,
    burst_of_two_models,
    most_of,
    plan,
)
from extproc.domain.request.key_form import is_usual

AT = 1_790_000_000.0
CHAT = "/api/coding/paas/v4"
TRIALS = plan(DEFAULT_MODEL, CHAT, "0123456789abcdef")


def answered(trial: str, body: object, **fields: object) -> Exchange:
    exchange = Exchange(trial, "POST", "/", DEFAULT_MODEL, 200, {}, ((0.1, json.dumps(body).encode()),), 0.1, AT)
    return replace(exchange, **fields)  # type: ignore[arg-type]


def outcome(name: str, *exchanges: Exchange, **fields: object) -> Outcome:
    evidence = Evidence({exchange.trial: exchange for exchange in exchanges}, **fields)  # type: ignore[arg-type]
    return next(verdict.outcome for verdict in verdicts(evidence) if verdict.name == name)


def usage(**figures: int) -> Mapping[str, object]:
    return {"model": DEFAULT_MODEL, "usage": figures}


def test_what_was_not_tried_is_one_line_and_all_else_a_row_each() -> None:
    found = verdicts(Evidence({"bad model chat": answered("bad model chat", {}, status=422)}))
    printed = list(lines(found))

    assert printed[0].startswith("untold   not tried: unknown model, Anthropic; unknown model, Responses; ")
    assert printed[1] == "untold   not tried without --places: too many at once; form of 1302; limit by model"
    assert [line for line in printed if "unknown model, Chat" in line] == printed[-4:-3]
    assert not [line for line in printed if line.endswith(": was not tried")]


def test_of_no_answer_at_all_nobody_says_what_z_ai_did_not_do() -> None:
    lost = answered("beta", {}, path=MESSAGES_PATH, status=0, failure="ConnectError")
    seen = {verdict.name: verdict.seen for verdict in verdicts(Evidence({"beta": lost}))}

    assert seen["overload"] == seen["unified status"] == seen["identity encoding"] == "nothing was answered"


def test_nothing_can_be_told_of_nothing() -> None:
    found = verdicts(Evidence({}))

    assert {verdict.outcome for verdict in found} == {Outcome.UNTOLD}
    assert len(found) == len(ASSUMPTIONS)
    assert not any(verdict.meaning for verdict in found)


@pytest.mark.parametrize(
    ("again", "expected"),
    [
        (usage(input_tokens=30, cache_read_input_tokens=770), Outcome.HOLDS),
        (usage(input_tokens=800, cache_read_input_tokens=770), Outcome.DIFFERS),
        (usage(input_tokens=800, cache_read_input_tokens=0), Outcome.UNTOLD),
    ],
)
def test_cached_tokens_stand_beside_or_inside(again: Mapping[str, object], expected: Outcome) -> None:
    first = answered("cache first", usage(input_tokens=800))

    assert outcome("cached tokens, Anthropic", first, answered("cache again", again)) is expected


@pytest.mark.parametrize(
    ("protocol", "expected"), [("h2", Outcome.HOLDS), ("", Outcome.DIFFERS), (None, Outcome.UNTOLD)]
)
def test_http2_is_what_tls_agreed_on(protocol: str | None, expected: Outcome) -> None:
    assert outcome("HTTP/2", protocol=protocol) is expected


@pytest.mark.parametrize(
    ("idle", "expected"),
    [((41.0, True), Outcome.HOLDS), ((41.0, False), Outcome.DIFFERS), ((1.0, True), Outcome.UNTOLD)],
)
def test_a_connection_that_was_left_alone_too_shortly_tells_nothing(
    idle: tuple[float, bool], expected: Outcome
) -> None:
    assert outcome("idle connection", idle=idle) is expected


@pytest.mark.parametrize("status", [401, 403, 429, 529])
def test_a_refusal_of_another_kind_tells_nothing_of_an_error(status: int) -> None:
    refused = answered("bad parameter anthropic", {"error": {"code": "1302", "message": "…"}}, status=status)

    assert outcome("bad parameter, Anthropic", refused) is Outcome.UNTOLD


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (429, {"error": {"code": "1113", "message": "no balance"}}, Outcome.HOLDS),  # a plan's key
        (400, {"error": {"code": "1211", "message": "unknown"}}, Outcome.HOLDS),  # one with a balance
        (429, {"code": 1113, "msg": "no balance"}, Outcome.DIFFERS),
        (429, {"error": {"code": "1302", "message": "busy"}}, Outcome.UNTOLD),
    ],
)
def test_the_general_api_may_have_no_balance(status: int, body: object, expected: Outcome) -> None:
    assert outcome("unknown model, general API", answered("bad model general", body, status=status)) is expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [(401, Outcome.HOLDS), (200, Outcome.DIFFERS), (403, Outcome.DIFFERS), (429, Outcome.UNTOLD)],
)
def test_a_wrong_key_is_told_so_or_not(status: int, expected: Outcome) -> None:
    told = {"Anthropic": {"type": "401"}, "Chat": {"code": "401"}, "Responses": {"code": "1001"}}
    for surface, code in told.items():
        error = {"error": {**code, "message": "incorrect"}}
        refused = answered(f"wrong key {surface.lower()}", error, status=status)

        assert outcome(f"wrong key, {surface}", refused) is expected


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (200, {}, Outcome.UNTOLD),
        (429, {"retry-after": "3"}, Outcome.HOLDS),
        (429, {"anthropic-ratelimit-unified-status": "rejected"}, Outcome.DIFFERS),
    ],
)
def test_the_unified_status_is_looked_for_in_refusals_of_the_beta_header(
    status: int, headers: Mapping[str, str], expected: Outcome
) -> None:
    beta = answered("beta", {}, status=status, headers=headers, path="/api/anthropic/v1/messages")

    assert outcome("unified status", beta) is expected


def test_an_upstream_is_given_up_when_nothing_that_it_says_is_of_z_ai() -> None:
    page = answered("bad model chat", {}, status=404, pieces=((0.1, b"<html>"),))
    refused = answered("bad model anthropic", {"error": {"code": "1211", "message": "unknown"}}, status=400)
    away = answered("quota before", {}, status=0, pieces=(), model="", failure="ConnectError")

    assert why_in_vain([]) == why_in_vain([away]) == why_in_vain([page, page]) == ""
    assert why_in_vain([away, away]) == "nothing answers"
    assert why_in_vain([page, page, page]) == "no answer has Z.AI's form (HTTP 404, as HTML)"
    assert why_in_vain([page, page, refused, away, away]) == ""


def test_a_key_is_given_up_if_no_model_takes_it() -> None:
    shut = answered("bad model anthropic", {"error": {"type": "401", "message": "incorrect"}}, status=401)
    let_in = answered("bad model chat", {"error": {"code": "1211", "message": "unknown"}}, status=400)

    assert why_in_vain([shut]) == "the key is not accepted"
    assert why_in_vain([let_in, shut]) == ""
    assert why_in_vain([let_in, replace(shut, trial="wrong key chat")]) == ""


def test_an_answer_that_broke_off_tells_nothing() -> None:
    broken = answered("cache first", usage(input_tokens=800), failure="ReadError")

    assert outcome("cache writes", broken) is Outcome.UNTOLD


def test_what_such_requests_cannot_tell_is_said_with_why() -> None:
    found = {verdict.name: verdict for verdict in verdicts(Evidence({}))}

    for assumption in BEYOND:
        assert found[assumption.name].outcome is Outcome.UNTOLD
        assert found[assumption.name].seen not in ("", "was not tried")


@pytest.mark.parametrize(
    ("status", "expected"),
    [(200, Outcome.HOLDS), (429, Outcome.HOLDS), (529, Outcome.HOLDS), (503, Outcome.DIFFERS)],
)
def test_an_overload_that_was_met_tells_its_form(status: int, expected: Outcome) -> None:
    refused = answered("pair one", {"error": {"code": "1305", "message": "busy"}}, status=status)

    assert outcome("overload", refused) is expected


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_an_event_is_whole_however_it_is_cut(line_end: bytes) -> None:
    body = b'data: {"a": 1}\n\ndata: [DONE]\n\n'.replace(b"\n", line_end)
    pieces = tuple((n / 100, body[n : n + 1]) for n in range(len(body)))
    found = replace(answered("stream chat", {}), pieces=pieces).events()

    assert [event.data for event in found] == ['{"a": 1}', "[DONE]"]
    assert found[0].fields == {"a": 1}
    assert found[-1].at == (len(body) - 1) / 100


def test_a_stream_in_a_million_pieces_is_read_at_once() -> None:
    pieces = tuple((0.1, b"x") for _ in range(1_000_000))

    assert len(replace(answered("stream chat", {}), pieces=pieces).events()) == 1


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_an_end_long_after_the_final_event_differs(line_end: bytes) -> None:
    body = b"data: {}\n\ndata: [DONE]\n\n".replace(b"\n", line_end)
    stream = answered(
        "stream chat", {}, headers={"content-type": "text/event-stream"}, pieces=((0.2, body),), ended=0.3
    )

    assert outcome("end of streams, Chat", stream) is Outcome.HOLDS
    assert outcome("end of streams, Chat", replace(stream, ended=1.5)) is Outcome.DIFFERS


def test_the_trials_fit_into_what_may_be_spent_by_default() -> None:
    spend = next(option.default for option in verify.params if option.name == "spend")
    steps = burst(DEFAULT_MODEL, CHAT)
    groups = [TRIALS, steps, [burst_of_two_models(len(steps[-1]), DEFAULT_MODEL, CHAT)]]

    assert isinstance(spend, int)
    assert sum(map(most_of, groups)) <= spend


def test_the_two_models_at_once_are_two() -> None:
    for model in (DEFAULT_MODEL, "glm-4.5-air"):
        pairs = [group for group in plan(model, "/v4", "0123456789abcdef") if len(group) > 1]
        assert [len({trial.model for trial in pair}) for pair in pairs] == [2]


def test_what_takes_the_most_goes_last_so_that_a_small_budget_has_room_for_all_else() -> None:
    *others, first, again, other = TRIALS
    answered = [group for group in others if not group[0].name.startswith(UNSOUND)]  # what is refused costs nothing

    assert [group[0].name for group in (first, again, other)] == ["cache first", "cache again", "cache other line"]
    assert most_of(answered) < min(most_of([group]) for group in (first, again, other))
    assert most_of([*others, first, again]) <= 5000


def test_every_answer_that_costs_is_asked_for_as_few_tokens_as_are_counted() -> None:
    groups = [*TRIALS, *burst(DEFAULT_MODEL, CHAT), burst_of_two_models(8, DEFAULT_MODEL, CHAT)]
    billed = [trial for group in groups for trial in group if trial.most]

    for trial in billed:
        assert trial.body is not None
        asked = [trial.body[name] for name in ("max_tokens", "max_output_tokens") if name in trial.body]
        assert asked == [MOST_OUTPUT]
        assert trial.most == most_tokens(trial.content, MOST_OUTPUT)


def test_a_budget_gives_no_more_than_it_has() -> None:
    budget = Budget(tokens=100, requests=3)

    assert budget.take(60)
    assert not budget.take(60)
    budget.settle(60, 10)
    assert budget.take(60)
    budget.settle(60, None)  # told nothing: it may have cost all of it
    assert budget.spent == 70
    assert budget.take(0)
    assert not budget.take(0)  # no request is left
    assert most_tokens(b"a" * 400, 8) == 158


def test_after_an_answer_that_was_too_dear_only_what_is_free_is_sent() -> None:
    budget = Budget(tokens=100, requests=9)
    assert budget.take(60)
    budget.settle(60, 5000)

    assert not budget.take(1)
    assert budget.take(0)
    assert spent_of(budget) == (
        "2 requests sent, 5,000 tokens spent: "
        "more than the 100 of --spend, as an answer took more than its request asked for"
    )


def test_a_row_fits_a_terminal_of_80_columns() -> None:
    verdict = Verdict("unknown model", "HTTP 400, " * 20, Outcome.DIFFERS, "x" * 200, "It differs. " * 20)

    printed = list(lines([verdict], 80))

    assert max(map(len, printed)) <= 80
    assert "".join(printed).count("x") == 200
    assert len(list(lines([verdict]))) == 4


def test_a_row_says_once_what_was_seen_as_it_was_assumed_and_why_where_it_can_not_be_told() -> None:
    as_assumed = Verdict("unknown model", "HTTP 400", Outcome.HOLDS, "HTTP 400")
    untold = Verdict("prices", "those of the table", Outcome.UNTOLD, "no answer has one")

    assert list(lines([as_assumed, untold])) == [
        "untold   prices: those of the table",
        "         because: no answer has one",
        "holds    unknown model: HTTP 400",
        "1 hold, 0 differ, 1 could not be told",
    ]


@pytest.mark.parametrize(
    ("resets_at", "expected"), [(AT + 60, Outcome.UNTOLD), (AT + 600, Outcome.DIFFERS), (None, Outcome.DIFFERS)]
)
def test_a_window_that_began_anew_meanwhile_has_less_used(resets_at: float | None, expected: Outcome) -> None:
    def report(percentage: int) -> object:
        limit: dict[str, object] = {"type": "TOKENS_LIMIT", "unit": 3, "number": 5, "percentage": percentage}
        told = {} if resets_at is None else {"nextResetTime": int(resets_at * 1000)}
        return {"code": 200, "success": True, "data": {"level": "pro", "limits": [limit | told]}}

    before, after = (answered(f"quota {when}", report(share)) for when, share in (("before", 50), ("after", 20)))

    assert outcome("quota after requests", before, replace(after, began=AT + 120)) is expected


def test_what_has_one_reason_is_one_line() -> None:
    told = [Verdict(name, "…", Outcome.UNTOLD, "HTTP 429 with code 1308 (5-hour limit reached)") for name in "abc"]

    assert list(lines(told)) == [
        "untold   HTTP 429 with code 1308 (5-hour limit reached): a; b; c",
        "0 hold, 0 differ, 3 could not be told",
    ]


@pytest.mark.parametrize("code", ["401", "1000", "1308", "1309", "1310", "1311", "1313"])
def test_what_a_key_or_a_plan_is_refused_for_is_no_difference(code: str) -> None:
    status = 401 if code in ("401", "1000") else 429
    refused = {"error": {"code": code, "message": "no"}}
    sent = [answered(trial.name, refused, status=status, path=trial.path) for group in TRIALS for trial in group]
    at_once = [answered("burst of 2", refused, status=status)] * 2
    found = verdicts(Evidence({each.trial: each for each in sent}, burst=[at_once]))

    # What the quota API refuses differs, unless it is the key; what it says while a plan is used up is a report.
    assert {each.name for each in found if each.outcome is Outcome.DIFFERS} <= {"quota", "wrong key, Anthropic"}
    assert next(each.seen for each in found if each.name == "anthropic-beta").startswith(f"HTTP {status} with code")


@pytest.mark.parametrize(
    ("code", "beta", "fields"),
    [
        ("1210", Outcome.DIFFERS, Outcome.DIFFERS),
        ("1302", Outcome.DIFFERS, Outcome.UNTOLD),  # that the header is refused so was reported
        ("1305", Outcome.UNTOLD, Outcome.UNTOLD),
    ],
)
def test_a_refusal_that_others_get_too_is_not_the_requests_fault(code: str, beta: Outcome, fields: Outcome) -> None:
    refused = {"error": {"code": code, "message": "no"}}
    status = 400 if code == "1210" else 429
    names = ("beta", "unknown fields anthropic")
    exchanges = [answered(name, refused, status=status) for name in names]

    assert outcome("anthropic-beta", *exchanges) is beta
    assert outcome("unknown fields, Anthropic", *exchanges) is fields


def of_model(model: str, *passed: bool, code: str = "1302") -> list[Exchange]:
    """Requests that were sent at once; those that did not pass got this code."""
    refused = {"error": {"code": code, "message": "busy"}}
    return [answered("burst", {} if each else refused, model=model, status=200 if each else 429) for each in passed]


FOUR = of_model("a", True, True, True, False)


@pytest.mark.parametrize(
    ("alone", "together", "expected"),
    [
        (FOUR, [*of_model("b", True, True), *of_model("a", True, True)], Outcome.HOLDS),
        (FOUR, [*of_model("b", True, True), *of_model("a", True, False)], Outcome.DIFFERS),
        (FOUR, [*of_model("b", True, False), *of_model("a", True, True)], Outcome.UNTOLD),  # it may have one place
        (FOUR, [*of_model("b", True, True), *of_model("a", True, False, code="1305")], Outcome.UNTOLD),
        (of_model("a", True, False), [*of_model("b", True), *of_model("a", False)], Outcome.DIFFERS),
        (of_model("a", True, False), [*of_model("b", False), *of_model("a", False)], Outcome.DIFFERS),
        (of_model("a", True, False), [*of_model("b", True), *of_model("a", True)], Outcome.HOLDS),
        (of_model("a", False, False), [*of_model("b", True), *of_model("a", True)], Outcome.UNTOLD),
        (of_model("a", True, False), [], Outcome.UNTOLD),
        (of_model("a", True, True), [], Outcome.UNTOLD),
    ],
)
def test_two_models_have_places_of_their_own_if_both_find_some_where_one_was_full(
    alone: list[Exchange], together: list[Exchange], expected: Outcome
) -> None:
    assert outcome("limit by model", burst=[alone], of_two_models=together) is expected


@pytest.mark.parametrize(
    ("status", "code", "headers", "expected"),
    [
        (200, "", {}, Outcome.UNTOLD),  # nothing was refused
        (429, "1113", {}, Outcome.UNTOLD),  # not for a limit
        (429, "1302", {}, Outcome.HOLDS),
        (200, "1302", {}, Outcome.HOLDS),
        (429, "1302", {"retry-after": "3"}, Outcome.DIFFERS),
        (200, "", {"x-rate-limit-remaining": "3"}, Outcome.DIFFERS),
        (200, "", {"rate-limit-policy": "3"}, Outcome.DIFFERS),
        (200, "", {"ratelimit": "3"}, Outcome.DIFFERS),
    ],
)
def test_only_a_refusal_tells_that_none_has_headers_about_limits(
    status: int, code: str, headers: Mapping[str, str], expected: Outcome
) -> None:
    body = {"error": {"code": code, "message": "no"}} if code else {}

    assert outcome("headers about limits", answered("beta", body, status=status, headers=headers)) is expected


MOMENTARY = [(200, "1305"), (200, "1234"), (500, "500"), (500, "1234"), (529, "1305"), (502, ""), (503, "1312")]


@pytest.mark.parametrize(("status", "code"), MOMENTARY)
def test_a_failure_that_passes_tells_of_nothing_but_itself(status: int, code: str) -> None:
    body = {"error": {"code": code, "message": "later"}}
    groups = [*TRIALS, [Trial("quota after", "/", Credential.BARE)]]
    sent = [answered(each.name, body, status=status, path=each.path) for group in groups for each in group]
    cached = [answered("cache again", usage(input_tokens=30, cache_read_input_tokens=1570))]
    steps = [[answered("burst of 2", {}), answered("burst of 2", body, status=status)]]

    found = verdicts(Evidence({each.trial: each for each in (*sent, *cached)}, burst=steps))
    about_all = {"headers about limits", "unified status", "identity encoding", "overload", "clock"}
    told = {each.name for each in found if each.outcome is not Outcome.UNTOLD} - about_all
    # Z.AI answers a wrong path so.
    assert told == ({"wrong path, coding API", *WRONG_PATHS} if (status, code) == (500, "500") else set())
    assert all(map(is_passing, sent)) is not bool(told)


WRONG_PATHS = {f"wrong path, {surface}" for surface in ("Anthropic", "Responses", "general API")}


def test_what_was_overloaded_and_then_answered_tells_both() -> None:
    busy = answered("cache first", {"error": {"code": "1305", "message": "busy"}})
    first = answered("cache first", usage(input_tokens=1600))

    assert outcome("model", first, passing=[busy]) is Outcome.HOLDS
    assert outcome("overload", first, passing=[busy]) is Outcome.HOLDS


ERRORS_IN_200: dict[str, dict[str, Any]] = {
    "JSON": {"pieces": ((0.1, b'{"error": {"code": "1302", "message": "busy"}}'),)},
    "stream": {
        "pieces": ((0.1, b'event: error\ndata: {"type": "error", "error": {"code": "1302", "message": "busy"}}\n\n'),),
        "headers": {"content-type": "text/event-stream"},
    },
    "text": {"pieces": ((0.1, b"[1302][Rate limit reached for requests][20260618100000abcdef]"),)},
}


@pytest.mark.parametrize("form", ERRORS_IN_200)
def test_a_refusal_inside_a_200_is_a_refusal(form: str) -> None:
    refused = answered("burst of 2", {}, **ERRORS_IN_200[form])
    step = [answered("burst of 2", usage(input_tokens=3)), refused]

    found = {each.name: each for each in verdicts(Evidence({}, burst=[step]))}
    assert found["too many at once"].outcome is Outcome.HOLDS
    assert found["too many at once"].seen.startswith("1 of 2 at once passed, the others got HTTP 200 with code 1302")
    assert outcome("model", replace(refused, trial="cache first")) is Outcome.UNTOLD
    assert not refused.is_answered


def test_a_model_that_z_ai_does_not_have_is_no_difference() -> None:
    unknown = {"error": {"code": "1211", "message": "Unknown Model"}}
    names = [trial.name for group in TRIALS for trial in group if trial.model == DEFAULT_MODEL]
    sent = {name: answered(name, unknown, status=400) for name in names}
    found = verdicts(Evidence(sent))

    assert not [each.name for each in found if each.outcome is Outcome.DIFFERS]
    unsound = [each for name, each in sent.items() if name.startswith(("bad ", "wrong "))]
    assert why_not_of(DEFAULT_MODEL, unsound) == ""
    assert why_not_of(DEFAULT_MODEL, [replace(sent["beta"], model="zai-proxy-verify-no-such-model")]) == ""
    assert why_not_of(DEFAULT_MODEL, sent.values()) == (
        f"Z.AI has no model {DEFAULT_MODEL}: HTTP 400 with code 1211 (unknown model)"
    )


PAAS = {"error": {"code": "1302", "message": "busy"}}
ANTHROPIC = {"type": "error", "error": {"type": "x", **PAAS["error"]}, "request_id": "1"}
AS_STREAM = ((0.1, b"event: error\ndata: " + json.dumps(ANTHROPIC).encode() + b"\n\n"),)


@pytest.mark.parametrize(
    ("path", "body", "fields", "expected"),
    [
        (MESSAGES_PATH, ANTHROPIC, {"status": 429}, Outcome.HOLDS),
        (MESSAGES_PATH, {}, {"pieces": AS_STREAM, "headers": {"content-type": "text/event-stream"}}, Outcome.HOLDS),
        (MESSAGES_PATH, PAAS, {"status": 429}, Outcome.DIFFERS),
        ("/chat", PAAS, {"status": 200}, Outcome.HOLDS),
        ("/chat", {"code": 1302, "msg": "busy"}, {"status": 429}, Outcome.DIFFERS),
        ("/chat", {"error": {"code": "1305", "message": "busy"}}, {"status": 429}, Outcome.UNTOLD),
    ],
)
def test_the_form_of_what_is_too_much_at_once_is_that_of_other_errors(
    path: str, body: object, fields: dict[str, Any], expected: Outcome
) -> None:
    refused = answered("burst of 2", body, path=path, **fields)

    assert outcome("form of 1302", burst=[[answered("burst of 2", {}), refused]]) is expected


SOMEBODYS = ("mallory@example.org", "sess-77aa88", "7f3a9c21aabb", "QWxhZGRpbjpvcGVu", "Wang Xiaoming", "a\x1b[31m")


@pytest.mark.parametrize("text", SOMEBODYS)
def test_no_row_shows_a_name_or_a_word_that_could_be_somebodys(text: str) -> None:
    odd = {"error": {text: 1, "code": text}, text: 2, "model": text, "type": text, "input_tokens": text}
    stream = f'data: {{"type": {json.dumps(text)}, "usage": {{"input_tokens": 3}}}}\n\n'.encode()
    quota = {"success": True, "code": 200, "data": {"level": text, "limits": [{"type": text, "unit": 3, "number": 5}]}}
    headers = {f"x-ratelimit-{text.lower()}": text, "content-encoding": text, "date": text, "x-log-id": text}
    exchanges = [
        *(answered(each.name, odd, status=400, headers=headers) for group in TRIALS for each in group),
        *(answered(name, odd) for name in ("cache first", "cache again", "count tokens", "beta")),
        replace(answered("stream responses", {}), pieces=((0.1, stream),)),
        answered("quota before", quota),
        answered("quota after", {"success": False, "code": 500, "msg": text}),
    ]
    found = verdicts(Evidence({each.trial: each for each in exchanges}))

    assert not [verdict for verdict in found if text in verdict.seen]


def test_nobodys_key_has_the_form_of_a_key_and_is_sent_once_to_each_api() -> None:
    sent = [trial for group in plan(DEFAULT_MODEL, CHAT, "0123456789abcdef") for trial in group]

    assert NOBODYS_KEY == simulator.plan.keys.NOBODYS_KEY
    assert is_usual(NOBODYS_KEY)
    assert len({trial.path for trial in sent if not trial.has_key}) == sum(not trial.has_key for trial in sent) == 3


def test_the_shape_of_an_error_has_room_in_a_row() -> None:
    many = {f"field{number}\x1b[31m" * 20: number for number in range(10_000)}

    assert shape_of(answered("t", {"error": {"message": "m", "code": "1"}})) == "{error{code, message}}"
    assert shape_of(answered("t", {"error": {}, "b": 1, "a": 2})) == "{error{}, a, b}"
    for body in (many, {"error": many}, {"error": {}, **many}):
        assert len(shape_of(answered("t", body))) < 1200
        assert shape_of(answered("t", body)).isprintable()
