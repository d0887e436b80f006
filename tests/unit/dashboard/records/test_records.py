"""The one table of a request's fields."""

import sqlite3

import pytest
from pydantic import ValidationError

from dashboard.domain.finished import read_finished
from dashboard.records.requests import COLUMNS, FILTERS, SEARCHED, SORTS, TOKEN_KINDS, Kind, columns_of
from dashboard.records.snapshot import Lane, Trouble
from dashboard.store import requests
from dashboard.store.schema import migrate


def columns_of_the_store() -> set[str]:
    connection = sqlite3.connect(":memory:")
    migrate(connection)
    return {row[1] for row in connection.execute("PRAGMA table_info(request)")}


def test_the_store_has_a_column_for_each_field_and_no_other() -> None:
    assert columns_of_the_store() == {*COLUMNS, *TOKEN_KINDS} - {"tokens"}


def test_what_can_be_filtered_searched_or_sorted_by_is_in_the_store() -> None:
    connection = sqlite3.connect(":memory:")
    migrate(connection)

    assert {*FILTERS, *SEARCHED} <= columns_of_the_store()
    for expression in SORTS.values():
        connection.execute(f"SELECT {expression} FROM request")  # noqa: S608 - expressions of ours


def test_a_field_of_the_feed_is_read_by_its_name_there_and_as_what_it_holds() -> None:
    told = {name: "4" if kind is Kind.TEXT else 4.5 for kind in Kind for name in columns_of(kind)}

    read = read_finished("run-1", {"started": 1.0, **told, "id": "r-7"})
    shown = requests.describe(1, 2, read)

    assert shown.running_id == "r-7"
    assert {type(getattr(shown, name)) for name in columns_of(Kind.TEXT)} == {str}
    assert {getattr(shown, name) for name in columns_of(Kind.NUMBER)} == {4.5}
    assert {getattr(shown, name) for name in columns_of(Kind.WHOLE)} == {4}


def test_a_record_is_checked_when_it_is_made() -> None:
    with pytest.raises(ValidationError, match="longest_wait"):
        Lane.model_validate({"lane": "main", "running": 1, "waiting": 0})


def test_a_word_that_python_keeps_to_itself_is_said_in_json_as_it_always_was() -> None:
    trouble = {"source": "zai", "class_": "quota", "count": 1, "codes": {}, "title": "", "advice": "", "seconds": 900}

    assert '"class":"quota"' in Trouble.model_validate(trouble).model_dump_json()
