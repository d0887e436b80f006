"""What a simulator is started with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from simulator.plan.limits import MCP_RECOVERY_SECONDS, UNLIMITED_CREDITS, Limits, WindowLimit
from simulator.scenario.rulebook import Rulebook

FIVE_HOURS = 5 * 3600.0
WEEK = 7 * 86400.0
MONTH = 30 * 86400.0
MCP_CALLS = 1000.0
KEEP_ALIVE_SECONDS = 3600.0


def plan(
    *,
    five_hour_credits: float = UNLIMITED_CREDITS,
    weekly_credits: float = UNLIMITED_CREDITS,
    monthly_calls: float = MCP_CALLS,
    five_hour_seconds: float = FIVE_HOURS,
    weekly_seconds: float = WEEK,
    monthly_seconds: float = MONTH,
    concurrency: int | None = None,
    requests_per_second: float | None = None,
    model_concurrency: Mapping[str, int] | None = None,
    shared_pools: tuple[tuple[str, ...], ...] = (),
    mcp_concurrency: int | None = None,
    mcp_recovery_seconds: float = MCP_RECOVERY_SECONDS,
    release_seconds: float = 0.0,
) -> Limits:
    """Limits of a plan; by default nothing but the month's MCP calls is limited."""
    return Limits(
        five_hour=WindowLimit(five_hour_credits, five_hour_seconds),
        weekly=WindowLimit(weekly_credits, weekly_seconds),
        monthly=WindowLimit(monthly_calls, monthly_seconds),
        concurrency=concurrency,
        requests_per_second=requests_per_second,
        model_concurrency=model_concurrency or {},
        shared_pools=shared_pools,
        mcp_concurrency=mcp_concurrency,
        mcp_recovery_seconds=mcp_recovery_seconds,
        release_seconds=release_seconds,
    )


@dataclass(frozen=True, slots=True)
class SimulatorSettings:
    """`key` of None takes every well-formed key; `port` 0 picks a free one; `speed` is tokens a second, 0 for at once.

    `expected_host`: any other Host header gets the 403 of the real thing. `general_balance`: without it the general
    API answers 1113, as it does to a key that has a Coding Plan alone. `prefix_cache_seconds`: how long the model has
    a prompt in memory after its last use; None is no cache. `keep_alive_seconds`: how long a connection without a
    request stays open.
    """

    host: str = "127.0.0.1"
    port: int = 0
    key: str | None = field(default=None, repr=False)
    rulebook: Rulebook = field(default_factory=Rulebook)
    limits: Limits = field(default_factory=plan)
    speed: float = 0.0
    plan_level: str = "max"
    expected_host: str | None = None
    prefix_cache_seconds: float | None = None
    keep_alive_seconds: float = KEEP_ALIVE_SECONDS
    general_balance: bool = True
    tls_cert: Path | None = None
    tls_key: Path | None = None
