"""Recordings become rules: answers in their order, the last one for good, and mistakes with the file's name."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from simulator.scenario.model import played_bytes
from simulator.scenario.parsing import ScenarioError
from simulator.scenario.replay import load_recording
from simulator.scenario.rulebook import Reader


def written(directory: Path, *exchanges: dict[str, Any]) -> Path:
    for number, exchange in enumerate(exchanges):
        (directory / f"{number:03}.json").write_text(json.dumps(exchange))
    return directory


def exchange(text: str, model: str = "glm-5.3", **answer: Any) -> dict[str, Any]:
    return {"match": {"method": "POST", "path": "/p", "model": model}, "answer": {"play": [text], **answer}}


def test_equal_requests_get_the_answers_in_their_order_and_the_last_for_good(tmp_path: Path) -> None:
    reader = Reader(load_recording(written(tmp_path, exchange("1"), exchange("other", "glm-4.6"), exchange("2"))))

    played = [reader.choose("POST", "/p", model)[0].play for model in ("glm-5.3", "glm-4.6", *["glm-5.3"] * 2)]

    assert played == [("1",), ("other",), ("2",), ("2",)]


def test_the_name_of_a_model_is_no_pattern(tmp_path: Path) -> None:
    reader = Reader(load_recording(written(tmp_path, exchange("1", "glm-5.3[1m]"))))

    assert reader.choose("POST", "/p", "glm-5.3[1m]")[0].play == ("1",)
    assert reader.choose("POST", "/p", "glm-5.31")[0].play is None


def test_what_was_compressed_is_compressed_again(tmp_path: Path) -> None:
    packed = exchange("明白", headers={"content-encoding": "gzip"})
    scenario = Reader(load_recording(written(tmp_path, packed))).choose("POST", "/p", "glm-5.3").scenario

    assert scenario.play is not None
    assert gzip.decompress(b"".join(played_bytes(str(item)) for item in scenario.play)).decode() == "明白"


@pytest.mark.parametrize(
    "content", ["no JSON", "[]", "{}", '{"match": {}, "answer": {"play": 1}}', '{"match": {"a": "b"}, "answer": {}}']
)
def test_a_file_that_is_no_recording_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "001-odd.json").write_text(content)

    with pytest.raises(ScenarioError, match=r"001-odd\.json: "):
        load_recording(tmp_path)


def test_a_directory_without_recordings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="zai-proxy verify --record"):
        load_recording(tmp_path)


def test_what_a_wrong_key_got_is_not_among_the_others(tmp_path: Path) -> None:
    refused = exchange("wrong")
    refused["match"]["key"] = "wrong"
    reader = Reader(load_recording(written(tmp_path, exchange("1"), refused, exchange("2"))))

    choices = [reader.choose("POST", "/p", "glm-5.3", key_is_right=right) for right in (True, False, False, True)]

    assert [choice.scenario.play for choice in choices] == [("1",), ("wrong",), ("wrong",), ("2",)]
    assert [choice.for_wrong_key for choice in choices] == [False, True, True, False]
