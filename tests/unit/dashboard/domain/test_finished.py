"""Finished requests as a feed tells of them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.domain.finished import UnreadableRequestError, read_finished
from dashboard.records.requests import Outcome
from extproc.domain.usage.outcome import CLIENT_LEFT, ErrorType

json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=500)),
    lambda children: st.one_of(
        st.lists(children, max_size=3), st.dictionaries(st.text(max_size=8), children, max_size=3)
    ),
    max_leaves=8,
)


def test_a_whole_record_is_read_whole() -> None:
    request = read_finished(
        "run-7",
        {
            "id": "run-9", "request_id": "abc", "started": 1000.5, "client": "anna", "session": "s", "agent": None,
            "lane": "main", "method": "POST", "path": "/v1/messages", "model": "glm-5.3", "status": 200, "error": None,
            "model_asked": "a", "refused": None, "code": None, "waited": 0.5, "first_byte": 1.5, "duration": 4.0,
            "request_bytes": 10,
            "response_bytes": 20, "tokens_are": "complete", "cost_usd": 0.5, "credits": 1.5, "attempts": 2,
            "tokens": {"input": 1, "output": 2, "cache_read": 3, "cache_write": 4, "reasoning": 1},
        },
    )  # fmt: skip

    assert (request.texts["model"], request.texts["model_asked"]) == ("glm-5.3", "a")
    assert (request.feed_id, request.texts["running_id"], request.texts["client"]) == ("run-7", "run-9", "anna")
    assert (request.started, request.ended, request.duration) == (1000.5, 1004.5, 4.0)
    assert request.tokens == {"input": 1, "output": 2, "cache_read": 3, "cache_write": 4, "reasoning": 1}
    assert (request.numbers["cost_usd"], request.numbers["attempts"]) == (0.5, 2)


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({"status": 200}, Outcome.OK),
        ({"status": 302}, Outcome.OK),
        ({"status": 429, "error": "429"}, Outcome.FAILED),
        ({"status": 404}, Outcome.FAILED),
        ({"status": 200, "error": ErrorType.READ_ERROR}, Outcome.FAILED),
        ({"status": CLIENT_LEFT}, Outcome.ABORTED),
        ({"status": 200, "error": ErrorType.WRITE_ERROR}, Outcome.ABORTED),
        ({"status": 503, "refused": "capacity"}, Outcome.REFUSED),
        ({}, Outcome.OK),
    ],
)
def test_how_a_request_ended_is_one_of_four(fields: dict[str, object], outcome: Outcome) -> None:
    assert read_finished("1", {"started": 1, **fields}).outcome is outcome


def test_only_failed_and_aborted_requests_are_wasted() -> None:
    assert [read_finished("1", {"started": 1, "status": status}).is_wasted for status in (200, 499, 500)] == [
        False, True, True,
    ]  # fmt: skip


@given(data=json_values)
def test_anything_at_all_is_a_request_or_an_error(data: object) -> None:
    for record in (data, {"started": data}, {"started": 1.0, "tokens": data, "status": data, "client": data}):
        try:
            request = read_finished("x", record)
        except UnreadableRequestError:
            continue
        assert math.isfinite(request.ended)
        assert all(text is None or (text.isprintable() and len(text) <= 200) for text in request.texts.values())
        assert all(count >= 0 for count in request.tokens.values())
