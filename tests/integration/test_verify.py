"""`zai-proxy verify` on the simulator: as we take Z.AI to be, and different in one point after the other."""

import asyncio
import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from extproc.cli import verify
from extproc.commands.verify import Options, Verifier, run_verify
from extproc.commands.verify_record import RecordDirectory
from extproc.commands.verify_report import as_json, lines
from extproc.domain.assumptions.evidence import Outcome
from extproc.domain.assumptions.judging import ASSUMPTIONS, BEYOND
from extproc.domain.assumptions.trials import burst, burst_of_two_models, most_of, plan
from extproc.settings import Settings, load_settings
from simulator.scenario.replay import load_recording
from simulator.scenario.rulebook import rulebook_from
from simulator.server.settings import SimulatorSettings
from simulator.server.settings import plan as plan_of
from simulator.server.threaded import SimulatorThread
from tests.harness.certificates import Authority
from tests.harness.processes import bare_environment, make_key
from tests.harness.rewriting_relay import rewriting_relay
from tests.harness.waiting import eventually, wait_until

KEY = make_key()
MODEL = "glm-5.3-flash"
CODING = "/api/coding/paas/v4"
MESSAGES = "/api/anthropic/v1/messages"
CHAT = f"{CODING}/chat/completions"
QUOTA = "/api/monitor/usage/quota/limit"
ZAI_PROXY = str(Path(sys.executable).with_name("zai-proxy"))
TRIALS = [trial for group in plan(MODEL, CODING, "0123456789abcdef") for trial in group]

Rule = dict[str, Any]


def rule(path: str, answer: dict[str, Any], **match: object) -> Rule:
    return {"match": {"path": path, **match}, "answer": answer}


# With a burst that is refused at its first step.
SENT = [*TRIALS, *burst(MODEL, CODING)[0], *burst_of_two_models(2, MODEL, CODING)]


def on(name: str, answer: dict[str, Any], path: str | None = None) -> Rule:
    """The rule for one of the trials; of those of one name, for that with this path."""
    requests = [(trial.path, trial.model, not trial.has_key) for trial in SENT]
    number = next(n for n, trial in enumerate(SENT) if trial.name == name and path in (None, trial.path))
    path, model, is_nobodys = requests[number]
    key = "wrong" if is_nobodys else "right"
    return rule(path, answer, model=model or "*", key=key, nth=requests[: number + 1].count(requests[number]))


def of_burst(answer: dict[str, Any], *paths: str) -> list[Rule]:
    """The rules for what is sent at once: one of two gets this answer, or both."""
    return [on("burst of 2", answer, path) for path in paths or (MESSAGES,)]


def of_two_models(answer: dict[str, Any], *paths: str) -> list[Rule]:
    """The rules for what is sent after that: the model's own is a message, another model's a chat."""
    return [on("burst of 2 two models", answer, path) for path in paths or (MESSAGES,)]


AS_ASSUMED = [
    on("cache first", {"input_tokens": 1300}),
    on("cache again", {"input_tokens": 30, "cached_tokens": 1270}),
]


def report(percentage: int) -> str:
    limit = {"type": "TOKENS_LIMIT", "unit": 3, "number": 5, "percentage": percentage}
    return json.dumps({"code": 200, "msg": "ok", "success": True, "data": {"level": "pro", "limits": [limit]}})


# So few that the percentage moves, and enough for all that is sent in hours of peak, when credits count twice.
CREDITS = 4.0


def simulated(
    *rules: Rule, default: dict[str, Any] | None = None, tls: tuple[Path, Path] | None = None, **limits: Any
) -> SimulatorThread:
    book = rulebook_from({"default": {"end_pause": 0, **(default or {})}, "rules": [*rules, *AS_ASSUMED]})
    certificate, key = tls or (None, None)
    return SimulatorThread(
        SimulatorSettings(
            key=KEY,
            rulebook=book,
            limits=plan_of(**{"five_hour_credits": CREDITS, **limits}),
            tls_cert=certificate,
            tls_key=key,
        )
    )


def options(**changes: Any) -> Options:
    usual: dict[str, Any] = {"spend": 9000, "model": MODEL, "places": True, "yes": True, "as_json": False}
    return Options(**{**usual, "directory": None, "idle": 0.1, "seconds_between": 0.0, **changes})


def default_spend() -> int:
    default = next(option.default for option in verify.params if option.name == "spend")
    assert isinstance(default, int)
    return default


def without_attribution(body: bytes) -> bytes:
    return re.sub(rb"x-anthropic-billing-header: [^\"]*", b"", body)


def point_at(monkeypatch: pytest.MonkeyPatch, url: str, **settings: str) -> Settings:
    for name, value in {"ZAI_API_KEY": KEY, "ZAI_TARGET_URL": url, **settings}.items():
        monkeypatch.setenv(name, value)
    return load_settings(True)


