"""The API described: for programs as OpenAPI 3.1, for people as a page.

`python -m dashboard.api.openapi` prints the document from which the page's types are made.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any, Final

from dashboard.api.schemas import Schema, ref, schemas
from dashboard.domain.charts import chart_names
from dashboard.records.base import Problem, Record
from dashboard.records.names import Name, Names
from dashboard.records.requests import FILTERS, SORTS, Cancelled, Outcome, Request, Requests
from dashboard.records.series import Series
from dashboard.records.snapshot import Now
from dashboard.records.targets import Targets
from dashboard.records.usage import Breakdown, By
from dashboard.store.usage import KEYS


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a query. One that `repeats` may be given several times; `choices` are all that it may be."""

    meaning: str
    repeats: bool = False
    choices: tuple[str, ...] = ()
    kind: str = "string"

    def schema(self) -> Schema:
        one: Schema = {"type": self.kind, **({"enum": list(self.choices)} if self.choices else {})}
        return {"type": "array", "items": one} if self.repeats else one


_WINDOW: Final = {
    "from": Parameter("Begin of the window: Unix seconds, or before now like -6h"),
    "to": Parameter("End of the window; now if left out"),
}
_TARGET: Final = {"target": Parameter("A target's id: this proxy only")}
_CSV: Final = {"format": Parameter("csv: as a file for a spreadsheet", choices=("json", "csv"))}
_EQUAL: Final = Parameter("Exactly this; repeat for several", repeats=True)


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that can be asked for. `answer` is the record that it answers, `status` is that of success, `body` the
    record that it takes."""

    path: str
    summary: str
    parameters: Mapping[str, Parameter]
    answer: type[Record] | None = None
    method: str = "get"
    status: int = 200
    media_type: str = "application/json"
    required: tuple[str, ...] = ()
    body: type[Record] | None = None


OPERATIONS: Final = (
    Operation("/api/now", "What goes on at this moment.", {}, Now),
    Operation(
        "/api/series",
        "Charts over time.",
        {
            "name": Parameter(
                "Which charts, separated by commas, at most 12: "
                + "; ".join(f"{name} (by {', '.join(splits)})" for name, splits in chart_names().items())
                + "; or the full name of any other zai_proxy_ counter or gauge"
            ),
            **_WINDOW,
            "step": Parameter(
                "Seconds between points; made larger where there would be more than 720 points", kind="number"
            ),
            "by": Parameter("What the lines are told apart by"),
            **_TARGET,
            **_CSV,
        },
        Series,
        required=("name",),
    ),
    Operation(
        "/api/requests",
        "Finished requests, newest first.",
        {
            **_WINDOW,
            **dict.fromkeys(FILTERS, _EQUAL),
            "outcome": Parameter("How it ended; repeat for several", repeats=True, choices=tuple(Outcome)),
            "status": Parameter("A status like 200 or a class like 4xx; repeat for several", repeats=True),
            **_TARGET,
            "search": Parameter("Part of a request id, session, client, model, path or error"),
            "sort": Parameter("What the order is by; ended if left out", choices=tuple(SORTS)),
            "order": Parameter("desc if left out", choices=("desc", "asc")),
            "limit": Parameter("Requests on a page, 1 to 500; for CSV up to 10000", kind="integer"),
            "after": Parameter("`next` of the page before"),
            **_CSV,
        },
        Requests,
    ),
    Operation("/api/requests/{id}", "One finished request.", {}, Request),
    Operation(
        "/api/requests/{id}/cancel",
        "Ends a running or waiting request. Needs DASHBOARD_TOKEN.",
        {},
        Cancelled,
        method="post",
        status=202,
    ),
    Operation(
        "/api/breakdown",
        "Who used what.",
        {
            "by": Parameter("What tells the rows apart", choices=tuple(By)),
            **_WINDOW,
            **dict.fromkeys(KEYS, _EQUAL),
            **_TARGET,
            "limit": Parameter("Rows, 1 to 500", kind="integer"),
            **_CSV,
        },
        Breakdown,
        required=("by",),
    ),
    Operation("/api/targets", "The proxies that are asked, and the store.", {}, Targets),
    Operation("/api/names", "What people call clients and sessions.", {}, Names),
    Operation("/api/names", "Names one of them; an empty name takes it away.", {}, Names, method="put", body=Name),
    Operation(
        "/api/events",
        "Server-sent events: now each second, request, alert, names, gap, reset. Last-Event-ID replays.",
        {
            "only": Parameter("Kinds of events, separated by commas: now, request, alert, names"),
            "since": Parameter("Instead of Last-Event-ID"),
        },
        media_type="text/event-stream",
    ),
    Operation("/healthz", "Whether the process serves. Needs no token.", {}),
)


def known_parameters(path: str) -> frozenset[str]:
    """What may be asked of this path."""
    return frozenset(next(operation.parameters for operation in OPERATIONS if operation.path == path))


def document(version: str) -> dict[str, Any]:
    """The OpenAPI document."""
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "zai-proxy dashboard",
            "version": version,
            "description": "Times are Unix seconds, durations seconds, sizes bytes. null is unknown, never 0.",
        },
        "security": [{"token": []}, {}],
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "DASHBOARD_TOKEN"}},
        },
    }


def page(version: str) -> str:
    """The same for a person: HTML without scripts and without anything from elsewhere."""
    operations = "\n".join(_section(operation) for operation in OPERATIONS)
    shapes = "\n".join(_shape(name, schema) for name, schema in schemas().items())
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>zai-proxy dashboard: API</title><link rel="stylesheet" href="/plain.css"></head>
<body><main>
<h1>API of the zai-proxy dashboard</h1>
<p>Version {escape(version)}. Times are Unix seconds, durations seconds, sizes bytes; null is unknown, never 0.
An error is <code>{{"error": "one sentence"}}</code>. For programs: <a href="/api/openapi.json">openapi.json</a>.
With DASHBOARD_TOKEN set, send <code>authorization: Bearer …</code> or <a href="/login">sign in</a>.</p>
{operations}
<h2>Shapes</h2>
{shapes}
<p><a href="/">Back to the dashboard</a></p>
</main></body></html>
"""


