"""docs/dashboard.md says what the code does."""

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Any

import pytest

from dashboard import fetch, scraper
from dashboard.api import events
from dashboard.domain.durations import parse_duration
from dashboard.settings import Settings
from dashboard.store.requests import MOST_KEPT
from tests.harness.processes import ROOT

TEXT = (ROOT / "docs/dashboard.md").read_text()


def rows(first_heading: str) -> Iterator[list[str]]:
    """The rows of the table whose first column has this heading."""
    lines = TEXT.split(f"\n| {first_heading} |")[1].splitlines()[2:]
    for line in lines:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in line.strip("|").split("|")]


def value(shown: str, default: Any) -> Any:
    """What a cell says, in the form of the default."""
    text = shown.strip("`")
    if isinstance(default, float):
        return parse_duration(text)
    return type(default)(text) if isinstance(default, int | StrEnum) else text or None


def test_the_page_has_every_setting_with_its_default_and_meaning_and_no_other() -> None:
    listed = list(rows("variable"))

    fields = Settings.model_fields
    assert [[name, meaning] for name, _, meaning in listed] == [
        [f"`{name.upper()}`", field.description] for name, field in fields.items()
    ]
    for (_, shown, _), field in zip(listed, fields.values(), strict=True):
        assert value(shown, field.default) == field.default


def test_a_variable_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`([A-Z][A-Z0-9]*_[A-Z0-9_]+)`", TEXT))

    assert named <= {name.upper() for name in Settings.model_fields}


@pytest.mark.parametrize(
    "sentence",
    [
        f"the last {MOST_KEPT:,}",
        f"{fetch.LARGEST_ANSWER // 2**20} MiB for an answer",
        f"up to {scraper._MOST_AT_ONCE} at once",
        f"At most {scraper._MOST_TARGETS} are asked",
        f"up to {events._MOST_REPLAYED:,} requests and alerts",
    ],
)
def test_a_number_on_the_page_is_that_of_the_code(sentence: str) -> None:
    assert sentence in " ".join(TEXT.split())
