"""What `zai-proxy verify --record` has written, as rules that play it again."""

from __future__ import annotations

import glob
import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

from simulator.scenario.model import is_mark, played_bytes
from simulator.scenario.parsing import ScenarioError
from simulator.scenario.rulebook import Rulebook, rulebook_from


def load_recording(directory: Path) -> Rulebook:
    """A rule for each exchange: the first request that is like the first one recorded gets its answer, and so on; the
    last answer stays. What was not recorded is answered as always. Raises ScenarioError, which names the file."""
    paths = sorted(directory.glob("*.json"))
    if not paths:
        raise ScenarioError(f"{directory}: need the files that `zai-proxy verify --record` has written")
    recorded = [_read(path) for path in paths]
    alike = Counter(_likeness(rule) for rule in recorded)
    seen: Counter[str] = Counter()
    for rule in recorded:
        likeness = _likeness(rule)
        seen[likeness] += 1
        nth = seen[likeness]
        rule["match"]["nth"] = f"{nth}-" if nth == alike[likeness] else nth
    return rulebook_from({"rules": recorded})


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        match = {"key": "right"} | {name: glob.escape(text) for name, text in found["match"].items()}
        rule = {"match": match, "answer": _packed(dict(found["answer"]))}
        rulebook_from({"rules": [rule]})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ScenarioError(f"{path}: {' '.join(str(error).split()) or type(error).__name__}") from None
    return rule


def _likeness(rule: dict[str, Any]) -> str:
    return json.dumps(rule["match"], sort_keys=True)


def _packed(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer with its text compressed again, if it was."""
    if answer.get("headers", {}).get("content-encoding") != "gzip":
        return answer
    text = "".join(item for item in answer["play"] if isinstance(item, str) and not is_mark(item))
    packed = gzip.compress(played_bytes(text), mtime=0)
    return {**answer, "play": [packed.decode("utf-8", "surrogateescape")]}
