"""What each agent's prompts make of a cache, and what the doctor says of it: all at once on one proxy.

Claude Code 2.1.330 has its attribution line in front of the system prompt: the same one throughout a conversation, and
another one in the next. Others of its versions change it with each request, which a relay does here in their stead.
"""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest

from simulator.scenario.agent_script import AGENT_SCRIPT
from tests.harness.agents import CLAUDE_CODE, CODEX, OPENCODE, Agent, Turn, take_turn
from tests.harness.rewriting_relay import Rewrite, RewritingRelay, rewriting_relay
from tests.harness.stack import Stack, running_stack

OFF = "CLAUDE_CODE_ATTRIBUTION_HEADER"
LINE = "x-anthropic-billing-header:"
TOOL_CALLS = 8
"""So many that a conversation would be cold, if its requests found too little."""

QUESTIONS = (
    "What is in this folder?",
    "Tell me the time, please.",
    "Is there a test that fails?",
    "How large is the disk here?",
    "Which shell do you have?",
)
IN_SEVERAL = "glm-5"
IN_SEVERAL_CURED = "glm-4.6"
"""The models of those who have several conversations in a row in one folder."""

SESSION_HEADERS = ("x-claude-code-session-id", "thread-id", "session-id", "x-session-id")


def changing_line() -> Rewrite:
    """Puts a word into the attribution line, if there is one, that is another one in each request."""
    numbers = itertools.count()
    return lambda body: body.replace(b"; cc_entrypoint=", b"; cch=%05x; cc_entrypoint=" % next(numbers), 1)


@dataclass(frozen=True)
class Case:
    """An agent, the tool that it calls, how it is started, and what happens to its line. `model` tells its requests
    from those of others on the same path."""

    name: str
    agent: Agent
    tool: str
    model: str
    changes: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)


def of_claude_code(name: str, model: str, changes: bool = False, **variables: str) -> Case:
    return Case(name, CLAUDE_CODE, "Bash", model, changes, {"ANTHROPIC_MODEL": model, **variables})


PLAIN = of_claude_code("Claude Code as it is", "glm-5.3")
CHANGED = of_claude_code("Claude Code with a line that changes", "glm-5.2", changes=True)
CURED = of_claude_code("the same with the line off", "glm-5.1", changes=True, **{OFF: "0"})
CASES = (
    PLAIN,
    CHANGED,
    CURED,
    Case("Codex", CODEX, "exec_command", "glm-5.3"),
    Case("opencode", OPENCODE, "bash", "glm-5.3"),
)
NAMES = [case.name for case in CASES]
HONEST = [case for case in CASES if case is not CHANGED]


@dataclass(frozen=True)
class Seen:
    """What a case came to: its turn, what it asked, and the upstream's entries of it."""

    turn: Turn
    asked: Sequence[tuple[Mapping[str, str], bytes]]
    upstream: Sequence[Mapping[str, Any]]

    @property
    def sessions(self) -> set[str]:
        return {headers[name] for headers, _ in self.asked for name in SESSION_HEADERS if name in headers}


@pytest.fixture(scope="module")
def shared_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("cache"), "--prefix-cache", "3600", CACHE_DOCTOR="on") as stack:
        yield stack


@pytest.fixture(scope="module")
def seen(shared_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Seen]:
    """Each agent calls its tool some times, and then says something: all of it is one conversation."""
    rules = [{"match": _requests_of(case), "answer": {"tool_call": _call_of(case.tool)}} for case in CASES]
    rules += [_rule_of(model, question) for model in (IN_SEVERAL, IN_SEVERAL_CURED) for question in QUESTIONS]
    shared_stack.simulator.use(rules=rules, default={"text": "That is all."})
    with ExitStack() as relays, ThreadPoolExecutor(len(CASES) + 2) as pool:
        rewrites = [changing_line() if case.changes else bytes for case in CASES]
        doors = [relays.enter_context(rewriting_relay(shared_stack.proxy_port, rewrite)) for rewrite in rewrites]

        def take(case: Case, door: RewritingRelay) -> Turn:
            return take_turn(case.agent, door, tmp_path_factory.mktemp("agent"), **case.variables)

        def take_several(model: str, **variables: str) -> list[Turn]:
            directory = tmp_path_factory.mktemp("agent")
            settings = {"ANTHROPIC_MODEL": model, **variables}
            return [take_turn(CLAUDE_CODE, shared_stack, directory, each, **settings) for each in QUESTIONS]

        several = [pool.submit(take_several, IN_SEVERAL), pool.submit(take_several, IN_SEVERAL_CURED, **{OFF: "0"})]
        turns = list(pool.map(take, CASES, doors))
        for each in several:
            assert [turn.process.exit_code for turn in each.result()] == [0] * len(QUESTIONS)
    shared_stack.metrics_at_rest()
    upstream = shared_stack.simulator.log()
    return {
        case.name: Seen(turn, door.asked, [entry for entry in upstream if _is_of(case, entry)])
        for case, turn, door in zip(CASES, turns, doors, strict=True)
    }


