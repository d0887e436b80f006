"""What a version has promised by name is there in the next: settings, commands, metrics, APIs, files, keys, images.

`promises.json` was read, by the functions of `promises.py`, from 5e1d048, the last version before the code moved into
rooms. What is newer than that is not in it, and what is in it is never taken out: it moves to `TAKEN_BACK`.
"""

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette

from canary.cli import canary_check
from dashboard.access.guard import GuardMiddleware
from dashboard.api import openapi
from dashboard.api.app import create_app as create_page
from dashboard.cli import dashboard_command
from dashboard.service import Service as Dashboard
from dashboard.settings import Settings as DashboardSettings
from dashboard.store.schema import migrate
from extproc.cli import cli
from extproc.commands.token import token
from extproc.domain.request.routes import labels
from extproc.domain.usage.finished_request import as_json
from extproc.domain.usage.outcome import interpret
from extproc.domain.usage.price_file import packaged_prices, parse_price_table
from extproc.domain.usage.token_estimates import TokenEstimator
from extproc.request_log import describe
from extproc.settings import Settings
from simulator.cli import simulator_command
from simulator.server.app import create_app
from simulator.server.settings import SimulatorSettings
from tests.harness.doc_tables import METRICS
from tests.harness.eventful_proxy import ENDED, SHARED
from tests.harness.exported_series import exported
from tests.harness.processes import ROOT
from tests.harness.proxy_in_process import ProxyInProcess
from tests.harness.valkey import Valkey
from tests.harness.waiting import eventually
from tests.integration.upgrade import promises

PROMISED: Final[dict[str, Any]] = json.loads((Path(__file__).parent / "fixtures/promises.json").read_text())
PLAN: Final = "our-plan"
LIMITS_KEY: Final = f"zai-proxy:{{{PLAN}}}:limits"
WHO: Final = {"client": "anna", "session": "s-1", "agent": "a-1", "request_bytes": 10, "response_bytes": 20}
_OF_OLDER_REPLICAS: Final = "what replicas without limits by model tell their leader: read, but written by them alone"
TAKEN_BACK: Final[dict[str, dict[str, str]]] = {
    "Redis": {
        f"zai-proxy:{{{PLAN}}}:events": _OF_OLDER_REPLICAS,
        f"{LIMITS_KEY} > fields > last": _OF_OLDER_REPLICAS,
        f"{LIMITS_KEY} > fields > newest": _OF_OLDER_REPLICAS,
    },
}
"""What is no longer so, with the reason."""


def assert_kept(what: str, now: Any) -> None:
    assert sorted(promises.broken(PROMISED[what], now)) == sorted(TAKEN_BACK.get(what, ()))


def test_every_setting_is_there_with_its_default() -> None:
    assert_kept("settings", {"proxy": promises.settings(Settings), "dashboard": promises.settings(DashboardSettings)})


def test_every_command_is_there_with_its_options() -> None:
    apart = {
        "token": token,
        "canary-check": canary_check,
        "dashboard": dashboard_command,
        "simulator": simulator_command,
    }
    assert_kept("commands", {**promises.command(cli), **{name: promises.command(each) for name, each in apart.items()}})


def test_every_series_is_there_with_its_type_labels_and_buckets() -> None:
    assert_kept("metrics", promises.metrics(exported()))


def test_every_value_of_a_label_is_there() -> None:
    assert_kept("values of labels", promises.label_values(METRICS))


async def test_every_path_is_there_with_its_methods(tmp_path: Path) -> None:
    simulator = create_app(SimulatorSettings()).router.routes()
    own = [(each.resource.canonical, each.method) for each in simulator if each.resource is not None]
    page = Dashboard(DashboardSettings(db_path=tmp_path / "dashboard.db"))
    guarded = create_page(page.parts)
    assert isinstance(guarded, GuardMiddleware)
    assert isinstance(guarded._app, Starlette)
    paths = {
        "client port": sorted(labels()),
        "metrics port": promises.paths(ProxyInProcess().app.routes),
        "dashboard": promises.paths(guarded._app.routes),
        "simulator": [f"{method} {path}" for path, method in own if path.startswith("/_simulator/")],
    }
    await page.parts.store.close()
    assert_kept("paths", paths)


