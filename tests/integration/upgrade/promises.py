"""What people, scripts, alerts and other versions hold on to by name, read from the objects and files that define it.

Each function takes what it reads, so that any version of the code can be read with the same eyes. What they return is
plain, fit for JSON, and compared by `broken`: a promise is kept by whatever contains it.
"""

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click
import yaml
from pydantic_settings import BaseSettings
from starlette.routing import Route

from tests.harness.doc_tables import Series, code, tables

UNKNOWN: Final = "null"
"""The shape of what had no value when it was looked at, which tells nothing of what may stand there."""
_LAST_RESORT: Final = ("/{path:path}", "/api/{rest:path}")
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")


def broken(promised: Any, kept: Any, where: str = "") -> Iterator[str]:
    """Says of each thing that was promised and is not kept where it stands, and what it was."""
    if isinstance(promised, dict) and isinstance(kept, dict):
        for name, value in promised.items():
            path = f"{where} > {name}" if where else name
            if name in kept:
                yield from broken(value, kept[name], path)
            else:
                yield path
    elif isinstance(promised, list) and isinstance(kept, list):
        yield from (f"{where} > {each}" for each in promised if each not in kept)
    elif UNKNOWN not in (promised, kept) and promised != kept:
        yield f"{where}: {promised}"


def shape(value: object) -> Any:
    """The names and kinds of a JSON value: an object by its names, a list by what its elements have in common, and one
    of plain values, which is a row, by the kinds of its columns."""
    if isinstance(value, Mapping):
        return {_DAY.sub("<day>", str(name)): shape(each) for name, each in value.items()}
    if not isinstance(value, list):
        return _kind(value)
    if value and not any(isinstance(each, list | Mapping) for each in value):
        return " ".join(map(_kind, value))
    shapes = [shape(each) for each in value]
    of_objects = {name: each[name] for each in shapes if isinstance(each, dict) for name in each}
    return {"[]": of_objects or shapes[0]} if shapes else {}


def _kind(value: object) -> str:
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, int | float) else "text"


def settings(model: type[BaseSettings]) -> dict[str, str]:
    """The variables with their defaults."""
    return {name.upper(): str(field.default) for name, field in model.model_fields.items()}


def command(entry: click.Command) -> dict[str, Any]:
    """A command's options and arguments with their defaults, and the commands below it."""
    found: dict[str, Any] = {}
    for parameter in entry.params:
        told = parameter.to_info_dict()
        is_option = told["param_type_name"] == "option"
        name = " ".join([*told["opts"], *told["secondary_opts"]]) if is_option else told["name"]
        kept: dict[str, Any] = {"choices": list(told["type"].get("choices", ()))}
        if told.get("envvar"):
            kept["variable"] = told["envvar"]
        if isinstance(told["default"], bool | int | float | str):
            kept["default"] = str(told["default"])
        found[name] = kept
    if isinstance(entry, click.Group):
        found |= {name: command(each) for name, each in entry.commands.items()}
    return found


def metrics(exported: Iterable[Series]) -> dict[str, Any]:
    """Every series with its type, labels and buckets. A promise, for queries join and sum by them."""
    return {
        each.name: {"type": each.kind, "labels": " ".join(sorted(each.labels)), "buckets": str(list(each.buckets))}
        for each in sorted(exported)
    }


def label_values(page: Path) -> dict[str, list[str]]:
    """The values that the page of the metrics tells of labels."""
    return {row[0]: code(row[1]) for row in tables(page, "label") if len(row) == 2}


def paths(routes: Iterable[Any]) -> dict[str, list[str]]:
    """What a Starlette application answers, and by which methods."""
    own = [each for each in routes if isinstance(each, Route) and each.path not in _LAST_RESORT]
    return {each.path: sorted(each.methods or ()) for each in own}


def api(document: Mapping[str, Any]) -> dict[str, Any]:
    """The operations of an OpenAPI document: parameters, and the fields of what succeeds."""
    found: dict[str, Any] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            status, answer = next(iter(operation["responses"].items()))
            (content,) = answer["content"].items()
            found[f"{method.upper()} {path}"] = {
                "parameters": [each["name"] for each in operation["parameters"]],
                "status": status,
                "type": content[0],
                "answer": _fields(content[1].get("schema", {}), document["components"]["schemas"]),
            }
    return found


