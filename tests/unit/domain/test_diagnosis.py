"""What the doctor makes of what it sees."""

import pytest

from extproc.domain import diagnosis
from extproc.domain.diagnosis import (
    CachedProgram,
    CacheReport,
    Finding,
    LearnedPlaces,
    Level,
    RecentRequest,
    SharedPlaces,
)

KEY = f"{'0a' * 16}.{'Xy' * 8}"
PROXY = "http://127.0.0.1:8080"


def levels(findings: list[Finding]) -> dict[str, Level]:
    return {finding.what: finding.level for finding in findings}


def test_a_key_of_the_usual_form_is_fine_and_another_is_noted_without_being_shown() -> None:
    assert diagnosis.judge_key(KEY).level is Level.OK
    other = diagnosis.judge_key("some-other-key")
    assert other.level is Level.NOTE
    assert "some-other-key" not in f"{other.found} {other.advice}"


def test_the_mainland_host_and_the_path_of_the_balance_are_noted() -> None:
    assert levels(list(diagnosis.judge_target("https://api.z.ai", "/api/coding/paas/v4"))) == {"upstream": Level.OK}
    mainland = list(diagnosis.judge_target("https://open.bigmodel.cn", "/api/paas/v4"))
    assert levels(mainland) == {"upstream": Level.NOTE, "OpenAI path": Level.NOTE}
    assert "1113" in mainland[1].advice


@pytest.mark.parametrize(
    ("skew", "level"), [(0, Level.OK), (59, Level.OK), (-59, Level.OK), (61, Level.PROBLEM), (-7200, Level.PROBLEM)]
)
def test_a_clock_that_is_a_minute_off_is_a_problem(skew: float, level: Level) -> None:
    assert diagnosis.judge_clock(skew).level is level


def test_an_error_of_zai_comes_with_what_to_do_about_it() -> None:
    finding = diagnosis.judge_error("request", "1113", 429, "no balance")

    assert finding.level is Level.PROBLEM
    assert "1113" in finding.found
    assert finding.advice


def test_clients_that_lead_past_the_proxy_or_hold_the_key_are_found() -> None:
    environment = {
        "ANTHROPIC_BASE_URL": "https://api.z.ai/api/anthropic",
        "OPENAI_BASE_URL": "http://localhost:8080/v1",
        "ANTHROPIC_AUTH_TOKEN": KEY,
        "OPENAI_API_KEY": "anything",
        "http_proxy": "http://proxy:3128",
    }
    findings = list(diagnosis.judge_environment(environment, PROXY, KEY))

    assert levels(findings) == {
        "ANTHROPIC_BASE_URL": Level.NOTE,
        "OPENAI_BASE_URL": Level.OK,
        "ANTHROPIC_AUTH_TOKEN": Level.PROBLEM,
        "HTTP_PROXY": Level.NOTE,
    }
    assert KEY not in str(findings)


@pytest.mark.parametrize(
    ("name", "path", "level"),
    [
        ("ANTHROPIC_BASE_URL", "", Level.OK),
        ("ANTHROPIC_BASE_URL", "/", Level.OK),
        ("ANTHROPIC_BASE_URL", "/api/anthropic", Level.OK),
        ("ANTHROPIC_BASE_URL", "/v1", Level.PROBLEM),
        ("ANTHROPIC_BASE_URL", "/v1/messages", Level.PROBLEM),
        ("OPENAI_BASE_URL", "/v1", Level.OK),
        ("OPENAI_BASE_URL", "/api/v1", Level.OK),
        ("OPENAI_BASE_URL", "/v1/chat/completions", Level.PROBLEM),
        ("ZAI_BASE_URL", "/api/coding/paas/v4", Level.OK),
        ("ZAI_BASE_URL", "/api/coding", Level.PROBLEM),
    ],
)
def test_a_base_url_that_leads_here_has_to_lead_to_an_api(name: str, path: str, level: Level) -> None:
    findings = diagnosis.judge_environment({name: f"{PROXY}{path}"}, PROXY, KEY)
    [finding] = [each for each in findings if each.what == name and "not set" not in each.found]

    assert finding.level is level
    assert ("export" in finding.advice) is (level is Level.PROBLEM)


