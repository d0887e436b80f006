"""Which rows of the usage are shown where there are more than were asked for."""

from typing import Any

import pytest

from dashboard.api.tables import split_rows


def row(key: object, cost: float = 0.0, requests: int = 1) -> dict[str, Any]:
    return {"key": key, "cost_usd": cost, "requests": requests}


def keys(rows: list[dict[str, Any]]) -> list[object]:
    return [each["key"] for each in rows]


def test_the_most_expensive_are_shown_and_of_equals_those_with_more_requests() -> None:
    shown, rest = split_rows([row("a", 1.0), row("b", 2.0), row("c", 1.0, 9), row("d")], "client", 3)

    assert (keys(shown), keys(rest)) == (["b", "c", "a"], ["d"])


@pytest.mark.parametrize("by", ["hour", "day"])
def test_of_times_the_newest_are_shown_in_their_order(by: str) -> None:
    shown, rest = split_rows([row(7200, 1.0), row(0, 9.0), row(3600)], by, 2)

    assert (keys(shown), keys(rest)) == ([3600, 7200], [0])


def test_nothing_is_left_over_where_all_fit() -> None:
    shown, rest = split_rows([row(0), row(3600)], "hour", 2)

    assert (keys(shown), rest) == ([0, 3600], [])
