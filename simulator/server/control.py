"""What tests and people ask the simulator itself, under /_simulator/: the journal, the scenario, the limits."""

from __future__ import annotations

import json
import time

from aiohttp import web

from simulator.plan.limit_changes import changed_limits, changed_use, checked
from simulator.scenario.parsing import ScenarioError
from simulator.scenario.rulebook import rulebook_from
from simulator.server.state import State

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
    request.app[STATE].forget(time.time())
    return web.json_response({})


async def get_stats(request: web.Request) -> web.Response:
    return web.json_response(request.app[STATE].stats(time.time()))


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
    """Changes limits: those of `limit_changes`. What is not named stays."""
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
    request.app[STATE].reset(time.time())
    return web.json_response({})


def apply_limits(state: State, wanted: object, now: float) -> None:
    """Puts the wanted changes in force, all or none. Raises ScenarioError."""
    changes = checked(wanted)
    limits, used = changed_limits(state.limits.limits, changes), changed_use(changes)
    state.limits.change(limits)
    state.limits.overloaded = changes.get("overloaded", state.limits.overloaded)
    for name, amount in used.items():
        state.limits.set_used(name, amount, now)
