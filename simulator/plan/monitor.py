"""The account monitor: quota limits in every known shape, usage figures, subscriptions. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from simulator.plan.limits import WindowName, WindowState
from simulator.plan.models import beijing_text
from simulator.scenario.model import QuotaForm

# The API's numbers for a window's length: (unit, number).
_LENGTH = {WindowName.FIVE_HOUR: (3, 5), WindowName.WEEKLY: (6, 1), WindowName.MONTHLY: (5, 1)}
_PLAN_NAME = {QuotaForm.LEGACY_COUNTS: "planName", QuotaForm.FUTURE: "packageName"}
_MONTHLY_PRICE = {"lite": "18", "pro": "80", "max": "168"}
_MONTH_SECONDS = 30 * 86400


@dataclass(slots=True)
class ModelUse:
    """What one model was used for since the start."""

    calls: int = 0
    input: int = 0
    cached: int = 0
    output: int = 0
    credits: float = 0.0

    @property
    def tokens(self) -> int:
        return self.input + self.cached + self.output


def envelope(data: object) -> dict[str, object]:
    return {"code": 200, "msg": "Operation successful", "data": data, "success": True}


def quota_limits(windows: Sequence[WindowState], form: QuotaForm, level: str) -> dict[str, object]:
    """The answer of /usage/quota/limit. `usage` is the allowance and `currentValue` what was used: Z.AI's own names."""
    limits = [_limit(window, form) for window in windows]
    plan = _PLAN_NAME.get(form, "level")
    if form is QuotaForm.FIVE_HOUR_ONLY:
        limits = limits[:1]
    if form is QuotaForm.FUTURE:
        limits.append({"type": "SOME_FUTURE_LIMIT", "unit": 9, "number": 3, "percentage": 4})
    return envelope({plan: level, "limits": limits})


def _limit(window: WindowState, form: QuotaForm) -> dict[str, object]:
    unit, number = _LENGTH[window.name]
    if form is QuotaForm.LEGACY_COUNTS and window.name is WindowName.WEEKLY:
        number = 7
    calls = window.name is WindowName.MONTHLY
    legacy = form in (QuotaForm.LEGACY, QuotaForm.LEGACY_COUNTS)
    kind = "TIME_LIMIT" if calls else "TOKENS_LIMIT" if legacy else "CREDIT_LIMIT"
    limit: dict[str, object] = {"type": kind, "unit": unit, "number": number}
    if calls or form is not QuotaForm.LEGACY:
        limit["usage"] = int(window.allowance)
        limit["currentValue"] = int(window.used)
        limit["remaining"] = max(0, int(window.allowance - window.used))
    limit["percentage"] = min(100, int(100 * window.used / window.allowance))
    if window.resets_at is not None:
        limit["nextResetTime"] = int(window.resets_at * 1000)
    if calls:
        limit["usageDetails"] = [
            {"modelCode": "search-prime", "usage": int(window.used)},
            {"modelCode": "web-reader", "usage": 0},
            {"modelCode": "zread", "usage": 0},
        ]
    return limit


def model_usage(use: Mapping[str, ModelUse], now: float) -> dict[str, object]:
    """The answer of /usage/model-usage: everything since the start in one hour's column."""
    calls = sum(entry.calls for entry in use.values())
    tokens = sum(entry.tokens for entry in use.values())
    summary = [
        {"modelName": name, "totalTokens": entry.tokens, "sortOrder": order}
        for order, (name, entry) in enumerate(use.items(), start=1)
    ]
    per_model = [
        {"modelName": name, "tokensUsage": [entry.tokens], "totalTokens": entry.tokens} for name, entry in use.items()
    ]
    total = {"totalModelCallCount": calls, "totalTokensUsage": tokens, "modelSummaryList": summary}
    return envelope(
        {
            "x_time": [beijing_text(now, "%Y-%m-%d %H:00")],
            "modelCallCount": [calls],
            "tokensUsage": [tokens],
            "totalUsage": total,
            "modelDataList": per_model,
        }
    )


def tool_usage(calls: int, now: float) -> dict[str, object]:
    """The answer of /usage/tool-usage."""
    total = {
        "totalNetworkSearchCount": calls,
        "totalWebReadMcpCount": 0,
        "totalZreadMcpCount": 0,
        "totalSearchMcpCount": calls,
    }
    return envelope({"x_time": [beijing_text(now, "%Y-%m-%d %H:00")], "totalUsage": total, "toolDataList": []})


def credit_usage(use: Mapping[str, ModelUse]) -> dict[str, object]:
    """The answer of /usage/credit-usage/usage-detail."""
    rows = [
        {
            "modelName": name,
            "cachedInputTokensUsage": entry.cached,
            "uncachedInputTokensUsage": entry.input,
            "outputTokensUsage": entry.output,
            "totalCreditsUsage": round(entry.credits, 4),
        }
        for name, entry in use.items()
    ]
    return envelope({"modelUsage": {"modelDataList": rows}, "mcpUsage": {"mcpDataList": []}})


def activity(use: Mapping[str, ModelUse], now: float) -> dict[str, object]:
    """The answer of /usage/credit-usage/activity: the credits of today."""
    credits = round(sum(entry.credits for entry in use.values()), 4)
    return envelope({"activityList": [{"date": beijing_text(now, "%Y-%m-%d"), "totalCreditsUsage": credits}]})


def mcp_usage(calls: int, allowance: int) -> dict[str, object]:
    """The answer of /api/v1/mcp/usage."""
    return envelope({"usage": allowance, "currentValue": calls, "remaining": max(0, allowance - calls)})


def subscriptions(level: str, now: float) -> dict[str, object]:
    """The answer of /biz/subscription/list: one valid plan."""
    plan = {
        "productName": f"GLM Coding {level.capitalize()}",
        "status": "VALID",
        "valid": f"{beijing_text(now)}-{beijing_text(now + _MONTH_SECONDS)}",
        "nextRenewTime": beijing_text(now + _MONTH_SECONDS, "%Y-%m-%d"),
        "actualPrice": _MONTHLY_PRICE.get(level, "0"),
    }
    return envelope([plan])
