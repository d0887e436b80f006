"""What the doctor says of the places of each model, as a running proxy tells of them."""

import json
from pathlib import Path
from typing import Any

import pytest

from extproc.commands.doctor import Doctor
from extproc.settings import Settings
from tests.harness.ports import free_port
from tests.harness.processes import make_key
from tests.harness.proxy_in_process import ProxyInProcess
from tests.unit.runtime.listener import http, listening


@pytest.fixture(autouse=True)
def _an_environment_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DB_PATH", str(tmp_path / "d.db"))
    monkeypatch.setenv("DASHBOARD_PORT", str(free_port()))


async def status() -> dict[str, Any]:
    """Of a proxy with two models that share six places and a third that shares none."""
    proxy = ProxyInProcess(zai_target_url="http://127.0.0.1:9")
    proxy.let_share("glm-4.7", "glm-5.3", places=6)
    for number, model in enumerate(("glm-4.7", "glm-4.7", "glm-5.3", "glm-4.6")):
        proxy.arrive(f"r-{number}", asked=model)
    told = (await proxy.get("/status")).json()
    assert isinstance(told, dict)
    return told


async def said_of_models(told: dict[str, Any]) -> dict[str, str]:
    async with listening(http(json.dumps(told))) as proxy:
        ports = {"proxy_port": free_port(), "envoy_admin_port": free_port()}
        settings = Settings(zai_api_key=make_key(), zai_target_url="http://127.0.0.1:9", **ports)
        settings = settings.model_copy(update={"metrics_port": int(proxy.url.rpartition(":")[2])})
        found = [each async for each in Doctor(settings, sends_request=False).look()]
    return {each.what: each.found for each in found if each.what.startswith("glm")}


async def test_models_that_share_places_are_said_to() -> None:
    assert await said_of_models(await status()) == {
        "glm-4.6": "3 may run at once; 1 running, nothing waiting",
        "glm-4.7": "6 may run at once; 2 running, nothing waiting; shares 6 places with glm-5.3 (3 in use)",
        "glm-5.3": "6 may run at once; 1 running, nothing waiting; shares 6 places with glm-4.7 (3 in use)",
    }


async def test_a_proxy_that_is_older_says_nothing_of_shared_places() -> None:
    told = await status()
    for each in told["model_limits"]:
        del each["shares"]

    assert (await said_of_models(told))["glm-4.7"] == "6 may run at once; 2 running, nothing waiting"
