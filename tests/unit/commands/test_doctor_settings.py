"""What the doctor says of settings that are wrong, a missing key among them, and that it goes on with the rest."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from extproc.commands.doctor import Doctor, run_doctor
from extproc.domain.diagnosis import Finding, Level
from extproc.settings import NO_KEY, Settings
from tests.harness.ports import free_port
from tests.harness.processes import make_key
from tests.harness.proxy_in_process import ProxyInProcess
from tests.unit.runtime.listener import http, listening


def own_ports() -> dict[str, Any]:
    return {name: free_port() for name in ("proxy_port", "metrics_port", "envoy_admin_port")}


async def findings(doctor: Doctor) -> list[Finding]:
    async with asyncio.timeout(60):
        return [each async for each in doctor.look()]


@pytest.fixture(autouse=True)
def _an_environment_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {"DB_PATH": str(tmp_path / "d.db"), "DASHBOARD_PORT": str(free_port())}.items():
        monkeypatch.setenv(name, value)
    for name in ("ZAI_API_KEY", "ZAI_API_KEY_FILE", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


async def test_without_a_key_everything_else_is_looked_at_and_nothing_is_asked_of_the_upstream() -> None:
    async with listening(http()) as upstream:
        settings = Settings(zai_target_url=upstream.url, **own_ports())
        found = await findings(Doctor(settings, sends_request=True, problems=[NO_KEY]))

    assert [each for each in found if each.level is Level.PROBLEM] == [Finding(Level.PROBLEM, "key", NO_KEY)]
    looked_at = {each.what for each in found}
    assert looked_at >= {"settings", "upstream", "DNS", "plan", "proxy", "Envoy", "ports", "ANTHROPIC_BASE_URL"}
    assert [request.split("\r\n")[0] for request in upstream.requests] == ["HEAD / HTTP/1.1"]


async def said_of_the_key(status: object, problem: str = NO_KEY) -> list[Finding]:
    """What is said in a shell with such a problem, where a running proxy tells such a status."""
    async with listening(http(json.dumps(status))) as proxy:
        settings = Settings(zai_target_url="http://127.0.0.1:9", **own_ports())
        settings = settings.model_copy(update={"metrics_port": int(proxy.url.rpartition(":")[2])})
        found = await findings(Doctor(settings, sends_request=False, problems=[problem]))
    return [each for each in found if each.what == "key"]


@pytest.mark.parametrize("where", ["ZAI_API_KEY", "ZAI_API_KEY_FILE"])
async def test_a_shell_without_a_key_is_no_problem_where_the_running_proxy_has_one(where: str, tmp_path: Path) -> None:
    key, file = make_key(), tmp_path / "key"
    file.write_text(key)
    has = {"zai_api_key": key} if where == "ZAI_API_KEY" else {"zai_api_key": None, "zai_api_key_file": file}
    status = (await ProxyInProcess(zai_target_url="http://127.0.0.1:9", **has).get("/status")).json()

    [finding] = await said_of_the_key(status)

    assert (finding.level, finding.found) == (Level.NOTE, "the running proxy has one, this shell has none")
    assert key not in str(finding)


@pytest.mark.parametrize("status", [{}, [], {"settings": {}}, {"settings": "ZAI_API_KEY"}, {"settings": None}])
async def test_a_shell_without_a_key_is_a_problem_where_nothing_proves_that_the_proxy_has_one(status: object) -> None:
    assert await said_of_the_key(status) == [Finding(Level.PROBLEM, "key", NO_KEY)]


async def test_a_wrong_key_is_a_problem_whatever_the_running_proxy_has() -> None:
    wrong = "ZAI_API_KEY=***: need the Z.AI key without the quotes around it"
    status = {"settings": {"ZAI_API_KEY": "***"}}

    assert await said_of_the_key(status, wrong) == [Finding(Level.PROBLEM, "key", wrong)]


async def test_a_key_file_and_certificates_that_hold_none_are_a_problem_each(tmp_path: Path) -> None:
    key, certificates = tmp_path / "key", tmp_path / "ca.pem"
    key.write_text(f"{make_key()};")
    certificates.write_text("nothing")
    files = {"zai_api_key_file": key, "zai_ca_file": certificates}
    async with listening(http()) as upstream:
        found = await findings(
            Doctor(Settings(zai_target_url=upstream.url, **files, **own_ports()), sends_request=False)
        )

    problems = [(each.what, each.found.partition(":")[0]) for each in found if each.level is Level.PROBLEM]
    assert sorted(problems) == [("key", f"ZAI_API_KEY_FILE={key}"), ("settings", f"ZAI_CA_FILE={certificates}")]


def test_wrong_settings_are_told_and_their_defaults_looked_at(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key = make_key()
    wrong = {
        "ZAI_API_KEY": f'"{key}"',
        "MAX_WORKERS": "many",
        "ZAI_TARGET_URL": "http://127.0.0.1:9",
        "MAX_WORKER": "5",
    }
    for name, value in {**wrong, **{name.upper(): str(port) for name, port in own_ports().items()}}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("common.logs.configure", lambda *_: None)  # it would stay for all tests

    problems = run_doctor(sends_request=False)

    told = capsys.readouterr().out
    assert "PROBLEM  settings: MAX_WORKERS=many: need a whole number from 1 to 10000\n" in told
    assert "PROBLEM  key: ZAI_API_KEY=***: need the Z.AI key without the quotes around it\n" in told
    assert "note     settings: MAX_WORKER is not a setting of zai-proxy" in told
    assert key not in told
    assert told.endswith(f"{problems} problems were found.\n")
    assert problems == 3  # these two, and an upstream where nobody listens


async def test_a_port_that_somebody_has_is_told_where_no_proxy_runs() -> None:
    async with listening(None) as somebody:
        taken = int(somebody.url.rpartition(":")[2])
        settings = Settings(zai_api_key=make_key(), zai_target_url="http://127.0.0.1:9", **own_ports())
        settings = settings.model_copy(update={"metrics_port": taken})
        found = await findings(Doctor(settings, sends_request=False))

    [finding] = [each for each in found if each.what == "ports"]
    assert "dashboard" not in {each.what for each in found}
    assert (finding.level, finding.found.partition(":")[0]) == (Level.PROBLEM, f"METRICS_PORT={taken}")


async def test_what_keeps_the_dashboard_alone_from_starting_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PATH", "/dev/null/dashboard.db")
    settings = Settings(zai_api_key=make_key(), zai_target_url="http://127.0.0.1:9", **own_ports())

    found = await findings(Doctor(settings, sends_request=False))

    [finding] = [each for each in found if each.what == "dashboard"]
    assert (finding.level, finding.found.partition(":")[0]) == (Level.NOTE, "DB_PATH=/dev/null/dashboard.db")
