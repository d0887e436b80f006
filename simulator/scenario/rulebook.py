"""Which scenario answers a request: the rules of a scenario file, in order, and a default. Pure."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from simulator.scenario.model import ORDINARY, Scenario
from simulator.scenario.parsing import ScenarioError, scenario_from, unknown_key

_MAX_RULES = 1000
_NTH = re.compile(r"([1-9][0-9]{0,8})(?:-([1-9][0-9]{0,8})?)?")


class WhichKey(StrEnum):
    """The requests that a rule is for, by their key."""

    ANY = "any"
    RIGHT = "right"
    WRONG = "wrong"  # such a rule decides instead of the refusal that a wrong key gets otherwise


@dataclass(frozen=True, slots=True)
class Match:
    """The requests that a rule is for. `path` and `model` are shell patterns, `header` is one that has to be there (in
    lower case), `body` a text that has to be in the body; `first` to `last` count, from 1, the requests that match
    otherwise (`last` of None: to the end)."""

    path: str = "*"
    model: str = "*"
    method: str = "*"
    key: WhichKey = WhichKey.ANY
    header: str | None = None
    body: str | None = None
    first: int = 1
    last: int | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    match: Match
    scenario: Scenario


@dataclass(frozen=True, slots=True)
class Rulebook:
    """The rules in their order; the first that matches decides, otherwise `default`."""

    rules: tuple[Rule, ...] = ()
    default: Scenario = ORDINARY


class Choice(NamedTuple):
    """The scenario for a request, where it comes from (`rule 1`, … or `default`), and whether it decides what a
    wrong key gets."""

    scenario: Scenario
    place: str
    for_wrong_key: bool = False


class Reader:
    """Reads a rulebook for one request after the other, counting for the rules that count."""

    def __init__(self, book: Rulebook) -> None:
        self._book = book
        self._seen = [0] * len(book.rules)

    def choose(
        self,
        method: str,
        path: str,
        model: str | None,
        *,
        key_is_right: bool = True,
        headers: Container[str] = (),
        body: bytes = b"",
    ) -> Choice:
        """What answers the next request; the names of its `headers` are in lower case."""
        key = WhichKey.RIGHT if key_is_right else WhichKey.WRONG
        chosen: Choice | None = None
        for number, rule in enumerate(self._book.rules):
            match = rule.match
            if not (_matches(match, method, path, model) and _carries(match, key, headers, body)):
                continue
            self._seen[number] += 1
            nth = self._seen[number]
            if chosen is None and match.first <= nth and (match.last is None or nth <= match.last):
                chosen = Choice(rule.scenario, f"rule {number + 1}", match.key is WhichKey.WRONG)
        return chosen or Choice(self._book.default, "default")


def _matches(match: Match, method: str, path: str, model: str | None) -> bool:
    return (
        fnmatch.fnmatchcase(path, match.path)
        and fnmatch.fnmatchcase(model or "", match.model)
        and fnmatch.fnmatchcase(method, match.method)
    )


def _carries(match: Match, key: WhichKey, headers: Container[str], body: bytes) -> bool:
    return (
        match.key in (key, WhichKey.ANY)
        and (match.header is None or match.header in headers)
        and (match.body is None or match.body.encode() in body)
    )


def rulebook_from(value: object) -> Rulebook:
    """The rulebook that an object describes: {"default": {…}, "rules": [{"match": {…}, "answer": {…}}]}.

    An object without either key is the default scenario alone. Raises ScenarioError.
    """
    if not isinstance(value, dict):
        raise ScenarioError("need an object with default and rules, or a scenario")
    if not value.keys() & {"default", "rules"}:
        return Rulebook(default=scenario_from(value))
    for key in value:
        if key not in ("default", "rules"):
            raise unknown_key(key, ("default", "rules"))
    rules = value.get("rules", [])
    if not isinstance(rules, list) or len(rules) > _MAX_RULES:
        raise ScenarioError(f"rules: need a list of at most {_MAX_RULES}")
    return Rulebook(
        rules=tuple(_within(f"rule {number}", _rule, rule) for number, rule in enumerate(rules, start=1)),
        default=_within("default", scenario_from, value.get("default", {})),
    )


def _within(place: str, read: Any, value: object) -> Any:
    try:
        return read(value)
    except ScenarioError as error:
        raise ScenarioError(f"{place}: {error}") from None


def _rule(value: object) -> Rule:
    if not isinstance(value, dict):
        raise ScenarioError("need an object with match and answer")
    for key in value:
        if key not in ("match", "answer"):
            raise unknown_key(key, ("match", "answer"))
    if "answer" not in value:
        raise ScenarioError("answer is missing: the scenario to play")
    return Rule(
        match=_within("match", _match, value.get("match", {})),
        scenario=_within("answer", scenario_from, value["answer"]),
    )


def _match(value: object) -> Match:
    if not isinstance(value, dict):
        raise ScenarioError("need an object with path, model, method, key, header, body or nth")
    fields: dict[str, Any] = {}
    for key, item in value.items():
        if key in ("path", "model", "method") and isinstance(item, str):
            fields[key] = item
        elif key == "nth":
            fields["first"], fields["last"] = _nth(item)
        elif key in ("header", "body") and isinstance(item, str) and item:
            fields[key] = item.lower() if key == "header" else item
        elif key == "key":
            fields["key"] = _which_key(item)
        elif key in ("path", "model", "method"):
            raise ScenarioError(f"{key}: need a text (a shell pattern)")
        elif key in ("header", "body"):
            raise ScenarioError(f"{key}: need a text that is not empty")
        else:
            raise unknown_key(key, ("path", "model", "method", "key", "header", "body", "nth"))
    return Match(**fields)


def _which_key(value: object) -> WhichKey:
    if not isinstance(value, str) or value not in {each.value for each in WhichKey}:
        raise ScenarioError(f"key: {json.dumps(value, default=str)}: need one of {', '.join(WhichKey)}")
    return WhichKey(value)


def _nth(value: object) -> tuple[int, int | None]:
    """1 is the first alone, "2-5" a range, "3-" all from the third."""
    found = _NTH.fullmatch(str(value)) if isinstance(value, int | str) and not isinstance(value, bool) else None
    if found is None:
        raise ScenarioError(f'nth: {json.dumps(value, default=str)}: need 1, "2-5" or "3-"')
    first = int(found[1])
    if "-" not in str(value):
        return first, first
    last = int(found[2]) if found[2] else None
    if last is not None and last < first:
        raise ScenarioError(f"nth: {value} ends before it begins")
    return first, last


def load_rulebook(path: Path) -> Rulebook:
    """The rulebook in a YAML or JSON file. Raises ScenarioError, which names the file."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: {error}") from None
    try:
        value: Mapping[str, object] | object = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        raise ScenarioError(f"{path}: {' '.join(str(error).split())}") from None
    return _within(str(path), rulebook_from, value)  # type: ignore[no-any-return]
