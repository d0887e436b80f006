"""What is worked out after each round: figures of the last minutes, the plan, alerts; and the snapshot of now."""

from typing import Final

import structlog

from dashboard.addresses import TargetResolver
from dashboard.domain import quota_outlook, snapshot
from dashboard.domain.advice import Trouble, troubles
from dashboard.domain.alerts import Alerts
from dashboard.domain.finished import Finished
from dashboard.domain.proxy_status import QuotaWindow
from dashboard.domain.quota_outlook import BurnRates, spoken
from dashboard.domain.rules import Situation, judge
from dashboard.domain.snapshot import Figures
from dashboard.domain.token_guess import TokenGuess
from dashboard.event_hub import EventHub
from dashboard.records.names import NameKind
from dashboard.records.requests import Outcome
from dashboard.records.series import Mark, MarkKind
from dashboard.records.snapshot import PerMinute, Rates, Snapshot
from dashboard.scraper import Clocks, Scraper
from dashboard.store.names import all_names
from dashboard.store.recent import Recent, read_recent
from dashboard.store.store import Store, StoreError
from dashboard.targets import Target

log = structlog.get_logger("dashboard")

_MINUTE: Final = 60.0
_FIVE_MINUTES: Final = 300.0
_ERROR_SECONDS: Final = 900
_REQUESTS: Final = "zai_proxy_requests_total"
_BROKEN: Final = "zai_proxy_upstream_errors_total"


class Overview:
    """What the API shows of the present: figures, windows of the plan and alerts, worked out after each round of
    scrapes."""

    def __init__(
        self, scraper: Scraper, resolver: TargetResolver, store: Store, hub: EventHub, interval: float, clocks: Clocks
    ) -> None:
        self._scraper = scraper
        self._resolver = resolver
        self._store = store
        self._hub = hub
        self._interval = interval
        self._clocks = clocks
        self._alerts = Alerts()
        self._burn = BurnRates()
        self._guess = TokenGuess()
        self._quota: list[QuotaWindow] = []
        self._closed: set[str] = set()
        self._figures = Figures(_per_minute(Recent(_MINUTE)))
        self._troubles: list[Trouble] = []
        self._lately = (0.0, 0.0)

    def now(self) -> Snapshot:
        """What goes on at this moment."""
        steady, at = self._clocks.steady(), self._clocks.wall()
        views = [target.view(steady) for target in self._scraper.targets]
        quota = [self._burn.forecast(window, at) for window in self._quota]
        return snapshot.build(at, views, quota, self._figures, self._alerts.standing(), self._guess.guess)

    def learn(self, finished: list[tuple[int, Finished]]) -> None:
        """Learns from finished requests how many bytes a token takes, to guess the tokens of unfinished ones."""
        for _, request in finished:
            if request.outcome is Outcome.OK and request.texts["tokens_are"] == "complete":
                size = request.numbers["response_bytes"]
                self._guess.learn(request.texts["model"], size, request.tokens["output"])

    async def after_round(self) -> None:
        """Works everything out anew."""
        now = self._clocks.wall()
        try:
            await self._look_back(now)
            await self._follow_quota(now)
            changes = self._alerts.update(judge(await self._situation(now)), now)
            for change in changes:
                log.info(
                    "alert", state=change.state.value, severity=change.alert.severity.value, title=change.alert.title
                )
            ids = await self._store.save_alerts(changes) if changes else []
        except StoreError as error:
            log.error(str(error))
            return
        for number, change in zip(ids, changes, strict=True):
            self._hub.publish_alert(number, change.record())

    async def _look_back(self, now: float) -> None:
        minute = max(_MINUTE, 2 * self._interval)
        windows = (minute, _FIVE_MINUTES, float(_ERROR_SECONDS))
        recent = await self._store.read_series(lambda connection, keys: read_recent(connection, keys, now, windows))
        last_minute, five, fifteen = recent
        errors = [each.within(_ERROR_SECONDS) for each in troubles(fifteen.sums.items())]
        self._figures = Figures(_per_minute(last_minute), errors)
        self._troubles = troubles(five.sums.items())
        self._lately = (five.total(_REQUESTS), _failed(five))

    def _heard(self) -> list[Target]:
        """The proxies that answered last time."""
        return [target for target in self._scraper.targets if not target.misses and target.answered_at is not None]

    async def _follow_quota(self, now: float) -> None:
        heard = self._heard()
        told = [window for target in heard if target.status is not None for window in target.status.quota]
        self._quota = quota_outlook.merged(
            told or [each for target in heard for each in quota_outlook.from_page(target.page)]
        )
        marks = [
            _mark(now, MarkKind.RESET, f"The {spoken(window.window)} quota began anew")
            for window in self._burn.observe(self._quota, now)
        ]
        closed = {window.window for window in self._quota if window.gate_closed}
        for kind, windows in (
            (MarkKind.GATE_CLOSED, closed - self._closed),
            (MarkKind.GATE_OPENED, self._closed - closed),
        ):
            verb = "refuses" if kind is MarkKind.GATE_CLOSED else "lets through"
            marks += [_mark(now, kind, f"The {spoken(name)} quota {verb} new requests") for name in windows]
        self._closed = closed
        if marks:
            await self._store.save_marks(marks)

    async def _situation(self, now: float) -> Situation:
        steady = self._clocks.steady()
        seen = self.now()
        statuses = [target.status for target in self._heard() if target.status is not None]
        refused = [each for status in statuses for each in status.refused_identities]
        return Situation(
            now=now,
            targets=[target.trouble(steady) for target in self._scraper.targets],
            quota=[self._burn.forecast(window, now) for window in self._quota],
            refused_identities=refused,
            troubles=self._troubles,
            requests=self._lately[0],
            failed=self._lately[1],
            waiting=seen.waiting,
            running=seen.running,
            store_error=self._store.error,
            unresolved={
                each.source: each.error for each in self._resolver.lookups if each.error and not each.addresses
            },
            names=await self._client_names() if refused else {},
        )

    async def _client_names(self) -> dict[str, str]:
        """What people call clients."""
        given = await self._store.read(all_names)
        return {each.key: each.name for each in given.names if each.kind is NameKind.CLIENT}


def _mark(at: float, kind: MarkKind, text: str) -> Mark:
    return Mark(at=at, kind=kind, target=None, text=text)


def _per_minute(recent: Recent) -> PerMinute:
    def rate(name: str, **labels: str) -> float | None:
        return round(recent.total(name, **labels) * _MINUTE / recent.seconds, 9) if recent.looks else None

    return PerMinute(
        requests=rate(_REQUESTS),
        failed=round(_failed(recent) * _MINUTE / recent.seconds, 9) if recent.looks else None,
        tokens=Rates(**{kind: rate("zai_proxy_tokens_total", direction=kind) for kind in Rates.model_fields}),
        cost_usd=rate("zai_proxy_estimated_cost_usd_total"),
        credits=rate("zai_proxy_plan_credits_total"),
        seconds=recent.seconds,
    )


def _failed(recent: Recent) -> float:
    """Requests that failed on the way; a client that leaves has its reasons."""
    return recent.total(_BROKEN) - recent.total(_BROKEN, error_type="write_error")