def test_a_proxy_of_the_environment_that_spares_this_machine_is_fine() -> None:
    environment = {"HTTP_PROXY": "http://proxy:3128", "NO_PROXY": "example.com, 127.0.0.1"}
    assert "ALL_PROXY" in levels(list(diagnosis.judge_environment({"all_proxy": "http://proxy:3128"}, PROXY, KEY)))

    assert "HTTP_PROXY" not in levels(list(diagnosis.judge_environment(environment, PROXY, KEY)))


def test_an_environment_that_points_nowhere_is_told_how_to_point_here() -> None:
    [finding] = diagnosis.judge_environment({}, PROXY, KEY)

    assert f"export ANTHROPIC_BASE_URL={PROXY}" in finding.advice


def test_a_store_that_is_far_is_noted_and_one_that_refuses_is_a_problem_with_its_own_advice() -> None:
    assert diagnosis.judge_store("store:6379", 0.0004).level is Level.OK
    assert diagnosis.judge_store("store:6379", 0.05).level is Level.NOTE
    assert "password" in diagnosis.judge_lost_store("store:6379", "AuthenticationError").advice
    assert diagnosis.judge_lost_store("store:6379", "ConnectionError").level is Level.PROBLEM


def places(model: str, limit: int, refused: int | None, waiting: int = 0) -> LearnedPlaces:
    return LearnedPlaces(model, limit, refused, in_flight=min(limit, 1), waiting=waiting)


def shared(model: str, limit: int, those: SharedPlaces) -> LearnedPlaces:
    return LearnedPlaces(model, limit, None, in_flight=1, waiting=3, shared=those)


def test_what_was_learned_of_each_model_is_told_with_what_waits() -> None:
    learned = [places("glm-5.3", 2, 3, waiting=2), places("mcp", 3, None), places("unknown", 3, None)]
    findings = list(diagnosis.judge_places(learned))

    assert [(finding.what, finding.level) for finding in findings] == [
        ("glm-5.3", Level.OK),
        ("calls of MCP tools", Level.OK),
        ("requests for an unknown model", Level.OK),
    ]
    assert findings[0].found == "2 may run at once (3 were refused); 1 running, 2 waiting"
    assert findings[1].found == "3 may run at once; 1 running, nothing waiting"


@pytest.mark.parametrize(
    ("models", "maybe", "words"),
    [
        (["glm-4.7"], [], "shares 6 places with glm-4.7 (5 in use)"),
        (["glm-4.6", "unknown"], [], "shares 6 places with glm-4.6 and an unknown model (5 in use)"),
        (["glm-4.7"], ["glm-4.6"], "shares 6 places with glm-4.7, perhaps also with glm-4.6 (5 in use)"),
        ([], ["glm-4.7"], "may share 6 places with glm-4.7 (5 in use)"),
    ],
)
def test_it_is_told_with_which_models_one_shares_places_and_how_sure_that_is(
    models: list[str], maybe: list[str], words: str
) -> None:
    [finding] = diagnosis.judge_places([shared("glm-5.3", 5, SharedPlaces(models, maybe, limit=6, in_flight=5))])

    assert finding.found == f"5 may run at once; 1 running, 3 waiting; {words}"
    assert finding.level is Level.OK


def test_one_place_that_is_shared_is_told_in_the_singular() -> None:
    [finding] = diagnosis.judge_places([shared("glm-5.3", 5, SharedPlaces([], ["glm-4.7"], limit=1, in_flight=1))])

    assert finding.found.endswith("; may share 1 place with glm-4.7 (1 in use)")


