"""Whether an answer has the shape that the OpenAPI document gives it."""

from typing import Any

_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool,
    "null": type(None),
}  # fmt: skip


def differences(value: Any, shape: dict[str, Any], document: dict[str, Any], where: str = "") -> list[str]:
    """What does not fit, each with where it is. Keys that the shape does not know are a difference too."""
    if "$ref" in shape:
        return differences(value, document["components"]["schemas"][shape["$ref"].rpartition("/")[2]], document, where)
    if "anyOf" in shape:
        tried = [differences(value, each, document, where) for each in shape["anyOf"]]
        return [] if [] in tried else tried[0]
    kinds = shape["type"] if isinstance(shape["type"], list) else [shape["type"]]
    if not any(_is(value, kind) for kind in kinds):
        return [f"{where}: {value!r} is no {' or '.join(kinds)}"]
    if "enum" in shape and value not in shape["enum"]:
        return [f"{where}: {value!r} is none of {shape['enum']}"]
    if isinstance(value, list):
        items = shape["items"]
        return [each for n, item in enumerate(value) for each in differences(item, items, document, f"{where}[{n}]")]
    if isinstance(value, dict):
        return _in_object(value, shape, document, where)
    return []


def _in_object(value: dict[str, Any], shape: dict[str, Any], document: dict[str, Any], where: str) -> list[str]:
    known = shape.get("properties", {})
    more = shape.get("additionalProperties")
    found = [f"{where}.{key} is missing" for key in shape.get("required", []) if key not in value]
    for key, each in value.items():
        if key in known:
            found += differences(each, known[key], document, f"{where}.{key}")
        elif more:
            found += differences(each, more, document, f"{where}.{key}")
        else:
            found.append(f"{where}.{key} is not described")
    return found


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _TYPES[kind])
