"""The API described: for programs as OpenAPI 3.1, for people as a page."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any, Final

from dashboard.api.schemas import SCHEMAS, ref
from dashboard.domain.charts import chart_names
from dashboard.store.requests import FILTERS, SORTS
from dashboard.store.usage import KEYS, TIMES

_WINDOW: Final = {
    "from": "Begin of the window: Unix seconds, or before now like -6h",
    "to": "End of the window; now if left out",
}
_TARGET: Final = {"target": "A target's id: this proxy only"}
_CSV: Final = {"format": "csv: as a file for a spreadsheet"}
_EQUAL: Final = "Exactly this; repeat for several"


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that can be asked for. `schema` names the shape of the answer, `status` is that of success."""

    path: str
    summary: str
    parameters: Mapping[str, str]
    schema: str | None = None
    method: str = "get"
    status: int = 200
    media_type: str = "application/json"
    required: tuple[str, ...] = ()


OPERATIONS: Final = (
    Operation("/api/now", "What goes on at this moment.", {}, "Now"),
    Operation(
        "/api/series",
        "Charts over time.",
        {
            "name": "Which charts, separated by commas, at most 12: "
            + "; ".join(f"{name} (by {', '.join(splits)})" for name, splits in chart_names().items())
            + "; or the full name of any other zai_proxy_ counter or gauge",
            **_WINDOW,
            "step": "Seconds between points; made larger where there would be more than 720 points",
            "by": "What the lines are told apart by",
            **_TARGET,
            **_CSV,
        },
        "Series",
        required=("name",),
    ),
    Operation(
        "/api/requests",
        "Finished requests, newest first.",
        {
            **_WINDOW,
            **dict.fromkeys(FILTERS, _EQUAL),
            "status": "A status like 200 or a class like 4xx; repeat for several",
            **_TARGET,
            "search": "Part of a request id, session, client, model, path or error",
            "sort": f"One of {', '.join(SORTS)}",
            "order": "desc or asc",
            "limit": "Requests on a page, 1 to 500; for CSV up to 10000",
            "after": "`next` of the page before",
            **_CSV,
        },
        "Requests",
    ),
    Operation("/api/requests/{id}", "One finished request.", {}, "Request"),
    Operation(
        "/api/requests/{id}/cancel",
        "Ends a running or waiting request. Needs DASHBOARD_TOKEN.",
        {},
        method="post",
        status=202,
    ),
    Operation(
        "/api/breakdown",
        "Who used what.",
        {
            "by": f"One of {', '.join((*KEYS, *TIMES))}",
            **_WINDOW,
            **dict.fromkeys(KEYS, _EQUAL),
            **_TARGET,
            "limit": "Rows, 1 to 500",
            **_CSV,
        },
        "Breakdown",
        required=("by",),
    ),
    Operation("/api/targets", "The proxies that are asked, and the store.", {}, "Targets"),
    Operation(
        "/api/events",
        "Server-sent events: now each second, request, alert, gap, reset. Last-Event-ID replays.",
        {
            "only": "Kinds of events, separated by commas: now, request, alert",
            "since": "Instead of Last-Event-ID",
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
            "schemas": SCHEMAS,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "DASHBOARD_TOKEN"}},
        },
    }


def page(version: str) -> str:
    """The same for a person: HTML without scripts and without anything from elsewhere."""
    operations = "\n".join(_section(operation) for operation in OPERATIONS)
    shapes = "\n".join(_shape(name, schema) for name, schema in SCHEMAS.items())
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
            "description": meaning,
            "required": name in operation.required,
            "schema": {"type": "string"},
        }
        for name, meaning in operation.parameters.items()
    ]
    if "{id}" in operation.path:
        parameters.append({"name": "id", "in": "path", "required": True, "schema": {"type": "string"}})
    schema = {} if operation.schema is None else {"schema": ref(operation.schema)}
    problem = {"description": "One sentence", "content": {"application/json": {"schema": ref("Problem")}}}
    return {
        "summary": operation.summary,
        "parameters": parameters,
        "responses": {
            str(operation.status): {"description": operation.summary, "content": {operation.media_type: schema}},
            "default": problem,
        },
    }


def _section(operation: Operation) -> str:
    rows = "\n".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{escape(meaning)}</td></tr>"
        for name, meaning in operation.parameters.items()
    )
    table = f"<table><tr><th>Parameter</th><th>Meaning</th></tr>{rows}</table>" if rows else ""
    link = "" if operation.schema is None else f'<p>Answers <a href="#{operation.schema}">{operation.schema}</a>.</p>'
    heading = f"{operation.method.upper()} {escape(operation.path)}"
    return f"<section><h2><code>{heading}</code></h2><p>{escape(operation.summary)}</p>{table}{link}</section>"


def _shape(name: str, schema: Mapping[str, Any]) -> str:
    rows = "\n".join(
        f"<tr><td><code>{escape(field)}</code></td><td>{_type(shape)}</td>"
        f"<td>{escape(shape.get('description', ''))}</td></tr>"
        for field, shape in schema.get("properties", {}).items()
    )
    return f'<section id="{name}"><h3>{name}</h3><table>{rows}</table></section>'


def _type(shape: Mapping[str, Any]) -> str:
    if "$ref" in shape:
        name = shape["$ref"].rpartition("/")[2]
        return f'<a href="#{name}">{name}</a>'
    if "anyOf" in shape:
        return " or ".join(_type(each) for each in shape["anyOf"])
    if "enum" in shape:
        return escape(" | ".join(shape["enum"]))
    if shape.get("type") == "array":
        return f"list of {_type(shape['items'])}"
    if shape.get("type") == "object" and "properties" in shape:
        return "{ " + ", ".join(f"{escape(name)}: {_type(each)}" for name, each in shape["properties"].items()) + " }"
    kind = shape.get("type", "any")
    return escape(kind if isinstance(kind, str) else " or ".join(kind))