def _operation(operation: Operation) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {
            "name": name,
            "in": "query",
            "description": parameter.meaning,
            "required": name in operation.required,
            "schema": parameter.schema(),
        }
        for name, parameter in operation.parameters.items()
    ]
    if "{id}" in operation.path:
        parameters.append({"name": "id", "in": "path", "required": True, "schema": {"type": "string"}})
    body = {} if operation.body is None else {"requestBody": _body(operation.body)}
    schema = {} if operation.answer is None else {"schema": ref(operation.answer)}
    problem = {"description": "One sentence", "content": {"application/json": {"schema": ref(Problem)}}}
    return {
        "summary": operation.summary,
        "parameters": parameters,
        **body,
        "responses": {
            str(operation.status): {"description": operation.summary, "content": {operation.media_type: schema}},
            "default": problem,
        },
    }


def _body(record: type[Record]) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": ref(record)}}}


def _section(operation: Operation) -> str:
    rows = "\n".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{escape(_told(parameter))}</td></tr>"
        for name, parameter in operation.parameters.items()
    )
    table = f"<table><tr><th>Parameter</th><th>Meaning</th></tr>{rows}</table>" if rows else ""
    link = _links("Takes", operation.body) + _links("Answers", operation.answer)
    heading = f"{operation.method.upper()} {escape(operation.path)}"
    return f"<section><h2><code>{heading}</code></h2><p>{escape(operation.summary)}</p>{table}{link}</section>"


def _links(verb: str, record: type[Record] | None) -> str:
    return "" if record is None else f'<p>{verb} <a href="#{record.__name__}">{record.__name__}</a>.</p>'


def _told(parameter: Parameter) -> str:
    return f"{parameter.meaning}: {', '.join(parameter.choices)}" if parameter.choices else parameter.meaning


def _shape(name: str, schema: Schema) -> str:
    rows = "\n".join(
        f"<tr><td><code>{escape(field)}</code></td><td>{_type(shape)}</td>"
        f"<td>{escape(shape.get('description', ''))}</td></tr>"
        for field, shape in schema.get("properties", {}).items()
    )
    table = f"<table>{rows}</table>" if rows else f"<p>{_type(schema)}</p>"
    meaning = escape(schema.get("description", ""))
    return f'<section id="{name}"><h3>{name}</h3><p>{meaning}</p>{table}</section>'


def _type(shape: Schema) -> str:
    if "$ref" in shape:
        name = shape["$ref"].rpartition("/")[2]
        return f'<a href="#{name}">{name}</a>'
    if "anyOf" in shape:
        return " or ".join(_type(each) for each in shape["anyOf"])
    if "enum" in shape:
        return escape(" | ".join(shape["enum"]))
    if shape.get("type") == "array":
        return f"list of {_type(shape['items'])}"
    if isinstance(more := shape.get("additionalProperties"), dict):
        return f"object of {_type(more)}"
    kind = shape.get("type", "any")
    return escape(kind if isinstance(kind, str) else " or ".join(kind))


def source_of_types() -> str:
    """The document as it is committed: of no version."""
    return json.dumps(document("0"), ensure_ascii=False, indent=2) + "\n"


if __name__ == "__main__":
    sys.stdout.write(source_of_types())
