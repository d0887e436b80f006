"""The answers about the account: quota, usage, subscriptions. Pure."""

from __future__ import annotations

from collections.abc import Callable

from simulator.api.call import Call, Reply, json_reply
from simulator.api.endpoints import Action
from simulator.plan import monitor
from simulator.plan.limits import WindowName, WindowState


def _limits(call: Call) -> Reply:
    return json_reply(monitor.quota_limits(call.windows, call.scenario.quota_form, call.plan_level))


def _model_usage(call: Call) -> Reply:
    return json_reply(monitor.model_usage(call.model_use, call.now))


def _month(call: Call) -> WindowState:
    return next(window for window in call.windows if window.name is WindowName.MONTHLY)


def _tool_usage(call: Call) -> Reply:
    return json_reply(monitor.tool_usage(int(_month(call).used), call.now))


def _activity(call: Call) -> Reply:
    return json_reply(monitor.activity(call.model_use, call.now))


def _mcp_usage(call: Call) -> Reply:
    month = _month(call)
    return json_reply(monitor.mcp_usage(int(month.used), int(month.allowance)))


def _credit_usage(call: Call) -> Reply:
    return json_reply(monitor.credit_usage(call.model_use))


def _subscriptions(call: Call) -> Reply:
    return json_reply(monitor.subscriptions(call.plan_level, call.now))


BUILDERS: dict[Action, Callable[[Call], Reply]] = {
    Action.QUOTA: _limits,
    Action.MODEL_USAGE: _model_usage,
    Action.TOOL_USAGE: _tool_usage,
    Action.CREDIT_USAGE: _credit_usage,
    Action.ACTIVITY: _activity,
    Action.MCP_USAGE: _mcp_usage,
    Action.SUBSCRIPTIONS: _subscriptions,
}
