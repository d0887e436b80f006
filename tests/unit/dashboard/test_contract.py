"""Between a proxy and those who read it: what the dashboard, Grafana, Prometheus, the canary check and the pages ask
for is what a real proxy says."""

import re
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from dashboard.domain import quota_outlook
from dashboard.domain.charts import Source, chart_names, find_chart
from dashboard.domain.exposition import PageReader
from dashboard.domain.finished import read_finished
from dashboard.domain.proxy_status import ProxyStatus, read_status
from dashboard.domain.rollup import Tier
from dashboard.domain.samples import Page
from dashboard.domain.snapshot import Figures, TargetView, build
from dashboard.domain.timespan import Grid
from dashboard.records.snapshot import TargetHealth
from dashboard.store.file import StoreFile
from extproc.domain.quota.windows import WINDOWS, QuotaReport, QuotaSample
from extproc.domain.quota.windows import QuotaWindow as Reported
from extproc.domain.request.identity import Caller, RefusedIdentity
from extproc.domain.request.priority import Lane
from extproc.domain.usage.finished_request import as_json
from extproc.domain.usage.outcome import interpret
from extproc.domain.usage.price_file import packaged_prices, parse_price_table
from extproc.domain.usage.token_estimates import TokenEstimator
from tests.harness.eventful_proxy import ENDED, PLAN, SHARED, eventful, plan_limits
from tests.harness.processes import ROOT
from tests.harness.proxy_in_process import ProxyInProcess
from tests.unit.dashboard.build import NO_FIGURES, reading, sample
from tests.unit.dashboard.conftest import NOW
from tests.unit.dashboard.store.test_sample_store import drawn

READERS = [
    *ROOT.glob("*.md"),
    *ROOT.glob("docs/**/*.md"),
    *ROOT.glob("deploy/**/*.yaml"),
    *ROOT.glob("grafana/*.*"),
    *ROOT.glob("canary/**/*.py"),
    *ROOT.glob("dashboard/*.md"),
    *ROOT.glob("dashboard/**/*.py"),
    *ROOT.glob("dashboard/frontend/src/**/*.ts*"),
]


async def page_of(proxy: ProxyInProcess) -> Page:
    return PageReader().read((await proxy.get("/metrics")).text)


async def status_of(proxy: ProxyInProcess) -> ProxyStatus:
    return read_status((await proxy.get("/status")).json())


async def exported_names() -> set[str]:
    """Every name under which a sample can be asked for."""
    text = (await eventful().get("/metrics")).text
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    parts = {
        f"{name}_{part}" for name, kind in types.items() if kind == "histogram" for part in ("bucket", "sum", "count")
    }
    return {*types, *parts}


def names_in(path: Path) -> set[str]:
    return set(re.findall(r"\bzai_proxy_[a-z0-9_]*[a-z0-9]", path.read_text()))


async def test_every_series_that_anybody_reads_is_exported() -> None:
    exported = await exported_names()

    missing = {
        str(path.relative_to(ROOT)): names - exported for path in READERS if (names := names_in(path)) - exported
    }

    assert missing == {}
    folders = {path.relative_to(ROOT).parts[0] for path in READERS if names_in(path)}
    assert folders >= {"dashboard", "grafana", "deploy", "canary", "docs"}


def test_no_name_of_a_series_is_put_together_where_nobody_can_find_it() -> None:
    code = [path for path in READERS if path.suffix == ".py"]

    assert [str(path) for path in code if re.search(r"zai_proxy_[a-z_]*\{[a-z]", path.read_text())] == []


@pytest.mark.parametrize(("name", "by"), [(name, by) for name, splits in chart_names().items() for by in splits])
async def test_every_line_of_a_chart_is_made_of_something_that_a_proxy_exports(name: str, by: str) -> None:
    page = await page_of(eventful())

    for source in find_chart(name, by).sources:
        assert lines_of(source, page) - {None, "unknown"}, f"{source.kind} {source.name}"


def lines_of(source: Source, page: Page) -> set[str | None]:
    keys = (*page.counters, *page.gauges)
    return {source.line(key) for key in keys if (key.kind, key.name) == (source.kind, source.name)}


async def test_every_label_that_is_kept_has_a_value() -> None:
    page = await page_of(eventful())

    keys = (*page.counters, *page.gauges, *page.facts)
    assert [key for key in keys for _, value in key.labels if not value] == []


