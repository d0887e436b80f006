"""What tests and people ask the simulator itself, under /_simulator/: the journal, the scenario, the limits."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Mapping

from aiohttp import web

from simulator.plan_limits import Limits, WindowName
from simulator.rulebook import rulebook_from
from simulator.scenario_parsing import ScenarioError, unknown_key
from simulator.state import State

STATE = web.AppKey("state", State)
_MAX_LOG_BATCH = 20_000


def add_routes(app: web.Application) -> None:
    app.router.add_get("/_simulator/log", get_log)
    app.router.add_delete("/_simulator/log", clear_log)
    app.router.add_get("/_simulator/stats", get_stats)
    app.router.add_put("/_simulator/scenario", put_scenario)
    app.router.add_delete("/_simulator/scenario", clear_scenario)
    app.router.add_put("/_simulator/limits", put_limits)
    app.router.add_post("/_simulator/reset", post_reset)


def _refused(message: str) -> web.Response:
    return web.json_response({"error": message}, status=400)


async def get_log(request: web.Request) -> web.Response:
    """The entries after the id `since`; `last` is the id to ask with next time."""
    since = request.query.get("since", "0")
    if not since.isdecimal() or len(since) > 18:
        return _refused(f"since={since[:40]}: need the id of an entry")
    entries = request.app[STATE].journal.since(int(since))[:_MAX_LOG_BATCH]
    last = entries[-1].id if entries else int(since)
    return web.json_response({"entries": [entry.as_json() for entry in entries], "last": last})


async def clear_log(request: web.Request) -> web.Response:
    request.app[STATE].journal.clear()
    return web.json_response({})


async def get_stats(request: web.Request) -> web.Response:
    state, now = request.app[STATE], time.time()
    windows = {
        window.name.value: {"allowance": window.allowance, "used": window.used, "resets_at": window.resets_at}
        for window in state.limits.windows(now)
    }
    body = {**state.journal.stats(), "metered_in_flight": state.limits.in_flight, "windows": windows}
    return web.json_response(body)


async def put_scenario(request: web.Request) -> web.Response:
    """Puts a default scenario, or a document of `default` and `rules`, in force."""
    try:
        book = rulebook_from(json.loads(await request.read()))
    except ScenarioError as error:
        return _refused(str(error))
    except ValueError as error:
        return _refused(f"not JSON: {error}")
    request.app[STATE].use(book)
    return web.json_response({})


async def clear_scenario(request: web.Request) -> web.Response:
    state = request.app[STATE]
    state.use(state.settings.rulebook)
    return web.json_response({})


async def put_limits(request: web.Request) -> web.Response:
    """Changes limits: the keys of `changed_limits`, and `overloaded`. What is not named stays."""
    state = request.app[STATE]
    try:
        wanted = json.loads(await request.read())
        apply_limits(state, wanted, time.time())
    except ScenarioError as error:
        return _refused(str(error))
    except ValueError as error:
        return _refused(f"not JSON: {error}")
    return web.json_response({})


async def post_reset(request: web.Request) -> web.Response:
    request.app[STATE].reset()
    return web.json_response({})


_WINDOW_KEYS = {
    "five_hour_credits": (WindowName.FIVE_HOUR, "allowance"),
    "weekly_credits": (WindowName.WEEKLY, "allowance"),
    "monthly_calls": (WindowName.MONTHLY, "allowance"),
    "five_hour_seconds": (WindowName.FIVE_HOUR, "seconds"),
    "weekly_seconds": (WindowName.WEEKLY, "seconds"),
    "monthly_seconds": (WindowName.MONTHLY, "seconds"),
}
_USED_KEYS = {
    "five_hour_used": WindowName.FIVE_HOUR,
    "weekly_used": WindowName.WEEKLY,
    "monthly_used": WindowName.MONTHLY,
}
_OTHER_KEYS = ("concurrency", "requests_per_second", "overloaded")


def apply_limits(state: State, wanted: object, now: float) -> None:
    """Puts the wanted changes in force, all or none. Raises ScenarioError."""
    if not isinstance(wanted, dict):
        raise ScenarioError("need an object of limits")
    known = (*_WINDOW_KEYS, *_USED_KEYS, *_OTHER_KEYS)
    for key in wanted:
        if key not in known:
            raise unknown_key(key, known)
    limits = changed_limits(state.limits.limits, wanted)
    overloaded = wanted.get("overloaded", state.limits.overloaded)
    if not isinstance(overloaded, bool):
        raise ScenarioError("overloaded: need true or false")
    used = {name: _amount(wanted, key, least=0.0) for key, name in _USED_KEYS.items() if key in wanted}
    state.limits.change(limits)
    state.limits.overloaded = overloaded
    for name, amount in used.items():
        state.limits.set_used(name, amount, now)


def changed_limits(limits: Limits, wanted: Mapping[str, object]) -> Limits:
    """`limits` with the windows, concurrency and rate that `wanted` names. Raises ScenarioError."""
    windows = {name: limits.window(name) for name in WindowName}
    for key, (name, part) in _WINDOW_KEYS.items():
        if key in wanted:
            amount = _amount(wanted, key, least=0.001)
            windows[name] = dataclasses.replace(windows[name], **{part: amount})
    concurrency = wanted.get("concurrency", limits.concurrency)
    if concurrency is not None and (type(concurrency) is not int or concurrency < 0):
        raise ScenarioError("concurrency: need a whole number, or null for no limit")
    rate = limits.requests_per_second
    if "requests_per_second" in wanted:
        rate = None if wanted["requests_per_second"] is None else _amount(wanted, "requests_per_second", least=0.001)
    return Limits(
        five_hour=windows[WindowName.FIVE_HOUR],
        weekly=windows[WindowName.WEEKLY],
        monthly=windows[WindowName.MONTHLY],
        concurrency=concurrency,
        requests_per_second=rate,
    )


def _amount(wanted: Mapping[str, object], key: str, *, least: float) -> float:
    value = wanted[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= 1e15:
        raise ScenarioError(f"{key}: need a number from {least:g}")
    return float(value)