def _fields(schema: Mapping[str, Any], known: Mapping[str, Any]) -> Any:
    if "$ref" in schema:
        return _fields(known[schema["$ref"].rpartition("/")[2]], known)
    for each in schema.get("anyOf", ()):
        if each.get("type") != "null":
            return _fields(each, known)
    if "properties" in schema:
        return {name: _fields(each, known) for name, each in schema["properties"].items()}
    if "items" in schema:
        return {"[]": _fields(schema["items"], known)}
    return {}


def schema(connection: sqlite3.Connection) -> dict[str, dict[str, str]]:
    """The columns of each table with their types."""
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
    return {
        name: {column: kind for _, column, kind, *_ in connection.execute(f"PRAGMA table_info({name})")}
        for (name,) in tables
        if not name.startswith("sqlite_")
    }


def store(client: Any) -> dict[str, Any]:
    """The keys of a Redis with what they hold: for a hash its fields, a JSON text by its shape."""
    found: dict[str, Any] = {}
    for key in sorted(client.scan_iter("*")):
        kind = client.type(key)
        fields = client.hgetall(key) if kind == "hash" else {}
        found[key] = {
            "type": kind,
            "fields": {re.sub("^r:.*", "r:<id>", name): _read(text) for name, text in sorted(fields.items())},
        }
    return found


def _read(text: str) -> Any:
    return shape(json.loads(text)) if text.startswith("{") else "text"


def images(dockerfile: str) -> dict[str, Any]:
    """What is said of each target that has an entry point, with what it has of the target that it is made from."""
    stages: dict[str, dict[str, list[str]]] = {}
    for line in re.sub(r"\\\n\s*", "", dockerfile).splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            stages[name] = stage = {key: list(values) for key, values in stages.get(base, {}).items()}
        elif word == "COPY" and stages:
            stage.setdefault(word, []).extend(_copied(rest))
        elif word in ("ARG", "ENV", "EXPOSE") and stages:
            stage.setdefault(word, []).extend(rest.split())
        elif word in ("USER", "WORKDIR", "VOLUME", "ENTRYPOINT", "CMD", "HEALTHCHECK"):
            stage[word] = [rest]
    return {name: stage for name, stage in stages.items() if "ENTRYPOINT" in stage}


def _copied(words: str) -> list[str]:
    """Where files of a COPY are afterwards."""
    *sources, target = [each for each in words.split() if not each.startswith("--")]
    return [target + each.rpartition("/")[2] for each in sources] if len(sources) > 1 else [target]


def objects(folder: Path) -> dict[str, Any]:
    """The Kubernetes objects by folder, kind and name, with the names in them that others use."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*.yaml")):
        text = path.read_text()
        for each in yaml.safe_load_all(text) if "kind:" in text else ():
            if isinstance(each, dict) and {"kind", "metadata"} <= each.keys():
                place = path.parent.relative_to(folder)
                found[f"{place} {each['kind']} {each['metadata']['name']}"] = _names(each)
    return found


def _names(manifest: Mapping[str, Any]) -> dict[str, Any]:
    spec = manifest.get("spec") or {}
    pod = (spec.get("template") or {}).get("spec") or {}
    containers = [*pod.get("initContainers", ()), *pod.get("containers", ())]
    return {
        "selector": json.dumps(spec.get("selector"), sort_keys=True),
        "ports": [each["name"] for each in spec.get("ports", ())],
        "data": sorted(manifest.get("data") or {}),
        "containers": {
            each["name"]: {
                "image": each["image"],
                "ports": [port["containerPort"] for port in each.get("ports", ())],
                "variables": [variable["name"] for variable in each.get("env", ())],
                "mounts": [mount["mountPath"] for mount in each.get("volumeMounts", ())],
            }
            for each in containers
        },
        "volumes": [json.dumps(each, sort_keys=True) for each in pod.get("volumes", ()) if "emptyDir" not in each],
    }


def compose(file: Path) -> dict[str, Any]:
    """Services with their profiles and volumes, and the variables that the file reads."""
    text = file.read_text()
    document = yaml.safe_load(text)
    return {
        "name": document["name"],
        "services": {
            name: {"profiles": each.get("profiles", []), "volumes": each.get("volumes", [])}
            for name, each in document["services"].items()
        },
        "volumes": sorted(document["volumes"]),
        "secrets": sorted(document["secrets"]),
        "variables": sorted(set(re.findall(r"\$\{([A-Z_]+)", text))),
    }


def rules(file: Path) -> dict[str, Any]:
    """Alerts with their severity, and recorded series."""
    groups = yaml.safe_load(file.read_text())["groups"]
    found = [each for group in groups for each in group["rules"]]
    return {each.get("alert") or each["record"]: each.get("labels", {}) for each in found}