async def test_what_runs_and_what_waits_is_read() -> None:
    proxy = ProxyInProcess(concurrency_limit_initial=1)
    who = {"client": "anna", "program": "Codex", "session": "s-1", "agent": "a-1"}
    running = {**who, "lane": Lane.SUBAGENT, "model": "glm-5.3"}
    proxy.arrive("r-1", started=time.time() - 5, **running, asked="glm-5.2", request_bytes=10, response_bytes=20)
    proxy.arrive("r-2", started=time.time() - 3, asked="glm-4.7")

    status = await status_of(proxy)

    (runs,), (waits,) = status.running, status.waiting
    assert asdict(runs) == {
        "id": "r-1", "request_id": "request-r-1", "method": "POST", "path": "/v1/messages", **who,
        "lane": "subagent", "model": "glm-5.3", "model_asked": "glm-5.2",
        "age": pytest.approx(5, abs=60), "request_bytes": 10, "response_bytes": 20,
    }  # fmt: skip
    assert (waits.id, waits.client, waits.lane) == ("r-2", "source-01", "main")
    assert waits.age == pytest.approx(3, abs=60)
    assert (waits.model, waits.model_asked) == (None, "glm-4.7")
    assert (status.busy, status.limit, status.wall, status.draining) == (2, 1, 20, False)
    assert (status.variant, status.shared, status.version) == ("test", False, proxy_version(await page_of(proxy)))
    proxy.service.admission.drain()
    assert (await status_of(proxy)).draining


def proxy_version(page: Page) -> str:
    assert page.version
    return page.version


async def test_the_limits_that_a_proxy_has_learned_are_read_with_their_moves() -> None:
    proxy = ProxyInProcess(concurrency_limit_initial=4)
    for number in range(4):
        proxy.arrive(f"r-{number}")
    proxy.refuse("r-3")
    proxy.leave("r-3")

    status, page = await status_of(proxy), await page_of(proxy)

    in_flight, rate = status.limits
    assert (in_flight.name, in_flight.ceiling, in_flight.used) == ("in flight", 4, 3)
    assert status.in_flight == status.limit == page.gauge("zai_proxy_concurrency_limit_requests")
    assert page.gauge("zai_proxy_concurrency_limit_ceiling_requests") == 4
    (move,) = in_flight.moves
    assert move.text == f"upstream 1302: 4 → {status.limit} in flight"
    assert move.at == pytest.approx(time.time(), abs=60)
    assert (rate.name, rate.value) == ("requests/s", page.gauge("zai_proxy_rate_limit_requests_per_second"))
    (model,) = status.model_limits
    assert (model.ceiling, model.in_flight, model.waiting) == (4, 3, 0)
    assert [move.text for move in model.moves] == [move.text]


async def test_the_places_that_models_share_are_read_and_listed() -> None:
    proxy = ProxyInProcess()
    proxy.let_share("glm-4.7", "glm-5.3", places=6)
    for number, model in enumerate(("glm-4.7", "glm-5.3", "glm-5.3", "glm-4.6")):
        proxy.arrive(f"r-{number}", asked=model)

    listed = snapshot_of([view(await status_of(proxy), await page_of(proxy), 1)])["model_limits"]

    assert {each["model"]: each["shares"] for each in listed} == {
        "glm-4.6": None,
        "glm-4.7": {"with": ["glm-5.3"], "maybe_with": [], "value": 6, "in_flight": 3},
        "glm-5.3": {"with": ["glm-4.7"], "maybe_with": [], "value": 6, "in_flight": 3},
    }


async def test_a_proxy_that_is_not_paced_has_a_limit_all_the_same() -> None:
    status, page = await status_of(ProxyInProcess(pacing="off")), await page_of(ProxyInProcess(pacing="off"))

    assert (status.limit, status.wall, status.in_flight, status.limits) == (20, 20, None, ())
    shown = [snapshot_of([view(each, page, 1)])["workers"]["limit"] for each in (status, None)]
    assert shown == [20, 20]