async def test_the_proxy_tells_of_itself_and_of_each_request_what_it_told() -> None:
    proxy = ProxyInProcess(**SHARED, concurrency_limit_initial=2)
    ended = interpret(ENDED, TokenEstimator(), parse_price_table(packaged_prices()))
    broken = interpret(
        replace(ENDED, status=503, details="upstream_reset", business_code="1302", refused="rate"),
        TokenEstimator(),
        parse_price_table(packaged_prices()),
    )
    with lived_through(proxy):
        status = (await proxy.get("/status")).json()
    answers = {
        "/status": promises.shape(status),
        "/requests": promises.shape(as_json(ended)),
        "log line": sorted({**describe(ended), **describe(broken)}),
    }
    assert_kept("answers", answers)


def test_the_dashboards_api_takes_and_answers_what_it_did() -> None:
    assert_kept("dashboard", promises.api(openapi.document("0")))


def test_every_table_of_the_store_has_its_columns() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        migrate(connection)
        assert_kept("tables", promises.schema(connection))


@asynccontextmanager
async def running(*tasks: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Work that goes on meanwhile, and is cancelled with the block."""
    started = [asyncio.create_task(each) for each in tasks]
    await asyncio.sleep(0)  # each has begun, and so will end as it does when it is cancelled
    try:
        yield
    finally:
        for task in started:
            task.cancel()
        await asyncio.wait(started)


@contextmanager
def lived_through(proxy: ProxyInProcess) -> Iterator[None]:
    """A request has ended; of three others one met Z.AI's limit, one runs on and one waits; a window is used up."""
    proxy.service.recorder.record(replace(ENDED, started=time.time()))
    proxy.report_quota(0.4, time.time() + 3600)
    for number in range(3):
        proxy.arrive(f"r-{number}", **WHO)
    proxy.refuse("r-1")
    proxy.use_up()
    try:
        yield
    finally:
        for number in range(3):
            proxy.leave(f"r-{number}")


async def test_the_files_in_state_dir_have_their_names_and_fields(tmp_path: Path) -> None:
    proxy = ProxyInProcess(state_dir=tmp_path, concurrency_limit_initial=2)
    with lived_through(proxy):
        async with running(proxy.service.pacer.run(), proxy.service.clients.run()):
            pass

    written = {path.name: promises.shape(json.loads(path.read_text())) for path in sorted(tmp_path.iterdir())}
    assert_kept("STATE_DIR", written)


async def test_a_store_that_replicas_share_has_its_keys_and_their_fields(tmp_path: Path) -> None:
    valkey = Valkey(tmp_path)
    client = valkey.client()
    try:
        proxy = ProxyInProcess(limits_url=valkey.url, limits_plan=PLAN, concurrency_limit_initial=2)
        assert proxy.service.shared is not None
        with lived_through(proxy):
            async with running(proxy.service.shared.run()):
                await eventually(lambda: client.hgetall(LIMITS_KEY), lambda kept: {"ruling", "gate"} <= kept.keys())
                kept = promises.store(client)
    finally:
        client.close()
        valkey.process.kill()
    assert_kept("Redis", kept)


def test_every_image_is_there_with_what_is_said_of_it_from_outside() -> None:
    assert_kept("images", promises.images((ROOT / "Dockerfile").read_text()))


def test_every_object_in_kubernetes_keeps_its_name_and_what_others_know_of_it() -> None:
    assert_kept("Kubernetes", promises.objects(ROOT / "deploy"))


def test_compose_has_its_services_volumes_and_variables() -> None:
    assert_kept("Compose", promises.compose(ROOT / "compose.yaml"))


def test_every_alert_and_every_recorded_series_has_its_name() -> None:
    assert_kept("rules", promises.rules(ROOT / "deploy/prometheus/zai-proxy.rules.yaml"))
