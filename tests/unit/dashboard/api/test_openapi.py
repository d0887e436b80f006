"""The description of the API, and what is made of it."""

import re
from collections.abc import Iterator
from typing import Any

from dashboard.api import openapi
from dashboard.api.schemas import schemas
from tests.harness.processes import ROOT

SOURCE = ROOT / "dashboard/frontend/openapi.json"


def test_the_document_that_the_pages_types_are_made_of_is_that_of_the_code() -> None:
    assert SOURCE.read_text() == openapi.source_of_types(), "make generated"


def test_every_shape_that_one_refers_to_is_described() -> None:
    document = openapi.document("1")

    assert set(references(document)) <= set(document["components"]["schemas"])


def test_every_record_is_part_of_an_answer() -> None:
    modules = (ROOT / "dashboard/records").glob("*.py")
    classes = {name for path in modules for name in re.findall(r"^class (\w+)\(", path.read_text(), re.MULTILINE)}

    of_the_code_alone = {"Record", "Identity", "Snapshot", "Kind"}
    assert classes - of_the_code_alone == set(schemas())


def test_what_may_be_unknown_is_said_in_one_word_and_nothing_forbids_a_field_that_comes_later() -> None:
    shapes = schemas()

    assert shapes["Running"]["properties"]["silent"]["type"] == ["number", "null"]
    assert shapes["Line"]["properties"]["values"]["items"] == {"type": ["number", "null"]}
    assert shapes["Trouble"]["properties"]["class"] == {"type": "string"}
    assert not any("additionalProperties" in shape for shape in shapes.values())


def test_the_page_for_people_links_to_every_shape_and_to_none_that_is_missing() -> None:
    page = openapi.page("1")

    targets = set(re.findall(r'href="#(\w+)"', page))
    assert targets <= set(re.findall(r'id="(\w+)"', page))
    assert {"Now", "Running", "Severity", "Tokens"} <= targets
    assert 'Takes <a href="#Name">' in page


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "$ref":
                yield value.removeprefix("#/components/schemas/")
            else:
                yield from references(value)
    elif isinstance(part, list):
        for each in part:
            yield from references(each)