def tried(
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    *,
    record: Path | None = None,
    settings: dict[str, str] | None = None,
    **changes: Any,
) -> tuple[dict[str, Outcome], Verifier]:
    """What came out for each assumption."""
    verifier = Verifier(point_at(monkeypatch, url, **(settings or {})), options(**changes), lambda _line: None)
    asyncio.run(verifier.run())
    if record is not None:
        directory = RecordDirectory(record)
        directory.prepare()
        directory.write(verifier.records())
    return {verdict.name: verdict.outcome for verdict in verifier.verdicts()}, verifier


def seen_in(verifier: Verifier, name: str) -> str:
    return next(verdict.seen for verdict in verifier.verdicts() if verdict.name == name)


def differences(outcomes: dict[str, Outcome]) -> set[str]:
    return {name for name, outcome in outcomes.items() if outcome is Outcome.DIFFERS}


@pytest.mark.parametrize("status", [429, 200])
def test_on_what_is_as_we_take_it_to_be_nothing_differs(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    with simulated(*of_burst({"code": "1302", "status": status})) as simulator:
        outcomes, verifier = tried(monkeypatch, simulator.url)
        journal = simulator.log()

    untold = {name for name, outcome in outcomes.items() if outcome is not Outcome.HOLDS}
    assert seen_in(verifier, "form of 1302").endswith("on Anthropic")
    # Plain HTTP, 0.1 s are not 40, and nothing is overloaded.
    assert untold == {"HTTP/2", "idle connection", "overload", *(each.name for each in BEYOND)}
    assert Outcome.DIFFERS not in outcomes.values()
    assert verifier.budget.sent == len(journal)
    assert 0 < verifier.budget.spent < 9000


def test_without_being_asked_for_by_name_no_burst_is_sent_and_its_rows_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with simulated() as simulator:
        _, verifier = tried(monkeypatch, simulator.url, places=False, idle=0)
        assert len(simulator.log()) == len(TRIALS) + len(["quota after"])

    printed = list(lines(verifier.verdicts()))
    assert printed[1] == "untold   not tried without --places: too many at once; form of 1302; limit by model"


def test_five_thousand_tokens_are_enough_for_all_but_bursts(monkeypatch: pytest.MonkeyPatch) -> None:
    with simulated() as simulator:
        outcomes, verifier = tried(monkeypatch, simulator.url, spend=5000, places=False, idle=0)
        assert len(simulator.log()) == len(TRIALS) + len(["quota after"])

    assert outcomes["attribution line"] is Outcome.HOLDS
    assert verifier.budget.spent <= 5000


def test_a_wrong_key_is_shown_to_each_api_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with simulated() as simulator:
        tried(monkeypatch, simulator.url)
        shown = [entry["path"] for entry in simulator.log() if "right key" not in entry["credentials"].values()]

    assert sorted(shown) == sorted([MESSAGES, CHAT, "/api/v1/responses"])


PAGE: dict[str, Any] = {"play": ["<html></html>"], "status": 200, "content_type": "text/html"}

DIFFERENT: dict[str, tuple[list[Rule], dict[str, Any]]] = {
    "unknown model, Anthropic": ([on("bad model anthropic", {"code": "1211", "envelope": "anthropic_old"})], {}),
    "unknown model, Chat": ([on("bad model chat", {"code": "1211", "status": 200})], {}),
    "unknown model, Responses": ([on("bad model responses", {"code": "1211", "envelope": "response_failed"})], {}),
    "unknown model, general API": ([on("bad model general", {"code": "1113", "status": 402})], {}),
    "bad parameter, Anthropic": ([on("bad parameter anthropic", {"code": "1214", "envelope": "gateway"})], {}),
    "bad parameter, Chat": ([on("bad parameter chat", {"code": "1301"})], {}),
    "bad parameter, Responses": ([on("bad parameter responses", {"code": "1214", "status": 422})], {}),
    "bad parameter, general API": (
        [on("bad parameter general", {"play": ["{}"], "content_type": "application/json"})],
        {},
    ),
    "wrong path, coding API": ([on("wrong path coding", {**PAGE, "status": 404})], {}),
    "wrong path, Anthropic": ([on("wrong path anthropic", PAGE)], {}),
    "wrong path, Responses": ([on("wrong path responses", {**PAGE, "status": 500})], {}),
    "wrong path, general API": ([on("wrong path general", {**PAGE, "status": 302})], {}),
    "wrong key, Anthropic": ([on("wrong key anthropic", {"code": "1000", "envelope": "anthropic"})], {}),
    "wrong key, Chat": ([on("wrong key chat", {"code": "1000", "envelope": "gateway"})], {}),
    "wrong key, Responses": ([on("wrong key responses", {"code": "1000", "status": 403})], {}),
    "headers about limits": ([], {"default": {"headers": {"x-ratelimit-remaining": "3"}}}),
    "unified status": ([on("beta", {"headers": {"anthropic-ratelimit-unified-status": "allowed"}})], {}),
    "identity encoding": ([rule(QUOTA, {"gzip": "forced"})], {}),
    "HTTP/2": ([], {"tls": True}),
    "idle connection": ([rule("*/v1/models", {"framing": "close"})], {}),
    "cached tokens, Anthropic": ([on("cache again", {"input_tokens": 1300, "cached_tokens": 1270})], {}),
    "cache hit at once": ([on("cache again", {"input_tokens": 1300})], {}),
    "attribution line": ([on("cache other line", {"input_tokens": 30, "cached_tokens": 1270})], {}),
    "cache writes": ([on("cache first", {"input_tokens": 1300, "cache_creation_tokens": 99})], {}),
    "model": ([on("cache first", {"model": "glm-4.6", "input_tokens": 1300})], {}),
    "count_tokens": ([rule("*/count_tokens", {"input_tokens": 12})], {}),
    "anthropic-beta": ([on("beta", {"code": "1302"})], {}),
    "unknown fields, Anthropic": ([on("unknown fields anthropic", {"code": "1210"})], {}),
    "unknown fields, Chat": ([on("stream chat options", {"code": "1210"})], {}),
    "unknown fields, Responses": ([on("unknown fields responses", {"code": "1210"})], {}),
    "usage in streams, Anthropic": ([on("stream anthropic", {"usage": "at_start"})], {}),
    "usage in streams, Chat": ([on("stream chat", {"usage": "separate"})], {}),
    "usage in streams, Responses": ([on("stream responses", {"usage": "none"})], {}),
    "end of streams, Anthropic": ([on("stream anthropic", {"end_pause": 1.2})], {}),
    "end of streams, Chat": ([on("stream chat", {"end_pause": 1.2})], {}),
    "end of streams, Responses": ([on("stream responses", {"end_pause": 1.2})], {}),
    "two models at once": ([on("pair one", {"code": "1302"})], {}),
    "too many at once": (of_burst({"code": "1303"}), {}),
    "form of 1302": (of_burst({"code": "1302", "envelope": "anthropic_old"}), {}),
    "limit by model": ([*of_burst({"code": "1302"}), *of_two_models({"code": "1302"})], {}),
    "overload": ([on("pair one", {"code": "1305", "status": 503})], {}),
    "quota": ([rule(QUOTA, {"quota_form": "future"})], {}),
    "quota after requests": (
        [
            rule(QUOTA, {"play": [report(50)], "content_type": "application/json"}, nth=1),
            rule(QUOTA, {"play": [report(20)], "content_type": "application/json"}, nth=2),
        ],
        {},
    ),
    "clock": ([], {"default": {"date_ahead": -90}}),
    "time zone": ([], {"default": {"log_id_ahead": -8 * 3600}}),
}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.mark.parametrize("name", DIFFERENT)
def test_each_difference_is_found_and_no_other_and_again_in_a_replay_of_its_recording(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, authority: Authority, name: str
) -> None:
    rules, others = DIFFERENT[name]
    planted, _, _ = secrets_planted()
    default = with_secrets(others.get("default", {}), planted)
    rules = [{**each, "answer": with_secrets(each["answer"], planted)} for each in rules]
    tls = authority.issue("localhost", "127.0.0.1") if "tls" in others else None
    settings = {"ZAI_CA_FILE": str(authority.certificate_file)}
    with simulated(*rules, default=default, tls=tls) as simulator:
        found, verifier = tried(monkeypatch, simulator.url, record=tmp_path / "seen", settings=settings)
    certificate, key = tls or (None, None)
    book = load_recording(tmp_path / "seen")
    with SimulatorThread(SimulatorSettings(key=KEY, rulebook=book, tls_cert=certificate, tls_key=key)) as simulator:
        again, _ = tried(monkeypatch, simulator.url, settings=settings)

    assert differences(found) == {name}
    assert again == found
    assert all(verdict.meaning for verdict in verifier.verdicts() if verdict.outcome is Outcome.DIFFERS)
    told = [*lines(verifier.verdicts()), as_json(verifier.verdicts(), verifier.budget, "", MODEL)]
    written = [path.read_text() for path in (tmp_path / "seen").iterdir()]
    assert not [secret for secret in planted.values() if any(secret in text for text in (*told, *written))]


def with_secrets(answer: dict[str, Any], planted: dict[str, str]) -> dict[str, Any]:
    """The same answer, but for secrets in what nobody looks at."""
    every = " ".join(planted.values())
    headers = {"x-account": every, "location": every, "set-cookie": every, "server": every}
    if "code" in answer:
        answer = {"message": " ".join((planted["a phone"], planted["an address"], planted["the key"])), **answer}
    elif "play" not in answer:
        answer = {"text": every, **answer}
    return {**answer, "headers": {**headers, **answer.get("headers", {})}}


@pytest.mark.parametrize(
    ("strips", "expected"), [(False, Outcome.HOLDS), (True, Outcome.DIFFERS)], ids=["as it is", "without its line"]
)
def test_a_real_cache_of_prompts_is_told_from_one_that_does_not_see_the_attribution_line(
    monkeypatch: pytest.MonkeyPatch, strips: bool, expected: Outcome
) -> None:
    settings = SimulatorSettings(key=KEY, prefix_cache_seconds=300)
    with SimulatorThread(settings) as simulator, rewriting_relay(simulator.port, without_attribution) as relay:
        url = relay.url if strips else simulator.url
        outcomes, verifier = tried(monkeypatch, url, spend=default_spend(), places=False, idle=0)

    assert outcomes["cache hit at once"] is Outcome.HOLDS
    assert outcomes["cached tokens, Anthropic"] is Outcome.HOLDS
    assert outcomes["attribution line"] is expected
    assert verifier.budget.spent < default_spend()


def test_a_prompt_that_is_too_short_for_a_cache_tells_nothing_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    short = [on(name, {"input_tokens": 1000}) for name in ("cache first", "cache again")]
    with simulated(*short) as simulator:
        outcomes, _ = tried(monkeypatch, simulator.url, places=False, idle=0)

    assert outcomes["cache hit at once"] is Outcome.UNTOLD


def test_every_assumption_is_tried_on_a_simulator_that_differs() -> None:
    assert set(DIFFERENT) == {each.name for each in ASSUMPTIONS} - {each.name for each in BEYOND}


def test_a_recording_is_played_as_it_was_seen_however_old_it_is_and_without_a_key(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = (
        "wrong path, coding API",
        "wrong key, Chat",
        "usage in streams, Chat",
        "end of streams, Anthropic",
        "clock",
    )
    rules = [each for name in names for each in DIFFERENT[name][0]]
    odd = rule(QUOTA, {"gzip": "forced", "quota_form": "future", "date_ahead": -90})
    with simulated(*rules, odd) as simulator:
        recorded, former = tried(monkeypatch, simulator.url, record=tmp_path / "seen", places=False)
    assert differences(recorded) == {*names, "identity encoding", "quota"}

    with SimulatorThread(SimulatorSettings(rulebook=load_recording(tmp_path / "seen"))) as simulator:
        replayed, verifier = tried(monkeypatch, simulator.url, places=False)

    assert replayed == recorded
    assert seen_in(verifier, "wrong key, Chat") == seen_in(former, "wrong key, Chat")


def test_an_answer_that_broke_off_breaks_off_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = [
        on("cache first", {"input_tokens": 1300, "fault": "truncate"}),
        on("stream chat", {"fault": "truncate", "after_events": 3}),
    ]
    with simulated(*broken) as simulator:
        recorded, _ = tried(monkeypatch, simulator.url, record=tmp_path / "seen", places=False)
    with SimulatorThread(SimulatorSettings(key=KEY, rulebook=load_recording(tmp_path / "seen"))) as simulator:
        replayed, _ = tried(monkeypatch, simulator.url, places=False)

    assert recorded["cache writes"] is recorded["usage in streams, Chat"] is Outcome.UNTOLD
    assert replayed == recorded


def secrets_planted() -> tuple[dict[str, str], list[Rule], dict[str, Any]]:
    """What must be nowhere, by a name for it; the rules that say it in every place; and the default answer."""
    planted = {
        "a name": "xiaoming",
        "another": "Wang",
        "a word of the text": "Rosebud",
        "an id of letters": "abcdefghijklmnop",
        "a phone": "13912345678",
        "a password": "hunter2",
        "an address": "mallory@example.org",
        "a session": "sess-77aa88bb99cc",
        "the key": KEY,
        "its id": KEY.partition(".")[0],
        "its secret": KEY.partition(".")[2],
    }
    told = " ".join((*planted.values(), "https://example.org/u/hunter2?key=" + KEY))
    stream = f": {told}\nid: {told}\nretry: {told}\nevent: {told}\ndata: {told}\n\n"
    by_name = {"xiaoming": 1, "Wang": {"hunter2": 2}, "abcdefghijklmnop": 3}
    counted = {"input_tokens": 0, "account": told, "ids": [13912345678], "type": "xiaoming", "members": by_name}
    counted["level"] = "Wang"
    call = {"type": "tool_use", "id": told, "name": "Rosebud", "input": {"url": told, "lines": [told, {"deep": told}]}}
    message = {"type": "message", "id": told, "role": "Wang", "model": told, "content": [call], "stop_reason": told}
    event = {"type": "response.output_item.added", "item": {**call, "type": "function_call", "arguments": told}}
    quota = {"code": 200, "msg": told, "success": False, "data": {"level": told, "planName": told}}
    rules = [
        on("quota before", {"play": [json.dumps(quota)], "content_type": "application/json"}),
        on("bad model anthropic", {"code": "1210", "message": f"{told} is wrong"}),
        on("bad model chat", {"play": [told], "status": 502, "content_type": "text/plain"}),
        on("bad model responses", {"play": [f"<a href='{told}'>{told}</a>"], "status": 302, "content_type": told[:20]}),
        on("bad model general", {"code": "1211", "message": f"{told}"}),
        on("wrong key anthropic", {"code": "401", "message": f"{told} is no key"}),
        on("wrong key responses", {"code": "401", "message": f"{told} is no key"}),
        on("count tokens", {"play": [json.dumps(counted)]}),
        on("cache first", {"play": [json.dumps(message)], "content_type": "application/json"}),
        on("cache again", {"text": told, "fault": "truncate"}),
        on("stream anthropic", {"play": [stream]}),
        on("stream responses", {"play": [f"event: {told}\ndata: {json.dumps(event)}\n\n"]}),
    ]
    headers = {
        "x-account": told,
        "location": f"https://example.org/{told}",
        "set-cookie": f"session={told}",
        "x-ratelimit-user": "Wang xiaoming",
        "x-ratelimit-remaining-rosebud": "3",
        "ratelimit": "sess-77aa88bb99cc;mallory@example.org",
        "server": "Rosebud",
        "date": "Wang",
        "x-log-id": f"20260105100000{KEY}",
    }
    return planted, rules, {"text": told, "model": "xiaoming", "headers": headers}


def test_no_secret_is_recorded_nor_the_key_printed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    planted, rules, default = secrets_planted()
    seen = tmp_path / "seen"
    with simulated(*rules, default=default) as simulator:
        settings = point_at(monkeypatch, simulator.url)
        run_verify(settings, options(directory=seen, as_json=True))
        run_verify(settings, options(directory=seen, idle=0))
    printed = "".join(capfd.readouterr())

    written = {path.name: path.read_text() for path in sorted(seen.iterdir())}
    assert len(written) >= len(TRIALS)
    for what, secret in planted.items():
        assert not [name for name, text in written.items() if secret.lower() in text.lower()], what
        assert secret.lower() not in printed.lower(), what


def command(url: str, *arguments: str, **settings: str) -> "subprocess.Popen[str]":
    environment = {**bare_environment(), "ZAI_API_KEY": KEY, "ZAI_TARGET_URL": url, **settings}
    return subprocess.Popen(
        [ZAI_PROXY, "verify", *arguments],
        env={name: value for name, value in environment.items() if value},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_it_asks_before_it_sends_anything(tmp_path: Path) -> None:
    with simulated() as simulator:
        process = command(simulator.url, "--json", "--record", str(tmp_path / "seen"))
        told, asked = process.communicate(timeout=60)
        assert simulator.log() == []

    assert process.returncode == 2
    assert told == ""
    assert re.search(
        r"take about [0-9],[0-9]{3} tokens, .* up to 8 of each answer, .* more than 9,000 is not sent", asked
    )
    assert "only with --prefix-cache" in asked
    assert "a key of zeros" in asked
    assert "Go on?" in asked
    assert "nothing was sent" in asked
    assert not (tmp_path / "seen").exists()


def test_what_comes_out_is_json_for_programs_and_nothing_of_the_key(tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    key_file.write_text(f"{KEY}\n")
    with simulated(*DIFFERENT["count_tokens"][0]) as simulator:
        process = command(
            simulator.url, "--yes", "--json", "--idle", "0", ZAI_API_KEY="", ZAI_API_KEY_FILE=str(key_file)
        )
        told, progress = process.communicate(timeout=60)

    found = json.loads(told)
    assert process.returncode == 1
    assert found["tokens"] <= default_spend()
    assert found["stopped"] == ""
    assert [row["name"] for row in found["assumptions"] if row["outcome"] == "differs"] == ["count_tokens"]
    assert all(row["meaning"] for row in found["assumptions"] if row["outcome"] == "differs")
    assert KEY not in told + progress


@pytest.mark.parametrize(
    "settings", [{"ZAI_API_KEY": ""}, {"ZAI_API_KEY": "", "ZAI_API_KEY_FILE": "/nowhere/key"}], ids=["none", "no file"]
)
def test_without_a_key_nothing_is_printed_but_what_is_missing(settings: dict[str, str]) -> None:
    process = command("http://127.0.0.1:9", "--yes", "--json", **settings)
    told, problem = process.communicate(timeout=60)

    assert process.returncode == 2
    assert told == ""
    assert "ZAI_API_KEY" in problem
    assert "Traceback" not in problem


def test_no_more_tokens_than_allowed_are_spent_and_one_line_says_what_that_leaves_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []
    with SimulatorThread(SimulatorSettings(key=KEY)) as simulator:
        verifier = Verifier(point_at(monkeypatch, simulator.url), options(spend=600), told.append)
        asyncio.run(verifier.run())

    outcomes = {verdict.name: verdict.outcome for verdict in verifier.verdicts()}
    assert verifier.budget.spent <= 600
    assert outcomes["cache hit at once"] is Outcome.UNTOLD
    assert outcomes["usage in streams, Chat"] is Outcome.HOLDS
    assert "All of it may need about 8," in " ".join(verifier.intentions())
    assert [line.partition(", burst")[0] for line in told if "left out" in line] == [
        "left out, as --spend does not allow it: cache first, cache again, cache other line"
    ]


def test_with_less_than_the_smallest_trial_takes_nothing_is_sent_and_one_line_says_how_much_it_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    needs = r"^nothing that costs tokens can be tried below [0-9]{2}, and all of it needs [0-9],[0-9]{3}$"
    with simulated() as simulator:
        with pytest.raises(click.BadParameter, match=needs):
            run_verify(point_at(monkeypatch, simulator.url), options(spend=1))
        assert simulator.log() == []


def test_no_request_takes_longer_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    trickling = on("stream responses", {"play": [0, *([": \n\n", 0.1] * 6000)]})
    with simulated(trickling) as simulator:
        outcomes, verifier = tried(monkeypatch, simulator.url, places=False, idle=0, seconds_each=3)

    failed = {name: each.failure for name, each in verifier.evidence().exchanges.items() if each.failure}
    assert failed == {"stream responses": "TimeoutError"}
    assert outcomes["usage in streams, Responses"] is Outcome.UNTOLD
    assert outcomes["two models at once"] is Outcome.HOLDS  # what comes after it is still tried


def test_all_of_it_takes_no_longer_than_it_may_and_what_was_not_tried_is_no_success(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with simulated(on("cache first", {"delay": 600})) as simulator:
        settings = point_at(monkeypatch, simulator.url)
        code = run_verify(settings, options(places=False, idle=600, seconds_in_all=5, as_json=True))
    told, progress = capfd.readouterr()
    found = json.loads(told)

    assert code == 1
    outcomes = {row["name"]: row["outcome"] for row in found["assumptions"]}
    assert outcomes["unknown model, Anthropic"] == "holds"
    assert outcomes["cache hit at once"] == "could not be told"
    assert "differs" not in outcomes.values()
    assert found["tokens"] > 1000  # the request that was given up may have cost all of it
    assert found["stopped"] == "stopped after 5 s"
    assert "stopped after 5 s: the rest was not tried" in progress


def test_a_key_that_is_not_accepted_ends_it_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with SimulatorThread(SimulatorSettings(key=make_key())) as simulator:
        outcomes, verifier = tried(monkeypatch, simulator.url)
        assert len(simulator.log()) <= 3

    assert outcomes["unknown model, Anthropic"] is Outcome.UNTOLD
    assert differences(outcomes) == set()
    assert verifier.budget.spent == 0
    assert verifier.stopped == "the key is not accepted"


def test_of_a_key_that_is_not_accepted_nothing_is_printed_but_that_and_what_was_spent(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with SimulatorThread(SimulatorSettings(key=make_key())) as simulator:
        code = run_verify(point_at(monkeypatch, simulator.url), options(places=False, idle=0))
    told, progress = capfd.readouterr()

    assert code == 1
    assert progress.endswith("the key is not accepted: `zai-proxy doctor` says more\n")
    assert told == "2 requests sent, 0 of at most 9,000 tokens spent\n"


def test_a_model_that_z_ai_does_not_have_ends_it_with_one_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with simulated() as simulator:
        code = run_verify(point_at(monkeypatch, simulator.url), options(model="nope", places=False, idle=0))
    told, progress = capfd.readouterr()

    assert code == 1
    assert progress.endswith("Z.AI has no model nope: HTTP 400 with code 1211 (unknown model): --model names another\n")
    assert re.fullmatch(r"[0-9]+ requests sent, 0 of at most 9,000 tokens spent\n", told)


def test_what_meets_a_failure_that_passes_is_sent_again_a_few_times_and_then_can_not_be_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    once = [on("stream chat", {"code": "1305", "status": 200}), on("bad model chat", {"play": ["bad"], "status": 502})]
    down = rule("*/responses", {"code": "1234"}, model=MODEL)
    with simulated(*once, down) as simulator:
        outcomes, verifier = tried(monkeypatch, simulator.url, places=False, idle=0)
        sent = len(simulator.log())

    assert outcomes["usage in streams, Chat"] is outcomes["unknown model, Chat"] is Outcome.HOLDS
    assert outcomes["overload"] is Outcome.HOLDS
    assert outcomes["usage in streams, Responses"] is outcomes["bad parameter, Responses"] is Outcome.UNTOLD
    assert differences(outcomes) == set()
    assert sent == verifier.budget.sent == len(TRIALS) + len(["quota after"]) + 5


def test_a_surface_that_refuses_the_key_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    shut = rule("/api/v1/responses", {"code": "401"})
    with simulated(shut) as simulator:
        outcomes, verifier = tried(monkeypatch, simulator.url)

    assert verifier.was_answered
    assert outcomes["unknown model, Responses"] is Outcome.UNTOLD
    assert outcomes["usage in streams, Chat"] is Outcome.HOLDS


STRANGERS: dict[str, tuple[dict[str, Any], str | tuple[str, ...]]] = {
    # Its head may come late where the machine is busy.
    "hangs": ({"fault": "hang", "after_bytes": 0}, ("no answer has Z.AI's form", "nothing answers")),
    "says nothing at all": ({"delay": 600}, "nothing answers"),
    "speaks no HTTP": ({"fault": "not_http"}, "nothing answers"),
    "closes at once": ({"fault": "close"}, "nothing answers"),
    "is a web site": (PAGE, "no answer has Z.AI's form (HTTP 200, as HTML)"),
    "leads elsewhere": (
        {"play": [""], "status": 308, "headers": {"location": "https://example.org/"}, "content_type": "text/html"},
        "no answer has Z.AI's form (HTTP 308, as no JSON object)",
    ),
    "sends 10 MB": (
        {"play": ["x" * 1_000_000] * 10, "content_type": "application/json"},
        "no answer has Z.AI's form (no whole answer (too large), as no JSON object)",
    ),
    "has a status of its own": ({**PAGE, "status": 999}, "no answer has Z.AI's form (HTTP 999, as HTML)"),
}


@pytest.mark.parametrize("stranger", STRANGERS)
def test_what_is_not_z_ai_ends_it_soon_and_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str], stranger: str
) -> None:
    answer, why = STRANGERS[stranger]
    with SimulatorThread(SimulatorSettings(key=KEY)) as simulator:
        simulator.set_default_scenario(rulebook_from({"rules": [rule("*", answer)]}))
        settings = point_at(monkeypatch, simulator.url)
        seconds = 1.0 if stranger in ("hangs", "says nothing at all") else 60.0
        code = run_verify(settings, options(as_json=True, directory=tmp_path / "seen", seconds_each=seconds, idle=0))
        assert len(simulator.log()) <= 4
    told, progress = capfd.readouterr()
    found = json.loads(told)

    assert code == 1
    assert found["stopped"].startswith(why)
    assert f"{found['stopped']}: `zai-proxy doctor` says more" in progress
    assert len(list((tmp_path / "seen").iterdir())) == found["requests"]
    load_recording(tmp_path / "seen")


def test_an_upstream_that_does_not_answer_ends_it_soon() -> None:
    process = command("http://127.0.0.1:9", "--yes", "--idle", "0")
    told, progress = process.communicate(timeout=60)

    assert process.returncode == 1
    assert "nothing answers: `zai-proxy doctor` says more" in progress
    assert told == f"2 requests sent, 0 of at most {default_spend():,} tokens spent\n"  # they never left


def test_an_endless_list_of_models_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    endless = rule("*/v1/models", {"play": ["x" * 100_000] * 200, "content_type": "application/json"})
    with simulated(endless) as simulator:
        outcomes, verifier = tried(monkeypatch, simulator.url)

    assert outcomes["idle connection"] is Outcome.UNTOLD
    assert outcomes["usage in streams, Chat"] is Outcome.HOLDS
    assert verifier.was_answered


@pytest.mark.parametrize(
    "prepare",
    [
        lambda path: (path.mkdir(), (path / "001-notes.json").write_text('{"mine": true}')),
        lambda path: (path.mkdir(), (path / "diary").mkdir()),
        lambda path: path.symlink_to("/proc/nothing/can/be/made/here"),
        lambda path: path.write_text("a file"),
    ],
    ids=["somebody's file", "somebody's folder", "nowhere", "no folder"],
)
def test_a_recording_goes_nowhere_but_into_a_directory_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, prepare: Callable[[Path], object]
) -> None:
    path = tmp_path / "seen"
    prepare(path)
    before = sorted(tmp_path.rglob("*"))
    with simulated() as simulator:
        settings = point_at(monkeypatch, simulator.url)
        with pytest.raises(click.BadParameter, match="seen: "):
            run_verify(settings, options(directory=path))
        assert simulator.log() == []

    assert sorted(tmp_path.rglob("*")) == before


def test_a_full_disk_loses_neither_what_was_found_nor_a_former_recording(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    seen = tmp_path / "seen"
    with simulated() as simulator:
        settings = point_at(monkeypatch, simulator.url)
        run_verify(settings, options(directory=seen, idle=0, places=False))
        former = {path.name: path.read_text() for path in seen.iterdir()}
        capfd.readouterr()
        monkeypatch.setattr(Path, "write_text", full_after(5))
        code = run_verify(settings, options(directory=seen, idle=0, places=False, as_json=True))
    told, progress = capfd.readouterr()

    assert code == 1
    assert "the recording could not be written: No space left on device" in progress
    assert len(json.loads(told)["assumptions"]) == len(ASSUMPTIONS)
    assert {path.name: path.read_text() for path in seen.iterdir()} == former


def full_after(files: int) -> Callable[..., int]:
    """`Path.write_text` on a disk that has room for so many files."""
    left = iter(range(files))
    write = Path.write_text

    def write_text(path: Path, *arguments: str) -> int:
        if next(left, None) is None:
            path.touch()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, *arguments)

    return write_text


# What is sent together, in its order, with the rule that it has to wait.
STEPS = [
    *((group, [on(group[0].name, {"delay": 60})]) for group in plan(MODEL, CODING, "0123456789abcdef")),
    (burst(MODEL, CODING)[0], of_burst({"delay": 60}, MESSAGES, CHAT)),
    (
        burst_of_two_models(2, MODEL, CODING),
        [*of_burst({"code": "1302"}), *of_two_models({"delay": 60}, MESSAGES, CHAT)],
    ),
]


@pytest.mark.parametrize("number", range(len(STEPS)), ids=[group[0].name for group, _ in STEPS])
def test_whatever_is_under_way_when_it_is_stopped_counts_as_spent(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    group, rules = STEPS[number]
    sent = sum(len(each) for each, _ in STEPS[: number + 1])
    with simulated(*rules) as simulator:
        verifier = stopped_after(point_at(monkeypatch, simulator.url), sent, idle=0)

    assert verifier.budget.sent == sent
    assert verifier.budget.spent >= most_of([group])


def test_it_can_be_stopped_while_a_connection_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = len(TRIALS) + len(["quota after", "models"])
    with simulated() as simulator:
        verifier = stopped_after(point_at(monkeypatch, simulator.url), sent, idle=600, places=False)

    assert verifier.budget.sent == sent
    assert len(list(verifier.records())) >= len(TRIALS)


def stopped_after(settings: Settings, sent: int, **changes: Any) -> Verifier:
    """One that was stopped once it had sent so many requests."""
    verifier = Verifier(settings, options(**changes), lambda _line: None)

    async def stop_it() -> None:
        running = asyncio.create_task(verifier.run())
        await eventually(lambda: verifier.budget.sent, lambda seen: seen >= sent, within=60)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(stop_it())
    return verifier


def open_port() -> socket.socket:
    """A port that lets everybody in and says nothing, ever."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.listen(16)
    return listener


def test_ctrl_c_says_what_was_spent_in_json_too(tmp_path: Path) -> None:
    number = [trial.name for trial in TRIALS].index("cache again")
    with simulated(on("cache again", {"delay": 60})) as simulator:
        process = command(simulator.url, "--yes", "--json", "--idle", "0", "--record", str(tmp_path / "seen"))
        wait_until(
            lambda: simulator.stats()["metered_in_flight"] == 1 and len(simulator.log()) == number + 1,
            "the second prompt for the cache",
        )
        os.kill(process.pid, signal.SIGINT)
        told, progress = process.communicate(timeout=60)

    assert process.returncode == 130
    found = json.loads(told)
    assert (found["stopped"], found["requests"]) == ("stopped", number + 1)
    assert progress.count(f"stopped: {number + 1} requests sent, ") == 1
    assert "Traceback" not in progress
    assert len(list((tmp_path / "seen").iterdir())) == number


@pytest.mark.parametrize("module", ["structlog", "httpx"], ids=["of the program", "of the command"])
def test_while_modules_are_imported_ctrl_c_ends_it_without_a_word(tmp_path: Path, module: str) -> None:
    begun = tmp_path / "begun"
    (tmp_path / f"{module}.py").write_text(f"open({str(begun)!r}, 'w'); import time; time.sleep(600)")
    process = command("http://127.0.0.1:9", "--yes", PYTHONPATH=str(tmp_path))
    wait_until(begun.exists, "the module is being imported")
    os.kill(process.pid, signal.SIGINT)

    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == -signal.SIGINT  # which a shell calls 130


def test_ctrl_c_while_it_writes_what_came_out_leaves_it_whole(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write = RecordDirectory.write

    def interrupted(directory: RecordDirectory, records: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        write(directory, records)

    monkeypatch.setattr(RecordDirectory, "write", interrupted)
    with simulated() as simulator:
        settings = point_at(monkeypatch, simulator.url)
        code = run_verify(settings, options(directory=tmp_path, as_json=True, places=False, idle=0))

    assert code == 0
    assert json.loads(capfd.readouterr().out)["stopped"] == ""
    assert len(list(tmp_path.iterdir())) == len(TRIALS) + len(["quota after"])


@pytest.mark.parametrize(
    ("outputs", "code"), [(">&-", 0), ("2>&-", 0), ("| true", 0), ("2>&1 | true", 0), (">/dev/full", 1)]
)
def test_an_output_that_is_closed_or_full_is_no_traceback_and_the_exit_code_says_what_came_out(
    tmp_path: Path, outputs: str, code: int
) -> None:
    errors = tmp_path / "errors"
    line = f"{{ {ZAI_PROXY} verify --yes --idle 0 --spend 90; echo $? >{tmp_path / 'code'}; }} {outputs}"
    with simulated() as simulator:
        settings = {"ZAI_API_KEY": KEY, "ZAI_TARGET_URL": simulator.url}
        with errors.open("w") as file:
            subprocess.run(["bash", "-c", line], env={**bare_environment(), **settings}, stderr=file, timeout=120)

    assert (tmp_path / "code").read_text() == f"{code}\n"
    assert "Traceback" not in errors.read_text()
    assert "Exception" not in errors.read_text()
    assert ("could not be printed: No space left on device" in errors.read_text()) is (code == 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_it_can_be_stopped_while_nothing_answers(number: signal.Signals, scheme: str) -> None:
    with open_port() as listener:
        process = command(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}", "--yes")
        connection, _ = listener.accept()
        with connection:
            os.kill(process.pid, number)
            told, progress = process.communicate(timeout=60)

    assert process.returncode == 130
    assert told == ""
    assert "stopped: " in progress
    assert "Traceback" not in progress