def _rule_of(model: str, question: str) -> Mapping[str, Any]:
    """In each conversation the tool is called twice."""
    match = {"path": "/api/anthropic/v1/messages", "model": model, "body": question, "nth": "1-2"}
    return {"match": match, "answer": {"tool_call": _call_of("Bash")}}


def _requests_of(case: Case) -> Mapping[str, str]:
    path = case.agent.upstream_path.partition("?")[0]
    return {"path": path, "model": case.model, "nth": f"1-{TOOL_CALLS}"}


def _call_of(tool: str) -> Mapping[str, Any]:
    [call] = [call for call in AGENT_SCRIPT if call.name == tool]
    return {"name": call.name, "input": dict(call.input)}


def _is_of(case: Case, entry: Mapping[str, Any]) -> bool:
    """Whether the upstream's entry is a request of the case's conversation, and not one for a title."""
    return (entry["path"], entry["model"]) == (case.agent.upstream_path, case.model) and entry["request_bytes"] > 8192


def told_of(part: str, seen: Seen, stack: Stack) -> list[Mapping[str, Any]]:
    """What /status tells of the case's sessions there."""
    return [each for each in stack.status()["cache"][part] if each["session"] in seen.sessions]


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_each_conversation_went_well(case: Case, seen: Mapping[str, Seen]) -> None:
    assert seen[case.name].turn.process.exit_code == 0, seen[case.name].turn.process.errors
    assert [entry["status"] for entry in seen[case.name].upstream] == [200] * (TOOL_CALLS + 1)


def test_claude_code_has_its_line_in_front_of_the_system_prompt_until_it_is_told_not_to(
    seen: Mapping[str, Seen],
) -> None:
    fronts = [json.loads(body)["system"][0]["text"] for _, body in seen[PLAIN.name].asked if LINE.encode() in body]

    assert len(fronts) >= TOOL_CALLS
    assert all(front.startswith(LINE) for front in fronts)
    assert len(set(fronts)) == 1
    assert [body for _, body in seen[CURED.name].asked if LINE.encode() in body] == []


def test_the_doctor_names_the_line_that_changes_and_its_cure(seen: Mapping[str, Seen], shared_stack: Stack) -> None:
    [finding] = told_of("findings", seen[CHANGED.name], shared_stack)

    assert (finding["program"], finding["cause"], finding["part"]) == ("Claude Code", "attribution", "system block 1")
    assert f"{OFF}=0" in finding["text"]


def test_the_doctor_names_the_line_that_is_another_one_in_each_conversation(
    seen: Mapping[str, Seen], shared_stack: Stack
) -> None:
    """As Claude Code does it by itself."""
    [finding] = [each for each in shared_stack.status()["cache"]["findings"] if each["model"] == IN_SEVERAL]

    assert seen
    assert (finding["program"], finding["cause"], finding["part"]) == ("Claude Code", "attribution", "system block 1")
    assert f"{OFF}=0" in finding["text"]
    assert "session" in finding["text"]


def test_it_finds_nothing_in_several_conversations_without_the_line(
    seen: Mapping[str, Seen], shared_stack: Stack
) -> None:
    cache = shared_stack.status()["cache"]

    assert seen
    assert [
        each for part in ("findings", "conversations") for each in cache[part] if each["model"] == IN_SEVERAL_CURED
    ] == []


def test_the_conversation_whose_line_changes_is_cold_though_its_tools_are_cached(
    seen: Mapping[str, Seen], shared_stack: Stack
) -> None:
    [cold] = told_of("conversations", seen[CHANGED.name], shared_stack)

    assert cold["program"] == "Claude Code"
    assert cold["requests"] >= TOOL_CALLS - 2
    assert cold["cached_ratio"] < cold["cacheable_ratio"] - 0.1


@pytest.mark.parametrize("case", HONEST, ids=[case.name for case in HONEST])
def test_nothing_is_found_where_nothing_is_wrong(case: Case, seen: Mapping[str, Seen], shared_stack: Stack) -> None:
    assert seen[case.name].sessions
    assert told_of("findings", seen[case.name], shared_stack) == []
    assert told_of("conversations", seen[case.name], shared_stack) == []


@pytest.mark.parametrize("case", HONEST, ids=[case.name for case in HONEST])
def test_an_honest_conversation_has_nearly_all_that_it_said_before_from_the_cache(
    case: Case, seen: Mapping[str, Seen]
) -> None:
    usage = [entry["usage_sent"] for entry in seen[case.name].upstream]
    for before, now in pairwise(usage):
        assert now["cached"] > 0.9 * (before["input"] + before["cached"])


def test_a_line_that_changes_leaves_only_the_tools_in_the_cache(seen: Mapping[str, Seen]) -> None:
    cached = [entry["usage_sent"]["cached"] for entry in seen[CHANGED.name].upstream]

    assert len(set(cached[1:])) == 1
    assert cached[1] < 0.8 * seen[PLAIN.name].upstream[1]["usage_sent"]["cached"]
