"""The quota at work: asks for reports, hears how requests end, and stands at the gate."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import structlog
from pydantic import SecretStr

from extproc.domain.quota.quota import Quota, QuotaRules, QuotaSnapshot
from extproc.domain.request.exchange import Exchange
from extproc.domain.request.priority import Lane
from extproc.domain.request.refusals import Refusal
from extproc.domain.request.routes import Route, spends_plan
from extproc.domain.usage.failure import Failure
from extproc.domain.usage.log_entry import LogEntry
from extproc.domain.usage.outcome import Outcome
from extproc.metrics.quota import QuotaCollector
from extproc.runtime.quota_poll import QuotaPoller
from extproc.runtime.quota_webhook import QuotaWebhook
from extproc.settings import Settings, ca_file, proxy_url

log = structlog.get_logger("extproc.quota")

_EVENTS_SECONDS: Final = 1.0


class QuotaWatch:
    """Joins the pure quota with the clock, the poller and the webhook. `api_key` returns the key in force."""

    def __init__(self, settings: Settings, api_key: Callable[[], str]) -> None:
        self._openai_base_path = settings.zai_openai_base_path
        self._polls = settings.quota_poll_interval > 0
        self.quota = Quota(QuotaRules(settings.quota_gate, settings.quota_reserve / 100, settings.quota_pilot))
        self.tells: Callable[[], bool] = lambda: True
        """Whether it is for this replica to tell the webhook: among those that share a plan only one does."""
        self._poller = QuotaPoller(
            settings.zai_target_url,
            api_key,
            on_sample=self.quota.take_sample,
            interval=settings.quota_poll_interval,
            ca_file=ca_file(settings),
            proxy=proxy_url(settings, settings.zai_target_url),
        )
        url = settings.quota_webhook_url
        self._webhook = None if url is None else _webhook(settings, url)

    def snapshot(self) -> QuotaSnapshot:
        return self.quota.snapshot(time.time())

    def collector(self) -> QuotaCollector:
        """The series of the quota, for a metrics registry."""
        webhook = self._webhook
        return QuotaCollector(
            self.snapshot, lambda: self._poller.counts, (lambda: webhook.counts) if webhook is not None else None
        )

    @contextmanager
    def enter(self, exchange: Exchange, route: Route) -> Iterator[Refusal | None]:
        """Yields why a request that is paid from the plan may not go now, or None."""
        if not spends_plan(route, self._openai_base_path):
            yield None
            return
        refusal = self.quota.decide(exchange.id, exchange.lane, time.time())
        try:
            yield refusal.as_refusal() if refusal is not None else None
        finally:
            self.quota.release(exchange.id)

    def look_again(self, exchange: Exchange, route: Route) -> Refusal | None:
        """Why a request may not go after all, now that it has waited; None if it may. A window may have been used up
        meanwhile."""
        if not spends_plan(route, self._openai_base_path):
            return None
        refusal = self.quota.decide(exchange.id, exchange.lane, time.time())
        return None if refusal is None else refusal.as_refusal()

    def lane_shares(self) -> Mapping[Lane, float]:
        """The share of its demand that each lane may use now, 0.0 to 1.0, as the pilot decides."""
        shares = self.quota.shares(time.time())
        return {lane: shares.of(lane) for lane in Lane}

    def take_progress(self, entry: LogEntry) -> None:
        """A request goes on. If it is answered, that may open the gate: nobody has to wait for the end of a long
        answer."""
        if entry.is_answered:
            self.quota.take_answer(entry.exchange_id, time.time())

    def take_failure(self, failure: Failure) -> None:
        """An attempt has ended in an error, or a good answer has turned into one."""
        if not failure.is_answer or not spends_plan(failure.route, self._openai_base_path):
            return
        entry, code = failure.entry, failure.code.code
        resets_at = None if entry.retry_after is None else failure.ended_at + entry.retry_after
        if self.quota.take_refusal(code, failure.exchange_id, entry.started, time.time(), resets_at):
            self._poller.trigger()

    def take_outcome(self, outcome: Outcome) -> None:
        """A request has ended."""
        entry, usage = outcome.entry, outcome.usage
        if entry.refused or not entry.exchange_id or not spends_plan(outcome.route, self._openai_base_path):
            return
        if entry.is_answered:
            self.quota.take_answer(entry.exchange_id, time.time())
        if usage is not None:
            self.quota.take_usage(outcome.lane, usage.credits, None if usage.cost is None else usage.cost.total)

    async def run(self) -> None:
        """Polls, and tells of the gate, for ever."""
        async with asyncio.TaskGroup() as tasks:
            if self._polls:
                tasks.create_task(self._poller.run())
            if self._webhook is not None:
                tasks.create_task(self._webhook.run())
            tasks.create_task(self._tell_events())

    async def _tell_events(self) -> None:
        while True:
            await asyncio.sleep(_EVENTS_SECONDS)
            for event in self.quota.take_events(time.time()):
                log.warning("quota gate", event_kind=event.kind.value, window=event.window)
                if self._webhook is not None and self.tells():
                    self._webhook.tell(event)


def _webhook(settings: Settings, secret_url: SecretStr) -> QuotaWebhook:
    url = secret_url.get_secret_value()
    proxy = proxy_url(settings, url)
    return QuotaWebhook(url, variant=settings.deployment_variant, ca_file=ca_file(settings), proxy=proxy)