def test_a_model_of_which_more_waits_than_it_shares_places_is_noted_but_not_while_that_is_only_tried() -> None:
    known, tried = SharedPlaces(["glm-4.7"], [], 2, 2), SharedPlaces([], ["glm-4.7"], 2, 2)
    findings = list(diagnosis.judge_places([shared("glm-5.3", 5, known), shared("glm-5.3", 5, tried)]))

    assert [finding.level for finding in findings] == [Level.NOTE, Level.OK]


def test_a_model_far_below_another_is_noted_and_the_other_named() -> None:
    models = [places("glm-4.7", 2, 3), places("glm-5.3", 3, 4), places("glm-5.3-flash", 6, 7), places("mcp", 1, 2)]
    findings = {finding.what: finding for finding in diagnosis.judge_places(models)}

    assert [what for what, finding in findings.items() if finding.level is Level.NOTE] == ["glm-4.7"]
    assert "glm-5.3-flash may run 6 at once" in findings["glm-4.7"].advice


@pytest.mark.parametrize(
    "full",
    [
        LearnedPlaces("glm-5.3", 6, 7, in_flight=6, waiting=0),
        LearnedPlaces("glm-5.3", 6, 7, in_flight=5, waiting=1),
        LearnedPlaces("glm-5.3", 6, 7, in_flight=2, waiting=0, shared=SharedPlaces(["glm-4.6"], [], 6, 6)),
    ],
)
def test_a_model_that_is_full_itself_is_advised_to_nobody(full: LearnedPlaces) -> None:
    small, roomy = places("glm-4.7", 1, 2), places("glm-4.5-air", 3, 4)
    alone, beside = next(diagnosis.judge_places([small, full])), next(diagnosis.judge_places([small, full, roomy]))

    assert (alone.level, alone.advice) == (Level.NOTE, "")
    assert "glm-4.5-air may run 3 at once" in beside.advice


def test_a_model_with_a_queue_is_told_to_ask_for_less_where_no_other_has_room() -> None:
    full = LearnedPlaces("glm-5.3", 6, 7, in_flight=6, waiting=2)
    finding = next(diagnosis.judge_places([places("glm-4.7", 2, 3, waiting=3), full]))

    assert "fewer agents" in finding.advice


def test_a_model_of_which_more_waits_than_it_has_places_is_noted() -> None:
    [finding] = diagnosis.judge_places([places("glm-5.3", 2, 3, waiting=3)])

    assert finding.level is Level.NOTE
    assert "fewer agents" in finding.advice


def test_a_model_that_was_never_refused_is_not_below_any_other() -> None:
    findings = list(diagnosis.judge_places([places("glm-5.3", 2, None), places("glm-5.3-flash", 9, 10)]))

    assert {finding.level for finding in findings} == {Level.OK}


def test_without_a_proxy_nothing_is_said_of_models() -> None:
    assert list(diagnosis.judge_places([])) == []


def test_a_program_whose_prompts_find_little_in_the_cache_is_noted_and_one_whose_find_it_is_fine() -> None:
    programs = [CachedProgram("Codex: 90 %", 0), CachedProgram("Claude Code: 4 %", 1)]
    findings = list(diagnosis.judge_cache(CacheReport(programs)))

    assert [(finding.level, finding.found) for finding in findings] == [
        (Level.OK, "Codex: 90 %"),
        (Level.NOTE, "Claude Code: 4 %"),
    ]
    assert "CACHE_DOCTOR=on" in findings[1].advice
    [_, finding] = diagnosis.judge_cache(CacheReport(programs, has_doctor=True))
    assert finding.advice.startswith("Which part of the prompts changes, or whether one does, is not known, or not yet")


def test_a_conversation_that_finds_little_in_the_cache_is_a_warning_also_of_a_program_that_finds_much() -> None:
    report = CacheReport([CachedProgram("Codex: 88 %", 1)], cold=["Codex, session sick: 4 %", "3 more"])
    [program, *cold] = diagnosis.judge_cache(report)

    assert program.level is Level.NOTE
    assert [(finding.level, finding.found) for finding in cold] == [
        (Level.WARNING, "Codex, session sick: 4 %"),
        (Level.WARNING, "3 more"),
    ]


