"""Reads changed limits from JSON, all or none. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from simulator.plan.limits import Limits, WindowName
from simulator.plan.models import SERVED_MODELS, served_model
from simulator.scenario.parsing import ScenarioError, unknown_key

WINDOW_KEYS = {
    "five_hour_credits": (WindowName.FIVE_HOUR, "allowance"),
    "weekly_credits": (WindowName.WEEKLY, "allowance"),
    "monthly_calls": (WindowName.MONTHLY, "allowance"),
    "five_hour_seconds": (WindowName.FIVE_HOUR, "seconds"),
    "weekly_seconds": (WindowName.WEEKLY, "seconds"),
    "monthly_seconds": (WindowName.MONTHLY, "seconds"),
}
USED_KEYS = {
    "five_hour_used": WindowName.FIVE_HOUR,
    "weekly_used": WindowName.WEEKLY,
    "monthly_used": WindowName.MONTHLY,
}
_MAX_ITEMS = 100


def _amount(value: object, *, least: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= 1e15:
        raise ScenarioError(f"need a number from {least:g}")
    return float(value)


def _places(value: object) -> int | None:
    if value is not None and (type(value) is not int or value < 0):
        raise ScenarioError("need a whole number, or null for no limit")
    return value


def _rate(value: object) -> float | None:
    return None if value is None else _amount(value, least=0.001)


def _seconds(value: object) -> float:
    return _amount(value, least=0.0)


def _model_name(value: object) -> str:
    name = value.strip().lower() if isinstance(value, str) else ""
    serves = served_model(name, anthropic=True)
    if serves is None:
        raise unknown_key(value, SERVED_MODELS)
    if serves != name:
        raise ScenarioError(f"{name}: {serves} serves it, need the limit of that")
    return name


def model_concurrency(value: object) -> Mapping[str, int]:
    """Requests at once by model. Raises ScenarioError."""
    if not isinstance(value, dict):
        raise ScenarioError("need an object of models and whole numbers")
    if any(type(places) is not int or places < 0 for places in value.values()):
        raise ScenarioError("need a whole number for each model")
    return {_model_name(name): places for name, places in value.items()}


def shared_pools(value: object) -> tuple[tuple[str, ...], ...]:
    """Models that share their places, each in at most one pool. Raises ScenarioError."""
    if not isinstance(value, list) or not all(isinstance(pool, list) and len(pool) > 1 for pool in value):
        raise ScenarioError('need a list of pools such as [["glm-5.3", "glm-5.2"]]')
    pools = tuple(tuple(_model_name(name) for name in pool) for pool in value)
    names = [name for pool in pools for name in pool]
    for name in names:
        if names.count(name) > 1:
            raise ScenarioError(f"{name} is there twice: need each model in one pool")
    return pools


def _identities(value: object) -> tuple[str, ...]:
    fits = isinstance(value, list) and len(value) <= _MAX_ITEMS and all(isinstance(t, str) and t for t in value)
    if not isinstance(value, list) or not fits:
        raise ScenarioError(f"need a list of at most {_MAX_ITEMS} texts, none of them empty")
    return tuple(value)


# The fields of Limits that are no windows.
LIMIT_KEYS: dict[str, Callable[[object], object]] = {
    "concurrency": _places,
    "model_concurrency": model_concurrency,
    "shared_pools": shared_pools,
    "requests_per_second": _rate,
    "mcp_concurrency": _places,
    "mcp_recovery_seconds": _seconds,
    "release_seconds": _seconds,
    "refused_identities": _identities,
}
KNOWN_KEYS = (*WINDOW_KEYS, *USED_KEYS, *LIMIT_KEYS, "overloaded")


def checked(wanted: object) -> Mapping[str, Any]:
    """The wanted changes, if nothing in them is unknown. Raises ScenarioError."""
    if not isinstance(wanted, dict):
        raise ScenarioError("need an object of limits")
    for key in wanted:
        if key not in KNOWN_KEYS:
            raise unknown_key(key, KNOWN_KEYS)
    if not isinstance(wanted.get("overloaded", False), bool):
        raise ScenarioError("overloaded: need true or false")
    return wanted


def changed_limits(limits: Limits, wanted: Mapping[str, object]) -> Limits:
    """`limits` with what `wanted` names; the rest stays. Raises ScenarioError."""
    changes: dict[str, Any] = {name.value: limits.window(name) for name in WindowName}
    for key, (name, part) in WINDOW_KEYS.items():
        if key in wanted:
            changes[name.value] = dataclasses.replace(changes[name.value], **{part: _read_amount(wanted, key, 0.001)})
    for key, read in LIMIT_KEYS.items():
        if key in wanted:
            changes[key] = _read(key, read, wanted[key])
    return dataclasses.replace(limits, **changes)


def changed_use(wanted: Mapping[str, object]) -> dict[WindowName, float]:
    """What of the windows is to be used. Raises ScenarioError."""
    return {name: _read_amount(wanted, key, 0.0) for key, name in USED_KEYS.items() if key in wanted}


def _read_amount(wanted: Mapping[str, object], key: str, least: float) -> float:
    return float(_read(key, lambda value: _amount(value, least=least), wanted[key]))


def _read(key: str, read: Callable[[object], Any], value: object) -> Any:
    try:
        return read(value)
    except ScenarioError as error:
        raise ScenarioError(f"{key}: {error}") from None
