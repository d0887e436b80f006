"""`zai-proxy verify` on the simulator: as we take Z.AI to be, and different in one point after the other."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from extproc.cli import verify
from extproc.commands.verify import Options, Verifier
from extproc.domain.assumptions.judging import ASSUMPTIONS, BEYOND, Outcome, verdicts
from extproc.settings import load_settings
from simulator.scenario.replay import load_recording
from simulator.scenario.rulebook import rulebook_from
from simulator.server.settings import SimulatorSettings, plan
from simulator.server.threaded import SimulatorThread
from tests.harness.certificates import Authority
from tests.harness.processes import bare_environment, make_key
from tests.harness.rewriting_relay import rewriting_relay
from tests.harness.waiting import wait_until

KEY = make_key()
MODEL = "glm-5.3-flash"
MESSAGES = "/api/anthropic/v1/messages"
CHAT = "/api/coding/paas/v4/chat/completions"
QUOTA = "/api/monitor/usage/quota/limit"
ZAI_PROXY = str(Path(sys.executable).with_name("zai-proxy"))

Rule = dict[str, Any]


def rule(path: str, answer: dict[str, Any], **match: object) -> Rule:
    return {"match": {"path": path, **match}, "answer": answer}


# The prompt for the cache comes second, third and fourth among the messages to the model (the first has none at all).
CACHE_FIRST = rule(MESSAGES, {"input_tokens": 1600}, model=MODEL, nth=2)
CACHE_AGAIN = rule(MESSAGES, {"input_tokens": 30, "cached_tokens": 1570}, model=MODEL, nth=3)
AS_ASSUMED = [CACHE_FIRST, CACHE_AGAIN]


def report(percentage: int) -> str:
    limit = {"type": "TOKENS_LIMIT", "unit": 3, "number": 5, "percentage": percentage}
    return json.dumps({"code": 200, "msg": "ok", "success": True, "data": {"level": "pro", "limits": [limit]}})


# So few that the percentage moves, and enough for all that is sent in hours of peak, when credits count twice.
CREDITS = 3.0


def simulated(*rules: Rule, default: dict[str, Any] | None = None, **limits: Any) -> SimulatorThread:
    book = rulebook_from({"default": default or {}, "rules": [*rules, *AS_ASSUMED]})
    return SimulatorThread(
        SimulatorSettings(key=KEY, rulebook=book, limits=plan(**{"five_hour_credits": CREDITS, **limits}))
    )


def options(**changes: Any) -> Options:
    usual: dict[str, Any] = {"spend": 9000, "model": MODEL, "places": True, "yes": True, "as_json": False}
    return Options(**{**usual, "directory": None, "idle": 0.1, **changes})


def default_spend() -> int:
    default = next(option.default for option in verify.params if option.name == "spend")
    assert isinstance(default, int)
    return default


def without_attribution(body: bytes) -> bytes:
    return re.sub(rb"x-anthropic-billing-header: [^\"]*", b"", body)


def tried(
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    *,
    record: Path | None = None,
    settings: dict[str, str] | None = None,
    **changes: Any,
) -> tuple[dict[str, Outcome], Verifier]:
    """What came out for each assumption."""
    for name, value in {"ZAI_API_KEY": KEY, "ZAI_TARGET_URL": url, **(settings or {})}.items():
        monkeypatch.setenv(name, value)
    verifier = Verifier(load_settings(True), options(**changes), lambda _line: None)
    asyncio.run(verifier.run())
    if record is not None:
        record.mkdir()
        verifier.write(record)
    return {verdict.name: verdict.outcome for verdict in verdicts(verifier.evidence())}, verifier


def test_on_what_is_as_we_take_it_to_be_nothing_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = rule(CHAT, {"delay": 0.3}, model=MODEL, nth="4-")
    with simulated(busy, model_concurrency={MODEL: 3}) as simulator:
        outcomes, verifier = tried(monkeypatch, simulator.url)
        journal = simulator.log()

    untold = {name for name, outcome in outcomes.items() if outcome is not Outcome.HOLDS}
    # Plain HTTP, 0.1 s are not 40, and nothing is overloaded.
    assert untold == {"HTTP/2", "idle connection", "overload", *(each.name for each in BEYOND)}
    assert Outcome.DIFFERS not in outcomes.values()
    assert verifier.budget.sent == len(journal)
    assert 0 < verifier.budget.spent < 9000


DIFFERENT: dict[str, tuple[list[Rule], dict[str, Any]]] = {
    "unknown model, Anthropic": ([rule(MESSAGES, {"code": "1211", "envelope": "anthropic_old"}, model="zai-*")], {}),
    "unknown model, Chat": ([rule(CHAT, {"code": "1211", "status": 200}, model="zai-*")], {}),
    "bad parameter": ([rule(MESSAGES, {"code": "1214", "envelope": "gateway"}, model=MODEL, nth=1)], {}),
    "wrong path": (
        [rule("*/zai-proxy-verify", {"play": ["<html></html>"], "status": 404, "content_type": "text/html"})],
        {},
    ),
    "headers about limits": ([], {"default": {"headers": {"x-ratelimit-remaining": "3"}}}),
    "identity encoding": ([rule(QUOTA, {"gzip": "forced"})], {}),
    "idle connection": ([rule("*/v1/models", {"framing": "close"})], {}),
    "cached tokens, Anthropic": (
        [rule(MESSAGES, {"input_tokens": 1600, "cached_tokens": 1570}, model=MODEL, nth=3)],
        {},
    ),
    "cache hit at once": ([rule(MESSAGES, {"input_tokens": 1600}, model=MODEL, nth=3)], {}),
    "attribution line": ([rule(MESSAGES, {"input_tokens": 30, "cached_tokens": 1570}, model=MODEL, nth=4)], {}),
    "cache writes": ([rule(MESSAGES, {"input_tokens": 1600, "cache_creation_tokens": 99}, model=MODEL, nth=2)], {}),
    "model": ([rule(MESSAGES, {"model": "glm-4.6", "input_tokens": 1600}, model=MODEL, nth=2)], {}),
    "count_tokens": ([rule("*/count_tokens", {"input_tokens": 12})], {}),
    "anthropic-beta": ([rule(MESSAGES, {"code": "1302"}, model=MODEL, nth=5)], {}),
    "unknown fields": ([rule(CHAT, {"code": "1210"}, model=MODEL, nth=2)], {}),
    "usage in streams, Anthropic": ([rule(MESSAGES, {"usage": "at_start"}, model=MODEL, nth=6)], {}),
    "usage in streams, Chat": ([rule(CHAT, {"usage": "separate"}, model=MODEL, nth=1)], {}),
    "usage in streams, Responses": ([rule("/api/v1/responses", {"usage": "none"})], {}),
    "end of streams, Anthropic": ([rule(MESSAGES, {"end_pause": 1.2}, model=MODEL, nth=6)], {}),
    "end of streams, Chat": ([rule(CHAT, {"end_pause": 1.2}, model=MODEL, nth=1)], {}),
    "end of streams, Responses": ([rule("/api/v1/responses", {"end_pause": 1.2})], {}),
    "two models at once": ([rule(CHAT, {"delay": 0.4}, nth="4-")], {"concurrency": 1}),
    "too many at once": ([rule(CHAT, {"code": "1305"}, model=MODEL, nth="4-")], {}),
    "overload": ([rule(CHAT, {"code": "1305", "status": 503}, model=MODEL, nth=3)], {}),
    "quota": ([rule(QUOTA, {"quota_form": "future"})], {}),
    "quota after requests": (
        [
            rule(QUOTA, {"play": [report(50)], "content_type": "application/json"}, nth=1),
            rule(QUOTA, {"play": [report(20)], "content_type": "application/json"}, nth=2),
        ],
        {},
    ),
    "clock": ([], {"default": {"headers": {"date": "Mon, 05 Jan 2026 10:00:00 GMT"}}}),
    "time zone": ([], {"default": {"headers": {"x-log-id": "202601051000000000000000"}}}),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_each_difference_is_found_and_no_other(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    rules, others = DIFFERENT[name]
    with simulated(*rules, **others) as simulator:
        outcomes, _ = tried(monkeypatch, simulator.url)

    assert {each for each, outcome in outcomes.items() if outcome is Outcome.DIFFERS} == {name}


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
    short = [rule(MESSAGES, {"input_tokens": 1000}, model=MODEL, nth=nth) for nth in (2, 3)]
    with simulated(*short) as simulator:
        outcomes, _ = tried(monkeypatch, simulator.url, places=False, idle=0)

    assert outcomes["cache hit at once"] is Outcome.UNTOLD


def test_an_upstream_without_http2_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("localhost", "127.0.0.1")
    book = rulebook_from({"rules": AS_ASSUMED})
    with SimulatorThread(SimulatorSettings(key=KEY, rulebook=book, tls_cert=certificate, tls_key=key)) as simulator:
        trust = {"ZAI_CA_FILE": str(authority.certificate_file)}
        outcomes, _ = tried(monkeypatch, f"https://127.0.0.1:{simulator.port}", settings=trust)

    assert [name for name, outcome in outcomes.items() if outcome is Outcome.DIFFERS] == ["HTTP/2"]


def test_every_assumption_is_tried_on_a_simulator_that_differs() -> None:
    tried_here = {*DIFFERENT, "HTTP/2"}
    assert tried_here == {each.name for each in ASSUMPTIONS} - {each.name for each in BEYOND}


def test_a_recording_is_played_by_the_simulator_with_the_same_differences(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    by_rule = {"wrong path", "bad parameter", "usage in streams, Chat", "end of streams, Anthropic"}
    rules = [each for name in sorted(by_rule) for each in DIFFERENT[name][0]]
    odd = rule(QUOTA, {"gzip": "forced", "quota_form": "future"})
    with simulated(*rules, odd) as simulator:
        recorded, _ = tried(monkeypatch, simulator.url, record=tmp_path / "seen", places=False)
    differ = {name for name, outcome in recorded.items() if outcome is Outcome.DIFFERS}
    assert differ == {*by_rule, "identity encoding", "quota"}

    with SimulatorThread(SimulatorSettings(key=KEY, rulebook=load_recording(tmp_path / "seen"))) as simulator:
        replayed, _ = tried(monkeypatch, simulator.url, places=False)

    assert replayed == {**recorded, "quota after requests": replayed["quota after requests"]}


def test_a_recording_holds_no_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plain = ("xiaoming", "Wang", "Rosebud")
    odd = ("13912345678", "hunter2", "mallory@example.org", "sess-77aa88bb99cc", KEY, *KEY.split("."))
    planted = (*plain, *odd)
    told = " ".join((*planted, "https://example.org/u/hunter2"))
    shown = " ".join((*odd, "https://example.org/u/hunter2"))  # the words of a message are kept, and that is said
    stream = f": {told}\nid: {told}\nevent: {told}\ndata: {shown}\n\n"
    counted = {"input_tokens": 0, "account": told, "ids": [13912345678], "type": "xiaoming", "level": "Wang"}
    error = {"code": "1210", "message": f"{shown} is wrong"}
    rules = [
        rule(MESSAGES, error, model="zai-*"),
        rule(CHAT, {"play": [shown], "status": 502, "content_type": "text/plain"}, model="zai-*"),
        rule("*/count_tokens", {"play": [json.dumps(counted)]}),
        rule(
            MESSAGES,
            {"play": [stream]},
            model=MODEL,
            nth=5,
        ),
    ]
    headers = {
        "x-account": told,
        "set-cookie": f"session={told}",
        "x-ratelimit-user": "Wang xiaoming",
        "ratelimit": "sess-77aa88bb99cc;mallory@example.org",
    }
    with simulated(*rules, default={"text": told, "model": "xiaoming", "headers": headers}) as simulator:
        tried(monkeypatch, simulator.url, record=tmp_path / "seen")

    written = [path.read_text() for path in sorted((tmp_path / "seen").iterdir())]
    assert len(written) > 20
    for secret in planted:
        assert not [text for text in written if secret in text], secret


def command(url: str, *arguments: str) -> "subprocess.Popen[str]":
    environment = {**bare_environment(), "ZAI_API_KEY": KEY, "ZAI_TARGET_URL": url}
    return subprocess.Popen(
        [ZAI_PROXY, "verify", "--idle", "0", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_it_asks_before_it_sends_anything() -> None:
    with simulated() as simulator:
        told, asked = command(simulator.url).communicate(timeout=60)
        assert simulator.log() == []

    assert told == ""
    assert "tokens at most" in asked
    assert "Go on?" in asked


def test_what_comes_out_is_json_for_programs_and_nothing_of_the_key() -> None:
    with simulated(*DIFFERENT["count_tokens"][0]) as simulator:
        process = command(simulator.url, "--yes", "--json")
        told, progress = process.communicate(timeout=60)

    found = json.loads(told)
    assert process.returncode == 1
    assert found["tokens"] <= 8000
    assert [row["name"] for row in found["assumptions"] if row["outcome"] == "differs"] == ["count_tokens"]
    assert all(row["meaning"] for row in found["assumptions"] if row["outcome"] == "differs")
    assert KEY not in told + progress


def test_no_more_tokens_than_allowed_are_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    with SimulatorThread(SimulatorSettings(key=KEY)) as simulator:
        outcomes, verifier = tried(monkeypatch, simulator.url, spend=600)

    assert verifier.budget.spent <= 600
    assert outcomes["cache hit at once"] is Outcome.UNTOLD
    assert outcomes["usage in streams, Chat"] is Outcome.HOLDS


def test_no_request_takes_longer_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    trickling = rule("/api/v1/responses", {"play": [0, *([": \n\n", 0.1] * 6000)]})
    with simulated(trickling) as simulator:
        outcomes, verifier = tried(monkeypatch, simulator.url, places=False, idle=0, seconds_each=3)

    failed = {name: each.failure for name, each in verifier.evidence().exchanges.items() if each.failure}
    assert failed == {"stream responses": "TimeoutError"}
    assert outcomes["usage in streams, Responses"] is Outcome.UNTOLD
    assert outcomes["two models at once"] is Outcome.HOLDS  # what comes after it is still tried


def test_all_of_it_takes_no_longer_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    with simulated(rule(MESSAGES, {"delay": 600}, model=MODEL, nth=2)) as simulator:
        outcomes, verifier = tried(monkeypatch, simulator.url, places=False, idle=600, seconds_in_all=5)

    assert outcomes["unknown model, Anthropic"] is Outcome.HOLDS
    assert outcomes["usage in streams, Chat"] is Outcome.UNTOLD
    assert verifier.budget.spent > 1000  # the request that was given up may have cost all of it


def test_a_key_that_is_not_accepted_ends_it_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with SimulatorThread(SimulatorSettings(key=make_key())) as simulator:
        outcomes, verifier = tried(monkeypatch, simulator.url)
        assert len(simulator.log()) <= 3

    assert outcomes["unknown model, Anthropic"] is Outcome.UNTOLD
    assert verifier.budget.spent == 0


def test_an_upstream_that_does_not_answer_ends_it_soon() -> None:
    process = command("http://127.0.0.1:9", "--yes")
    told, progress = process.communicate(timeout=60)

    assert process.returncode == 1
    assert "nothing answers: `zai-proxy doctor` says more" in progress
    assert "0 hold, 0 differ" in told


def test_ctrl_c_says_what_was_spent() -> None:
    with simulated(rule(MESSAGES, {"delay": 60}, model=MODEL, nth=3)) as simulator:
        process = command(simulator.url, "--yes")
        wait_until(
            lambda: simulator.stats()["metered_in_flight"] == 1 and len(simulator.log()) >= 7, "the eighth request"
        )
        os.kill(process.pid, signal.SIGINT)
        told, progress = process.communicate(timeout=30)

    assert process.returncode == 130
    assert told == ""
    assert "stopped: 8 requests, " in progress
    assert "Traceback" not in progress