def test_what_keeps_prompts_out_of_the_cache_is_said_where_it_is_known() -> None:
    cause = ("Claude Code", "system block 1 changes with each request")
    report = CacheReport([CachedProgram("Claude Code: 4 %", 1)], causes=[cause], has_doctor=True)
    [program, finding] = diagnosis.judge_cache(report)

    assert program.advice == ""
    assert (finding.level, finding.found) == (Level.NOTE, "Claude Code: system block 1 changes with each request")


@pytest.mark.parametrize(
    ("environ", "is_noted"),
    [
        ({"ANTHROPIC_BASE_URL": PROXY}, True),
        ({"ANTHROPIC_BASE_URL": PROXY, "CLAUDE_CODE_ATTRIBUTION_HEADER": "1"}, True),
        ({"ANTHROPIC_BASE_URL": PROXY, "CLAUDE_CODE_ATTRIBUTION_HEADER": "0"}, False),
        ({"ANTHROPIC_BASE_URL": "https://api.example.com"}, False),
        ({}, False),
    ],
)
def test_the_line_in_front_of_claude_codes_prompts_is_noted_where_it_comes_here(
    environ: dict[str, str], is_noted: bool
) -> None:
    findings = [each for each in diagnosis.judge_environment(environ, PROXY, "") if "ATTRIBUTION" in each.what]

    assert [finding.level for finding in findings] == [Level.NOTE] * is_noted


WELL = RecentRequest(200)
NO_UPSTREAM = RecentRequest(503, "request_creation")


@pytest.mark.parametrize(
    ("failed", "well", "level"),
    [
        (25, 0, Level.PROBLEM),
        (5, 5, Level.PROBLEM),
        (4, 0, Level.NOTE),
        (4, 5, Level.NOTE),
        (2, 17, Level.NOTE),
        (2, 18, Level.OK),
        (0, 1, Level.OK),
    ],
)
def test_requests_of_which_half_failed_are_a_problem_and_more_than_a_tenth_a_note(
    failed: int, well: int, level: Level
) -> None:
    finding = diagnosis.judge_requests([NO_UPSTREAM] * failed + [WELL] * well)

    assert finding is not None
    assert finding.level is level
    assert finding.found.startswith(f"{failed or 'none'} of {failed + well} in the last 10 minutes failed")
    assert bool(finding.advice) is (level is not Level.OK)


def test_where_nobody_asked_anything_nothing_is_said_of_requests() -> None:
    assert diagnosis.judge_requests([]) is None


@pytest.mark.parametrize(
    ("request_", "words", "advice"),
    [
        (NO_UPSTREAM, "(5 with 503 request_creation)", "ZAI_TARGET_URL"),
        (RecentRequest(503, "upstream_connection"), "(5 with 503 upstream_connection)", "ZAI_TARGET_URL"),
        (RecentRequest(503, refused="capacity"), "(5 with 503 capacity)", "docs/errors.md"),
        (RecentRequest(429, "429"), "(5 with 429)", "docs/errors.md"),
        (RecentRequest(200, "529"), "(5 with 529)", "docs/errors.md"),
        (RecentRequest(500), "(5 with 500)", "docs/errors.md"),
    ],
)
def test_why_requests_failed_is_told_with_what_to_do(request_: RecentRequest, words: str, advice: str) -> None:
    finding = diagnosis.judge_requests([request_] * 5)

    assert finding is not None
    assert finding.level is Level.PROBLEM
    assert finding.found.endswith(words)
    assert advice in finding.advice


@pytest.mark.parametrize(
    "own", [RecentRequest(499, "write_error"), RecentRequest(400, "400"), RecentRequest(401), RecentRequest(404)]
)
def test_what_clients_did_wrong_themselves_is_no_failure(own: RecentRequest) -> None:
    finding = diagnosis.judge_requests([own] * 9)

    assert finding == Finding(Level.OK, "requests", "none of 9 in the last 10 minutes failed")
