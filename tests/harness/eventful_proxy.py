"""A proxy that has seen something of everything, so that each of its series and fields has a value."""

import time
from dataclasses import replace
from typing import Any

from extproc.domain.pacing.learned_limits import Learned, LearnedLimit
from extproc.domain.pacing.limits import UNKNOWN
from extproc.domain.pacing.plan_view import PlanLimits
from extproc.domain.usage.log_entry import NOTHING_READ, EntryKind, LogEntry, ReadAnswer
from extproc.domain.usage.tokens import TokenCounts
from extproc.transport.envoy_stats import EnvoyReading
from tests.harness.proxy_in_process import ProxyInProcess

# Nothing listens at these addresses: what the store would answer, `ProxyInProcess.share` says.
SHARED = {"limits_url": "redis://127.0.0.1:9/0", "replicas": 3}
TRACED = {"otel_exporter_otlp_endpoint": "http://127.0.0.1:9/"}
PLAN = 9
ENDED = LogEntry(
    EntryKind.REQUEST, "POST", "/api/anthropic/v1/messages", "r-1", started=1_795_417_200.0, status=200,
    details="via_upstream", exchange_id="x-1", path_label="/v1/messages", source="source-07", client="anna",
    session="s-1", agent="a-1", lane="subagent", waited=0.1, request_bytes=1000, response_bytes=2000, duration=3.0,
    sent_upstream=0.5, first_byte=1.0, last_byte=3.0, attempts=2, streamed=True,
    model_asked="glm-5.2", user_agent="claude-cli/2.1",
    answer=ReadAnswer("events", "glm-5.3", TokenCounts(100, 50, 20, 10, 5), True, True, "stop"),
)  # fmt: skip


def plan_limits(limit: int, ceiling: float | None = None) -> PlanLimits:
    """What the leader decides for a plan that has so many places."""
    at = time.time()
    of_all = LearnedLimit(limit, ceiling, at, 40.0)
    learned = Learned(at, of_all, LearnedLimit(30.0, 40.0, at, 40.0), {UNKNOWN: of_all})
    return PlanLimits(limit, 30.0, 3.0, limit, 30.0, 1.0, learned, read_to=0)


def eventful(**settings: Any) -> ProxyInProcess:
    """A proxy that has seen something of everything: each of its series has a value."""
    proxy = ProxyInProcess(**{**SHARED, "quota_webhook_url": "http://127.0.0.1:9/", **TRACED, **settings})
    proxy.service.envoy_stats.latest = EnvoyReading(1, 2, 3)
    proxy.report_quota(0.4, time.time() + 3600)
    proxy.share(plan_limits(PLAN, ceiling=10.0), leads=True)
    record = proxy.service.recorder.record
    record(ENDED)
    record(replace(ENDED, answer=NOTHING_READ, business_code="1310", status=429))
    record(replace(ENDED, answer=NOTHING_READ, streamed=False))  # its tokens are estimated
    record(replace(ENDED, refused="capacity", details="", status=503, attempts=0, answer=NOTHING_READ))
    record(replace(ENDED, kind=EntryKind.FAILED_ATTEMPT, status=429, business_code="1302", answer=NOTHING_READ))
    return proxy