async def test_the_quota_is_read_with_the_gate_that_is_closed() -> None:
    proxy, resets_at = ProxyInProcess(), float(int(time.time()) + 3600)
    proxy.report_quota(0.4, resets_at, age=30.0)
    proxy.use_up()

    status, page = await status_of(proxy), await page_of(proxy)

    assert status.plan == "max"
    window = next(each for each in status.quota if each.window == "five_hour")
    assert (window.limit_type, window.used, window.resets_at) == ("TOKENS_LIMIT", 0.4, resets_at)
    assert window.sample_age == pytest.approx(30.0, abs=60)
    assert (window.text or "").startswith("five-hour window: 40 % used, ")
    assert [each.window for each in status.quota if each.gate_closed] == ["weekly"]
    (measured,) = quota_outlook.from_page(page)
    same = replace(measured, text=None, sample_age=None)
    assert same == replace(window, text=None, sample_age=None, seconds=None, runs_out_at=None, unused_at_reset=None)


async def test_a_finished_request_is_read_with_all_that_the_feed_tells() -> None:
    ended = interpret(ENDED, TokenEstimator(), parse_price_table(packaged_prices()))
    broken = replace(ended, error="read_error", entry=replace(ENDED, business_code="1302"))

    read = read_finished("run-1", as_json(broken))

    assert {name for name, value in {**read.texts, **read.numbers}.items() if value is None} == {"refused"}
    assert read.tokens == {"input": 100, "output": 50, "cache_read": 20, "cache_write": 10, "reasoning": 5}
    assert (read.started, read.duration, read.texts["running_id"]) == (ENDED.started, 3.0, "x-1")


def test_a_client_that_z_ai_refuses_is_read_as_a_proxy_tells_of_it() -> None:
    told = RefusedIdentity(Caller("laptop-anna", "openai-python"), "1305", since=5.0, at=9.0, refusals=3, is_news=True)
    found: set[str] = set()
    missed: set[str] = set()

    status = read_status(noting({"refused_identities": [told.as_json()]}, "status", found, missed))

    (read,) = status.refused_identities
    assert (read.client, read.user_agent, read.code, read.refusals) == ("laptop-anna", "openai-python", "1305", 3)
    assert not [key for key in missed if "identities" in key]


class Asked(dict[str, Any]):
    """An object of an answer that notes which of its keys are asked for: `found` and those that it does not have."""

    def __init__(self, where: str, values: dict[str, Any], found: set[str], missed: set[str]) -> None:
        super().__init__({key: noting(value, f"{where}.{key}", found, missed) for key, value in values.items()})
        self._where = where
        self._found, self._missed = found, missed

    def get(self, key: str, default: Any = None) -> Any:
        (self._found if key in self else self._missed).add(f"{self._where}.{key}")
        return super().get(key, default)


def noting(value: Any, where: str, found: set[str], missed: set[str]) -> Any:
    if isinstance(value, list):
        return [noting(each, f"{where}[]", found, missed) for each in value]
    return Asked(where, value, found, missed) if isinstance(value, dict) else value


def hollow(value: Any) -> Any:
    """The same objects with nothing in them: whoever knows of another place to look will look there."""
    if isinstance(value, list):
        return [hollow(each) for each in value]
    return {key: hollow(each) for key, each in value.items()} if isinstance(value, dict) else None


async def test_of_a_status_nothing_is_asked_that_no_proxy_says() -> None:
    found: set[str] = set()
    missed: set[str] = set()
    proxy = ProxyInProcess(concurrency_limit_initial=2)
    for number in range(2):
        proxy.arrive(f"r-{number}")
    proxy.refuse("r-1")
    proxy.leave("r-1")
    proxy.arrive("r-2")
    proxy.report_quota(0.4, time.time() + 3600)
    proxy.use_up()
    for each in (proxy, eventful()):
        answer = (await each.get("/status")).json()
        for status in (answer, hollow(answer)):
            read_status(noting(status, "status", found, missed))

    waits = ("request_bytes", "response_bytes")  # nobody knows them before a request runs
    assert missed - found == {f"status.waiting[].{key}" for key in waits}


async def test_the_shortest_window_is_shown_first() -> None:
    proxy, now = ProxyInProcess(), time.time()
    windows = [Reported(name, "TOKENS_LIMIT", 0.5, seconds=window.seconds) for name, window in WINDOWS.items()]
    proxy.service.quota.quota.take_sample(QuotaSample(QuotaReport("max", tuple(reversed(windows))), now), now)

    shown = quota_outlook.merged((await status_of(proxy)).quota)

    assert [window.window for window in shown] == sorted(WINDOWS, key=lambda name: WINDOWS[name].seconds)


