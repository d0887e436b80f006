"""Scenario files: rules in order, counted, with a default."""

import json
from pathlib import Path
from typing import Any

import pytest

from simulator.scenario.parsing import ScenarioError
from simulator.scenario.rulebook import Reader, Rulebook, load_rulebook, rulebook_from


def answers(document: dict[str, Any], *requests: tuple[str, str | None]) -> list[str | None]:
    """The business code that each request (path, model) is answered with."""
    reader = Reader(rulebook_from(document))
    return [reader.choose("POST", path, model)[0].code for path, model in requests]


def test_the_first_rule_that_matches_decides() -> None:
    document = {
        "rules": [
            {"match": {"path": "/a/*", "model": "glm-5*"}, "answer": {"code": "1302"}},
            {"match": {"path": "/a/*"}, "answer": {"code": "1303"}},
        ],
        "default": {"code": "1305"},
    }

    codes = answers(document, ("/a/b", "glm-5.3"), ("/a/b", "glm-4.6"), ("/a/b", None), ("/c", "glm-5.3"))

    assert codes == ["1302", "1303", "1303", "1305"]


def test_a_rule_can_be_for_the_nth_request_alone() -> None:
    document = {"rules": [{"match": {"nth": 2}, "answer": {"code": "1302"}}]}

    assert answers(document, *[("/a", None)] * 3) == [None, "1302", None]


def test_the_first_answers_fail_and_the_next_are_healthy() -> None:
    document = {"rules": [{"match": {"nth": "1-2"}, "answer": {"code": "1303"}}]}

    assert answers(document, *[("/a", None)] * 4) == ["1303", "1303", None, None]


def test_a_rule_can_begin_late() -> None:
    document = {"rules": [{"match": {"nth": "3-"}, "answer": {"code": "1303"}}]}

    assert answers(document, *[("/a", None)] * 4) == [None, None, "1303", "1303"]


def test_only_requests_that_match_otherwise_are_counted() -> None:
    document = {"rules": [{"match": {"path": "/a", "nth": 2}, "answer": {"code": "1303"}}]}

    assert answers(document, ("/a", None), ("/b", None), ("/a", None)) == [None, None, "1303"]


def test_a_document_without_rules_is_the_default_scenario() -> None:
    assert rulebook_from({"events": 3}).default.events == 3


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "need an object"),
        ({"rules": {}}, "rules: need a list"),
        ({"rules": [], "defualt": {}}, r"unknown key \"defualt\" \(did you mean default\?\)"),
        ({"rules": [3]}, "rule 1: need an object"),
        ({"rules": [{"match": {}}]}, "rule 1: answer is missing"),
        ({"rules": [{"answer": {}, "when": {}}]}, "rule 1: unknown key"),
        ({"rules": [{"answer": {}}, {"match": {"nth": 0}, "answer": {}}]}, 'rule 2: match: nth: 0: need 1, "2-5"'),
        ({"rules": [{"match": {"nth": "5-2"}, "answer": {}}]}, "ends before it begins"),
        ({"rules": [{"match": {"path": 3}, "answer": {}}]}, "rule 1: match: path: need a text"),
        ({"rules": [{"match": {"pth": "/"}, "answer": {}}]}, "rule 1: match: unknown key"),
        ({"rules": [{"answer": {"evnts": 1}}]}, "rule 1: answer: unknown key"),
        ({"default": {"evnts": 1}}, "default: unknown key"),
    ],
)
def test_a_wrong_document_is_refused_with_its_place(document: object, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        rulebook_from(document)


def test_files_are_yaml_or_json(tmp_path: Path) -> None:
    yaml_file, json_file = tmp_path / "rules.yaml", tmp_path / "rules.json"
    yaml_file.write_text("default:\n  events: 7\nrules:\n  - match: {path: '/a/*'}\n    answer: {code: '1303'}\n")
    json_file.write_text(json.dumps({"events": 7}))

    assert load_rulebook(yaml_file).rules[0].scenario.code == "1303"
    assert load_rulebook(json_file) == Rulebook(default=load_rulebook(yaml_file).default)


@pytest.mark.parametrize("content", ["a: [", "- 1", "evnts: 3", "\x00"])
def test_a_wrong_file_is_refused_in_one_line_that_names_it(tmp_path: Path, content: str) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(content)

    with pytest.raises(ScenarioError) as caught:
        load_rulebook(file)

    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"rules\.yaml"):
        load_rulebook(tmp_path / "rules.yaml")


def test_a_rule_can_be_for_a_right_key_or_a_wrong_one() -> None:
    counted = [("right", 1, "1302"), ("wrong", 1, "401"), ("any", 3, "1303")]
    rules = [{"match": {"key": key, "nth": nth}, "answer": {"code": code}} for key, nth, code in counted]
    reader = Reader(rulebook_from({"rules": rules}))

    choices = [reader.choose("POST", "/a", None, key_is_right=right) for right in (True, False, True, False)]

    assert [choice.scenario.code for choice in choices] == ["1302", "401", "1303", None]
    assert [choice.for_wrong_key for choice in choices] == [False, True, False, False]


@pytest.mark.parametrize("key", ["stolen", 1, None])
def test_a_key_is_right_or_wrong(key: object) -> None:
    with pytest.raises(ScenarioError, match=r"key: .*need one of any, right, wrong"):
        rulebook_from({"rules": [{"match": {"key": key}, "answer": {}}]})


def test_a_rule_can_be_for_a_header_or_for_words_in_the_body() -> None:
    rules = [
        {"match": {"header": "Anthropic-Beta"}, "answer": {"code": "1302"}},
        {"match": {"body": "an agent, 你好"}, "answer": {"code": "1305"}},
    ]
    reader = Reader(rulebook_from({"rules": rules}))

    def code(headers: set[str], body: str) -> str | None:
        return reader.choose("POST", "/a", None, headers=headers, body=body.encode()).scenario.code

    assert code({"anthropic-beta"}, "an agent, 你好") == "1302"
    assert code({"x-api-key"}, "You are an agent, 你好") == "1305"
    assert code({"x-api-key"}, "an agent") is None


@pytest.mark.parametrize("match", [{"header": ""}, {"header": 1}, {"body": ""}, {"body": None}])
def test_what_a_rule_looks_for_is_a_text(match: dict[str, object]) -> None:
    with pytest.raises(ScenarioError, match="need a text that is not empty"):
        rulebook_from({"rules": [{"match": match, "answer": {}}]})
