"""The shapes of the API's answers, as JSON Schema: what the records' fields come to."""

from typing import Any, Final, TypeAlias

from pydantic.json_schema import GenerateJsonSchema, models_json_schema
from pydantic_core import core_schema

from dashboard.records.alerts import AlertChange
from dashboard.records.base import Problem, Record
from dashboard.records.events import Gap, Reset
from dashboard.records.names import Name, Names
from dashboard.records.requests import Cancelled, Request, Requests
from dashboard.records.series import Series
from dashboard.records.snapshot import Now
from dashboard.records.targets import Targets
from dashboard.records.usage import Breakdown

Schema: TypeAlias = dict[str, Any]

ANSWERS: Final[tuple[type[Record], ...]] = (
    Now, Series, Requests, Request, Cancelled, Breakdown, Targets, Names, Name, AlertChange, Gap, Reset, Problem,
)  # fmt: skip
_PLACE: Final = "#/components/schemas/"


class _Plain(GenerateJsonSchema):
    """Without titles that only repeat names, and with `"type": ["string", "null"]` for what may be null."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def nullable_schema(self, schema: core_schema.NullableSchema) -> Schema:
        return _compact(super().nullable_schema(schema))

    def union_schema(self, schema: core_schema.UnionSchema) -> Schema:
        return _compact(super().union_schema(schema))


def schemas() -> dict[str, Schema]:
    """Every shape by its name."""
    models = [(model, "serialization") for model in ANSWERS]
    _, found = models_json_schema(models, ref_template=_PLACE + "{model}", schema_generator=_Plain)  # type: ignore[arg-type]
    return {name: _shape(shape) for name, shape in found["$defs"].items()}


def ref(record: type[Record]) -> Schema:
    """The shape of a record, by its name."""
    return {"$ref": f"{_PLACE}{record.__name__}"}


def _shape(schema: Schema) -> Schema:
    """Without the title, which is the name again. A later version may say more: nothing forbids that."""
    return {key: value for key, value in schema.items() if key not in ("title", "additionalProperties")}


def _compact(schema: Schema) -> Schema:
    """A choice of plain types as a list of them; a whole number is a number."""
    choices = schema.get("anyOf", [])
    if not all(list(each) == ["type"] for each in choices):
        return schema
    kinds = [kind for each in choices for kind in ([each["type"]] if isinstance(each["type"], str) else each["type"])]
    distinct = [kind for kind in dict.fromkeys(kinds) if kind != "integer" or "number" not in kinds]
    return {"type": distinct[0] if len(distinct) == 1 else distinct} if distinct else schema
