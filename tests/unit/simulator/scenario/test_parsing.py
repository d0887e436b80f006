"""Scenarios are read whole or refused with one clear line."""

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.scenario.model import FailFirst, Fault, Scenario, ToolCall, UsageForm
from simulator.scenario.parsing import _SCENARIO, ScenarioError, scenario_from, scenario_from_json

EXAMPLES: dict[str, Any] = {
    "model": "glm-9",
    "text": "hello",
    "events": 40,
    "event_bytes": 100,
    "content_bytes": 9_000_000,
    "thinking": 3,
    "tool_call": {"name": "Bash", "input": {"command": "ls"}},
    "script": [{"name": "Bash", "input": {}}],
    "agent": True,
    "web_search": True,
    "stop_reason": "sensitive",
    "pings": 5,
    "usage": "none",
    "input_tokens": 10,
    "output_tokens": 10,
    "cached_tokens": 10,
    "cache_creation_tokens": 10,
    "reasoning_tokens": 10,
    "code": "1302",
    "status": 200,
    "envelope": "bracket",
    "message": "no",
    "retry_after": 3,
    "should_retry": False,
    "unified_headers": False,
    "fail_first": {"code": "1303", "times": 2},
    "play": ["data: 1\n\n", 0.5, "<reset>"],
    "delay": 0.5,
    "first_event_delay": 0.5,
    "pause": 0.05,
    "gap": 2,
    "gap_after": 3,
    "end_pause": 0,
    "fault": "reset",
    "after_events": 3,
    "after_bytes": 3,
    "pieces": "byte",
    "line_end": "crlf",
    "comments": 1,
    "gzip": "all",
    "framing": "chunked",
    "content_type": "text/plain",
    "own_headers": False,
    "date_ahead": -90,
    "log_id_ahead": 3600,
    "headers": {"x-more": "1"},
    "trailers": {"x-sum": "1"},
    "audio_bytes": 10,
    "quota_form": "legacy",
}
NEEDS: dict[str, dict[str, Any]] = {
    "gap_after": {"gap": 1},
    "after_events": {"fault": "reset"},
    "after_bytes": {"fault": "reset"},
}
EMPTY_LISTS = {"play"}  # which may be one


def test_every_field_has_a_check_and_an_example() -> None:
    fields = {field.name for field in dataclasses.fields(Scenario)}

    assert _SCENARIO.keys() == fields == EXAMPLES.keys()


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_field_can_be_set(name: str) -> None:
    scenario = scenario_from({name: EXAMPLES[name], **NEEDS.get(name, {})})

    assert getattr(scenario, name) != getattr(Scenario(), name)


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("wrong", [None, [], {"such": []}], ids=str)
def test_a_wrong_value_is_refused_by_the_name_of_its_field(name: str, wrong: object) -> None:
    if wrong == [] and name in EMPTY_LISTS:
        wrong = [None]
    with pytest.raises(ScenarioError, match=f"^{name}: "):
        scenario_from({name: wrong, **NEEDS.get(name, {})})


def test_an_unknown_key_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(ScenarioError, match=r'unknown key "evnts" \(did you mean events\?\)'):
        scenario_from({"evnts": 3})


def test_what_is_no_object_is_refused() -> None:
    with pytest.raises(ScenarioError, match="need an object"):
        scenario_from([1])


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(ScenarioError, match="not JSON: "):
        scenario_from_json("{events: 3}")


@pytest.mark.parametrize(
    ("scenario", "message"),
    [
        ({"events": 1000, "event_bytes": 1_000_000}, "events x event_bytes"),
        ({"text": "a", "event_bytes": 3}, "text: goes with neither"),
        ({"event_bytes": 3, "content_bytes": 3}, "event_bytes: does not go with content_bytes"),
        ({"gap_after": 3}, "gap_after: needs gap"),
        ({"output_tokens": 3, "reasoning_tokens": 4}, "reasoning_tokens: 4 is more"),
        ({"after_events": 3}, "need fault"),
        ({"fault": "reset", "after_events": 3, "after_bytes": 3}, "does not go with after_bytes"),
        ({"fault": "malformed", "after_bytes": 3}, "goes with the faults reset, close"),
        ({"fail_first": {"times": 2}}, 'need one of "code"'),
        ({"fail_first": {"code": "1303", "tmes": 2}}, "fail_first: unknown key"),
        ({"tool_call": {"input": {}}}, 'need an object with "name"'),
        ({"headers": {"a b": "1"}}, "no header can have this name"),
        ({"headers": {"a": "1\r\nb: 2"}}, "need a header value"),
        ({"play": ["<end>", "data: 1"]}, "need to be the last"),
        ({"play": ["\ud800"]}, "play: half of a surrogate pair"),
        ({"play": [-1]}, "need a number of seconds"),
        ({"play": [True]}, "need a number of seconds"),
        ({"play": [], "events": 3}, "events: does not go with play"),
        ({"play": [], "code": "1302"}, "code: does not go with play"),
        ({"fail_first": {"play": [], "fault": "reset"}}, "fail_first: fault: does not go with play"),
    ],
)
def test_fields_that_contradict_each_other_are_refused(scenario: dict[str, Any], message: str) -> None:
    with pytest.raises(ScenarioError, match=message.replace("(", r"\(")):
        scenario_from(scenario)


def test_values_become_what_they_mean() -> None:
    scenario = scenario_from_json(
        json.dumps(
            {
                "code": 1302,
                "retry_after": 7,
                "usage": "separate",
                "tool_call": {"name": "Bash"},
                "fail_first": {"fault": "reset"},
            }
        )
    )

    assert scenario.code == "1302"
    assert scenario.retry_after == "7"
    assert scenario.usage is UsageForm.SEPARATE
    assert scenario.tool_call == ToolCall("Bash", {})
    assert scenario.fail_first == FailFirst(times=1, fault=Fault.RESET)


def complaint(value: object) -> str:
    """What is said of a scenario; nothing when it is read."""
    try:
        scenario_from(value)
    except ScenarioError as error:
        return str(error)
    return ""


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_any_value_is_read_or_refused(value: object) -> None:
    for name in EXAMPLES:
        assert "\n" not in complaint({name: value})


def test_the_first_attempts_fail_and_the_next_is_healthy() -> None:
    scenario = scenario_from({"events": 5, "retry_after": 1, "fail_first": {"code": "1303", "times": 2}})

    codes = [scenario.for_attempt(attempt).code for attempt in (1, 2, 3)]

    assert codes == ["1303", "1303", None]
    assert scenario.for_attempt(3).events == 5


def test_a_fault_of_the_first_attempts_leaves_the_scenarios_own_fault_to_the_next() -> None:
    scenario = scenario_from({"fault": "truncate", "after_events": 2, "fail_first": {"fault": "reset"}})

    assert scenario.for_attempt(1).fault is Fault.RESET
    assert scenario.for_attempt(2).fault is Fault.TRUNCATE
    assert scenario.for_attempt(2).after_events == 2