class TestThreeReplicas:
    """Three proxies of five places each, on a plan of nine."""

    @pytest.fixture
    async def replicas(self) -> list[ProxyInProcess]:
        replicas = [ProxyInProcess(**SHARED, concurrency_limit_initial=PLAN, max_workers=5) for _ in range(3)]
        for number, replica in enumerate(replicas):
            replica.share(plan_limits(PLAN, ceiling=10.0), leads=number == 1, granted=1)
            replica.arrive(f"r-{number}")
        return replicas

    async def test_say_that_they_share_it(self, replicas: list[ProxyInProcess]) -> None:
        statuses = [await status_of(replica) for replica in replicas]

        assert [(each.shared, each.leads, each.in_flight, each.limit) for each in statuses] == [
            (True, False, 9, 5), (True, True, 9, 5), (True, False, 9, 5),
        ]  # fmt: skip

    @pytest.mark.parametrize("has_status", [True, False])
    async def test_have_nine_places_in_the_snapshot(self, replicas: list[ProxyInProcess], has_status: bool) -> None:
        seen = snapshot_of(await views(replicas, has_status))

        assert seen["workers"] == {"busy": 3, "limit": 9, "wall": 15, "draining": False}
        assert seen["health"]["headline"] == "Working: 3 of 9 places busy."
        told = [(each["target"], each["replicas"], each["value"], each["used"]) for each in seen["limits"]]
        assert told == ([(2, 3, 9, 3), (2, 3, 30, None)] if has_status else [])

    async def test_have_nine_places_in_the_charts(self, replicas: list[ProxyInProcess], file: StoreFile) -> None:
        await store(file, replicas)

        assert charted(file, "workers") == {"busy": [3], "limit": [9], "wall": [15], "waiting": [0]}
        assert charted(file, "rate") == {"limit": [30], "ceiling": [40]}
        assert charted(file, "zai_proxy_shared_limits_replicas") == {"value": [3]}
        assert charted(file, "zai_proxy_shared_limits_up") == {"value": [3]}

    async def test_have_nine_places_for_each_model_in_the_charts(
        self, replicas: list[ProxyInProcess], file: StoreFile
    ) -> None:
        await store(file, replicas)

        assert charted(file, "zai_proxy_model_concurrency_limit_requests") == {"main unknown": [9]}
        assert charted(file, "zai_proxy_model_concurrency_limit_ceiling_requests") == {"main unknown": [10]}

    async def test_without_the_store_each_keep_to_their_share(
        self, replicas: list[ProxyInProcess], file: StoreFile
    ) -> None:
        for replica in replicas:
            replica.lose_the_store()

        await store(file, replicas)
        assert charted(file, "workers")["limit"] == [9]  # each of the three has a share of three
        assert snapshot_of(await views(replicas))["workers"]["limit"] == 9

    async def test_one_that_has_lost_the_store_adds_its_share(
        self, replicas: list[ProxyInProcess], file: StoreFile
    ) -> None:
        replicas[2].lose_the_store()

        await store(file, replicas)
        assert charted(file, "workers")["limit"] == [12]
        assert snapshot_of(await views(replicas))["workers"]["limit"] == 12


def view(status: ProxyStatus | None, page: Page, number: int) -> TargetView:
    return TargetView(number, f"proxy-{number}", TargetHealth.UP, status, 0.0, lambda _id: None, page.gauge)


async def views(replicas: list[ProxyInProcess], has_status: bool = True) -> list[TargetView]:
    return [
        view(await status_of(replica) if has_status else None, await page_of(replica), number)
        for number, replica in enumerate(replicas, 1)
    ]


def snapshot_of(targets: Sequence[TargetView]) -> dict[str, Any]:
    return build(NOW, targets, [], Figures(NO_FIGURES), (), lambda _model, size: size).model_dump(mode="json")


async def store(file: StoreFile, replicas: list[ProxyInProcess]) -> None:
    """One look at each of them."""
    samples = []
    for number, replica in enumerate(replicas):
        page = await page_of(replica)
        target = file.target(f"http://{number}/metrics").id
        samples.append(replace(sample(target, NOW), gauges=page.gauges, reading=reading(NOW)))
    file.save_round(NOW, 5.0, samples)


def charted(file: StoreFile, name: str) -> dict[str, list[float | None]]:
    return drawn(file, name, Grid(int(NOW) // 60 * 60, 60, 1, Tier.MINUTE))
